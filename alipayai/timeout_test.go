package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// The deadline bounds the whole call where the provider's own timeout would not.
func TestDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		prompt string
		stream bool
	}{
		"to the head":                   {"[[fault:latency=60s]] hello", false},
		"to a JSON answer's end":        {"[[fault:stall]] hello", false},
		"to a stream's head":            {"[[fault:latency=60s]] hello", true},
		"to a stream's first content":   {"[[fault:stall]] hello", true},
		"to the first content, earlier": {"[[fault:slow_first_byte=60s]] hello", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) {
					g.Deadline, g.Providers[0].Timeout = 200*time.Millisecond, time.Hour
				})
				body := chatBody(test.prompt)
				if test.stream {
					body = streamBody(test.prompt)
				}
				start := time.Now()
				got := r.post("/v1/chat/completions", body)
				if took := time.Since(start); took != r.gateway.Deadline {
					t.Errorf("answered after %v", took)
				}
				message := wantError(t, got, http.StatusGatewayTimeout, failure.CodeTimeout)
				if got.header.Get("X-Should-Retry") != "false" || !strings.Contains(message, "in time") {
					t.Errorf("%v %s", got.header, message)
				}
				if o := r.outcome(); o.Attempts != 1 || o.Code != failure.CodeTimeout || o.Status != http.StatusGatewayTimeout {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

// A stream lives as long as it likes, deadline or not, while its events come in time.
func TestLongStreamOutlivesTheDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) {
			g.Deadline, g.Providers[0].Timeout = 500*time.Millisecond, 2*time.Second
		})
		start := time.Now()
		got := r.stream("[[events:40]] [[interval:20ms]] hello")
		if got.err != nil || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("%s (%v)", got.body, got.err)
		}
		if took := time.Since(start); took < 500*time.Millisecond {
			t.Errorf("took %v: the test shows nothing", took)
		}
		if o := r.outcome(); o.Code != "" || o.FirstByte > o.Duration/2 {
			t.Errorf("outcome %+v", o)
		}
	})
}

// Comments keep a connection alive: they count as a sign of life, before and after the content.
func TestCommentsKeepAStreamAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{}, 64)
		r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			flush := http.NewResponseController(w)
			send := func(s string) {
				w.Write([]byte(s))
				flush.Flush()
			}
			ticker := time.NewTicker(50 * time.Millisecond)
			defer ticker.Stop()
			send("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")
			for range 25 {
				select {
				case <-ticker.C:
					send(": ping\n\n")
				case <-req.Context().Done():
					return
				}
			}
			send("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
			release <- struct{}{}
		}, first(func(p *upstream.Provider) { p.Timeout = time.Second }))
		got := r.stream("hello")
		if got.err != nil || strings.Count(got.body, ": ping") != 25 || !strings.HasSuffix(got.body, "[DONE]\n\n") {
			t.Errorf("%s (%v)", got.body, got.err)
		}
		receive(t, release, "the upstream")
	})
}
