package token

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// ahead is a replica's access to an endpoint by a clock that runs ahead of the others'.
func ahead(s *Source, by time.Duration) *Source {
	endpoint := s.Fetcher
	s.Now = func() time.Time { return time.Now().Add(by) }
	s.Fetcher = fetcherFunc(func(ctx context.Context, refresh string) (Token, error) {
		t, err := endpoint.Fetch(ctx, refresh)
		if err == nil {
			t.Issued, t.Expiry = t.Issued.Add(by), t.Expiry.Add(by)
		}
		return t, err
	})
	return s
}

// Each refresh token is redeemed once, whatever the clocks of those say who redeem them one after the other.
func TestRefreshTokensOfReplicasWhoseClocksDiffer(t *testing.T) {
	for name, test := range map[string]struct{ first, second time.Duration }{
		"the same":              {},
		"the first is ahead":    {first: 10 * time.Second},
		"the second is ahead":   {second: 10 * time.Second},
		"by minutes":            {first: 10 * time.Minute},
		"by more than a life":   {first: 3 * time.Hour},
		"one that was set back": {first: -10 * time.Minute, second: -20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				c, e, store := new(common), &endpoint{life: time.Hour}, newMemoryStore()
				a, b := ahead(c.refresher(e, store), test.first), ahead(c.refresher(e, store), test.second)
				// Each token is refused soon, so that the next one is asked for by the other replica.
				last := ""
				for i := range 4 {
					s := [...]*Source{a, b}[i%2]
					if live, ok := s.Cell.Peek(); ok {
						s.Drop(live.Access)
					}
					_ = c.replica(e).Share.Drop(t.Context(), last)
					access, err := s.Token(t.Context())
					if err != nil || access == last {
						t.Fatalf("renewal %d: %q after %q (%v)", i+1, access, last, err)
					}
					last = access
					testwait.Pass(time.Second)
				}
				e.times(t, 4)
			})
		})
	}
}
