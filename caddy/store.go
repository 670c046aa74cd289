package alipaycaddy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/limiter"
)

// Redis says where the store is that replicas share: one server, a master that
// Sentinel knows, or a Cluster.
type Redis struct {
	// The addresses, `host:port`: of the server, of the Sentinels with
	// `master_name`, of some nodes with `cluster`. May be placeholders. Required.
	Addresses []string `json:"addresses,omitempty"`

	// The master's name at the Sentinels. Default: none.
	MasterName string `json:"master_name,omitempty"`

	// Whether the servers are a Redis Cluster. Default: false
	Cluster bool `json:"cluster,omitempty"`

	// The user to authenticate as. May be a placeholder. Default: none.
	Username string `json:"username,omitempty"`

	// The password. By placeholder. Default: none.
	Password string `json:"password,omitempty"`

	// The user to authenticate as at the Sentinels. May be a placeholder. Default: none.
	SentinelUsername string `json:"sentinel_username,omitempty"`

	// The password at the Sentinels. By placeholder. Default: none.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// Whether to connect with TLS, trusting the system's roots. Default: false
	TLS bool `json:"tls,omitempty"`

	// The number of the database. Default: `0`
	DB int `json:"db,omitempty"`

	// The most gateways that share the store at once. While Redis is away each
	// keeps to its part of every rate limit. Default: `1`
	Replicas int `json:"replicas,omitempty"`
}

// storeState is the pooled connection to a store; without a client it is the
// memory of this process.
type storeState struct {
	once     sync.Once
	identity string
	client   redis.UniversalClient
	replicas int
	err      error
}

// Destruct closes the connections, when no configuration uses them.
func (s *storeState) Destruct() error {
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// redisLog takes what go-redis says of its own accord, into Caddy's log.
type redisLog struct{}

// Printf implements go-redis's logger.
func (redisLog) Printf(_ context.Context, format string, v ...any) {
	live.Log(caddy.Log()).Named("alipayai.redis").Debug(fmt.Sprintf(format, v...))
}

func init() { redis.SetLogger(redisLog{}) }

// openStore gives the configuration's store. It does no network input or output.
func (a *App) openStore() (*storeState, error) {
	if a.Redis == nil {
		return &storeState{identity: "memory"}, nil
	}
	options, err := a.Redis.resolve(newSecrets(a.InsecureLiterals))
	if err != nil {
		return nil, fmt.Errorf("store redis: %w", err)
	}
	if a.Redis.Replicas < 0 || a.Redis.DB < 0 {
		return nil, errors.New("store redis: replicas must be a number from 1, and db one from 0")
	}
	// With the secrets as they resolve: a changed one is another store.
	identity := hashAll([]string{fmt.Sprintf("%+v", *a.Redis), options.Username, options.Password, options.SentinelUsername, options.SentinelPassword})
	shared, release := acquire[storeState]("store", string(identity[:]))
	a.releases = append(a.releases, release)
	shared.once.Do(func() {
		shared.identity, shared.replicas = string(identity[:]), max(a.Redis.Replicas, 1)
		shared.client, shared.err = limiter.NewRedisClient(options)
	})
	if shared.err != nil {
		return nil, fmt.Errorf("store redis: %w", shared.err)
	}
	return shared, nil
}

// resolve makes the client's options.
func (r *Redis) resolve(s secrets) (limiter.RedisOptions, error) {
	o := limiter.RedisOptions{MasterName: r.MasterName, Cluster: r.Cluster, DB: r.DB}
	for _, address := range r.Addresses {
		resolved, err := s.public("address", address)
		if err != nil {
			return o, err
		}
		o.Addresses = append(o.Addresses, resolved)
	}
	var err error
	for name, user := range map[string]struct {
		configured string
		resolved   *string
	}{"username": {r.Username, &o.Username}, "sentinel_username": {r.SentinelUsername, &o.SentinelUsername}} {
		if user.configured == "" {
			continue
		}
		if *user.resolved, err = s.public(name, user.configured); err != nil {
			return o, err
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
			return o, err
		}
	}
	if r.TLS {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return o, o.Check()
}
