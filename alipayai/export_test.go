package alipayai

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What tests look at that the package does not show.
const (
	DrainTime      = drainTime
	HeaderModel    = headerModel
	HeaderProvider = headerProvider
	HeaderReason   = headerReason
	LeaseMargin    = leaseMargin
	MaxAttempts    = maxAttempts
	LargeEvent     = largeEvent
	UnseenTokens   = unseenTokens
	MaxRecorded    = maxRecorded
)

func IdempotencyID(tenant string, endpoint upstream.Endpoint, key, requestID string) string {
	var once once
	once.name(&Call{Tenant: tenant, Endpoint: endpoint, IdempotencyKey: key}, "", requestID)
	return once.id
}

func (l *TenantLimits) Allow(tenant string, now time.Time) (limiter.TenantCall, *failure.Failure) {
	return l.allow(tenant, upstream.EndpointChat, now)
}

// Held is how much of MaxBuffered is reserved, to within a MiB.
func (g *Gateway) Held() int64 {
	for free := g.MaxBuffered; free > 0; free -= 1 << 20 {
		if g.Room.left.TryAcquire(free) {
			g.Room.left.Release(free)
			return g.MaxBuffered - free
		}
	}
	return g.MaxBuffered
}

// FirstProvider is the index of the provider that a chat begins with.
func FirstProvider(g *Gateway, tenant string, r wire.Request) int {
	c := g.begin(context.Background(), &Call{Endpoint: upstream.EndpointChat, Tenant: tenant, Request: r, Format: openai.Format{}})
	rest := slices.Clone(g.Providers)
	g.Balance.arrange(c, g.Canary, g.Now, rest)
	return slices.Index(g.Providers, rest[0])
}

// CallsMade is how many calls of f, one after another, do not have the memory of a former one.
func CallsMade(f func()) int {
	var n atomic.Int64
	made := calls.New
	calls.New = func() any { n.Add(1); return made() }
	defer func() { calls.New = made }()
	f()
	return int(n.Load())
}

// CallsAreNew reports whether calls to come, of which the first have the memory of former ones, are as new ones are.
func CallsAreNew() bool {
	for range 64 {
		if c := calls.Get().(*call); !reflect.ValueOf(c).Elem().IsZero() {
			return false
		}
	}
	return true
}
