package alipayai_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A request that has left has used its slot, whatever became of it.
func TestBrokenAttemptsKeepTheirSlot(t *testing.T) {
	for name, answers := range map[string]http.HandlerFunc{
		"no answer":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no answer in time": func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"an answer that is cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				k := newCap(1, time.Hour)
				k.MaxWait = time.Second
				r := newPlainRig(t, answers, capped(k), first(func(p *upstream.Provider) { p.Timeout = 200 * time.Millisecond }))
				if got := r.chat("is broken off"); got.status < 500 {
					t.Errorf("%d %s", got.status, got.body)
				}
				wantError(t, r.chat("one too many"), http.StatusTooManyRequests, "queue_deadline")
			})
		})
	}
}

// A provider of the same name at another host has its own breaker.
func TestAccountNamesTheHost(t *testing.T) {
	accounts := make(map[string]bool)
	for _, base := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://localhost:1/v1"} {
		p := plainProvider(t, base)
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
		if want := "plain@" + p.BaseURL.Host; p.Account() != want {
			t.Errorf("account %q, want %q", p.Account(), want)
		}
		accounts[p.Account()] = true
	}
	if len(accounts) != 3 {
		t.Errorf("accounts %v", accounts)
	}
}
