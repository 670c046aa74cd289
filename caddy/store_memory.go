package alipaycaddy

import (
	"context"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/caddy/stored"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What answers, claims and kept responses may take in memory.
const (
	defaultAnswerBytes = 64 << 20
	claimBytes         = 64 << 20
	responseBytes      = 64 << 20
)

// memoryStore is the memory of this process.
type memoryStore struct {
	answered *replay.MemoryCache
	claimed  *replay.MemoryClaims
	// conversed has responses that clients go on from, which no cached answer is to drive out.
	conversed *replay.MemoryCache
}

func newMemoryStore() (store, error) {
	return &memoryStore{answered: replay.NewMemoryCache(time.Now), claimed: replay.NewMemoryClaims(time.Now), conversed: replay.NewMemoryCache(time.Now)}, nil
}

// window implements store.
func (*memoryStore) window(string, limiter.Limit, string) limiter.Window {
	return limiter.NewMemoryWindow(time.Now)
}

// breakers implements store.
func (*memoryStore) breakers() breakers { return new(failover.Breakers) }

// holds implements store: each process goes by its own.
func (*memoryStore) holds(time.Duration) sharedHolds { return nil }

// consents implements store: what a person has authorised is not for one process's life.
func (*memoryStore) consents(storage certmagic.Storage) consent.Store {
	return stored.NewConsents(storage)
}

// claims implements store.
func (s *memoryStore) claims(*seal.Seal) replay.Claims { return s.claimed.Within(claimBytes) }

// answers implements store.
func (s *memoryStore) answers(_ *seal.Seal, maxBytes int64) (cache replay.Cache, remote bool) {
	if maxBytes == 0 {
		maxBytes = defaultAnswerBytes
	}
	return s.answered.Within(maxBytes), false
}

// responses implements store.
func (s *memoryStore) responses(*seal.Seal) replay.Cache { return s.conversed.Within(responseBytes) }

// ledger implements store: each process has its own.
func (*memoryStore) ledger(*seal.Seal, *time.Location) sharedLedger { return nil }

// budgets implements store: each process counts its own.
func (*memoryStore) budgets() sharedBudgets { return nil }

// states implements store: the processes of one folder have them in common.
func (*memoryStore) states(file string) canary.Store { return canary.File{Path: file} }

// tokens implements store: each process fetches its own.
func (*memoryStore) tokens(*seal.Seal, string) token.Share { return nil }

// record implements store: it outlives the process in Caddy's storage.
func (*memoryStore) record(storage certmagic.Storage, kind, name string) record.Store {
	return stored.NewRecord(storage, kind, name)
}

// inspect implements store.
func (*memoryStore) inspect(context.Context, *zap.Logger) {}

// Interface guards
var _ store = (*memoryStore)(nil)
