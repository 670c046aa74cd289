package alipayai_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// breakers gives a gateway breakers of its own.
func breakers(rule failover.Rule) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) { g.Breakers, g.Breaker = new(failover.Breakers), rule }
}

func TestBreakerOpens(t *testing.T) {
	inStream := streams(nil, `{"error":{"code":"SYSTEM_ERROR"}}`)
	later := streams(nil, deltaEvent, `{"error":{"code":"SYSTEM_ERROR"}}`)
	for name, test := range map[string]struct {
		turn turn
		body string
		edit func(*alipayai.Gateway)
	}{
		"500":                      {turn: sysError},
		"in a 200":                 {turn: says(200, `{"code":"SYSTEM_ERROR"}`)},
		"Antom's shape":            {turn: says(200, `{"result":{"resultCode":"SYSTEM_ERROR","resultStatus":"U"}}`)},
		"v2's shape":               {turn: says(200, `{"x_response":{"code":"20000","sub_code":"aop.ACQ.SYSTEM_ERROR"}}`)},
		"another name":             {turn: says(503, `{"code":"UNKNOWN_EXCEPTION"}`)},
		"a stream, first":          {turn: inStream, body: streamBody("hello")},
		"a stream, after content":  {turn: later, body: streamBody("hello")},
		"a code that a rule names": {turn: says(400, `{"code":"ODD"}`), edit: rule("ODD", failure.SystemError)},
		"a call of money":          {turn: sysError, edit: money},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}, {good}}, breakers(failover.Rule{}), func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				if test.body == "" {
					test.body = chatBody("hello")
				}
				for range 4 {
					if s.scripts[0].count() < 3 && len(s.seen.changes()) != 0 {
						t.Errorf("changes %v", s.seen.changes())
					}
					s.call(test.body)
				}
				asked := s.scripts[1].count()
				if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open"}) {
					t.Errorf("changes %v", seen)
				}
				s.seen.reset()
				got := s.call(chatBody("hello"))
				if s.gateway.Class == alipayai.ClassMoney {
					wantError(t, got, http.StatusServiceUnavailable, failure.CodeBreakerOpen)
					asked--
				} else {
					wantServed(t, got, "second", "1", failure.CodeBreakerOpen)
				}
				s.wantCalls(4, asked+1)
				if seen := s.seen.rejections(); !slices.Equal(seen, []string{failure.CodeBreakerOpen}) {
					t.Errorf("rejections %v", seen)
				}
				if states := s.gateway.Breakers.(*failover.Breakers).States(); states[s.gateway.Providers[0].Account()].Open != 1 || len(states) != 1 {
					t.Errorf("states %v", states)
				}
			})
		})
	}
}

// What does not tell of the provider's health neither opens the breaker nor closes it.
func TestBreakerIgnores(t *testing.T) {
	for name, test := range map[string]struct {
		turn turn
		body string
	}{
		"400":                 {turn: says(400, `{"code":"PARAM_ILLEGAL"}`)},
		"404":                 {turn: says(404, `{"code":"MODEL_NOT_FOUND"}`)},
		"throttled":           {turn: says(429, `{"code":"BUSY"}`)},
		"blocked":             {turn: says(403, `{"code":"COMPLIANCE_BLOCKED"}`)},
		"blocked in a 200":    {turn: says(200, `{"code":"COMPLIANCE_BLOCKED"}`)},
		"timeout":             {turn: hangs},
		"broken connection":   {turn: breaks},
		"unreachable":         {turn: refuses},
		"credentials":         {turn: says(401, `{"code":"INVALID_SIGNATURE"}`)},
		"5xx":                 {turn: busy},
		"malformed":           {turn: says(200, "nonsense")},
		"a stream that ends":  {turn: streams(nil, deltaEvent), body: streamBody("hello")},
		"a stream that stays": {turn: streams(silent, deltaEvent), body: streamBody("hello")},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				turns := []turn{sysError, sysError, sysError}
				for range alipayai.MaxAttempts * 6 {
					turns = append(turns, test.turn)
				}
				if test.body == "" {
					test.body = chatBody("hello")
				}
				s := perform(t, [][]turn{turns, {good}}, breakers(failover.Rule{}))
				for range 3 + 6 {
					s.call(test.body)
				}
				if seen := s.seen.changes(); len(seen) != 0 {
					t.Fatalf("changes %v", seen)
				}
				// Three in a row are remembered: the next one opens.
				time.Sleep(time.Second) // after a throttle
				s.scripts[0].turns = []turn{sysError}
				s.call(chatBody("hello"))
				if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open"}) {
					t.Errorf("changes %v", seen)
				}
			})
		})
	}
}

// A client that leaves tells nothing of the provider, wherever it does.
func TestBreakerIgnoresClientsThatLeave(t *testing.T) {
	for name, leaving := range map[string]turn{
		"before": hangs, "in the stream": streams(silent, deltaEvent), "while it is written to": wholeStream,
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{sysError, sysError, sysError, leaving, sysError}, {good}}, breakers(failover.Rule{}))
				for range 3 {
					s.call(streamBody("hello"))
				}
				if name == "while it is written to" {
					s.through = func(w http.ResponseWriter) http.ResponseWriter { return deaf{w} }
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); s.callWith(ctx, streamBody("hello")) }()
				synctest.Wait()
				cancel()
				<-ended
				s.through = nil
				if o := s.outcome(); o.Status != failure.ClientClosedRequest {
					t.Errorf("outcome %+v", o)
				}
				if seen := s.seen.changes(); len(seen) != 0 {
					t.Errorf("changes %v", seen)
				}
				s.call(chatBody("hello"))
				if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open"}) {
					t.Errorf("changes %v", seen)
				}
			})
		})
	}
}

// deaf is a client that is not there to be written to.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// Each tenant has its own, and a success begins anew.
func TestBreakerOfEachTenant(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError}, {good}}, breakers(failover.Rule{}))
		for range 4 {
			s.call(chatBody("hello"))
		}
		s.call(chatBody("hello"))
		s.wantCalls(4, 5)
		for i := range 3 {
			s.call(chatBody("hello"), tenantHeader, "other")
			s.wantCalls(4 + 1 + i)
		}
		s.scripts[0].turns = []turn{good}
		s.call(chatBody("hello"), tenantHeader, "other")
		s.scripts[0].turns = []turn{sysError}
		for range 4 {
			s.call(chatBody("hello"), tenantHeader, "other")
		}
		s.wantCalls(4 + 3 + 1 + 4)
		s.call(chatBody("hello"), tenantHeader, "other")
		s.call(chatBody("hello"), tenantHeader, "other")
		s.wantCalls(4 + 3 + 1 + 4)
		if seen := s.seen.changes(); !slices.Equal(seen, []string{"acme@first:open", "other@first:open"}) {
			t.Errorf("changes %v", seen)
		}
	})
}

// Failures that are too far apart do not open it.
func TestBreakerForgets(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError}, {good}}, breakers(failover.Rule{Within: time.Minute}))
		for range 20 {
			s.call(chatBody("hello"))
			time.Sleep(21 * time.Second)
		}
		s.wantCalls(20, 20)
	})
}

// After its time one call is permitted, and what comes of it decides. Of a stream that is known when it has content.
func TestBreakerProbes(t *testing.T) {
	for name, test := range map[string]struct {
		probe turn
		body  string
		want  string // the change that is told, if any
	}{
		"success":          {good, chatBody("hello"), "closed"},
		"another failure":  {sysError, chatBody("hello"), "open"},
		"tells nothing":    {says(400, `{"code":"PARAM_ILLEGAL"}`), chatBody("hello"), ""},
		"a stream":         {streams(nil, deltaEvent, finishEvent, "[DONE]"), streamBody("hello"), "closed"},
		"a stream, broken": {streams(nil, deltaEvent, `{"error":{"code":"SYSTEM_ERROR"}}`), streamBody("hello"), "closed"},
		"no stream":        {streams(nil, `{"error":{"code":"SYSTEM_ERROR"}}`), streamBody("hello"), "open"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{sysError, sysError, sysError, sysError, test.probe}, {good}}, breakers(failover.Rule{}))
				for range 4 {
					s.call(chatBody("hello"))
				}
				time.Sleep(59 * time.Second)
				s.call(chatBody("hello"))
				s.wantCalls(4, 5)
				time.Sleep(time.Second)
				s.seen.reset()
				s.call(test.body)
				s.wantCalls(5)
				var want []string
				if test.want != "" {
					want = []string{"acme@first:" + test.want}
				}
				if seen := s.seen.changes(); !slices.Equal(seen, want) {
					t.Errorf("changes %v, want %v", seen, want)
				}
			})
		})
	}
}

// A probe that a panic breaks off leaves its place to the next call.
func TestBreakerProbesAfterAPanic(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		panics := func(*http.Request) (*http.Response, error) { panic("any") }
		s := perform(t, [][]turn{{sysError, sysError, sysError, sysError, panics, good}}, breakers(failover.Rule{}))
		for range 4 {
			s.call(chatBody("hello"))
		}
		wantError(t, s.call(chatBody("hello")), http.StatusServiceUnavailable, failure.CodeBreakerOpen)
		testwait.Pass(time.Hour / 2)
		s.panics(chatBody("hello"))
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("the next one: %d %s", got.status, got.body)
		}
	})
}

// A stream that has begun has answered, however long it goes on: the provider is asked again meanwhile.
func TestBreakerProbesWithALongStream(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		begins, goes := make(chan struct{}), make(chan struct{})
		long := func(req *http.Request) (*http.Response, error) {
			<-begins
			return streams(func(context.Context) error { <-goes; return errors.New("broken") }, deltaEvent)(req)
		}
		s := perform(t, [][]turn{{sysError, sysError, sysError, sysError, long, good}, {good}},
			breakers(failover.Rule{}), first(func(p *upstream.Provider) { p.Timeout = time.Hour }))
		for range 4 {
			s.call(chatBody("hello"))
		}
		time.Sleep(60 * time.Second)
		ended := make(chan struct{})
		go func() { defer close(ended); s.call(streamBody("hello")) }()
		synctest.Wait()
		s.wantCalls(5)
		s.call(chatBody("hello"))
		s.wantCalls(5)
		close(begins)
		synctest.Wait()
		for range 3 {
			wantServed(t, s.call(chatBody("hello")), "first", "1", "")
			time.Sleep(time.Minute)
		}
		s.wantCalls(8)
		close(goes)
		<-ended
		wantServed(t, s.call(chatBody("hello")), "first", "1", "")
	})
}

// A probe keeps its place for as long as a call may take, and its success counts.
func TestBreakerProbesWithALongAnswer(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError, sysError, sysError, sysError, after(90*time.Second, good), good}, {good}},
			breakers(failover.Rule{}), deadline(2*time.Minute), first(func(p *upstream.Provider) { p.Timeout = time.Hour }))
		for range 4 {
			s.call(chatBody("hello"))
		}
		time.Sleep(60 * time.Second)
		ended := make(chan struct{})
		go func() { defer close(ended); s.call(chatBody("hello")) }()
		time.Sleep(80 * time.Second)
		wantServed(t, s.call(chatBody("hello")), "second", "1", failure.CodeBreakerOpen)
		<-ended
		wantServed(t, s.call(chatBody("hello")), "first", "1", "")
		s.wantCalls(6)
	})
}
