package alipaycaddy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/limiter"
)

// redisPort is the port of a URL that has none.
const redisPort = "6379"

// resolveAddresses reads the addresses into o, with what URLs say besides, and gives whether they say TLS.
func (r *Redis) resolveAddresses(s secrets, o *limiter.RedisOptions) (encrypted bool, err error) {
	first, addresses := limiter.RedisOptions{}, make([]string, len(r.Addresses))
	for i, address := range r.Addresses {
		if address == "" {
			return false, errors.New("address is empty; write it like store redis localhost:6379, or store redis {env.REDIS_ADDRESS}")
		}
		resolved, err := s.public("address", address)
		if err != nil {
			return false, err
		}
		said, tls, err := parseRedisAddress(resolved)
		switch {
		case err != nil:
			return false, err
		case said.Password != "" && !isPlaceholder(address) && !s.literals:
			return false, errors.New("address has a password in it, which /config/ and the autosave would show; use {env.NAME} or {file./path}, or set insecure_literals")
		}
		if said.Password != "" {
			known(resolved)
			known(said.Password)
		}
		addresses[i], said.Addresses = said.Addresses[0], nil
		if i == 0 {
			first, encrypted = said, tls
		} else if said.Username != first.Username || said.Password != first.Password || said.DB != first.DB || tls != encrypted {
			return false, errors.New("the addresses differ in user, password, database or TLS; write these as options of store redis")
		}
	}
	o.Addresses = addresses
	switch {
	case first.Username != "" && o.Username != "", first.Password != "" && o.Password != "", first.DB != 0 && o.DB != 0:
		return false, errors.New("username, password or db is given twice: in the address, and as an option")
	case r.MasterName != "" && (first.Username != "" || first.Password != "" || first.DB != 0):
		return false, errors.New("the addresses are those of the Sentinels; write username, password and db as options of store redis")
	}
	o.Username, o.Password, o.DB = o.Username+first.Username, o.Password+first.Password, o.DB+first.DB
	return encrypted, nil
}

// parseRedisAddress reads one address as it is written. Its errors hold nothing of it, which may be a secret.
func parseRedisAddress(text string) (said limiter.RedisOptions, encrypted bool, err error) {
	if socket, ok := strings.CutPrefix(text, "unix/"); ok {
		if !path.IsAbs(socket) {
			return said, false, errors.New("address: the path of a unix socket is absolute; write it like unix//run/redis/redis.sock")
		}
		said.Addresses = []string{socket}
		return said, false, nil
	}
	if !strings.Contains(text, "://") {
		said.Addresses = []string{text}
		return said, false, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return said, false, errors.New("address is not a URL; write it like rediss://cache.example.com:6379, and %40 for an @ in its password")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return said, false, errors.New("address: the scheme of a URL is redis, or rediss for TLS; a unix socket is written like unix//run/redis/redis.sock")
	}
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return said, false, errors.New("address: a URL is redis://[user:password@]host[:port][/db], and rediss for TLS; all else are options of store redis")
	}
	port := u.Port()
	if port == "" {
		port = redisPort
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if said.DB, err = strconv.Atoi(db); err != nil || said.DB < 0 {
			return said, false, errors.New("address: what stands behind the host of a URL is the number of the database, from 0")
		}
	}
	said.Addresses = []string{net.JoinHostPort(u.Hostname(), port)}
	said.Username = u.User.Username()
	said.Password, _ = u.User.Password()
	return said, u.Scheme == "rediss", nil
}

// tlsConfig makes the options of TLS, nil without, and gives what its files hold: with another certificate in them it is
// another store.
func (r *Redis) tlsConfig(encrypted bool) (config *tls.Config, files []string, err error) {
	if (r.TLSCertificate == "") != (r.TLSKey == "") {
		return nil, nil, errors.New("tls_client_auth needs the file of a certificate and that of its key")
	}
	if !encrypted && !r.TLS && len(r.TLSCA) == 0 && r.TLSCertificate == "" && r.TLSServerName == "" {
		return nil, nil, nil
	}
	config = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.TLSServerName}
	for _, file := range r.TLSCA {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("tls_ca: %w", err)
		}
		if config.RootCAs == nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, nil, fmt.Errorf("tls_ca: %s has no PEM certificate", file)
		}
		files = append(files, string(content))
	}
	if r.TLSCertificate != "" {
		certificate, err := tls.LoadX509KeyPair(r.TLSCertificate, r.TLSKey)
		if err != nil {
			return nil, nil, fmt.Errorf("tls_client_auth: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
		for _, part := range certificate.Certificate {
			files = append(files, string(part))
		}
	}
	return config, files, nil
}
