package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/limiter"
)

// eachDoor runs a test at every door, whole answers and streams.
func eachDoor(t *testing.T, test func(t *testing.T, f front, stream bool)) {
	t.Helper()
	for name, f := range fronts {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) { test(t, f, stream) })
		}
	}
}

// refusedAt checks an error as the door's clients read it, with when to come again.
func (f front) refusedAt(t *testing.T, got reply, status int, code string) {
	t.Helper()
	message, err := f.error([]byte(got.body))
	if got.status != status || err != nil || message == "" || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s (%v), Retry-After %q; want %d, %s", got.status, got.body, err, got.header.Get("Retry-After"), status, code)
	}
}

// A tenant's limits count the calls of all doors, and no call above them is sent.
func TestTenantLimitsAtEveryDoor(t *testing.T) {
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		r := newRig(t, sandbox.Config{}, limitTenants(limiter.TenantLimit{RequestsPerSecond: 0.01, Burst: 1}))
		if got := r.post(f.path, f.body("hello", stream)); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		r.outcome()
		f.refusedAt(t, r.post(f.path, f.body("once more", stream)), http.StatusTooManyRequests, "tenant_requests")
		if o := r.outcome(); o.Code != "tenant_requests" || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		r.wantTraffic(1, 1)
	})
}

// A provider's cap counts the calls of all doors: one that would wait for too long is not sent.
func TestCapAtEveryDoor(t *testing.T) {
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		r := newRig(t, sandbox.Config{}, capped(newCap(1, time.Hour)))
		if got := r.post(f.path, f.body("hello", stream)); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		r.outcome()
		f.refusedAt(t, r.post(f.path, f.body("once more", stream)), http.StatusTooManyRequests, "queue_deadline")
		if o := r.outcome(); o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		r.wantTraffic(1, 1)
	})
}

// What Alipay fails with is kept as it came, and the other provider answers.
func TestEvidenceAtEveryDoor(t *testing.T) {
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		w := newWitness(t)
		l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.OpenAI}, func(g *alipayai.Gateway) { g.Evidence = w })
		l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500, Times: 1})
		got := l.post(f.path, f.body("call 13812345678", stream))
		if got.status != http.StatusOK || got.header.Get(alipayai.HeaderProvider) != "second" {
			t.Errorf("%d %s by %q", got.status, got.body, got.header.Get(alipayai.HeaderProvider))
		}
		records := w.sealed(t)
		if len(records) != 1 || records[0].RequestID != got.header.Get("X-Request-Id") || records[0].Tenant != "acme" {
			t.Fatalf("%d records: %+v", len(records), records)
		}
		if sent := l.upstreams[0].calls(); len(sent) != 1 || string(records[0].Request.Body) != string(sent[0].body) || !strings.Contains(string(sent[0].body), "13812345678") {
			t.Errorf("recorded %s of %d calls", records[0].Request.Body, len(sent))
		}
		if strings.Contains(w.log.String(), "13812345678") {
			t.Errorf("the log holds the payload: %s", &w.log)
		}
	})
}

// System errors at any door open the breaker that the calls of all doors skip the provider by.
func TestBreakerAtEveryDoor(t *testing.T) {
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic}, breakers(failover.Rule{}))
		l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
		for range 4 {
			if got := l.post(f.path, f.body("hello", stream)); got.status != http.StatusOK || got.header.Get(alipayai.HeaderProvider) != "second" {
				t.Fatalf("%d %s", got.status, got.body)
			}
			l.outcome()
		}
		asked := len(l.upstreams[0].calls())
		for name, other := range fronts {
			got := l.post(other.path, other.body("hello", stream))
			if got.status != http.StatusOK || got.header.Get("X-Alipayai-Reason") != failure.CodeBreakerOpen {
				t.Errorf("%s: %d %v", name, got.status, got.header)
			}
		}
		if n := len(l.upstreams[0].calls()); n != asked {
			t.Errorf("%d more calls reached it", n-asked)
		}
	})
}

// What a guard forbids is shown at no door, whichever form the provider answers in, and is an error of the door's; other answers
// pass whole.
func TestOutputGuardAtEveryDoor(t *testing.T) {
	eachDoor(t, func(t *testing.T, f front, stream bool) {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic} {
			l := newLadder(t, []sandbox.Format{format})
			refused := l.guard(t)
			got := l.post(f.path, f.body("hello", stream))
			if text, err := f.answered(t, got, stream); text != "You said: hello" || err != nil {
				t.Errorf("%s: %d %s (%v)", format, got.status, got.body, err)
			}
			got = l.post(f.path, f.body("the secret handshake", stream))
			message, err := f.error([]byte(got.body))
			if stream && got.status == http.StatusOK {
				message, err = f.events(t, got).failed, nil
			}
			if strings.Contains(got.body, "handshake") || message == "" || err != nil || !strings.Contains(got.body, failure.CodeModerationBlocked) || refused.Load() != 1 {
				t.Errorf("%s: %d %s (%v), %d refused", format, got.status, got.body, err, refused.Load())
			}
		}
	})
}

// answered gives what an answer says, whole or as a stream.
func (f front) answered(t *testing.T, got reply, stream bool) (string, error) {
	t.Helper()
	if stream {
		return f.events(t, got).content, nil
	}
	return f.said([]byte(got.body))
}
