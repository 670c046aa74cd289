package token

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// fleet is gateways' token sources before one simulator, with a real Redis.
type fleet struct {
	*simulator
	addr string
}

func newFleet(t *testing.T, addr string, cfg sandbox.Config) *fleet {
	return &fleet{newSimulator(t, cfg), addr}
}

// replica is one that starts.
func (f *fleet) replica() *Source {
	f.t.Helper()
	return &Source{
		Cell: new(Cell), Fetcher: f.grant(), Now: time.Now, Share: newHastyShare(f.t, f.addr),
	}
}

// patientReplica is one whose Redis is never away because the machine is busy: without
// Redis each replica fetches for itself, as it should.
func (f *fleet) patientReplica() *Source {
	f.t.Helper()
	s := f.replica()
	s.Share = newShare(f.t, f.addr)
	return s
}

// token asks for a token that must come within a time.
func (f *fleet) token(s *Source, within time.Duration) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	token, err := s.Token(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *fleet) wantFetches(grant string, want int64) {
	f.t.Helper()
	if n := f.Stats().TokenFetches[grant]; n != want {
		f.t.Errorf("%d fetches by %s, want %d", n, grant, want)
	}
}

// However many callers there are, one of all replicas fetches, and the rest have its token.
func TestFleetFetchesOnceForAllCallers(t *testing.T) {
	network := redistest.NewNetwork(t)
	testwait.Bubble(t, func(t *testing.T) {
		network.OneWay = 200 * time.Microsecond
		e := &endpoint{life: 30 * time.Minute, delay: 200 * time.Millisecond}
		replica := func() (*Source, *Redis) {
			client := newRedis(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
			network.Connect(client)
			share := NewRedis(client, tokenPlace, newSeal(t, 1), time.Now)
			return &Source{Cell: new(Cell), Fetcher: e, Now: time.Now, Share: share}, share
		}
		const callers = 200
		var tokens sync.Map
		var all sync.WaitGroup
		for range 3 {
			s, _ := replica()
			for range callers {
				all.Go(func() {
					token, err := s.Token(t.Context())
					if err != nil {
						t.Error(err)
					}
					tokens.Store(token, true)
				})
			}
		}
		all.Wait()
		e.times(t, 1)

		late, share := replica()
		token, err := late.Token(t.Context())
		if err != nil {
			t.Error(err)
		}
		tokens.Store(token, true)
		e.times(t, 1)
		// What all have in Redis, read by somebody who should not.
		_, everything := dumpRedis(t, share.exchange.Client)
		distinct := 0
		for token := range tokens.Range {
			distinct++
			if strings.Contains(everything, token.(string)) {
				t.Error("the token stands in Redis")
			}
		}
		if distinct != 1 {
			t.Errorf("the replicas have %d tokens", distinct)
		}
		time.Sleep(time.Minute) // what runs ends
	})
}

// In whichever way Redis is away when a replica starts, it has a token of its own within a second of what its endpoint takes,
// and asks once for all callers.
func TestReplicaWithoutRedisFetchesForItself(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			testwait.Bubble(t, func(t *testing.T) {
				network.Break(fault)
				client := newRedis(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
				network.Connect(client)
				var said error
				e := &endpoint{life: 30 * time.Minute, delay: 200 * time.Millisecond}
				s := &Source{
					Cell: new(Cell), Fetcher: e, Now: time.Now, Share: NewRedis(client, tokenPlace, newSeal(t, 1), time.Now),
					OnShare: func(err error) { said = err },
				}
				began := time.Now()
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						token, err := s.Token(t.Context())
						if took := time.Since(began); err != nil || token != "access-1" || took > e.delay+time.Second {
							t.Errorf("%q, %v after %v", token, err, took)
						}
					})
				}
				all.Wait()
				e.times(t, 1)
				if !errors.Is(said, ErrStore) {
					t.Errorf("what is wrong is said as %v", said)
				}
				network.Heal()
				time.Sleep(time.Minute) // what runs ends
			})
		})
	}
}

func TestFleetTakesOverFromADeadReplica(t *testing.T) {
	f := newFleet(t, redistest.Start(t).Addr, sandbox.Config{})
	dead := newShare(t, f.addr)
	const life = 700 * time.Millisecond
	began := time.Now()
	if _, ok, err := dead.Lease(t.Context(), life); err != nil || !ok {
		t.Fatal(ok, err)
	}
	// How soon after that is judged where time is that of a bubble.
	f.token(f.patientReplica(), testTimeout)
	if took := time.Since(began); took < life {
		t.Errorf("took over after %v, want after %v", took, life)
	}
	f.wantFetches("client_credentials", 1)
}

// With Redis gone each replica has a token, though of its own, and shares again later. How soon that is, is judged where time
// is that of a bubble; where a busy machine keeps Redis from answering in time, it is as if that were gone.
func TestFleetWithoutRedis(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			redis := start(t)
			f := newFleet(t, redis.Addr, sandbox.Config{})
			told := make(chan error, 16)
			a, b := f.replica(), f.replica()
			a.OnShare = func(err error) { told <- err }
			var first, other string
			testwait.For(t, testTimeout, "the replicas to share", func() bool {
				a.Drop(first)
				b.Drop(other)
				first, other = f.token(a, testTimeout), f.token(b, testTimeout)
				return other == first
			})
			redis.Break()
			if f.token(a, testTimeout) != first {
				t.Error("the live token is gone with Redis")
			}
			a.Drop(first)
			b.Drop(first)
			own := f.token(a, testTimeout)
			if f.token(b, testTimeout) == own {
				t.Error("the replicas have a token in common without Redis")
			}
			if err := testwait.Receive(t, testTimeout, told, "word of the failure"); !errors.Is(err, ErrStore) {
				t.Errorf("got %v", err)
			}
			redis.Heal()
			a.Drop(own)
			shared := f.token(a, testTimeout)
			for shared == own || f.token(f.replica(), testTimeout) != shared {
				// The first exchange may still have met a connection of before.
				a.Drop(shared)
				shared = f.token(a, testTimeout)
				if t.Context().Err() != nil || f.Stats().TokenFetches["client_credentials"] > 20 {
					t.Fatal("nothing is shared again")
				}
			}
			testwait.For(t, testTimeout, "word of the return", func() bool {
				select {
				case err := <-told:
					return err == nil
				default:
					return false
				}
			})
		})
	}
}

func TestReplicaWithAnotherEncryptionKey(t *testing.T) {
	f := newFleet(t, redistest.Start(t).Addr, sandbox.Config{})
	right, wrong := f.patientReplica(), f.patientReplica()
	share := wrong.Share.(*Redis)
	share.seal = newSeal(t, 2)
	var told []error
	wrong.OnShare = func(err error) { told = append(told, err) }
	for range 3 {
		a, b := f.token(right, testTimeout), f.token(wrong, testTimeout)
		if a == b {
			t.Fatal("a token was read with another key")
		}
		right.Drop(a)
		wrong.Drop(b)
	}
	if len(told) != 1 || !errors.Is(told[0], seal.ErrSealed) {
		t.Errorf("told %v, want once that the keys differ", told)
	}
	f.wantFetches("client_credentials", 6)
}

// Three replicas redeem each refresh token once between them, over many lives of an access token.
func TestFleetRotatesOnce(t *testing.T) {
	const life, lives = 2 * time.Second, 4
	f := newFleet(t, redistest.Start(t).Addr, sandbox.Config{RotateRefreshTokens: true, TokenLife: life})
	store := newMemoryStore()
	var replicas []*Source
	for range 3 {
		s := f.patientReplica()
		s.RefreshToken, s.Store = sandbox.DemoRefreshToken, store
		s.OnFetch = func(err error) {
			if err != nil {
				t.Errorf("a fetch failed: %v", err)
			}
		}
		replicas = append(replicas, s)
	}
	stop := runAll(t, replicas...)
	end := time.NewTimer(lives * life)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for running := true; running; {
		select {
		case <-look.C:
			for _, s := range replicas {
				f.token(s, testTimeout)
			}
		case <-end.C:
			running = false
		}
	}
	stop()
	n := f.Stats().TokenFetches["refresh_token"]
	// Each at 75 % to 80 % of a life; the others may come late on a busy machine, never early.
	if n < lives-1 || n > lives*4/3+1 {
		t.Errorf("%d refreshes in %d lives", n, lives)
	}
	// The last of them is alive: the chain was never broken.
	restarted := f.patientReplica()
	restarted.RefreshToken, restarted.Store = sandbox.DemoRefreshToken, store
	for range 2 {
		restarted.Drop(f.token(restarted, testTimeout))
	}
	_, everything := dumpRedis(t, f.patientReplica().Share.(*Redis).exchange.Client)
	if strings.Contains(everything, store.token.Refresh) || store.token.Refresh == "" {
		t.Error("the refresh token stands in Redis")
	}
}
