package alipayai_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// parts is a body whose parts each take their time.
type parts struct {
	ctx  context.Context
	each time.Duration
	left []string
}

func (p *parts) Read(b []byte) (int, error) {
	timer := time.NewTimer(p.each)
	defer timer.Stop()
	select {
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	case <-timer.C:
	}
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	p.left = p.left[1:]
	return n, nil
}

func (*parts) Close() error { return nil }

// An answer may take as long as the deadline lets it, if it does not stop; one that stops leaves time for somebody else.
func TestAnswersAreAwaitedPartByPart(t *testing.T) {
	for name, test := range map[string]struct {
		each     time.Duration
		deadline time.Duration
		provider string
		took     time.Duration
		fails    bool
	}{
		"slow, but it comes": {6 * time.Second, time.Minute, "first", 24 * time.Second, false},
		"it stops":           {time.Hour, time.Minute, "second", 15 * time.Second, false},
		"too late":           {6 * time.Second, 20 * time.Second, "first", 20 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				slow := func(req *http.Request) (*http.Response, error) {
					resp, _ := says(200, "")(req)
					resp.Body = &parts{req.Context(), test.each, []string{`{"choices":`, `[{"message":`, `{"content":"hello"},"finish_reason":"stop"}]}`}}
					return resp, nil
				}
				s := perform(t, [][]turn{{slow}, {good}}, deadline(test.deadline))
				began := time.Now()
				got := s.call(chatBody("hello"))
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if test.fails {
					if message := wantError(t, got, http.StatusGatewayTimeout, failure.CodeAllProvidersFailed); !strings.Contains(message, "first: upstream_timeout; second: not asked") {
						t.Errorf("says %q", message)
					}
					return
				}
				if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != test.provider {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
			})
		})
	}
}
