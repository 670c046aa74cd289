package alipayai_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Agent payments: 402 goes to the client as it is, who pays and comes back with the proof.
func TestPaymentPassesThrough(t *testing.T) {
	for name, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			r := newRig(t, sandbox.Config{}, spends(l, alipayPrice(), daily(price.Unit)))
			r.set(sandbox.Fault{Kind: sandbox.PaymentRequired})
			got := r.post("/v1/chat/completions", body)
			want := `{"code":"PAYMENT_REQUIRED","message":"repeat the call with Payment-Proof"}`
			if got.status != http.StatusPaymentRequired || got.body != want || got.err != nil {
				t.Errorf("%d %s (%v), want the upstream's own bytes", got.status, got.body, got.err)
			}
			if got.header.Get("Payment-Needed") != "sandbox-invoice-1" || got.header.Get("X-Request-Id") == "" {
				t.Errorf("header %v", got.header)
			}
			if o := r.outcome(); o.Status != http.StatusPaymentRequired || o.Attempts != 1 || o.Aborted {
				t.Errorf("outcome %+v", o)
			}
			if all := l.taken(); len(all) != 0 || len(l.inFlight()) != 0 || r.gateway.Spending.Budgets.States()[0].Used != 0 {
				t.Errorf("what is still to be paid has cost %+v", all)
			}
			if n := len(r.arrived.at("/v1/chat/completions")); n != 1 {
				t.Errorf("%d requests went upstream: a 402 is never repeated", n)
			}

			got = r.post("/v1/chat/completions", body, "Payment-Proof", "paid-1")
			if got.status != http.StatusOK || got.err != nil {
				t.Errorf("with the proof: %d %s", got.status, got.body)
			}
			arrived := r.arrived.at("/v1/chat/completions")
			if proof := arrived[len(arrived)-1].header["Payment-Proof"]; len(proof) != 1 || proof[0] != "paid-1" {
				t.Errorf("the proof arrived as %v", proof)
			}
		})
	}
}

// A 402 need not be JSON, and is none of the codes that lead to a repetition.
func TestPaymentInAnyForm(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "text": "pay first", "an error": `{"error":{"code":"INVALID_ACCESS_TOKEN","message":"pay"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Payment-Needed", "invoice")
				w.WriteHeader(http.StatusPaymentRequired)
				w.Write([]byte(body))
			})
			got := r.chat("hello")
			if got.status != http.StatusPaymentRequired || got.body != body || got.header.Get("Payment-Needed") != "invoice" || calls != 1 {
				t.Errorf("%d %q %v after %d calls", got.status, got.body, got.header, calls)
			}
		})
	}
}

// A demand for payment is for clients that speak the provider's API. To others it is an empty account of the gateway's: the next
// provider is asked, and without one they get an error of their own API, with nothing of the demand, whatever its body says.
func TestPaymentAtEveryDoor(t *testing.T) {
	passes := map[string]bool{"chat, plain": true, "completions, plain": true, "messages, claude": true}
	for name, body := range map[string]string{
		"empty": "", "text": "pay S3CR3T", "HTML": "<html>S3CR3T</html>", "its own": `{"code":"PAYMENT_REQUIRED","message":"S3CR3T"}`,
		"an error": `{"error":{"code":"INVALID_ACCESS_TOKEN","message":"S3CR3T"}}`, "Anthropic's": `{"type":"error","error":{"type":"overloaded_error","message":"S3CR3T"}}`,
		"a completion": completionOf(`"message":{"content":"S3CR3T"},"finish_reason":"stop"`, ""), "a message": strings.ReplaceAll(answerOfClaude, "yes", "S3CR3T"),
	} {
		for door, f := range fronts {
			for form, provider := range map[string]func(testing.TB, string) *upstream.Provider{"plain": plainProvider, "claude": claudeProvider} {
				for _, stream := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, %s, stream %v", name, door, form, stream), func(t *testing.T) {
						t.Parallel()
						asked := 0
						demands := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
							asked++
							w.Header().Set("Payment-Needed", "S3CR3T")
							w.Header().Set("Content-Type", "application/json")
							w.WriteHeader(http.StatusPaymentRequired)
							_, _ = io.WriteString(w, body)
						})
						got := startRig(t, demands, provider, first(anyModel)).post(f.path, f.body("hello", stream))
						if passes[door+", "+form] {
							if got.status != http.StatusPaymentRequired || got.body != body || got.header.Get("Payment-Needed") != "S3CR3T" || asked != 1 {
								t.Errorf("%d %v %q after %d calls", got.status, got.header, got.body, asked)
							}
							return
						}
						message, err := f.error([]byte(got.body))
						if got.status != http.StatusBadGateway || err != nil || message != "the provider refuses the gateway's account" || asked != 1 {
							t.Errorf("%d %s (%v) after %d calls", got.status, got.body, err, asked)
						}
						if strings.Contains(got.body+fmt.Sprint(got.header), "S3CR3T") || got.header.Get("Content-Type") != "application/json" {
							t.Errorf("%v %s", got.header, got.body)
						}
						second := httptest.NewServer(&heardClaude{status: http.StatusOK, kind: "application/json", answer: completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, "")})
						t.Cleanup(second.Close)
						got = startRig(t, demands, provider, first(anyModel), func(g *alipayai.Gateway) {
							p := plainProvider(t, second.URL)
							p.Name = "second"
							g.Providers = append(g.Providers, p)
						}).post(f.path, f.body("hello", stream))
						if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "second" || got.header.Get("X-Alipayai-Reason") != "account_exhausted" {
							t.Errorf("%d %v %s", got.status, got.header, got.body)
						}
					})
				}
			}
		}
	}
}
