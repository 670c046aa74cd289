package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// patience bounds every wait of a test for something that has to happen.
const patience = 15 * time.Second

// testTimeout bounds an exchange in place of redisTimeout, since the machine may be busy
// with other tests.
const testTimeout = 10 * redisTimeout

// replica is a process that shares budgets.
type replica struct {
	*Budgets
	store *Redis
}

func newReplica(t *testing.T, addr string, replicas int) replica {
	t.Helper()
	return newReplicaAt(t, addr, replicas, time.Now)
}

// newReplicaAt makes one whose clock is now.
func newReplicaAt(t *testing.T, addr string, replicas int, now func() time.Time) replica {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	store := NewRedis(client, replicas)
	store.exchange.Timeout = testTimeout
	b := New(store, now)
	store.Start(b)
	t.Cleanup(func() { _ = store.Close() })
	return replica{b, store}
}

// monthly does not end while a test runs, unless that begins a moment before.
func monthly(amount price.Amount) []Limit {
	return []Limit{{Amount: amount, Currency: "CNY", Window: Month(time.UTC)}}
}

// spend makes a call that may cost most and costs cost.
func (r replica) spend(t *testing.T, limits []Limit, most, cost price.Amount) error {
	res, err := r.Reserve(t.Context(), "shop", limits, []price.Amount{most})
	if err == nil {
		res.Settle([]price.Amount{cost})
	}
	return err
}

// ready waits until a new server's history is old enough to be taken from.
func (r replica) ready(t *testing.T) {
	t.Helper()
	testwait.For(t, patience, "Redis answers", func() bool { return r.spend(t, monthly(MaxAmount), 0, 0) == nil })
}

// Replicas together spend what the budget has, and no more, to the unit.
func TestReplicasShareABudget(t *testing.T) {
	server := redistest.Start(t)
	const replicas = 3
	limits := monthly(60_000)
	var bill bill
	var all []replica
	for range replicas {
		all = append(all, newReplica(t, server.Addr, replicas))
	}
	all[0].ready(t)
	var wait sync.WaitGroup
	for i, r := range all {
		for range 4 {
			wait.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 1))
				for refused := 0; refused < 3; {
					most := price.Amount(1 + random.Int64N(100))
					cost := price.Amount(random.Int64N(int64(most) + 1))
					switch err := r.spend(t, limits, most, cost); {
					case err == nil:
						bill.add(cost)
					case isExceeded(err):
						refused++
					case !errors.Is(err, ErrUnavailable): // for a moment, on a busy machine
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	if bill.spent > limits[0].Amount || bill.spent < limits[0].Amount*95/100 {
		t.Fatalf("spent %d of %d", bill.spent, limits[0].Amount)
	}
	// What one has taken and does not use, another may have.
	rest := limits[0].Amount - bill.spent
	testwait.For(t, patience, "the rest of the budget", func() bool { return all[1].spend(t, limits, rest, rest) == nil })
	for i, r := range all {
		if err := r.spend(t, limits, 1, 1); err == nil {
			t.Errorf("replica %d spends more than the budget", i)
		}
	}
}

// Whatever becomes of Redis, no more is spent than the budget, no call waits for long,
// and afterwards the rest of the budget can be spent.
func TestBudgetsOverOutages(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outage := start(t)
			const replicas = 2
			limits := monthly(100_000)
			all := []replica{newReplica(t, outage.Addr, replicas), newReplica(t, outage.Addr, replicas)}
			var bill bill
			for _, r := range all {
				r.ready(t)
				testwait.For(t, patience, "a first call", func() bool { return r.spend(t, limits, 1000, 1000) == nil })
				bill.add(1000)
			}
			outage.Break()
			for _, r := range all {
				served := 0
				for range 400 {
					began := time.Now()
					err := r.spend(t, limits, 1000, 900)
					if took := time.Since(began); took > recallWait+4*testTimeout {
						t.Errorf("a call waited %s", took)
					}
					if err != nil {
						if !errors.Is(err, ErrUnavailable) && !isExceeded(err) {
							t.Fatal(err)
						}
						break
					}
					served++
					bill.add(900)
				}
				if served == 0 {
					t.Error("a replica has no part of what was left")
				}
			}
			outage.Heal()
			spendTheRest(t, all, limits, &bill)
		})
	}
}

func isExceeded(err error) bool {
	_, ok := errors.AsType[*ExceededError](err)
	return ok
}

// A process that is killed has spent all that it had taken, at most.
func TestReplicasThatAreKilled(t *testing.T) {
	server := redistest.Start(t)
	limits := monthly(50_000)
	var bill bill
	for i := range 8 {
		r := newReplica(t, server.Addr, 2)
		r.ready(t)
		for range 10 {
			if r.spend(t, limits, 500, 500) == nil {
				bill.add(500)
			}
		}
		if res, err := r.Reserve(t.Context(), "shop", limits, []price.Amount{300}); err == nil { // and is billed
			_ = res
			bill.add(300)
		}
		if i%2 == 0 { // the others are frozen: they say nothing more
			_ = r.store.Close()
		}
	}
	if bill.spent > limits[0].Amount {
		t.Errorf("spent %d of %d", bill.spent, limits[0].Amount)
	}
}

// A request that comes late, or twice, changes nothing.
func TestLateRequestsAtRedis(t *testing.T) {
	server := redistest.Start(t)
	r := newReplica(t, server.Addr, 1)
	r.ready(t)
	key := Key{Tenant: "shop", Currency: "CNY", Window: "test", Begin: 1}
	end := time.Now().Add(time.Hour)
	take := func(seq int64, amount, had price.Amount, process string) (int64, int64) {
		t.Helper()
		values, err := r.store.run(t.Context(), nameOf(key), "take", process, 0, seq, whole(amount), whole(had), whole(100), time.Until(end).Milliseconds())
		if err != nil {
			t.Fatal(err) // it had ten times as long as a call has
		}
		outcome, err := values.Integer(0)
		others, err2 := values.Integer(1)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return outcome, others
	}
	for i, step := range []struct {
		process     string
		seq         int64
		amount, had price.Amount
		outcome     int64
		others      int64
	}{
		{"a", 1, 60, 0, 1, 0},
		{"a", 1, 60, 0, 1, 0},    // the reply was lost
		{"b", 1, 50, 0, 0, 60},   // more than is left
		{"b", 2, 40, 0, 1, 60},   // all that is left
		{"a", 3, 30, 60, 1, 40},  // gives back
		{"a", 2, 60, 60, 0, 40},  // late: its successor was there
		{"b", 3, 70, 40, 1, 30},  // what a has given back
		{"a", 4, 40, 30, 0, 70},  // all is taken
		{"c", 1, 20, 20, 1, 100}, // restated, although it is more than is left
	} {
		if outcome, others := take(step.seq, step.amount, step.had, step.process); outcome != step.outcome || others != step.others {
			t.Errorf("step %d: %d, others %d; want %d, %d", i, outcome, others, step.outcome, step.others)
		}
	}
	// Amounts are exact up to the largest budget.
	key.Begin = 2
	values, err := r.store.run(t.Context(), nameOf(key), "take", "a", 0, 1, whole(MaxAmount), 0, whole(MaxAmount), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, _ := values.Integer(0); outcome != 1 {
		t.Error("the largest budget cannot be taken")
	}
	if _, others := take(1, 0, 0, "b"); others != int64(MaxAmount) {
		t.Errorf("others have %d", others)
	}
}

// What a process gives back is gone before Redis hears of it: the reply may be lost, and another have it by then.
func TestGivenBackAndTheReplyLost(t *testing.T) {
	server := redistest.Start(t)
	relay := redistest.StartRelay(t, server.Addr)
	one, two := newReplica(t, relay.Addr, 2), newReplica(t, server.Addr, 2)
	one.ready(t)
	key, end := Key{Tenant: "shop", Currency: "CNY", Window: "test", Begin: 1}, time.Now().Add(time.Hour)
	if _, ok, err := one.store.Take(t.Context(), key, 100, 100, end); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	relay.LoseReplies()
	if _, ok, err := one.store.Take(t.Context(), key, 10, 100, end); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("%t, %v", ok, err)
	}
	relay.Pass()
	testwait.For(t, patience, "Redis to have executed it, and the other to have what was given back", func() bool {
		_, ok, err := two.store.Take(t.Context(), key, 90, 100, end)
		return ok && err == nil
	})
	var others price.Amount
	var ok bool
	testwait.For(t, patience, "an answer to the first", func() (answered bool) {
		var err error
		others, ok, err = one.store.Take(t.Context(), key, 50, 100, end)
		return err == nil
	})
	if ok || others != 90 {
		t.Errorf("taken again: %t, others %d", ok, others)
	}
}

// Of a server that knows less than it has told, as a replica that took over too early, nothing more is taken: what others had
// may be lost with it.
func TestAServerThatKnowsLess(t *testing.T) {
	server := redistest.Start(t)
	one, two := newReplica(t, server.Addr, 2), newReplica(t, server.Addr, 2)
	one.ready(t)
	key, end := Key{Tenant: "shop", Currency: "CNY", Window: "test", Begin: 1}, time.Now().Add(time.Hour)
	for _, r := range []replica{one, two} {
		if _, ok, err := r.store.Take(t.Context(), key, 40, 100, end); !ok || err != nil {
			t.Fatalf("%t, %v", ok, err)
		}
	}
	if n, err := one.store.exchange.Client.Del(t.Context(), one.store.keys.Key("budget:"+nameOf(key))).Result(); n != 1 || err != nil {
		t.Fatalf("%d keys were lost, %v", n, err)
	}
	if others, outcome, err := one.store.take(t.Context(), key, 90, 100, end); outcome != tooYoung || err != nil {
		t.Errorf("outcome %d, others %d, %v", outcome, others, err)
	}
}

// Redis knows no tenant by name, and forgets what is over.
func TestKeysAtRedis(t *testing.T) {
	server := redistest.Start(t)
	r := newReplica(t, server.Addr, 1)
	r.ready(t)
	if err := r.spend(t, monthly(1000), 10, 10); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) < 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, key := range keys {
		if ttl, err := client.TTL(context.Background(), key).Result(); err != nil || ttl <= 0 {
			t.Errorf("%s lives for %s, %v", key, ttl, err)
		}
		if key[:len("alipayai:{")] != "alipayai:{" || len(key) > 100 {
			t.Errorf("key %s", key)
		}
	}
}

// spendTheRest spends what is left of a budget when Redis is back, and no more.
func spendTheRest(t *testing.T, all []replica, limits []Limit, bill *bill) {
	t.Helper()
	testwait.For(t, 2*patience, "the rest of the budget", func() bool {
		for _, r := range all {
			if r.spend(t, limits, 1000, 1000) == nil {
				bill.add(1000)
			}
		}
		if bill.spent > limits[0].Amount {
			t.Fatalf("spent %d of %d", bill.spent, limits[0].Amount)
		}
		return bill.spent > limits[0].Amount-1000
	})
}
