package alipayai_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A stream keeps its claim for as long as it goes on, however slowly; a process that dies loses it with the lease.
func TestLongStreamsKeepTheirClaims(t *testing.T) {
	for name, pause := range map[string]time.Duration{"many events": time.Second, "few events": 14 * time.Second} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				slow := func(req *http.Request) (*http.Response, error) {
					resp, _ := streams(nil)(req)
					resp.Body = &dripping{ctx: req.Context(), pause: pause, events: int(10*time.Minute/pause) + 1}
					return resp, nil
				}
				s := perform(t, [][]turn{{slow}}, claiming)
				var before reply
				ended := make(chan struct{})
				go func() { defer close(ended); before = s.call(streamBody("hello"), keyed...) }()
				synctest.Wait()
				for going := true; going; {
					got := s.call(streamBody("hello"), keyed...)
					select {
					case <-ended:
						going = false
					default:
						// Its last event frees the answer, before the call ends.
						if got.header.Get("Idempotent-Replayed") == "" {
							wantError(t, got, http.StatusConflict, failure.CodeIdempotencyInFlight)
						}
						time.Sleep(pause * 3 / 4)
					}
				}
				if before.err != nil || !strings.HasSuffix(before.body, "data: [DONE]\n\n") {
					t.Fatalf("the stream ended with %v", before.err)
				}
				got := s.call(streamBody("hello"), keyed...)
				if got.body != before.body || got.header.Get("Idempotent-Replayed") != "true" {
					t.Errorf("%d %v", got.status, got.header)
				}
				s.wantCalls(1)
			})
		})
	}
}

// dripping is a stream that says something now and then.
type dripping struct {
	ctx    context.Context
	pause  time.Duration
	events int
}

func (d *dripping) Read(b []byte) (int, error) {
	if d.events--; d.events == 0 {
		return copy(b, "data: "+finishEvent+"\n\ndata: [DONE]\n\n"), nil
	}
	timer := time.NewTimer(d.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return copy(b, "data: "+deltaEvent+"\n\n"), nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (*dripping) Close() error { return nil }
