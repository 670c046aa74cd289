package alipayai_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// stripped hides the named headers of a simulator's answers.
func stripped(names ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			for _, name := range names {
				w.Header().Del(name)
			}
			w.WriteHeader(answer.Code)
			w.Write(answer.Body.Bytes())
		})
	}
}

// swapped changes what a simulator's answers say, after they were signed.
func swapped(from, to string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			w.Write([]byte(strings.ReplaceAll(answer.Body.String(), from, to)))
		})
	}
}

func TestResponseSignatures(t *testing.T) {
	untouched := func(next http.Handler) http.Handler { return next }
	unsigned := stripped("Signature", "Response-Time", "Client-Id")
	for name, test := range map[string]struct {
		between func(http.Handler) http.Handler
		fault   sandbox.Fault
		// ok says for which modes the answer is taken.
		off, ifPresent, require bool
	}{
		"right":               {between: untouched, off: true, ifPresent: true, require: true},
		"none":                {between: unsigned, off: true, ifPresent: true},
		"wrong":               {between: untouched, fault: sandbox.Fault{Kind: sandbox.WrongResponseSignature}, off: true},
		"of another body":     {between: swapped("You said", "You owe!"), off: true},
		"without its time":    {between: stripped("Response-Time"), off: true},
		"without a client id": {between: stripped("Client-Id"), off: true, ifPresent: true, require: true},
	} {
		for mode, ok := range map[upstream.VerifyMode]bool{upstream.VerifyOff: test.off, upstream.VerifyIfPresent: test.ifPresent, upstream.VerifyRequire: test.require} {
			t.Run(name+", "+string(mode), func(t *testing.T) {
				sim, err := sandbox.New(sandbox.Config{RequestsPerSecond: -1})
				if err != nil {
					t.Fatal(err)
				}
				r := startRig(t, test.between(sim), simProvider, first(func(p *upstream.Provider) { p.Verify = mode }))
				r.sim = sim
				if test.fault.Kind != "" {
					test.fault.Path = "/v1/chat/completions"
					r.set(test.fault)
				}
				got := r.chat("hello")
				if ok {
					if got.status != http.StatusOK {
						t.Errorf("%d %s", got.status, got.body)
					}
				} else {
					wantError(t, got, http.StatusBadGateway, failure.CodeBadSignature)
					if got.header.Get("X-Should-Retry") != "false" || strings.Contains(got.body, "hello") {
						t.Errorf("%v %s", got.header, got.body)
					}
				}
				if n := sim.Stats().Paths["/v1/chat/completions"]; n != 1 {
					t.Errorf("%d calls went upstream", n)
				}
				// A stream has no signature in any mode.
				if got := r.stream("hello"); test.fault.Kind == "" && got.status != http.StatusOK {
					t.Errorf("stream: %d %s", got.status, got.body)
				}
			})
		}
	}
}

// A system error in a 200 is no less signed than an answer, and a forged one is not believed.
func TestErrorsAreVerifiedToo(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Verify = upstream.VerifyRequire }))
	r.set(sandbox.Fault{Kind: sandbox.SystemError200})
	wantError(t, r.chat("hello"), http.StatusBadGateway, "SYSTEM_ERROR")
	r.set(sandbox.Fault{Kind: sandbox.SystemError200}, sandbox.Fault{Kind: sandbox.WrongResponseSignature})
	wantError(t, r.chat("hello"), http.StatusBadGateway, failure.CodeBadSignature)
}

// failuresWith gives a simulator's failures another signature: none when it is nil.
func failuresWith(signature []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			if answer.Code >= http.StatusBadRequest || strings.Contains(answer.Body.String(), "SYSTEM_ERROR") {
				w.Header().Del("Signature")
				if signature != nil {
					w.Header()["Signature"] = signature
				}
			}
			w.WriteHeader(answer.Code)
			w.Write(answer.Body.Bytes())
		})
	}
}

// What comes from before the platform's signer is not signed, and is a failure all the same: it may be throttling, or a
// token that has expired. One whose signature is wrong is not what the platform said.
func TestUnsignedFailuresAreClassified(t *testing.T) {
	for name, test := range map[string]struct {
		fault  sandbox.Fault
		status int
		code   string // empty: the call is served in the end
	}{
		"throttled":         {sandbox.Fault{Kind: sandbox.Throttle, Times: 1, RetryAfter: 60}, http.StatusTooManyRequests, "REQUEST_TRAFFIC_EXCEED_LIMIT"},
		"token expired":     {sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1}, http.StatusOK, ""},
		"system error":      {sandbox.Fault{Kind: sandbox.SystemError500}, http.StatusInternalServerError, "SYSTEM_ERROR"},
		"under a success":   {sandbox.Fault{Kind: sandbox.SystemError200}, http.StatusBadGateway, "SYSTEM_ERROR"},
		"asking for money":  {sandbox.Fault{Kind: sandbox.PaymentRequired}, http.StatusBadGateway, failure.CodeBadSignature},
		"one that succeeds": {sandbox.Fault{}, http.StatusOK, ""},
	} {
		for spelling, signature := range map[string][]string{"absent": nil, "empty": {""}, "null": {"null"}, "wrong": {"algorithm=HMAC-SHA256,keyVersion=1,signature=AAAA"}} {
			t.Run(name+", "+spelling, func(t *testing.T) {
				sim, err := sandbox.New(sandbox.Config{RequestsPerSecond: -1})
				if err != nil {
					t.Fatal(err)
				}
				r := startRig(t, failuresWith(signature)(sim), simProvider, first(func(p *upstream.Provider) { p.Verify = upstream.VerifyRequire }))
				r.sim = sim
				if test.fault.Kind != "" {
					r.set(test.fault)
				}
				status, code := test.status, test.code
				if spelling == "wrong" && test.fault.Kind != "" {
					status, code = http.StatusBadGateway, failure.CodeBadSignature
				}
				got := r.chat("hello")
				if code != "" {
					wantError(t, got, status, code)
				} else if got.status != status {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
	}
}
