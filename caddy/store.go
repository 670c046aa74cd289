package alipaycaddy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

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

	// The most bytes that one tenant's idempotency keys and their answers may take in
	// Redis, and likewise its cached answers. The oldest answers make room; a tenant
	// whose keys alone take it all can claim no more. A key takes 768 bytes. At least
	// 1 MiB. Default: `134217728` (128 MiB)
	TenantBytes int64 `json:"tenant_bytes,omitempty"`
}

// storeState is the pooled connection to a store; without a client it is the
// memory of this process.
type storeState struct {
	once     sync.Once
	identity string
	client   redis.UniversalClient
	replicas int
	// asked says that it is known whether the servers would evict claims.
	asked atomic.Bool
	err   error
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

// minTenantBytes is the least room of a tenant.
const minTenantBytes = 1 << 20

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
	if b := a.Redis.TenantBytes; b != 0 && b < minTenantBytes {
		return nil, fmt.Errorf("store redis: tenant_bytes %d is too little; write at least %d (1 MiB)", b, minTenantBytes)
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
	a.jobs = append(a.jobs, func(ctx context.Context) { a.askOfEviction(ctx, shared) })
	return shared, nil
}

// evictionTimeout bounds the question what Redis does when its memory is full, and
// evictionPause is between two of them where it is away or slow.
const evictionTimeout, evictionPause = 5 * time.Second, 500 * time.Millisecond

// askOfEviction asks the servers of the store, once, when they can be reached.
func (a *App) askOfEviction(ctx context.Context, store *storeState) {
	for !store.asked.Load() {
		err := a.warnOfEviction(ctx, store.client)
		// A refusal is an answer as well; that a server still loads its data is none.
		_, refused := errors.AsType[redis.Error](err)
		if err == nil || refused && !redis.HasErrorPrefix(err, "LOADING") {
			store.asked.Store(true)
			return
		}
		select {
		case <-time.After(evictionPause):
		case <-ctx.Done():
			return
		}
	}
}

// warnOfEviction says in the log that Redis may drop idempotency keys before their
// time: then a call can be served twice. It asks by INFO, which more servers permit
// than CONFIG; one that does not permit it, or that does not say, is not warned of.
func (a *App) warnOfEviction(ctx context.Context, client redis.UniversalClient) error {
	ctx, cancel := context.WithTimeout(ctx, evictionTimeout)
	defer cancel()
	ask := func(ctx context.Context, server *redis.Client) error {
		info, err := server.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		policy := evictionPolicy(info)
		a.logger.Debug("Redis says what it does when its memory is full", zap.String("maxmemory_policy", policy))
		if policy != "" && policy != "noeviction" {
			a.logger.Warn("Redis may evict idempotency keys when its memory is full, and their calls could be served twice; set maxmemory-policy noeviction",
				zap.String("maxmemory_policy", policy))
		}
		return nil
	}
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		err = ask(ctx, c)
	}
	if err != nil {
		a.logger.Debug("Redis does not say what it does when its memory is full", zap.Error(err))
	}
	return err
}

// evictionPolicy reads what Redis does when its memory is full; it is empty where
// there is no such time.
func evictionPolicy(info string) (policy string) {
	bounded := false
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory":
			bounded = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !bounded {
		return ""
	}
	return policy
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
