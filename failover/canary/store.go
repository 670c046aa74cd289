package canary

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
	bolt "go.etcd.io/bbolt"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// Store keeps the states of canaries for all replicas.
type Store interface {
	// Update lets change make the state of a key from the one before, which is empty at
	// first, as one step: no other change comes between. It may be called several times. now
	// is the same clock for all replicas.
	Update(ctx context.Context, key string, change func(old []byte, now time.Time) ([]byte, error)) error
}

// File is the store of the processes that share one folder. It opens its file for each
// update, so that it may be another process's in between.
type File struct{ Path string }

var bucket = []byte("canaries")

// fileWait is how long an update waits for another process.
const fileWait = time.Second

// Update implements [Store].
func (f File) Update(_ context.Context, key string, change func(old []byte, now time.Time) ([]byte, error)) (err error) {
	// bbolt panics where a page is not what it should be.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", ErrState, f.Path, p)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return err
	}
	db, err := bolt.Open(f.Path, 0o600, &bolt.Options{Timeout: fileWait})
	if err != nil {
		return fmt.Errorf("opening %s: %w", f.Path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		state, err := change(b.Get([]byte(key)), time.Now())
		if err != nil {
			return err
		}
		return b.Put([]byte(key), state)
	})
}

const (
	// redisTimeout bounds one exchange with Redis. No call waits for it.
	redisTimeout = time.Second
	// keepState is how long a state is kept that nothing changes any more.
	keepState = 90 * 24 * time.Hour
	// maxConflicts bounds how often an update is made again because another came between.
	maxConflicts = 20
)

var (
	//go:embed read.lua
	readSource string
	//go:embed write.lua
	writeSource string
)

// Redis is the store of replicas at one server, version 5 or later. Times are the server's.
type Redis struct {
	exchange    redisstore.Exchange
	read, write *redis.Script
}

// NewRedis makes a store. The client must repeat nothing by itself and keep to the deadline
// of a context; it stays the caller's.
func NewRedis(client redis.UniversalClient) *Redis {
	return &Redis{
		// A write that is repeated finds that it was made, which is another's change to it:
		// the update is then made again, and the state says what it has already.
		exchange: redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent},
		read:     redis.NewScript(readSource), write: redis.NewScript(writeSource),
	}
}

// Update implements [Store].
func (r *Redis) Update(ctx context.Context, key string, change func(old []byte, now time.Time) ([]byte, error)) error {
	keys := []string{redisstore.KeysOf("canary:" + key).Key("state")}
	for range maxConflicts {
		old, now, err := r.get(ctx, keys)
		if err != nil {
			return err
		}
		state, err := change([]byte(old), now)
		if err != nil {
			return err
		}
		reply, err := r.exchange.Run(ctx, r.write, keys, old, state, keepState.Milliseconds())
		if err != nil {
			return err
		}
		if written, err := reply.Integer(); err != nil || written == 1 {
			return err
		}
	}
	return errors.New("the canary's state changes too often")
}

func (r *Redis) get(ctx context.Context, keys []string) (old string, now time.Time, err error) {
	reply, err := r.exchange.Run(ctx, r.read, keys)
	if err != nil {
		return "", now, err
	}
	values, err := reply.List(2)
	if err != nil {
		return "", now, err
	}
	micros, err := values.Integer(0)
	old, err1 := values.Text(1)
	return old, time.UnixMicro(micros), errors.Join(err, err1)
}

// Interface guards
var (
	_ Store = File{}
	_ Store = (*Redis)(nil)
)
