package alipayai_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// later is an event that comes after a pause.
type later struct {
	after time.Duration
	event string
}

// spaced streams events, each after its pause, and hangs.
func spaced(events ...later) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := wholeStream(req)
		resp.Body = &spacedBody{ctx: req.Context(), left: events}
		return resp, err
	}
}

type spacedBody struct {
	ctx  context.Context
	left []later
}

func (s *spacedBody) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	next := s.left[0]
	s.left = s.left[1:]
	select {
	case <-time.After(next.after):
		return copy(b, "data: "+next.event+"\n\n"), nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (*spacedBody) Close() error { return nil }

// The first content has to come within the timeout, and each event after it within that of streams.
func TestPausesOfAStream(t *testing.T) {
	const (
		role    = `{"choices":[{"delta":{"role":"assistant"}}]}`
		timeout = upstream.DefaultTimeout
	)
	end := []later{{0, finishEvent}, {0, "[DONE]"}}
	for name, test := range map[string]struct {
		events []later
		stream time.Duration // StreamTimeout
		status int
		whole  bool
		took   time.Duration
	}{
		"content just in time":        {[]later{{timeout - 1, deltaEvent}}, 0, 200, true, timeout - 1},
		"content too late":            {[]later{{timeout + 1, deltaEvent}}, 0, 504, false, timeout},
		"role in time, content late":  {[]later{{timeout - 1, role}, {2, deltaEvent}}, 0, 504, false, timeout},
		"content late, long pauses":   {[]later{{timeout + 1, deltaEvent}}, time.Hour, 504, false, timeout},
		"a pause":                     {[]later{{0, deltaEvent}, {2*timeout - 1, deltaEvent}}, 0, 200, true, 2*timeout - 1},
		"pauses":                      {[]later{{0, deltaEvent}, {2*timeout - 1, deltaEvent}, {2*timeout - 1, deltaEvent}}, 0, 200, true, 4*timeout - 2},
		"a pause too long":            {[]later{{0, deltaEvent}, {2*timeout + 1, deltaEvent}}, 0, 200, false, 2 * timeout},
		"a pause, shorter by choice":  {[]later{{0, deltaEvent}, {time.Second + 1, deltaEvent}}, time.Second, 200, false, time.Second},
		"a pause, as long as allowed": {[]later{{0, deltaEvent}, {time.Hour - 1, deltaEvent}}, time.Hour, 200, true, time.Hour - 1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{spaced(append(test.events, end...)...)}}, first(func(p *upstream.Provider) { p.StreamTimeout = test.stream }))
				began := time.Now()
				got := s.call(streamBody("hello"))
				// What follows [DONE] is waited for a little.
				if took := time.Since(began); took < test.took || took > test.took+alipayai.DrainTime {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if whole := strings.HasSuffix(got.body, "[DONE]\n\n"); got.status != test.status || whole != test.whole {
					t.Errorf("%d %s", got.status, got.body)
				}
				if o := s.outcome(); (o.Code == failure.CodeTimeout) == test.whole {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

func TestStreamTimeoutOfAProvider(t *testing.T) {
	for name, test := range map[string]struct{ timeout, stream, want time.Duration }{
		"neither":            {0, 0, 2 * upstream.DefaultTimeout},
		"the provider's":     {time.Second, 0, 2 * time.Second},
		"its own":            {time.Second, time.Minute, time.Minute},
		"less than a second": {time.Second, time.Millisecond, time.Millisecond},
	} {
		p := plainProvider(t, "http://127.0.0.1:1")
		p.Timeout, p.StreamTimeout = test.timeout, test.stream
		if err := p.Prepare(); err != nil || p.StreamTimeout != test.want {
			t.Errorf("%s: %v, want %v (%v)", name, p.StreamTimeout, test.want, err)
		}
	}
	p := plainProvider(t, "http://127.0.0.1:1")
	p.StreamTimeout = -1
	if err := p.Prepare(); err == nil || !strings.HasPrefix(err.Error(), "stream_timeout is negative") {
		t.Errorf("a negative one: %v", err)
	}
}
