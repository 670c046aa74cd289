package alipaycaddy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/limiter"
)

// Redis says where the store is that replicas share: one server, a master that
// Sentinel knows, or a Cluster.
type Redis struct {
	// The addresses, `host:port`: of the server, of the Sentinels with
	// `master_name`, of some nodes with `cluster`. That of one server may be its unix
	// socket, `unix//run/redis/redis.sock`. Each may be a URL,
	// `redis://[user:password@]host[:port][/db]`, or `rediss://…` for TLS. May be
	// placeholders, and are where they have a password. Required.
	Addresses []string `json:"addresses,omitempty" placeholder:"whole"`

	// The master's name at the Sentinels. Default: none.
	MasterName string `json:"master_name,omitempty"`

	// Whether the servers are a Redis Cluster. Default: false
	Cluster bool `json:"cluster,omitempty"`

	// The user to authenticate as, with `password`. May be a placeholder. Default: none.
	Username string `json:"username,omitempty" placeholder:"whole"`

	// The password. By placeholder. Default: none.
	Password string `json:"password,omitempty" placeholder:"whole"`

	// The user to authenticate as at the Sentinels, with `sentinel_password`. May be a placeholder. Default: none.
	SentinelUsername string `json:"sentinel_username,omitempty" placeholder:"whole"`

	// The password at the Sentinels. By placeholder. Default: none.
	SentinelPassword string `json:"sentinel_password,omitempty" placeholder:"whole"`

	// Whether to connect with TLS. Default: false, unless one of the other options of
	// TLS is set or an address is `rediss://…`
	TLS bool `json:"tls,omitempty"`

	// Files of PEM certificates: the authorities that the servers' certificates, and the
	// Sentinels', are verified by. Default: the system's roots
	TLSCA []string `json:"tls_ca,omitempty"`

	// The file of the PEM certificate that this client shows, with its chain. Default: none.
	TLSCertificate string `json:"tls_certificate,omitempty"`

	// The file of its key. Required with `tls_certificate`.
	TLSKey string `json:"tls_key,omitempty"`

	// The name that the certificates must be for. Default: the host of each address,
	// and of each that Sentinels or nodes tell.
	TLSServerName string `json:"tls_server_name,omitempty"`

	// The number of the database. Default: `0`
	DB int `json:"db,omitempty"`

	// The most gateways that share the store at once. While Redis is away each
	// keeps to its part of every rate limit. Default: `1`
	Replicas int `json:"replicas,omitempty"`

	// The most bytes that one tenant's idempotency keys and their answers may take in
	// Redis, and likewise its cached answers. The oldest answers make room; a tenant
	// whose keys alone take it all can claim no more. A key takes 768 bytes. At least
	// 1 MiB. Default: `134217728` (128 MiB)
	TenantBytes int64 `json:"tenant_bytes,omitempty"`

	// Where the store is. Of tenants that may not be there, no answers or responses are kept.
	// Default: where this process is.
	Region string `json:"region,omitempty"`
}

// minTenantBytes is the least room of a tenant.
const minTenantBytes = 1 << 20

// region implements storeOptions.
func (r *Redis) region() string { return r.Region }

// prepare implements storeOptions.
func (r *Redis) prepare(s secrets) (identity []string, open func() (store, error), err error) {
	options, files, err := r.resolve(s)
	if err != nil {
		return nil, nil, err
	}
	if r.Replicas < 0 || r.DB < 0 {
		return nil, nil, errors.New("replicas must be a number from 1, and db one from 0")
	}
	if b := r.TenantBytes; b != 0 && b < minTenantBytes {
		return nil, nil, fmt.Errorf("tenant_bytes %d is too little; write at least %d (1 MiB)", b, minTenantBytes)
	}
	// With the secrets as they resolve: a changed one is another store.
	same := *r
	same.Region = "" // which says where it is, and not which
	identity = append([]string{
		fmt.Sprintf("%+v", same), strings.Join(options.Addresses, " "), strconv.Itoa(options.DB), strconv.FormatBool(options.TLS != nil),
		options.Username, options.Password, options.SentinelUsername, options.SentinelPassword,
	}, files...)
	return identity, func() (store, error) {
		client, err := limiter.NewRedisClient(options)
		if err != nil {
			return nil, err
		}
		return &redisStore{client: client, replicas: max(r.Replicas, 1), tenantBytes: r.TenantBytes}, nil
	}, nil
}

// resolve makes the client's options, and gives what the files of TLS hold.
func (r *Redis) resolve(s secrets) (o limiter.RedisOptions, files []string, err error) {
	o = limiter.RedisOptions{MasterName: r.MasterName, Cluster: r.Cluster, DB: r.DB}
	for name, user := range map[string]struct {
		configured string
		resolved   *string
	}{"username": {r.Username, &o.Username}, "sentinel_username": {r.SentinelUsername, &o.SentinelUsername}} {
		if user.configured == "" {
			continue
		}
		if *user.resolved, err = s.public(name, user.configured); err != nil {
			return o, nil, err
		}
	}
	for name, password := range map[string]struct {
		configured string
		resolved   *string
	}{"password": {r.Password, &o.Password}, "sentinel_password": {r.SentinelPassword, &o.SentinelPassword}} {
		if password.configured == "" {
			continue
		}
		if *password.resolved, err = s.resolve(name, password.configured); err != nil {
			return o, nil, err
		}
	}
	encrypted, err := r.resolveAddresses(s, &o)
	if err != nil {
		return o, nil, err
	}
	if o.TLS, files, err = r.tlsConfig(encrypted); err != nil {
		return o, nil, err
	}
	return o, files, o.Check()
}

// unmarshalBlock reads the block of `store redis`.
func (r *Redis) unmarshalBlock(d *caddyfile.Dispenser) error {
	return block(d, "store redis",
		option{form: "address <addresses...>", read: func(d *caddyfile.Dispenser) error {
			if len(r.Addresses) > 0 {
				return d.Err("the addresses of redis are given twice")
			}
			return list(&r.Addresses)(d)
		}},
		option{form: "region <region>", read: text(&r.Region)},
		option{form: "master_name <name>", read: text(&r.MasterName)},
		option{form: "cluster", read: enable(&r.Cluster)},
		option{form: "username <name>", read: text(&r.Username)},
		option{form: "password <password>", read: text(&r.Password)},
		option{form: "sentinel_username <name>", read: text(&r.SentinelUsername)},
		option{form: "sentinel_password <password>", read: text(&r.SentinelPassword)},
		option{form: "tls", read: enable(&r.TLS)},
		option{form: "tls_ca <files...>", read: list(&r.TLSCA)},
		option{form: "tls_client_auth <certificate file> <key file>", read: func(d *caddyfile.Dispenser) error { return args(d, &r.TLSCertificate, &r.TLSKey) }},
		option{form: "tls_server_name <name>", read: text(&r.TLSServerName)},
		option{form: "db <number>", read: single(&r.DB, func(d *caddyfile.Dispenser, _, value string, to *int) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return d.Errf("db %q is not a number from 0", value)
			}
			*to = n
			return nil
		})},
		option{form: "replicas <number>", read: number(&r.Replicas)},
		option{form: "tenant_bytes <size>", read: size(&r.TenantBytes)},
	)
}

// Interface guards
var _ storeOptions = (*Redis)(nil)
