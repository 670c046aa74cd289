package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func newShared(t *testing.T, addr string) *Shared {
	t.Helper()
	s := notStarted(t, addr)
	s.Start()
	return s
}

func notStarted(t *testing.T, addr string) *Shared {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	s := NewShared(client, sealedWith(t, 1), time.UTC)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func sealedWith(t *testing.T, key byte) *seal.Seal {
	t.Helper()
	sealing, err := seal.New([32]byte{key})
	if err != nil {
		t.Fatal(err)
	}
	return sealing
}

// sum is what all tenants have cost.
func sum(t *testing.T, s *Shared) (total Totals, err error) {
	t.Helper()
	totals, err := s.Totals(t.Context(), Query{})
	for _, row := range totals {
		total.Add(row.Totals)
	}
	return total, err
}

// Totals of replicas are added up, each line once, whatever becomes of Redis meanwhile.
func TestSharedTotalsOverOutages(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outage := start(t)
			replicas := []*Shared{newShared(t, outage.Addr), newShared(t, outage.Addr)}
			record := func() {
				var wait sync.WaitGroup
				for _, r := range replicas {
					wait.Go(func() {
						for i := range 100 {
							r.Record(lineAt(noon.AddDate(0, 0, i%2), fmt.Sprint("tenant", i%5), 3))
						}
					})
				}
				wait.Wait()
			}
			want := int64(0)
			if name != "killed, restarted empty" { // which has lost them
				record()
				want = 200
				testwait.For(t, 3*patience, "the first totals", func() bool {
					total, err := sum(t, replicas[0])
					return err == nil && total.Attempts == want
				})
			}
			outage.Break()
			record()
			// An exchange fails, of which the server may have executed its part.
			testwait.For(t, patience, "an exchange", func() bool {
				replicas[0].mu.Lock()
				defer replicas[0].mu.Unlock()
				return len(replicas[0].sums) == 0
			})
			record()
			outage.Heal()
			want += 400
			testwait.For(t, 3*patience, "the totals", func() bool {
				total, err := sum(t, replicas[1])
				if total.Attempts > want {
					t.Fatalf("%d lines count %d times", want, total.Attempts)
				}
				return err == nil && total.Attempts == want && total.Amount == price.Amount(3*want)
			})
		})
	}
}

// Close sends all that is there: also what has come since a batch of its day was made that could not be sent.
func TestSharedTotalsAtTheEnd(t *testing.T) {
	server := redistest.Start(t)
	relay := redistest.StartRelay(t, server.Addr)
	s := notStarted(t, relay.Addr)
	relay.LoseReplies()
	s.Record(lineAt(noon, "acme", 3))
	s.send()
	s.Record(lineAt(noon, "acme", 3))
	s.Record(lineAt(noon.AddDate(0, 0, 1), "acme", 3))
	relay.Pass()
	s.Start()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if total, err := sum(t, s); err != nil || total.Attempts != 3 {
		t.Errorf("%+v, %v; want 3 attempts", total, err)
	}
}

// No name of a tenant is in Redis; reports select as those of a file do.
func TestSharedTotalsAreSealed(t *testing.T) {
	server := redistest.Start(t)
	s := newShared(t, server.Addr)
	s.Record(lineAt(noon, "acme-limited", 3))
	s.Record(lineAt(noon.AddDate(0, 0, 1), "acme-limited", price.MaxAmount))
	testwait.For(t, patience, "the totals", func() bool {
		total, err := sum(t, s)
		return err == nil && total.Attempts == 2
	})
	s.Record(lineAt(noon.AddDate(0, 0, 1), "acme-limited", price.MaxAmount)) // more than 64 bits
	testwait.For(t, patience, "the totals", func() bool {
		total, err := sum(t, s)
		return err == nil && total.Attempts == 3 && total.Amount == price.MaxAmount
	})
	for query, want := range map[Query]int{{From: "2026-11-29"}: 1, {To: "2026-11-28"}: 1, {Tenant: "acme-limited"}: 2, {Tenant: "x"}: 0} {
		totals, err := s.Totals(t.Context(), query)
		if err != nil || len(totals) != want {
			t.Errorf("%+v: %+v, %v", query, totals, err)
		}
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 4 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, key := range keys {
		dump, err := client.Dump(t.Context(), key).Result()
		ttl, err2 := client.TTL(t.Context(), key).Result()
		if err != nil || err2 != nil || ttl <= 0 || slices.ContainsFunc([]string{key, dump}, func(s string) bool { return strings.Contains(s, "acme") }) {
			t.Errorf("%s lives for %s: %q (%v, %v)", key, ttl, dump, err, err2)
		}
	}
}

// With another key totals go on, and have names again as soon as there is a line of them. What has none is counted without
// amounts.
func TestSharedTotalsUnderAnotherKey(t *testing.T) {
	server := redistest.Start(t)
	before := newShared(t, server.Addr)
	before.Record(lineAt(noon, "acme", 3))
	before.Record(lineAt(noon, "other", 5))
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	after := notStarted(t, server.Addr)
	after.seal = sealedWith(t, 2)
	wants := func(when string, want map[string]price.Amount) {
		t.Helper()
		totals, err := after.Totals(t.Context(), Query{})
		got, attempts := make(map[string]price.Amount), int64(0)
		for _, row := range totals {
			got[row.Tenant] += row.Amount
			attempts += row.Attempts
		}
		if err != nil || !maps.Equal(got, want) || attempts < 2 {
			t.Errorf("%s: %v of %d attempts, %v; want %v", when, got, attempts, err, want)
		}
	}
	wants("before any line", map[string]price.Amount{Unreadable: 0})
	after.Record(lineAt(noon, "acme", 4))
	after.send()
	wants("after a line", map[string]price.Amount{"acme": 7, Unreadable: 0})
	// What has no name may be of whoever a report is about.
	for name, q := range map[string]Query{
		"a tenant": {Tenant: "acme"}, "a provider": {Provider: "alipay"}, "a model": {Model: "alipay-fin-1"}, "what has no name": {Tenant: Unreadable},
		"another day": {Tenant: "acme", From: "2100-01-01"},
	} {
		want := map[string]int64{"acme": 2, Unreadable: 1}
		if q.Tenant == Unreadable {
			delete(want, "acme")
		}
		if q.From != "" {
			clear(want)
		}
		totals, err := after.Totals(t.Context(), q)
		got := make(map[string]int64)
		for _, row := range totals {
			got[row.Tenant] += row.Attempts
		}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("a report of %s: %v, %v; want %v", name, got, err, want)
		}
	}
}
