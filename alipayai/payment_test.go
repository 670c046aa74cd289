package alipayai_test

import (
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Agent payments: 402 goes to the client as it is, who pays and comes back with the proof.
func TestPaymentPassesThrough(t *testing.T) {
	for name, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
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
