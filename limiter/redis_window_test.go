package limiter

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// openHistory begins the history of a window as if that were a minute ago, so
// that it does not start with silence. One that exists is not changed. A busy machine
// may take longer for it than a window waits for Redis.
func openHistory(t *testing.T, client redis.UniversalClient, name string) {
	t.Helper()
	testwait.For(t, patience, "the history to begin", func() bool {
		return client.SetNX(t.Context(), redisKey(name), oldHistory(t), time.Minute).Err() == nil
	})
}

// oldHistory is a history that was begun a minute ago, as the script keeps it.
func oldHistory(t *testing.T) []byte {
	t.Helper()
	now := float64(time.Now().UnixMicro())
	h := header{Alive: now, Opened: now - float64(time.Minute.Microseconds()), Left: ppm, Heard: now}
	value, err := binary.Append(nil, binary.BigEndian, h)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// newTestWindow starts one of two replicas.
func newTestWindow(t *testing.T, client redis.UniversalClient, name string) *RedisWindow {
	t.Helper()
	openHistory(t, client, name)
	w, err := NewRedisWindow(client, RedisWindowOptions{Key: name, Replicas: 2, Limit: fleetLimit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	testwait.For(t, patience, "Redis answers", func() bool { _, _, err := w.exchange(opLook, fleetLimit, ""); return err == nil })
	return w
}

func isRevoked(s Slot) bool {
	select {
	case <-s.Revoked():
		return true
	default:
		return false
	}
}

func TestRedisWindowSharesSlotsAndTakesThemBack(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		a, b := network.newWindow(t), network.newWindow(t)
		if wait := b.Next(fleetLimit, time.Now()); time.Until(wait) > 5*time.Second {
			t.Errorf("next slot predicted in %s", time.Until(wait))
		}
		var last Slot
		for range fleetLimit.Requests / 2 {
			_, _ = take(t, a, fleetLimit, time.Now())
			last, _ = take(t, b, fleetLimit, time.Now())
		}
		if wait := time.Until(last.At); wait > 20*time.Millisecond {
			t.Errorf("the last free slot is in %s", wait)
		}
		b.Return(last)
		if _, wait := take(t, a, fleetLimit, time.Now()); wait > 20*time.Millisecond {
			t.Errorf("a slot that was returned by another replica is in %s", wait)
		}
		if wait := time.Until(a.Next(fleetLimit, time.Now())); wait < 500*time.Millisecond {
			t.Errorf("the slot after the last free one is predicted in %s", wait)
		}
		if _, wait := take(t, a, fleetLimit, time.Now()); wait < 500*time.Millisecond || wait > fleetLimit.Span()+time.Duration(b.server.latest(0))*time.Microsecond {
			t.Errorf("the slot after the last free one is in %s", wait)
		}
	})
}

func TestRedisWindowThrottlesEveryReplica(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		a, b := network.newWindow(t), network.newWindow(t)
		if got := a.Rate(fleetLimit, time.Now()); got != 50 {
			t.Errorf("rate %g before", got)
		}
		waits, _ := take(t, b, fleetLimit, time.Now())
		a.Throttle(0)
		a.Throttle(400 * time.Millisecond)
		deadline := time.After(time.Second)
		select {
		case <-waits.Revoked():
		case <-deadline:
			t.Fatal("the other replica does not hear of the throttle")
		}
		for name, w := range map[string]*RedisWindow{"its own": a, "the other's": b} {
			if got := w.Rate(fleetLimit, time.Now()); got != 0 {
				t.Errorf("%s rate is %g while closed", name, got)
			}
		}
		s, wait := take(t, b, fleetLimit, time.Now())
		if wait > 400*time.Millisecond {
			t.Errorf("after a throttle the next slot is in %s", wait)
		}
		<-time.After(time.Until(s.At) + 2*beat)
		if isRevoked(s) {
			t.Error("a slot that was reserved after the throttle is revoked")
		}
		if got := b.Rate(fleetLimit, time.Now()); got < 25 || got > 28 {
			t.Errorf("rate %g when it opens, want about 25", got)
		}
	})
}

func TestThrottleWhileRedisIsAwayIsToldLater(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		w := network.newWindow(t)
		network.Break(redistest.Fault{Swallows: true})
		own, _ := take(t, w, fleetLimit, time.Now())
		if w.State() != Degraded || own.seq != 0 {
			t.Fatal("not degraded")
		}
		w.Throttle(30 * time.Second)
		if !isRevoked(own) {
			t.Error("a slot of its own is not revoked by a throttle")
		}
		if got := w.Rate(fleetLimit, time.Now()); got != 0 {
			t.Errorf("rate %g while closed", got)
		}
		if wait := time.Until(w.Next(fleetLimit, time.Now())); wait < 29*time.Second {
			t.Errorf("next slot in %s while closed", wait)
		}
		network.Heal()
		other := network.newWindow(t)
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for began := time.Now(); other.Rate(fleetLimit, time.Now()) != 0; <-again.C {
			if time.Since(began) > 2*time.Second {
				t.Fatal("the other replica does not hear of the throttle")
			}
		}
	})
}

func TestSlotOfItsOwnIsRevokedWhenRedisIsBack(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		w := network.newWindow(t)
		shared, _ := take(t, w, fleetLimit, time.Now())
		network.Break(redistest.Fault{Swallows: true})
		own, wait := take(t, w, fleetLimit, time.Now())
		if wait < fleetLimit.Span() {
			t.Errorf("the first slot of its own is in %s, within the window that Redis has given away", wait)
		}
		if isRevoked(shared) {
			t.Error("a slot that Redis has given is revoked by Redis being away")
		}
		network.Heal()
		select {
		case <-own.Revoked():
		case <-time.After(2 * time.Second):
			t.Error("a slot of its own is not revoked by Redis being back")
		}
	})
}

// What a replica has reserved on its own is void once it has not asked Redis for too long, even where nothing has told it so:
// the others do not wait longer for it when Redis is back.
func TestSlotOfItsOwnEndsWithItsLicence(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		w := network.newWindow(t)
		network.Break(redistest.Fault{Swallows: true})
		own, _ := take(t, w, fleetLimit, time.Now())
		for range 20 { // it keeps asking meanwhile
			time.Sleep(100 * time.Millisecond)
			if own.Void(time.Now()) {
				t.Fatal("void while it asks")
			}
		}
		w.stop()
		<-w.done // its goroutine is held up, say
		for after, void := range map[time.Duration]bool{0: false, settle + 2*redisTimeout: true} {
			if got := own.Void(time.Now().Add(after)); got != void {
				t.Errorf("void %v %v after its last question, want %v", got, after, void)
			}
		}
	})
}

func TestRedisWindowHeedsItsCaller(t *testing.T) {
	server := redistest.Start(t)
	w := newTestWindow(t, newTestClient(t, RedisOptions{Addresses: []string{server.Addr}}), "k")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Reserve(gone, fleetLimit); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v for a caller that is gone", err)
	}
	if _, err := w.Reserve(t.Context(), Limit{}); !errors.Is(err, ErrLimit) {
		t.Errorf("error %v for no limit", err)
	}
	tests := map[string]RedisWindowOptions{
		"no key":      {Replicas: 1, Limit: fleetLimit},
		"no replicas": {Key: "k", Limit: fleetLimit},
		"no limit":    {Key: "k", Replicas: 1},
	}
	for name, o := range tests {
		if _, err := NewRedisWindow(w.script.Client, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A window that is closed does not ask Redis and reports no state, and what is reserved all
// the same is this replica's part, after a silence.
func TestClosedRedisWindow(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		client := network.newClient(t)
		w, err := NewRedisWindow(client, RedisWindowOptions{
			Key: "k", Replicas: 2, Limit: fleetLimit,
			OnState: func(s State, err error) { t.Errorf("got %v, %v", s, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		before, err := w.Reserve(t.Context(), fleetLimit)
		if err != nil || before.seq == 0 {
			t.Fatalf("reserved without Redis: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		closed := time.Now()
		_ = client.Close()
		w.Return(before)
		w.Throttle(time.Millisecond)
		after, err := w.Reserve(t.Context(), fleetLimit)
		if err != nil || after.seq != 0 || after.At.Before(closed.Add(fleetLimit.Span()-time.Millisecond)) {
			t.Errorf("reserved for %v after the end: %v", after.At.Sub(closed), err)
		}
		select {
		case <-after.Revoked():
			t.Error("what is reserved is revoked")
		default:
		}
	})
}

func TestPartOfTheCap(t *testing.T) {
	tests := map[string]struct {
		requests, replicas int
		want               Limit
	}{
		"alone":             {50, 1, Limit{50, time.Second, time.Millisecond}},
		"three":             {50, 3, Limit{16, time.Second, time.Millisecond}},
		"one each":          {3, 3, Limit{1, time.Second, time.Millisecond}},
		"more than the cap": {2, 3, Limit{1, 3 * time.Second, 3 * time.Millisecond}},
	}
	for name, test := range tests {
		if got := part(Limit{test.requests, time.Second, time.Millisecond}, test.replicas); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestRedisOptions(t *testing.T) {
	one, two := []string{"a:1"}, []string{"a:1", "b:1"}
	tests := map[string]struct {
		o    RedisOptions
		good bool
	}{
		"one server":         {RedisOptions{Addresses: one, DB: 3}, true},
		"sentinel":           {RedisOptions{Addresses: two, MasterName: "m"}, true},
		"cluster":            {RedisOptions{Addresses: one, Cluster: true}, true},
		"sentinel, secured":  {RedisOptions{Addresses: two, MasterName: "m", SentinelUsername: "u", SentinelPassword: "p"}, true},
		"secured, unwatched": {RedisOptions{Addresses: one, SentinelPassword: "p"}, false},
		"no address":         {RedisOptions{}, false},
		"a user":             {RedisOptions{Addresses: one, Username: "u"}, false},
		"a user, watched":    {RedisOptions{Addresses: two, MasterName: "m", SentinelUsername: "u"}, false},
		"a name as port":     {RedisOptions{Addresses: []string{"127.0.0.1:redis"}}, false},
		"an @":               {RedisOptions{Addresses: []string{"password@127.0.0.1:6379"}}, false},
		"a URL":              {RedisOptions{Addresses: []string{"redis://127.0.0.1:6379"}}, false},
		"a socket":           {RedisOptions{Addresses: []string{"/run/redis.sock"}, DB: 1}, true},
		"a socket and TLS":   {RedisOptions{Addresses: []string{"/run/redis.sock"}, TLS: new(tls.Config)}, false},
		"a socket, watched":  {RedisOptions{Addresses: []string{"/run/redis.sock"}, MasterName: "m"}, false},
		"a relative socket":  {RedisOptions{Addresses: []string{"run/redis.sock"}}, false},
		"no port":            {RedisOptions{Addresses: []string{"127.0.0.1"}}, false},
		"IPv6":               {RedisOptions{Addresses: []string{"[::1]:6379"}}, true},
		"two servers":        {RedisOptions{Addresses: two}, false},
		"both":               {RedisOptions{Addresses: two, MasterName: "m", Cluster: true}, false},
		"database of a node": {RedisOptions{Addresses: two, Cluster: true, DB: 1}, false},
	}
	for name, test := range tests {
		client, err := NewRedisClient(test.o)
		if test.good != (err == nil) || !test.good && !errors.Is(err, ErrRedisOptions) {
			t.Errorf("%s: %v", name, err)
		}
		if client != nil {
			_ = client.Close()
		}
	}
}

func TestPasswordIsUsedAndNotTold(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "swordfish-right")
	right := newTestClient(t, RedisOptions{Addresses: []string{server.Addr}, Password: "swordfish-right"})
	testwait.For(t, patience, "an answer to who knows the password", func() bool { return right.Ping(t.Context()).Err() == nil })
	wrong := newTestClient(t, RedisOptions{Addresses: []string{server.Addr}, Password: "swordfish-wrong"})
	var reported error
	w, err := NewRedisWindow(wrong, RedisWindowOptions{
		Key: "k", Replicas: 1, Limit: fleetLimit,
		OnState: func(_ State, err error) { reported = err },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = take(t, w, fleetLimit, time.Now())
	_ = w.Close()
	if reported == nil || strings.Contains(reported.Error(), "swordfish") {
		t.Errorf("reported: %v", reported)
	}
}

func TestAnswersAreNotCrossed(t *testing.T) {
	server := redistest.Start(t)
	client := newTestClient(t, RedisOptions{Addresses: []string{server.Addr}})
	const callers, calls = 20, 1000
	var work sync.WaitGroup
	for caller := range callers {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(caller), 5))
			for call := range calls {
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(10) == 0 { // leaves before, while, or after
					timer := time.AfterFunc(time.Duration(random.IntN(300))*time.Microsecond, cancel)
					defer timer.Stop()
				}
				want := fmt.Sprint(caller, ":", call)
				if got, err := client.Echo(ctx, want).Result(); err == nil && got != want {
					t.Errorf("answer %s to %s", got, want)
				}
				cancel()
			}
		})
	}
	work.Wait()
}

func TestClosedWindowLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		client, err := NewRedisClient(RedisOptions{Addresses: []string{"127.0.0.1:1"}})
		if err != nil {
			t.Fatal(err)
		}
		w, err := NewRedisWindow(client, RedisWindowOptions{Key: "k", Replicas: 2, Limit: fleetLimit})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = take(t, w, fleetLimit, time.Now())
		_ = w.Close()
		_ = client.Close()
	}
	testwait.For(t, patience, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}
