package redisstore

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	takeLease = redis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	endLease = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`)
)

// Lease is what one of several replicas has at a time, in Redis 5 or later. The owner may take it again, which prolongs
// it. It is safe for concurrent use.
type Lease struct {
	exchange Exchange
	key      string
	owner    string // random
}

// NewLease makes the lease at that key. exchange may repeat: the owner is named. Nothing is sent yet.
func NewLease(exchange Exchange, key string) *Lease {
	return &Lease{exchange: exchange, key: key, owner: rand.Text()}
}

// Key gives where the lease is.
func (l *Lease) Key() string { return l.key }

// Take takes the lease for that long; ok is false while another has it. release ends it, or lets it end by itself
// where Redis is away.
func (l *Lease) Take(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	taken, err := l.run(ctx, takeLease, l.owner, life.Milliseconds())
	if err != nil || taken == 0 {
		return nil, false, err
	}
	return func() { _, _ = l.run(context.WithoutCancel(ctx), endLease, l.owner) }, true, nil
}

func (l *Lease) run(ctx context.Context, script *redis.Script, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	reply, err := l.exchange.Run(ctx, script, []string{l.key}, args...)
	if err != nil {
		return 0, err
	}
	return reply.Integer()
}
