package alipayai_test

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// secured is a connection with this protocol.
type secured struct {
	net.Conn
	protocol string
}

func (s secured) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: s.protocol}
}

// closing is a connection that idled before, and breaks after d.
func closing(d time.Duration, conn net.Conn) turn {
	return func(req *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn, Reused: true, WasIdle: true})
		return after(d, func(*http.Request) (*http.Response, error) { return nil, net.ErrClosed })(req)
	}
}

// A connection that had idled and breaks is worth a repeat only where that costs nothing: it broke at once, on its
// own, and no other provider can be asked.
func TestWhenAConnectionThatIdledIsReplaced(t *testing.T) {
	atOnce := closing(0, nil)
	for name, test := range map[string]struct {
		turns [][]turn
		edit  func(*alipayai.Gateway)
		body  string
		key   []string
		calls []int
		ok    bool
		code  string // failure.CodeTruncated when empty
	}{
		"at once":                     {turns: [][]turn{{atOnce, good}}, calls: []int{2}, ok: true},
		"within a second":             {turns: [][]turn{{closing(time.Second-1, nil), good}}, calls: []int{2}, ok: true},
		"after a second":              {turns: [][]turn{{closing(time.Second, nil), good}}, calls: []int{1}},
		"long after":                  {turns: [][]turn{{closing(10*time.Second, nil), good}}, calls: []int{1}},
		"again":                       {turns: [][]turn{{atOnce, atOnce, good}}, calls: []int{2}},
		"a new connection":            {turns: [][]turn{{breaks, good}}, calls: []int{1}},
		"a new one in its place":      {turns: [][]turn{{twice(atOnce, breaks), good}}, calls: []int{1}},
		"TLS":                         {turns: [][]turn{{closing(0, secured{protocol: "http/1.1"}), good}}, calls: []int{2}, ok: true},
		"HTTP/2":                      {turns: [][]turn{{closing(0, secured{protocol: "h2"}), good}}, calls: []int{1}},
		"with a key":                  {turns: [][]turn{{atOnce, good}}, key: keyed, calls: []int{1}},
		"money":                       {turns: [][]turn{{atOnce, good}}, edit: money, calls: []int{1}},
		"hosted tools":                {turns: [][]turn{{atOnce, good}}, body: strings.Replace(chatBody("hello"), "{", `{"tools":[{"type":"web_search"}],`, 1), calls: []int{1}},
		"another can be asked":        {turns: [][]turn{{atOnce, good}, {good}}, calls: []int{1, 1}, ok: true},
		"others have been asked":      {turns: [][]turn{{sysError}, {atOnce, good}}, calls: []int{1, 2}, ok: true},
		"an answer that is cut":       {turns: [][]turn{{cutAnswer, good}}, calls: []int{1}},
		"a timeout":                   {turns: [][]turn{{closing(time.Hour, nil), good}}, edit: first(hasty), calls: []int{1}, code: failure.CodeTimeout},
		"a stream, before its events": {turns: [][]turn{{atOnce, wholeStream}}, body: streamBody("hello"), calls: []int{2}, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns, func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				if test.body == "" {
					test.body = chatBody("hello")
				}
				got := s.call(test.body, test.key...)
				if !test.ok {
					if o := s.outcome(); got.status < 500 || o.Code != cmp.Or(test.code, failure.CodeTruncated) {
						t.Errorf("%d, outcome %+v", got.status, o)
					}
					wantHeader(t, got, "X-Should-Retry", "false")
				} else if got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
				s.wantCalls(test.calls...)
			})
		})
	}
}

// twice is a request that net/http itself sends again, by another connection.
func twice(one, other turn) turn {
	return func(req *http.Request) (*http.Response, error) {
		_, _ = one(req)
		return other(req)
	}
}

// cutAnswer breaks a connection that had idled after the answer's head.
func cutAnswer(req *http.Request) (*http.Response, error) {
	_, _ = closing(0, nil)(req)
	resp, err := good(req)
	resp.Body = cut{}
	return resp, err
}

// cut is a body that breaks.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, net.ErrClosed }
func (cut) Close() error             { return nil }
