package alipayai_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// open sends a request, and gives its answer as soon as that begins; the body is closed when the test ends.
func (r *rig) open(ctx context.Context, path, body string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// wantLeft checks that the upstream was let go as soon as the client left, in the time of a bubble, and what became of the call.
func (r *rig) wantLeft(left time.Time) alipayai.Outcome {
	r.t.Helper()
	waitFor(r.t, "the upstream to be let go", func() bool { return len(r.sim.Stats().Cancellations) == 1 })
	if took := r.sim.Stats().Cancellations[0].At.Sub(left); took != 0 {
		r.t.Errorf("the upstream was let go %v after the client had left", took)
	}
	o := r.outcome()
	if o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || o.Attempts != 1 {
		r.t.Errorf("outcome %+v", o)
	}
	return o
}

func TestClientThatLeavesBeforeTheHead(t *testing.T) {
	for name, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{})
				r.set(sandbox.Fault{Kind: sandbox.Latency, Delay: forLong, Path: "/v1/chat/completions"})
				ctx, leave := context.WithCancel(t.Context())
				ended := make(chan reply, 1)
				go func() { ended <- r.do(ctx, http.MethodPost, "/v1/chat/completions", body) }()
				waitFor(t, "the call to arrive", func() bool { return len(r.arrived.at("/v1/chat/completions")) == 1 })
				left := time.Now()
				leave()
				o := r.wantLeft(left)
				if o.Aborted || o.FirstByte != 0 {
					t.Errorf("outcome %+v", o)
				}
				if got := receive(t, ended, "the client"); got.err == nil {
					t.Errorf("the client got %+v", got)
				}
			})
		})
	}
}

func TestClientThatLeavesMidstream(t *testing.T) {
	for name, prompt := range map[string]string{
		"while the upstream is silent": "[[events:9]] [[fault:slow_first_byte=1ms]] [[fault:stall=2]] hello",
		"while it writes":              "[[events:5000]] [[fault:slow_first_byte=1ms]] [[interval:2ms]] hello",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{})
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				resp := r.open(ctx, "/v1/chat/completions", streamBody(prompt))
				lines := bufio.NewReader(resp.Body)
				for seen := 0; seen < 2; { // of content
					line, err := lines.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(line, `"content":"`) && !strings.Contains(line, `"content":""`) {
						seen++
					}
				}
				left := time.Now()
				leave()
				if o := r.wantLeft(left); !o.Aborted || o.FirstByte <= 0 || !o.Stream {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

// A client may leave while the call waits for a token: nothing is sent for it.
func TestClientThatLeavesBeforeTheToken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		r.set(sandbox.Fault{Kind: sandbox.Latency, Delay: 300 * time.Millisecond, Path: "/oauth2/token"})
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan reply, 1)
		go func() { ended <- r.do(ctx, http.MethodPost, "/v1/chat/completions", chatBody("hello")) }()
		waitFor(t, "the token to be asked for", func() bool { return len(r.arrived.at("/oauth2/token")) == 1 })
		leave()
		receive(t, ended, "the client")
		if o := r.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		// The token that was under way is there for the next call.
		waitFor(t, "the token", func() bool { _, ok := r.provider.Tokens.Cell.Peek(); return ok })
		if got := r.chat("hello"); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		if n := len(r.arrived.at("/oauth2/token")); n != 1 {
			t.Errorf("%d tokens were asked for", n)
		}
	})
}

// A client may leave while it sends: the call ends as its leaving, not as a broken body.
func TestClientThatLeavesWhileItSends(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	pipe, gone := context.WithCancelCause(context.Background())
	gone(fmt.Errorf("the client left"))
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", failingBody{}).WithContext(pipe)
	req.Header.Set("Content-Type", "application/json")
	serve(r.gateway, w, req, "tenant-1")
	if o := r.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || o.Tenant != "tenant-1" {
		t.Errorf("outcome %+v", o)
	}
}

type failingBody struct{}

func (failingBody) Read([]byte) (int, error) { return 0, context.Canceled }

// What a client that cannot be written to does to the call: the upstream is let go, the outcome says so.
func TestClientThatTakesNothing(t *testing.T) {
	for name, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("[[events:9]] hello")} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			serve(r.gateway, &deafWriter{ResponseRecorder: httptest.NewRecorder()}, req, alipayai.AnonymousTenant)
			if o := r.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || !o.Aborted {
				t.Errorf("outcome %+v", o)
			}
			waitFor(t, "the upstream to be let go", func() bool { return r.sim.Stats().InFlight == 0 })
		})
	}
}

// deafWriter is a client that has gone without a trace.
type deafWriter struct{ *httptest.ResponseRecorder }

func (*deafWriter) Write([]byte) (int, error) { return 0, context.Canceled }

func (*deafWriter) FlushError() error { return context.Canceled }
