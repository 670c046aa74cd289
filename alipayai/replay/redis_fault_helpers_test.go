package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// lossy loses one reply when it is told to: with the connection, after the
// command was obeyed.
type lossy struct{ lose atomic.Bool }

func (l *lossy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *lossy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *lossy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		err := next(ctx, command)
		if err == nil && l.lose.CompareAndSwap(true, false) {
			return io.EOF
		}
		return err
	}
}

// finishOnce makes a claim and finishes it.
func finishOnce(ctx context.Context, claims Claims, key Key, text string) error {
	claim, answer, err := claims.Claim(ctx, tenantOf(key), key, requestOf(1), time.Minute)
	if err != nil {
		return err
	}
	if answer != nil {
		return fmt.Errorf("an unused key has the answer %q", answer.Body)
	}
	return claim.Finish(ctx, answerOf(text), time.Minute)
}

// replayed is the body that is kept under a key.
func replayed(ctx context.Context, o RedisOptions, cached bool, key Key) (string, error) {
	if cached {
		answer, ok, err := NewRedisCache(o).Get(ctx, tenantOf(key), key)
		if err == nil && !ok {
			err = errors.New("a cached answer is gone")
		}
		return string(answer.Body), err
	}
	_, answer, err := NewRedisClaims(o).Claim(ctx, tenantOf(key), key, requestOf(1), time.Minute)
	if err != nil {
		return "", err
	}
	if answer == nil {
		return "", errors.New("a finished answer is gone")
	}
	return string(answer.Body), nil
}

// failing answers every command with an error, and counts them.
type failing struct {
	err      error
	commands atomic.Int32
}

func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *failing) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error {
		f.commands.Add(1)
		return f.err
	}
}
