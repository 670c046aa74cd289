package token

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// common is the store that a fleet shares, without a network in between.
type common struct {
	mu      sync.Mutex
	token   Token
	err     error
	owner   *member
	expires time.Time
}

// member is a replica's access to it.
type member struct{ *common }

func (m *member) Load(context.Context) (Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, m.err
}

func (m *member) Store(_ context.Context, t Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.token = t
	}
	return m.err
}

func (m *member) Drop(_ context.Context, access string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && m.token.Access == access {
		m.token.Access = ""
	}
	return m.err
}

func (m *member) Lease(_ context.Context, life time.Duration) (func(), bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.owner != nil && m.owner != m && time.Now().Before(m.expires) {
		return nil, false, m.err
	}
	m.owner, m.expires = m, time.Now().Add(life)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.owner == m {
			m.owner = nil
		}
	}, true, nil
}

// mortal is the access of a replica that dies before it gives a lease back.
type mortal struct{ *member }

func (m mortal) Lease(ctx context.Context, life time.Duration) (func(), bool, error) {
	_, ok, err := m.member.Lease(ctx, life)
	return func() {}, ok, err
}

// fail lets the store fail with err; nil ends that.
func (c *common) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// endpoint gives tokens of a life, and rotates refresh tokens. It accepts each
// of those once, the first of which is "refresh-0".
type endpoint struct {
	life, delay time.Duration
	// down lets it fail.
	down bool

	mu      sync.Mutex
	asked   []time.Time
	reused  []string
	rotated int
}

func (e *endpoint) Fetch(ctx context.Context, refresh string) (Token, error) {
	e.mu.Lock()
	e.asked = append(e.asked, time.Now())
	n := len(e.asked)
	t := freshToken(fmt.Sprint("access-", n), e.life)
	if refresh != "" {
		if refresh != fmt.Sprint("refresh-", e.rotated) {
			e.reused = append(e.reused, refresh)
			e.mu.Unlock()
			return Token{}, fmt.Errorf("%w: used already", ErrRefused)
		}
		e.rotated++
		t.Refresh = fmt.Sprint("refresh-", e.rotated)
	}
	e.mu.Unlock()
	select {
	case <-time.After(e.delay):
	case <-ctx.Done():
		return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if e.down {
		return Token{}, errEndpointDown
	}
	return t, nil
}

// times is how often it was asked; a refresh token must not have come twice.
func (e *endpoint) times(t *testing.T, want int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.asked) != want || len(e.reused) > 0 {
		t.Errorf("the endpoint was asked %d times, want %d; used again: %q", len(e.asked), want, e.reused)
	}
}

// replica is a source of a process that starts, in a fleet with a common store.
func (c *common) replica(e Fetcher) *Source {
	return &Source{Cell: new(Cell), Fetcher: e, Now: time.Now, Share: &member{c}}
}

// refresher is one with the grant refresh_token.
func (c *common) refresher(e Fetcher, store RefreshStore) *Source {
	s := c.replica(e)
	s.RefreshToken, s.Store = "refresh-0", store
	return s
}

// runAll lets replicas renew in the background, until the function that it gives is called.
func runAll(t *testing.T, replicas ...*Source) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, s := range replicas {
		running.Go(func() { s.Run(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

func newMemoryStore() *memoryStore { return &memoryStore{turn: make(chan struct{}, 1)} }

// One replica asks for all, once in a token's life, and no caller ever waits.
func TestFleetRenewsOnce(t *testing.T) {
	for name, join := range map[string]func(*common, *endpoint, *memoryStore) *Source{
		"client_credentials": func(c *common, e *endpoint, _ *memoryStore) *Source { return c.replica(e) },
		"refresh_token":      func(c *common, e *endpoint, m *memoryStore) *Source { return c.refresher(e, m) },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				const life, lives = 30 * time.Minute, 20
				c, store := new(common), newMemoryStore()
				e := &endpoint{life: life, delay: 2 * time.Second}
				replicas := []*Source{join(c, e, store), join(c, e, store), join(c, e, store)}
				stop := runAll(t, replicas...)
				time.Sleep(3 * time.Second)
				for range lives * int(life/time.Second) {
					for _, s := range replicas {
						asked := time.Now()
						if _, err := s.Token(t.Context()); err != nil || time.Since(asked) > 0 {
							t.Fatalf("waited %v: %v", time.Since(asked), err)
						}
					}
					time.Sleep(time.Second)
				}
				stop()
				time.Sleep(time.Minute) // a fetch that is under way goes on without its source
				e.mu.Lock()
				asked := append([]time.Time(nil), e.asked...)
				e.mu.Unlock()
				for i := 1; i < len(asked); i++ {
					if gap := asked[i].Sub(asked[i-1]); gap < life*3/4 || gap > life*4/5+e.delay {
						t.Errorf("asked again after %v of %v", gap, life)
					}
				}
				e.times(t, len(asked))
			})
		})
	}
}

func TestReplicaThatStartsTakesTheLiveToken(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e := new(common), &endpoint{life: time.Hour}
		wantToken(t, c.replica(e), "access-1")
		time.Sleep(50 * time.Minute)
		late := c.replica(e)
		late.OnFetch = func(err error) { t.Errorf("fetched: %v", err) }
		wantToken(t, late, "access-1")
		e.times(t, 1)
		// What is over, or nearly, is not taken.
		time.Sleep(10*time.Minute - time.Second)
		wantToken(t, c.replica(e), "access-2")
	})
}

func TestLeaseOfADeadReplicaEnds(t *testing.T) {
	for name, test := range map[string]struct {
		refresh bool
		life    time.Duration
	}{
		"client_credentials": {false, leaseLife},
		"refresh_token":      {true, refreshLeaseLife},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				c, e, store := new(common), &endpoint{life: time.Hour}, newMemoryStore()
				join := func(f Fetcher) *Source {
					if test.refresh {
						return c.refresher(f, store)
					}
					return c.replica(f)
				}
				dead := join(fetcherFunc(func(context.Context, string) (Token, error) {
					runtime.Goexit() // no answer, no error
					panic("unreachable")
				}))
				dead.Share = mortal{&member{c}}
				go func() { _, _ = dead.Token(t.Context()) }()
				synctest.Wait()
				if test.refresh {
					<-store.turn // as Caddy's storage ends the lock of the dead
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if token, err := join(e).Token(ctx); err != nil || token != "access-1" {
					t.Errorf("got %q, %v", token, err)
				}
				if took := time.Since(began); took < test.life || took > test.life+2*leasePoll {
					t.Errorf("took over after %v, want after %v", took, test.life)
				}
				e.times(t, 1)
			})
		})
	}
}

// Replicas take turns at an endpoint that fails, and each says why it has no token.
func TestFleetAtAFailingEndpoint(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e := new(common), &endpoint{life: time.Hour, down: true}
		var waiting sync.WaitGroup
		for range 3 {
			s := c.replica(e)
			waiting.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if _, err := s.Token(ctx); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v", err)
				}
			})
		}
		waiting.Wait()
		e.mu.Lock()
		n := len(e.asked)
		e.mu.Unlock()
		if n < 6 || n > 21 {
			t.Errorf("%d requests of 3 replicas in 10 s, want each to pause as it does alone", n)
		}
		time.Sleep(refreshLeaseLife + fetchTimeout)
	})
}

func TestRefusedTokenIsDroppedForAll(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e := new(common), &endpoint{life: time.Hour}
		a, b := c.replica(e), c.replica(e)
		wantToken(t, a, "access-1")
		wantToken(t, b, "access-1")
		e.delay = time.Second
		a.Drop("access-1")
		go func() { _, _ = a.Token(t.Context()) }()
		synctest.Wait()
		// While a asks, no other replica may get the refused token.
		starts := time.Now()
		if token, err := c.replica(e).Token(t.Context()); err != nil || token != "access-2" {
			t.Errorf("a replica that started got %q, %v", token, err)
		}
		if took := time.Since(starts); took > e.delay+2*leasePoll {
			t.Errorf("it took %v", took)
		}
		wantToken(t, b, "access-1") // until it is refused there as well
		b.Drop("access-1")
		wantToken(t, b, "access-2")
		b.Drop("access-1")
		wantToken(t, c.replica(e), "access-2")
		e.times(t, 2)
	})
}

func TestFleetWithoutItsStore(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e := new(common), &endpoint{life: time.Hour}
		away := fmt.Errorf("%w: connection refused", ErrStore)
		c.fail(away)
		var reported []error
		a, b := c.replica(e), c.replica(e)
		a.OnShare = func(err error) { reported = append(reported, err) }
		wantToken(t, a, "access-1")
		wantToken(t, b, "access-2")
		a.Drop("access-1")
		wantToken(t, a, "access-3")
		c.fail(nil)
		a.Drop("access-3")
		wantToken(t, a, "access-4")
		wantToken(t, c.replica(e), "access-4")
		if len(reported) != 2 || !errors.Is(reported[0], ErrStore) || reported[1] != nil {
			t.Errorf("reported %v, want the failure and the return, each once", reported)
		}
	})
}

// offering has its owner's cell offered what the store holds while the lease is taken, as a reader of the store does.
type offering struct {
	*member
	cell *Cell
}

func (o offering) Lease(ctx context.Context, life time.Duration) (func(), bool, error) {
	o.cell.Offer(o.token, time.Now())
	return o.member.Lease(ctx, life)
}

type counted struct{ asked int }

func (c *counted) Fetch(context.Context, string) (Token, error) {
	c.asked++
	return Token{Access: fmt.Sprint("own-", c.asked), Issued: time.Now(), Expiry: time.Now().Add(time.Hour)}, nil
}

// A token that came while the lease was taken is not renewed once more; one that is due is.
func TestTokenOfferedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		age   time.Duration
		want  string
		asked int
	}{
		"fresh": {0, "shared", 0},
		"due":   {55 * time.Minute, "own-1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				cell, fetcher := new(Cell), new(counted)
				issued := time.Now().Add(-test.age)
				m := &member{&common{token: Token{Access: "shared", Issued: issued, Expiry: issued.Add(time.Hour)}}}
				s := &Source{Cell: cell, Fetcher: fetcher, Share: offering{m, cell}, Now: time.Now}
				if test.asked > 0 {
					cell.Offer(m.token, time.Now())
					s.RefreshAhead()
					synctest.Wait()
				}
				if access, err := s.Token(t.Context()); err != nil || access != test.want || fetcher.asked != test.asked {
					t.Errorf("%q (%v) after %d requests, want %q after %d", access, err, fetcher.asked, test.want, test.asked)
				}
			})
		})
	}
}
