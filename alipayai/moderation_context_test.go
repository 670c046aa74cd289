package alipayai_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// holding is a context that outlives calls, and counts what would end with it.
type holding struct {
	context.Context
	held atomic.Int64
}

// Value hides that the context within is one of package context, which would be told by itself.
func (*holding) Value(any) any { return nil }

// AfterFunc is what package context asks such a context for.
func (h *holding) AfterFunc(func()) (stop func() bool) {
	h.held.Add(1)
	end := sync.OnceFunc(func() { h.held.Add(-1) })
	return func() bool { end(); return true }
}

// TestCallsLeaveTheirContext makes calls in a context that goes on: whatever has come of one, nothing of it is left there.
func TestCallsLeaveTheirContext(t *testing.T) {
	forbids := func() *failure.Failure { return alipayai.ModerationBlocked("law") }
	const whole, stream = `{"model":"alipay-fin-1","messages":[{"role":"user","content":"q"}]}`, `{"model":"alipay-fin-1","messages":[{"role":"user","content":"q"}],"stream":true}`
	for name, test := range map[string]struct {
		body  string
		judge func() *failure.Failure // nil for a call without a verdict
	}{
		"whole, without a verdict":    {whole, nil},
		"whole, permitted":            {whole, permits},
		"whole, blocked":              {whole, forbids},
		"a stream, without a verdict": {stream, nil},
		"a stream, permitted":         {stream, permits},
		"a stream, blocked":           {stream, forbids},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			request, err := wire.ParseChatRequest([]byte(test.body), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			call := &alipayai.Call{Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}}
			if test.judge != nil {
				call.Verdict = alipayai.Pending(request.Body, test.judge)
			}
			ctx := &holding{Context: t.Context()}
			a, err := r.gateway.Do(ctx, call)
			if _, failed := errors.AsType[*alipayai.Error](err); failed != (test.judge != nil && test.judge() != nil) {
				t.Fatal(err)
			}
			if a != nil {
				if a.Streams() {
					_, _ = a.Next()
				}
				a.Close(true)
			}
			if n := ctx.held.Load(); n != 0 {
				t.Errorf("%d of the call's contexts are left", n)
			}
		})
	}
}
