package token

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// dropping is a share whose member's cell has the token "refused" dropped at a moment of a renewal.
type dropping struct {
	Share
	lease, load func()
}

func (d dropping) Lease(ctx context.Context, life time.Duration) (func(), bool, error) {
	d.lease()
	return d.Share.Lease(ctx, life)
}

func (d dropping) Load(ctx context.Context) (Token, error) {
	d.load()
	return d.Share.Load(ctx)
}

// A token that the API refuses while it is being renewed does not come back from the store, nor from the renewal.
func TestTokenRefusedWhileItIsRenewed(t *testing.T) {
	for name, at := range map[string]func(drop func()) (lease, load func()){
		"before the lease is taken": func(drop func()) (lease, load func()) { return drop, func() {} },
		"before the store is read":  func(drop func()) (lease, load func()) { return func() {}, drop },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				issued := time.Now().Add(-55 * time.Minute)
				refused := Token{Access: "refused", Issued: issued, Expiry: issued.Add(time.Hour)}
				fetcher := new(counted)
				s := &Source{Cell: new(Cell), Fetcher: fetcher, Now: time.Now}
				s.Cell.Offer(refused, time.Now())
				lease, load := at(func() { s.Drop("refused") })
				s.Share = dropping{&member{&common{token: refused}}, lease, load}
				s.RefreshAhead()
				synctest.Wait()
				if live, _ := s.Cell.Live(time.Now()); live != "own-1" || fetcher.asked != 1 {
					t.Errorf("%q is live after %d requests, want own-1 after one", live, fetcher.asked)
				}
			})
		})
	}
}

// What another replica has got is dropped at the moment at which the flight takes it: who waits gets a newer one.
func TestTokenRefusedAsAFlightTakesIt(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		fetcher, now := new(counted), time.Now()
		s := &Source{Cell: new(Cell), Fetcher: fetcher, Now: time.Now}
		shared := Token{Access: "refused", Issued: now, Expiry: now.Add(time.Hour)}
		flight, mine, err := s.Cell.begin(now)
		if flight == nil || !mine || err != nil {
			t.Fatal("no flight")
		}
		s.Cell.Offer(shared, now)
		s.Drop("refused")
		s.Cell.end(shared, false, nil, now)
		if access, err := s.Token(t.Context()); err != nil || access != "own-1" {
			t.Errorf("got %q (%v), want own-1", access, err)
		}
	})
}

// The endpoint may know better than the API: what it gives is taken, even if it is the token that was refused.
func TestRefusedTokenThatTheEndpointGivesAgain(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := &Source{Cell: new(Cell), Now: time.Now, Fetcher: fetcherFunc(func(context.Context, string) (Token, error) {
			return freshToken("same", time.Hour), nil
		})}
		for range 3 {
			wantToken(t, s, "same")
			s.Drop("same")
		}
	})
}

func TestOfferAndDropAtOnce(t *testing.T) {
	now := time.Now()
	for range 20_000 {
		c, refused := new(Cell), Token{Access: "refused", Issued: now, Expiry: now.Add(time.Hour)}
		c.Set(refused)
		var both sync.WaitGroup
		both.Go(func() { c.Offer(refused, now) })
		c.Drop("refused")
		both.Wait()
		if live, ok := c.Live(now); ok {
			t.Fatalf("%q is live after it was dropped", live)
		}
	}
}

// An API that refuses every token does not have one fetched for each call.
func TestApiThatRefusesEveryToken(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		fetcher := new(counted)
		s := &Source{Cell: new(Cell), Fetcher: fetcher, Now: time.Now}
		helped := 0
		calls := func(n int) (fetched int) {
			before := fetcher.asked
			for range n {
				access, err := s.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if s.Drop(access) {
					helped++
				}
				testwait.Pass(100 * time.Millisecond)
			}
			return fetcher.asked - before
		}
		if n := calls(2 * freeDrops); n < freeDrops || n > freeDrops+5 {
			t.Errorf("%d tokens were fetched for %d calls, want %d at once and few more", n, 2*freeDrops, freeDrops)
		}
		if n := calls(10_000); n < 30 || n > 45 {
			t.Errorf("%d tokens were fetched in 1000 s, want one each half minute", n)
		}
		if helped != fetcher.asked && helped != fetcher.asked-1 {
			t.Errorf("%d refusals were to be helped by another token, with %d tokens", helped, fetcher.asked)
		}
		// After a time in which the API has taken the token, the next refusal is none of these.
		testwait.Pass(dropsWithin + time.Second)
		if n := calls(freeDrops); n < freeDrops-1 {
			t.Errorf("%d tokens were fetched, want one for each refusal", n)
		}
	})
}
