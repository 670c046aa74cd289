package replay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A reply that no script gives says nothing of a claim or an answer, whatever was asked.
func TestRepliesOfAnotherKind(t *testing.T) {
	ctx := t.Context()
	for what, do := range map[string]func(RedisOptions, Claim) error{
		"claim": func(o RedisOptions, _ Claim) error {
			_, _, err := NewRedisClaims(o).Claim(ctx, tenantOf(keyOf(2)), keyOf(2), requestOf(2), time.Minute)
			return err
		},
		"leave":   func(_ RedisOptions, c Claim) error { return c.Leave(ctx, time.Minute, time.Hour) },
		"extend":  func(_ RedisOptions, c Claim) error { return c.Extend(ctx, time.Minute, time.Hour) },
		"finish":  func(_ RedisOptions, c Claim) error { return c.Finish(ctx, answerOf("it"), time.Minute) },
		"served":  func(_ RedisOptions, c Claim) error { return c.Served(ctx, time.Minute) },
		"hold":    func(_ RedisOptions, c Claim) error { return c.Hold(ctx, time.Minute) },
		"release": func(_ RedisOptions, c Claim) error { return c.Release(ctx) },
		"put": func(o RedisOptions, _ Claim) error {
			return NewRedisCache(o).Put(ctx, tenantOf(keyOf(2)), keyOf(2), answerOf("it"), time.Minute)
		},
	} {
		for kind, reply := range map[string]any{
			"a list": []any{int64(7)}, "a longer list": []any{int64(7), int64(7)}, "a number": int64(7), "a text": "perhaps", "nothing": nil,
			"an outcome that is none": []any{"perhaps", ""},
		} {
			t.Run(what+", "+kind, func(t *testing.T) {
				o := redisOptions(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}}).withDefaults()
				o.Client.AddHook(replying{reply})
				if err := do(o, newRedisClaim(o, tenantOf(keyOf(1)), keyOf(1), requestOf(1))); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%v, want %v", err, ErrUnavailable)
				}
			})
		}
	}
}

// replying gives every script the same reply, or none.
type replying struct{ reply any }

func (replying) DialHook(next redis.DialHook) redis.DialHook { return next }

func (replying) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r replying) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, command redis.Cmder) error {
		if r.reply == nil {
			return redis.Nil
		}
		command.(*redis.Cmd).SetVal(r.reply)
		return nil
	}
}
