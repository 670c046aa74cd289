package alipayai_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/extremes"
	"github.com/caddy-alipayai/gateway/limiter"
)

// rawUpstream answers the next request with bytes as they are, and closes the connection.
func rawUpstream(w http.ResponseWriter, r *http.Request, answer string) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer func(conn net.Conn, buffer *bufio.ReadWriter) { _ = buffer.Flush(); _ = conn.Close() }(conn, buffer)
	_, _ = buffer.WriteString(answer)
}

// Whatever an upstream writes for the lengths and the status of its answer: the call ends in time, takes no memory for
// what does not come, and the next one is served.
func TestExtremeFraming(t *testing.T) {
	for name, head := range map[string]string{
		"Content-Length":           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: #\r\n\r\n" + completion(""),
		"Content-Length, stream":   "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: #\r\n\r\n" + events(delta, last, "[DONE]"),
		"Content-Length, error":    "HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: #\r\n\r\n{}",
		"two of them":              "HTTP/1.1 200 OK\r\nContent-Length: #\r\nContent-Length: 7\r\n\r\n" + completion(""),
		"size of a chunk":          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n#\r\n" + completion("") + "\r\n0\r\n\r\n",
		"status":                   "HTTP/1.1 # OK\r\nContent-Length: 2\r\n\r\n{}",
		"version":                  "HTTP/# 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"Keep-Alive":               "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=#, max=#\r\nContent-Length: 2\r\n\r\n{}",
		"Alt-Svc and Upgrade":      "HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"; ma=#\r\nUpgrade: h2c;q=#\r\nContent-Length: 2\r\n\r\n{}",
		"Content-Range, truncated": "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-#/#\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			calm := completion("")
			var mu sync.Mutex
			answer := ""
			r := newPlainRig(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				raw := answer
				mu.Unlock()
				if raw == "" {
					_, _ = io.WriteString(w, calm)
					return
				}
				rawUpstream(w, r, raw)
			}, first(func(p *upstream.Provider) {
				p.Timeout = 2 * time.Second
				// As providers have it: net/http's own may write to a connection before it has seen what else came on it.
				connections := outgoing.NewTransport(newTransport(t))
				t.Cleanup(connections.CloseIdleConnections)
				p.Transport = connections
			}))
			set := func(raw string) { mu.Lock(); answer = raw; mu.Unlock() }
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for name, number := range extremes.Numbers {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				set(strings.ReplaceAll(head, "#", extremes.InHeader(number)))
				for _, body := range []string{chatBody("hello"), streamBody("hello")} {
					if got := r.do(ctx, http.MethodPost, chatPath, body); got.status == 0 || got.status >= 400 && !strings.Contains(got.body, `"error"`) {
						t.Errorf("%s: answered %d %.200s (%v)", name, got.status, got.body, got.err)
					}
				}
				set("")
				if got := r.do(ctx, http.MethodPost, chatPath, chatBody("hello"), tenantHeader, "other"); got.status != http.StatusOK {
					t.Errorf("%s: then another tenant got %d %.200s (%v)", name, got.status, got.body, got.err)
				}
				cancel()
			}
			// A number that is taken at its word is more. No other test runs at the same time.
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

// Whatever an upstream that throttles, or is busy, says of when to come again: no call waits longer than a minute for it,
// and the call ends in time.
func TestExtremeRetryAfter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls sync.WaitGroup
		for _, status := range []int{429, 503, 500, 401} {
			for name, number := range extremes.Numbers {
				r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", extremes.InHeader(number))
					w.WriteHeader(status)
					_, _ = io.WriteString(w, `{"error":{"message":"busy"}}`)
				}, func(g *alipayai.Gateway) { g.Deadline = 2 * time.Second })
				calls.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					got := r.do(ctx, http.MethodPost, chatPath, chatBody("hello"))
					after, err := strconv.Atoi(cmp.Or(got.header.Get("Retry-After"), "0"))
					if got.status < 400 || err != nil || after < 0 || after > 60 {
						t.Errorf("%d, %s: answered %d, Retry-After %.30s (%v)", status, name, got.status, got.header.Get("Retry-After"), got.err)
					}
					if left := r.provider.Hold.Left(time.Now()); left > time.Minute {
						t.Errorf("%d, %s: holds for %v", status, name, left)
					}
				})
			}
		}
		calls.Wait()
	})
}

// A usage that no call can have taken costs its tenant that call alone, while the others go on.
func TestImplausibleUsageStopsNoTenant(t *testing.T) {
	for name, usage := range map[string]string{
		"2^40":     `{"total_tokens":1099511627776}`,
		"2^40+1":   `{"total_tokens":1099511627777}`,
		"MaxInt64": `{"prompt_tokens":9223372036854775807,"completion_tokens":1,"total_tokens":9223372036854775807}`,
		"negative": `{"total_tokens":-9223372036854775808}`,
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %t", name, stream), func(t *testing.T) {
				t.Parallel()
				r := newPlainRig(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					mine := `{"total_tokens":1}`
					if strings.Contains(string(body), "absurd") {
						mine = usage
					}
					if stream {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, events(delta, last, `{"choices":[],"usage":`+mine+`}`, "[DONE]"))
						return
					}
					_, _ = io.WriteString(w, completion(`,"usage":`+mine))
				}, limitTenants(limiter.TenantLimit{TokensPerMinute: 100}))
				body := func(prompt string) string {
					if stream {
						return streamBody(prompt)
					}
					return chatBody(prompt)
				}
				var calls sync.WaitGroup
				for i := range 20 {
					tenant, prompt := fmt.Sprint("tenant ", i), "hello"
					if i%5 == 0 {
						tenant, prompt = "debtor", "absurd"
					}
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						got := r.do(ctx, http.MethodPost, chatPath, body(prompt), tenantHeader, tenant)
						served := got.status == http.StatusOK && got.err == nil && strings.Contains(got.body, generated)
						if !served && (tenant != "debtor" || got.status != http.StatusTooManyRequests) {
							t.Errorf("%s got %d %s (%v)", tenant, got.status, got.body, got.err)
						}
					})
				}
				calls.Wait()
				for range 20 {
					o := r.outcome()
					want := o.Tenant == "debtor" && o.Status == http.StatusOK
					if o.UsageEstimated != want || o.Usage.Total > 1000 {
						t.Errorf("%s: usage %+v, estimated %t, status %d", o.Tenant, o.Usage, o.UsageEstimated, o.Status)
					}
				}
			})
		}
	}
}
