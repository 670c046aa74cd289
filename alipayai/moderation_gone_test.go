package alipayai_test

import (
	"context"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// leaving is an observer whose client leaves as soon as a provider has answered.
type leaving struct {
	alipayai.Observer
	leave  func()
	served int
}

func (l *leaving) Attempted(a alipayai.Attempt) {
	l.Observer.Attempted(a)
	if a.Code == "" {
		l.served++
		l.leave()
	}
}

// A verdict that is known counts, whether the client is still there or not.
func TestKnownVerdictsComeBeforeTheClient(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, failed := range map[string]*failure.Failure{"permits": nil, "forbids": alipayai.ModerationBlocked("law")} {
		v := alipayai.Pending(nil, func() *failure.Failure { return failed })
		_ = v.Await(t.Context())
		for range 100 { // of a choice at random
			if f := v.Await(gone); f != failed {
				t.Fatalf("%s: %v, want %v", name, f, failed)
			}
		}
	}
}

// A client that leaves when its answer is there, and its verdict has permitted the call, has an answer: its key asks no provider again.
func TestClientLeavesBehindTheAnswer(t *testing.T) {
	for name, body := range map[string]string{"whole": chatBody("q"), "stream": streamBody("q")} {
		t.Run(name, func(t *testing.T) {
			request, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			for range 8 { // of a choice at random
				o := new(leaving)
				r := newRig(t, sandbox.Config{}, claiming, func(g *alipayai.Gateway) { o.Observer, g.Observer = g.Observer, o })
				for range 2 {
					ctx, leave := context.WithCancel(t.Context())
					o.leave = leave
					call := &alipayai.Call{
						Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}, IdempotencyKey: "order-1",
						Verdict: alipayai.Pending(request.Body, permits),
					}
					_ = call.Verdict.Await(t.Context())
					if a, err := r.gateway.Do(ctx, call); err == nil {
						a.Close(false)
					}
					leave()
				}
				if o.served != 1 {
					t.Fatalf("a provider has served the key %d times", o.served)
				}
			}
		})
	}
}
