package alipaycaddy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// certified makes files of an authority, and of certificates and keys that it has issued.
type certified struct {
	t   *testing.T
	dir string
	key *ecdsa.PrivateKey
	ca  *x509.Certificate
}

func newCertified(t *testing.T) *certified {
	c := &certified{t: t, dir: t.TempDir()}
	c.ca = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	c.key = c.issue("ca", c.ca)
	block, _ := pem.Decode(must(os.ReadFile(c.file("ca.crt"))))
	c.ca = must(x509.ParseCertificate(block.Bytes))
	return c
}

// issue writes name.crt and name.key.
func (c *certified) issue(name string, template *x509.Certificate) *ecdsa.PrivateKey {
	c.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	signer := c.key
	if signer == nil {
		signer = key
	}
	der := must(x509.CreateCertificate(rand.Reader, template, c.ca, &key.PublicKey, signer))
	for ending, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: der},
		".key": {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))},
	} {
		if err := os.WriteFile(c.file(name+ending), pem.EncodeToMemory(block), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return key
}

func (c *certified) file(name string) string { return filepath.Join(c.dir, name) }

// TestStoreRedisConnects reaches a Redis by TLS and by a unix socket, as each option and each form of an address says, and
// names the cause where it does not.
func TestStoreRedisConnects(t *testing.T) {
	const password = "a+redis@password-for-tests"
	c := newCertified(t)
	issued := func(name string, usage x509.ExtKeyUsage, hosts ...string) {
		template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage}, DNSNames: hosts}
		if slices.Contains(hosts, "127.0.0.1") {
			template.DNSNames, template.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		c.issue(name, template)
	}
	issued("here", x509.ExtKeyUsageServerAuth, "127.0.0.1")
	issued("elsewhere", x509.ExtKeyUsageServerAuth, "redis.example.com")
	issued("gateway", x509.ExtKeyUsageClientAuth, "gateway.example.com")
	start := func(certificate, authenticate string) (addr string) {
		addr = heldport.Addr(t)
		_, port, _ := net.SplitHostPort(addr)
		redistest.Start(t, "--requirepass", password, "--unixsocket", c.file(certificate+authenticate+".sock"), "--tls-port", port, "--tls-auth-clients", authenticate,
			"--tls-cert-file", c.file(certificate+".crt"), "--tls-key-file", c.file(certificate+".key"), "--tls-ca-cert-file", c.file("ca.crt"))
		return addr
	}
	here, elsewhere, mutual := start("here", "no"), start("elsewhere", "no"), start("here", "yes")
	_, port, _ := net.SplitHostPort(elsewhere)
	ca, client := "tls_ca "+c.file("ca.crt"), "tls_client_auth "+c.file("gateway.crt")+" "+c.file("gateway.key")
	t.Setenv("TEST_REDIS_PASSWORD", password)
	t.Setenv("TEST_REDIS_URL", "rediss://:a%2Bredis%40password-for-tests@"+here+"/3")
	t.Setenv("TEST_REDIS_SOCKET", "redis://:a%2Bredis%40password-for-tests@"+here)
	secret := "password {env.TEST_REDIS_PASSWORD}"
	for name, tt := range map[string]struct {
		options []string
		want    string // of the error
	}{
		"an authority of one's own":         {[]string{"address " + here, ca, secret}, ""},
		"a URL":                             {[]string{"address rediss://" + here, ca, secret}, ""},
		"a URL with all of it":              {[]string{"address {env.TEST_REDIS_URL}", ca}, ""},
		"the system's roots":                {[]string{"address " + here, "tls", secret}, "unknown authority"},
		"another name":                      {[]string{"address localhost:" + port, ca, secret}, "certificate is valid for redis.example.com, not localhost"},
		"another name, by its address":      {[]string{"address " + elsewhere, ca, secret}, "cannot validate certificate for 127.0.0.1"},
		"another name, which is expected":   {[]string{"address " + elsewhere, ca, "tls_server_name redis.example.com", secret}, ""},
		"a certificate of the client":       {[]string{"address " + mutual, ca, client, secret}, ""},
		"no certificate of the client":      {[]string{"address " + mutual, ca, secret}, "certificate required"},
		"no TLS at a port of TLS":           {[]string{"address " + here, secret}, "EOF|reset|closed"},
		"another password":                  {[]string{"address unix/" + c.file("hereno.sock"), "password {env.TEST_REDIS_URL}"}, "WRONGPASS"},
		"a unix socket":                     {[]string{"address unix/" + c.file("hereno.sock"), secret, "db 1"}, ""},
		"a unix socket that is not there":   {[]string{"address unix/" + c.file("none.sock")}, "no such file"},
		"a URL without TLS at a port of it": {[]string{"address {env.TEST_REDIS_SOCKET}"}, "EOF|reset|closed"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Redis
			d := caddyfile.NewTestDispenser("redis {\n" + strings.Join(tt.options, "\n") + "\n}")
			d.Next()
			if err := r.unmarshalBlock(d); err != nil {
				t.Fatal(err)
			}
			_, open, err := r.prepare(newSecrets(false))
			if err != nil {
				t.Fatal(err)
			}
			store := must(open()).(*redisStore)
			defer store.Close()
			testwait.For(t, time.Minute, "the answer: "+tt.want, func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				err := store.client.Ping(ctx).Err()
				return tt.want == "" && err == nil || tt.want != "" && err != nil &&
					slices.ContainsFunc(strings.Split(tt.want, "|"), func(part string) bool { return strings.Contains(err.Error(), part) })
			})
		})
	}
}

// TestChangedFilesOfTLSAreAnotherStore renews a client's certificate in its files, and moves an address behind its placeholder.
func TestChangedFilesOfTLSAreAnotherStore(t *testing.T) {
	c := newCertified(t)
	issue := func() {
		c.issue("gateway", &x509.Certificate{SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour)})
	}
	issue()
	t.Setenv("TEST_REDIS_ADDRESS", "127.0.0.1:1")
	identity := func() string {
		t.Helper()
		r := &Redis{Addresses: []string{"{env.TEST_REDIS_ADDRESS}"}, TLSCertificate: c.file("gateway.crt"), TLSKey: c.file("gateway.key")}
		identity, _, err := r.prepare(newSecrets(false))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(identity, "\n")
	}
	first := identity()
	if identity() != first {
		t.Error("the same is another store")
	}
	issue()
	renewed := identity()
	t.Setenv("TEST_REDIS_ADDRESS", "127.0.0.1:2")
	if renewed == first || identity() == renewed {
		t.Error("another certificate or address is the same store")
	}
}

// TestFirstCallsFindConnections has a Redis whose connections take longer to make than a use of it may: calls that come before
// the configuration has started wait for them, and where there are none no longer than for that.
func TestFirstCallsFindConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		fault redistest.Fault
		most  time.Duration
	}{
		"far":                      {redistest.Fault{}, connectTime},
		"refuses":                  {redistest.Fault{Refuses: true}, connectTime},
		"connections are not made": {redistest.Fault{Hangs: true}, 2 * connectTime},
		"black hole":               {redistest.Fault{Swallows: true}, 2 * connectTime},
	} {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			testwait.Bubble(t, func(t *testing.T) {
				network.OneWay = 12 * time.Millisecond
				network.Break(tt.fault)
				client := must(limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{redistest.Anywhere}}))
				network.Connect(client)
				defer testwait.Pass(time.Minute) // what runs ends
				defer client.Close()
				s := &openedStore{store: &redisStore{client: client}, begun: make(chan struct{})}
				began := time.Now()
				var calls sync.WaitGroup
				for range firstConnections {
					calls.Go(func() {
						s.await(t.Context())
						if waited := time.Since(began); waited > tt.most {
							t.Errorf("a call has waited for %v", waited)
						}
						ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
						defer cancel()
						if err := client.Time(ctx).Err(); (err != nil) != (tt.fault != redistest.Fault{}) {
							t.Errorf("its use of Redis: %v", err)
						}
					})
				}
				testwait.Pass(time.Millisecond)
				s.connect()
				calls.Wait()
			})
		})
	}
}
