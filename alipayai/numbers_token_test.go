package alipayai_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/extremes"
)

// Whatever a token endpoint says of a token's life: calls that need the token end in time, its life is bounded, and the
// endpoint is not asked again and again.
func TestExtremeTokenLives(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls sync.WaitGroup
		for member, quoted := range map[string]bool{"expires_in": false, "accessTokenExpiryTime": false, "expires_in, text": true} {
			for name, number := range extremes.Numbers {
				if quoted {
					number = `"` + extremes.InHeader(number) + `"`
				}
				body := `{"access_token":"at","refresh_token":"rt","` + strings.TrimSuffix(member, ", text") + `":` + number + `}`
				var fetches atomic.Int64
				tokens, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					fetches.Add(1)
					_, _ = io.WriteString(w, body)
				}))
				r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, completion("")) }, first(func(p *upstream.Provider) {
					p.Tokens = &token.Source{Cell: new(token.Cell), Now: time.Now, Fetcher: &token.Grant{URL: tokens, ClientID: "id", Secret: "secret", Transport: p.Transport, Now: time.Now}}
				}), func(g *alipayai.Gateway) { g.Deadline = 5 * time.Second })
				calls.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					got := r.do(ctx, http.MethodPost, chatPath, chatBody("hello"))
					if got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
						t.Errorf("%s, %s: answered %d %s (%v)", member, name, got.status, got.body, got.err)
					}
					if token, ok := r.provider.Tokens.Cell.Peek(); ok {
						life := token.Expiry.Sub(token.Issued)
						if life <= 0 || life > 10*365*24*time.Hour {
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
	})
}
