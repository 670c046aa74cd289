package token

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// crashing is a store of a process that dies as it stores.
type crashing struct {
	*memoryStore
	after bool // it has stored
}

func (s crashing) Store(ctx context.Context, t Token) error {
	if s.after {
		_ = s.memoryStore.Store(ctx, t)
	}
	runtime.Goexit() // it gives nothing back
	panic("unreachable")
}

func TestRefreshTokenSurvivesTheCrashOfAReplica(t *testing.T) {
	for name, test := range map[string]struct{ stored, redisLost bool }{
		"before it is in the storage":            {},
		"after it is in the storage":             {stored: true},
		"after that, and Redis comes back empty": {stored: true, redisLost: true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				c, e, store := new(common), &endpoint{life: time.Hour}, newMemoryStore()
				crashes := c.refresher(e, crashing{store, test.stored})
				crashes.Share = mortal{&member{c}}
				go func() { _, _ = crashes.Token(t.Context()) }()
				synctest.Wait()
				<-store.turn // as Caddy's storage ends the lock of the dead
				if test.redisLost {
					c.token, c.owner = Token{}, nil
				}
				next := c.refresher(e, store)
				if test.redisLost {
					wantToken(t, next, "access-2")
				} else {
					wantToken(t, next, "access-1") // at once, in spite of the lease
				}
				time.Sleep(time.Hour)
				want := len(e.asked) + 1
				wantToken(t, next, fmt.Sprint("access-", want))
				wantToken(t, c.refresher(e, store), fmt.Sprint("access-", want))
				e.times(t, want)
				if store.token.Refresh != fmt.Sprint("refresh-", want) {
					t.Errorf("the storage holds %s", store.token.Refresh)
				}
			})
		})
	}
}

// While the store is away no refresh token is redeemed; callers wait for it, within their time.
func TestRefreshWaitsForTheStore(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const life = 30 * time.Minute
		c, e, store := new(common), &endpoint{life: life}, newMemoryStore()
		s := c.refresher(e, store)
		s.OnFetch = func(err error) {
			if err != nil {
				t.Errorf("OnFetch got a failure: %v", err)
			}
		}
		stop := runAll(t, s)
		synctest.Wait()
		c.fail(fmt.Errorf("%w: connection refused", ErrStore))
		time.Sleep(life - 10*time.Second)
		wantToken(t, s, "access-1")
		e.times(t, 1)

		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Token(ctx); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrStore) ||
			strings.Contains(err.Error(), "connection refused") { // that is for the log
			t.Errorf("got %v", err)
		}
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("waited %v, want all the time that there is", waited)
		}
		e.times(t, 1)

		c.fail(nil)
		began = time.Now()
		if token, err := s.Token(t.Context()); err != nil || token != "access-2" {
			t.Errorf("got %q, %v", token, err)
		}
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("waited %v for a store that is back", waited)
		}
		e.times(t, 2)
		stop()
	})
}

// The store goes away between the request and its answer: the pair is held, and used when others can know it.
func TestRefreshTokenThatCannotBeShared(t *testing.T) {
	for name, apart := range map[string]bool{"one storage": false, "a storage each": true} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				c, e, store := new(common), &endpoint{life: time.Hour, delay: time.Second}, newMemoryStore()
				others := store
				if apart {
					others = newMemoryStore()
				}
				holder, other := c.refresher(e, store), c.refresher(e, others)
				got := make(chan string, 1)
				go func() { token, _ := holder.Token(t.Context()); got <- token }()
				synctest.Wait()
				c.fail(fmt.Errorf("%w: connection refused", ErrStore))
				time.Sleep(5 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if token, err := other.Token(ctx); err == nil {
					t.Errorf("another replica got %q", token)
				}
				select {
				case token := <-got:
					t.Errorf("%q is used although it is not stored", token)
				default:
				}
				// Whichever comes first now, the predecessor must not replace the pair.
				synctest.Wait()
				c.fail(nil)
				fresh := c.refresher(e, others)
				if token, err := fresh.Token(t.Context()); err != nil || token != "access-1" {
					t.Errorf("another replica got %q, %v", token, err)
				}
				if token := <-got; token != "access-1" {
					t.Errorf("got %q", token)
				}
				e.times(t, 1)
				if store.token.Refresh != "refresh-1" {
					t.Errorf("the storage holds %s", store.token.Refresh)
				}
				fresh.Drop("access-1")
				if token, err := fresh.Token(t.Context()); err != nil || token != "access-2" {
					t.Errorf("after that another replica got %q, %v", token, err)
				}
				time.Sleep(refreshLeaseLife + fetchTimeout)
			})
		})
	}
}

// The storage fails while Redis works: the others have the pair, and it is stored in the end.
func TestRefreshTokenThatIsSharedAndNotStored(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e, store := new(common), &endpoint{life: time.Hour}, newMemoryStore()
		store.err = errors.New("no space left")
		s := c.refresher(e, store)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := s.Token(ctx); !errors.Is(err, store.err) {
			t.Errorf("got %v", err)
		}
		wantToken(t, c.refresher(e, newMemoryStore()), "access-1")
		store.err = nil
		if token, err := s.Token(t.Context()); err != nil || token != "access-1" {
			t.Errorf("got %q, %v", token, err)
		}
		if store.token.Refresh != "refresh-1" {
			t.Errorf("the storage holds %q", store.token.Refresh)
		}
		e.times(t, 1)
	})
}

// Replicas without a storage in common go by what Redis holds, and by what they remember of it.
func TestNewestRefreshTokenOfReplicasApart(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c, e := new(common), &endpoint{life: time.Hour}
		a, b := c.refresher(e, newMemoryStore()), c.refresher(e, newMemoryStore())
		wantToken(t, a, "access-1")
		time.Sleep(time.Second)
		a.Drop("access-1")
		wantToken(t, a, "access-2")
		wantToken(t, b, "access-2")
		time.Sleep(time.Second)
		b.Drop("access-2")
		wantToken(t, b, "access-3")

		c.token.Access = "" // dropped, which is no fault of the refresh token
		time.Sleep(time.Second)
		fresh := c.refresher(e, newMemoryStore())
		wantToken(t, fresh, "access-4")
		a.Drop("access-2")
		wantToken(t, a, "access-4")

		c.token = Token{} // Redis comes back empty
		time.Sleep(time.Second)
		a.Drop("access-4")
		wantToken(t, a, "access-5")
		e.times(t, 5)
	})
}

// Without a shared store replicas redeem in turn, by the lock of what they share.
func TestReplicasWithNothingButAStorageInCommon(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const life = 30 * time.Minute
		e, store := &endpoint{life: life, delay: time.Second}, newMemoryStore()
		var replicas []*Source
		for range 3 {
			s := new(common).refresher(e, store)
			s.Share = nil
			replicas = append(replicas, s)
		}
		stop := runAll(t, replicas...)
		time.Sleep(10 * life)
		stop()
		if n := len(e.asked); n < 30 || n > 45 {
			t.Errorf("%d requests of 3 replicas in 10 lives", n)
		}
		e.times(t, len(e.asked))
	})
}
