package alipayai_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// wantTraffic checks how many calls and token fetches reached the simulator since the statistics began.
func (r *rig) wantTraffic(calls, fetches int64) {
	r.t.Helper()
	stats := r.sim.Stats()
	if n := stats.Paths["/v1/chat/completions"]; n != calls {
		r.t.Errorf("%d calls went upstream, want %d", n, calls)
	}
	if n := stats.TokenFetches["client_credentials"]; n != fetches {
		r.t.Errorf("%d tokens were fetched, want %d", n, fetches)
	}
	if stats.RepeatedSignatures != 0 {
		r.t.Errorf("%d signatures were sent again", stats.RepeatedSignatures)
	}
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"expired":               {Kind: sandbox.ExpiredToken, Times: 1},
		"a 401 without a code":  {Kind: sandbox.HTTPStatus, Status: 401, Code: "whatever", Times: 1},
		"a token code in a 200": {Kind: sandbox.SystemError200, Code: "INVALID_ACCESS_TOKEN", Times: 1},
		"v3's code":             {Kind: sandbox.HTTPStatus, Status: 403, Code: "invalid-auth-token", Times: 1},
		"v2's code":             {Kind: sandbox.SystemError200, Code: "aop.auth-token-time-out", Shape: sandbox.ShapeGateway, Times: 1},
		"OpenAI's shape":        {Kind: sandbox.SystemError500, Code: "EXPIRED_ACCESS_TOKEN", Shape: sandbox.ShapeOpenAI, Times: 1},
	} {
		for mode, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
			t.Run(name+", "+mode, func(t *testing.T) {
				r := newRig(t, sandbox.Config{})
				r.set(fault)
				got := r.post("/v1/chat/completions", body)
				if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Attempts") != "2" {
					t.Fatalf("%d %s, %v", got.status, got.body, got.header)
				}
				r.wantTraffic(2, 2)
				if o := r.outcome(); o.Attempts != 2 || o.Code != "" || o.Status != http.StatusOK {
					t.Errorf("outcome %+v", o)
				}
				arrived := r.arrived.at("/v1/chat/completions")
				if arrived[0].header.Get("Authorization") == arrived[1].header.Get("Authorization") {
					t.Error("the token that was refused was sent again")
				}
				if arrived[0].header.Get("Signature") == arrived[1].header.Get("Signature") {
					t.Error("the signature was sent again")
				}
				if string(arrived[0].body) != body || string(arrived[1].body) != body {
					t.Error("the bodies differ")
				}
				r.chat("another")
				r.wantTraffic(3, 2)
			})
		}
	}
}

func TestTokenThatIsAlwaysRefused(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.set(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_ACCESS_TOKEN"})
	// A client's 401 would say that its own key is wrong.
	wantError(t, r.chat("hello"), http.StatusBadGateway, "INVALID_ACCESS_TOKEN")
	r.wantTraffic(2, 2)
	if o := r.outcome(); o.Attempts != 2 {
		t.Errorf("outcome %+v", o)
	}
	r.set()
	if got := r.chat("hello again"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Where no token is taken, a 401 is told at once.
func TestRefusalWithoutATokenSource(t *testing.T) {
	calls := 0
	r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`)
	})
	wantError(t, r.chat("hello"), http.StatusBadGateway, "invalid_api_key")
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// Codes that need a person are no reason to ask again.
func TestGrantThatIsGone(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.set(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "app-auth-token-time-out"})
	wantError(t, r.chat("hello"), http.StatusBadGateway, "app-auth-token-time-out")
	r.wantTraffic(1, 1)
}

// All calls in flight are refused for one dead token: that is one new token, not one for each. As many are repeated as
// the budget of repeats has; the others are told to come again, since they were not served.
func TestRefusedTokenUnderLoad(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.chat("the first token")
	old, _ := r.provider.Tokens.Cell.Peek()
	r.set(sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1})
	r.chat("kills the token of all")
	r.provider.Tokens.Cell.Set(old) // as it is for calls that have it in hand already
	r.sim.ResetStats()
	const calls = 50
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			got := r.do(t.Context(), http.MethodPost, "/v1/chat/completions", chatBody(fmt.Sprint("call ", i)))
			if got.status == http.StatusOK {
				served.Add(1)
			} else if got.header.Get("Retry-After") != "1" || got.header.Get("X-Should-Retry") != "" {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
		})
	}
	all.Wait()
	if n := r.sim.Stats().TokenFetches["client_credentials"]; n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
	if n := served.Load(); n < 9 {
		t.Errorf("%d calls were served, want those that the budget can repeat", n)
	}
	if n := len(r.arrived.at("/v1/chat/completions")); n > calls*12/10+10+3 {
		t.Errorf("%d requests went upstream", n)
	}
}
