package alipayai_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// outage is a store of claims that is away whenever a claim is to be ended, for so many times.
type outage struct {
	replay.Claims
	left atomic.Int64
}

func (o *outage) Claim(ctx context.Context, tenant string, key replay.Key, request [32]byte, lease time.Duration) (replay.Claim, *replay.Answer, error) {
	c, a, err := o.Claims.Claim(ctx, tenant, key, request, lease)
	if c != nil {
		c = outageClaim{c, o}
	}
	return c, a, err
}

type outageClaim struct {
	replay.Claim
	*outage
}

func (c outageClaim) Finish(ctx context.Context, a replay.Answer, ttl time.Duration) error {
	if c.left.Add(-1) >= 0 {
		return replay.ErrUnavailable
	}
	return c.Claim.Finish(ctx, a, ttl)
}

func (c outageClaim) Hold(ctx context.Context, ttl time.Duration) error {
	if c.left.Add(-1) >= 0 {
		return replay.ErrUnavailable
	}
	return c.Claim.Hold(ctx, ttl)
}

func (c outageClaim) Release(ctx context.Context) error {
	if c.left.Add(-1) >= 0 {
		return replay.ErrUnavailable
	}
	return c.Claim.Release(ctx)
}

// A call that was served while the store went away is not served again when it is back.
func TestClaimThatCannotBeEndedAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		turn turn
		away int64 // how often the store cannot be reached
		then int   // status of the same call later
	}{
		"served":                        {good, 3, http.StatusOK},
		"may have executed":             {sysError, 3, http.StatusConflict},
		"served, for long":              {good, 600, http.StatusOK}, // some four minutes: the lease is over
		"may have executed, for longer": {sysError, 600, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				store := &outage{Claims: replay.NewMemoryClaims(time.Now).Within(1 << 20)}
				store.left.Store(test.away)
				s := perform(t, [][]turn{{test.turn}}, func(g *alipayai.Gateway) { g.Claims = &alipayai.Claims{Store: store, TTL: time.Hour} })
				s.call(chatBody("hello"), "Idempotency-Key", "order-1")
				if got := s.call(chatBody("hello"), "Idempotency-Key", "order-1"); got.status != http.StatusConflict {
					t.Errorf("while the store is away: %d %s", got.status, got.body)
				}
				time.Sleep(10 * time.Minute) // long after the lease
				if got := s.call(chatBody("hello"), "Idempotency-Key", "order-1"); got.status != test.then {
					t.Errorf("%d %s", got.status, got.body)
				}
				s.wantCalls(1)
			})
		})
	}
}
