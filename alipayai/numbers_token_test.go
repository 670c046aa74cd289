package alipayai

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Whatever a token endpoint says of a token's life: calls that need the token end in time, its life is bounded, and the
// endpoint is not asked again and again.
func TestExtremeTokenLives(t *testing.T) {
	var calls sync.WaitGroup
	for member, quoted := range map[string]bool{"expires_in": false, "accessTokenExpiryTime": false, "expires_in, text": true} {
		for name, number := range extremes {
			if quoted {
				number = `"` + inHeader(number) + `"`
			}
			body := `{"access_token":"at","refresh_token":"rt","` + strings.TrimSuffix(member, ", text") + `":` + number + `}`
			var fetches atomic.Int64
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fetches.Add(1)
				_, _ = io.WriteString(w, body)
			}))
			t.Cleanup(tokens.Close)
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, completion("")) }, first(func(p *Provider) {
				p.Tokens = &TokenSource{Cell: new(TokenCell), Now: time.Now, Fetcher: &Grant{URL: tokens.URL, ClientID: "id", Secret: "secret", Transport: p.Transport, Now: time.Now}}
			}), func(g *Gateway) { g.Deadline = 5 * time.Second })
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				got := r.do(ctx, http.MethodPost, chatPath, chatBody("hello"))
				if got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
					t.Errorf("%s, %s: answered %d %s (%v)", member, name, got.status, got.body, got.err)
				}
				if token, ok := r.provider.Tokens.Cell.Peek(); ok {
					life := token.Expiry.Sub(token.Issued)
					if life <= 0 || life > maxTokenLife {
						t.Errorf("%s, %s: lives for %v, until %v", member, name, life, token.Expiry)
					}
					if life > time.Minute && fetches.Load() != 1 {
						t.Errorf("%s, %s: was asked for %d times", member, name, fetches.Load())
					}
				}
				if n := fetches.Load(); n > 10 { // the pauses double from 250 ms
					t.Errorf("%s, %s: the endpoint was asked %d times", member, name, n)
				}
			})
		}
	}
	calls.Wait()
}

// A time beyond reason is as good as none, as a number of seconds beyond reason is: what is stored for the rest of a
// token's life would overflow with it.
func TestTokenLifeIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		member string
		life   time.Duration
	}{
		"the longest, in seconds": {`"expires_in":315360000`, maxTokenLife},
		"a second more":           {`"expires_in":315360001`, defaultTokenLife},
		"the longest, as a time":  {`"accessTokenExpiryTime":"2036-02-27T12:00:00Z"`, maxTokenLife},
		"a time a second later":   {`"accessTokenExpiryTime":"2036-02-27T12:00:01Z"`, defaultTokenLife},
		"the year 9999":           {`"accessTokenExpiryTime":"9999-12-31T23:59:59-23:59"`, defaultTokenLife},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Grant{}).read(http.StatusOK, []byte(`{"access_token":"at",`+test.member+`}`), tokenSentAt, 0)
			if life := got.Expiry.Sub(got.Issued); err != nil || life != test.life {
				t.Errorf("lives for %v, want %v (%v)", life, test.life, err)
			}
		})
	}
}
