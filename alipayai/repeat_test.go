package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// ms makes durations easy to read in tables.
const ms = time.Millisecond

func TestRepeats(t *testing.T) {
	const body = `{"code":"BUSY"}`
	for name, test := range map[string]struct {
		turns    []turn
		edit     func(*alipayai.Gateway)
		attempts int
		// least and most are how long the call takes.
		least, most time.Duration
		status      int
		code        string
	}{
		"a 503 that passes":             {turns: []turn{busy, good}, attempts: 2, most: 100 * ms, status: 200},
		"two that pass":                 {turns: []turn{busy, busy, good}, attempts: 3, most: 300 * ms, status: 200},
		"three at most":                 {turns: []turn{busy, busy, busy, good}, attempts: 3, most: 300 * ms, status: 503, code: "BUSY"},
		"Retry-After":                   {turns: []turn{says(503, body, "Retry-After", "3"), good}, attempts: 2, least: 3000 * ms, most: 3000 * ms, status: 200},
		"Retry-After, as a date":        {turns: []turn{says(503, body, "Retry-After", "Sat, 01 Jan 2000 00:00:04 GMT"), good}, attempts: 2, least: 4000 * ms, most: 4000 * ms, status: 200},
		"Retry-After of an hour":        {turns: []turn{says(503, body, "Retry-After", "3600"), good}, edit: deadline(2 * time.Minute), attempts: 2, least: time.Minute, most: time.Minute, status: 200},
		"Retry-After, too late":         {turns: []turn{says(503, body, "Retry-After", "30"), good}, attempts: 1, status: 503, code: "BUSY"},
		"too little time is left":       {turns: []turn{after(8*time.Second, says(503, body, "Retry-After", "2")), good}, edit: deadline(10 * time.Second), attempts: 1, least: 8 * time.Second, most: 8 * time.Second, status: 503, code: "BUSY"},
		"just enough time is left":      {turns: []turn{after(7*time.Second, says(503, body, "Retry-After", "2")), good}, edit: deadline(10 * time.Second), attempts: 2, least: 9 * time.Second, most: 9 * time.Second, status: 200},
		"throttled":                     {turns: []turn{says(429, body, "Retry-After", "4"), good}, attempts: 2, least: 4 * time.Second, most: 4*time.Second + upstream.HoldSpread, status: 200},
		"throttled without a time":      {turns: []turn{says(429, body), good}, attempts: 2, least: time.Second, most: time.Second + upstream.HoldSpread, status: 200},
		"throttled for too long":        {turns: []turn{says(429, body, "Retry-After", "11"), good}, attempts: 1, status: 429, code: "BUSY"},
		"a timeout":                     {turns: []turn{hangs, good}, attempts: 1, least: upstream.DefaultTimeout, most: upstream.DefaultTimeout, status: 504, code: failure.CodeTimeout},
		"a timeout of a 503":            {turns: []turn{busy, hangs, good}, attempts: 2, least: upstream.DefaultTimeout, most: upstream.DefaultTimeout + 100*ms, status: 504, code: failure.CodeTimeout},
		"a connection that broke":       {turns: []turn{breaks, good}, attempts: 1, status: 502, code: failure.CodeTruncated},
		"one that was never there":      {turns: []turn{refuses, refuses, good}, attempts: 3, most: 300 * ms, status: 200},
		"none at all":                   {turns: []turn{refuses}, attempts: 3, most: 300 * ms, status: 502, code: failure.CodeUnreachable},
		"a 504":                         {turns: []turn{says(504, body), good}, attempts: 1, status: 504, code: "BUSY"},
		"a timeout behind a 500":        {turns: []turn{says(500, `{"error":{"type":"timeout_error"}}`), good}, attempts: 1, status: 500, code: "timeout_error"},
		"system error":                  {turns: []turn{sysError, good}, attempts: 1, status: 500, code: "SYSTEM_ERROR"},
		"unknown, in a 500":             {turns: []turn{says(500, `{"result":{"resultCode":"NEW_CODE","resultStatus":"U"}}`), good}, attempts: 1, status: 500, code: "NEW_CODE"},
		"unknown, in a 503":             {turns: []turn{says(503, `{"result":{"resultCode":"NEW_CODE","resultStatus":"U"}}`), good}, attempts: 1, status: 503, code: "NEW_CODE"},
		"unknown, overloaded":           {turns: []turn{says(200, `{"result":{"resultCode":"overloaded_error","resultStatus":"U"}}`), good}, attempts: 1, status: 502, code: "overloaded_error"},
		"failed, in a 500":              {turns: []turn{says(500, `{"result":{"resultCode":"NEW_CODE","resultStatus":"F"}}`), good}, attempts: 2, most: 100 * ms, status: 200},
		"400":                           {turns: []turn{says(400, body), good}, attempts: 1, status: 400, code: "BUSY"},
		"501":                           {turns: []turn{says(501, body), good}, attempts: 2, most: 100 * ms, status: 200},
		"what is no answer":             {turns: []turn{says(200, `{"choices":[]}`), good}, attempts: 1, status: 502, code: failure.CodeMalformed},
		"money: a 503":                  {turns: []turn{busy, good}, edit: money, attempts: 1, status: 503, code: "BUSY"},
		"money: throttled":              {turns: []turn{says(429, body), good}, edit: money, attempts: 1, status: 429, code: "BUSY"},
		"money: was never there":        {turns: []turn{refuses, good}, edit: money, attempts: 2, most: 100 * ms, status: 200},
		"money: a broken connection":    {turns: []turn{breaks, good}, edit: money, attempts: 1, status: 502, code: failure.CodeTruncated},
		"a 503 in a 200":                {turns: []turn{says(200, `{"error":{"type":"overloaded_error"}}`), good}, attempts: 2, most: 100 * ms, status: 200},
		"by a rule: a code that is":     {turns: []turn{says(400, `{"code":"isv.busy-now"}`), good}, edit: rule("busy-*", failure.Retry), attempts: 2, most: 100 * ms, status: 200},
		"by a rule: as it was sent":     {turns: []turn{says(400, `{"code":"isv.busy-now"}`), good}, edit: rule("isv.*", failure.Retry), attempts: 2, most: 100 * ms, status: 200},
		"by a rule: a code that is not": {turns: []turn{says(400, `{"code":"other"}`), good}, edit: rule("busy-*", failure.Retry), attempts: 1, status: 400, code: "other"},
		"by a rule: not any more":       {turns: []turn{busy, good}, edit: rule("BUSY", failure.Fail), attempts: 1, status: 503, code: "BUSY"},
		"by a rule: a type alone":       {turns: []turn{says(400, `{"error":{"type":"odd_error"}}`), good}, edit: rule("odd_error", failure.Retry), attempts: 2, most: 100 * ms, status: 200},
		"by a rule: system error":       {turns: []turn{busy, good}, edit: rule("B*", failure.SystemError), attempts: 1, status: 503, code: "BUSY"},
		"by a rule: the first of two":   {turns: []turn{busy, good}, edit: both(rule("BUSY", failure.Fail), rule("*", failure.Retry)), attempts: 1, status: 503, code: "BUSY"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{test.turns}, func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				began := time.Now()
				got := s.call(chatBody("hello"))
				if took := time.Since(began); took < test.least || took > test.most {
					t.Errorf("took %v, want %v to %v", took, test.least, test.most)
				}
				if got.status != test.status {
					t.Errorf("%d %s", got.status, got.body)
				}
				if test.code != "" {
					wantError(t, got, test.status, test.code)
				}
				s.wantCalls(test.attempts)
				if o := s.outcome(); o.Attempts != test.attempts || o.Code != test.code {
					t.Errorf("outcome %+v", o)
				}
				if last := test.attempts == alipayai.MaxAttempts && test.code != ""; last && got.header.Get("X-Should-Retry") != "false" {
					t.Error("does not tell the client that enough was tried")
				}
			})
		})
	}
}

// deadline, money, rule and both edit a gateway.
func deadline(d time.Duration) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) { g.Deadline = d }
}

func money(g *alipayai.Gateway) { g.Class = alipayai.ClassMoney }

func rule(pattern string, action failure.Class) func(*alipayai.Gateway) {
	return first(func(p *upstream.Provider) { p.Codes = append(p.Codes, failure.Rule{Pattern: pattern, Class: action}) })
}

func both(one, other func(*alipayai.Gateway)) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) { one(g); other(g) }
}

// Whatever fails, and even if everything does, attempts are at most 1.2 times the calls, and 10.
func TestBudget(t *testing.T) {
	for name, fails := range map[string]turn{
		"503":         busy,
		"throttled":   says(429, `{"code":"BUSY"}`, "Retry-After", "1"),
		"unreachable": refuses,
		"a mixture": func(req *http.Request) (*http.Response, error) {
			if time.Now().UnixNano()%2 == 0 {
				return busy(req)
			}
			return refuses(req)
		},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				const clients, each = 10, 20
				s := perform(t, [][]turn{{fails}})
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						for range each {
							if got := s.call(chatBody("hello")); got.status < 400 {
								t.Errorf("%d %s", got.status, got.body)
							}
						}
					})
				}
				all.Wait()
				const calls = clients * each
				if n := s.scripts[0].count(); n > calls*12/10+10 || n < calls*12/10 && name != "throttled" { // while one is, others are not sent
					t.Errorf("%d attempts for %d calls", n, calls)
				}
			})
		})
	}
}

// Calls that are turned away before anything is sent pay for no repeats of others.
func TestBudgetOfCallsThatAreSent(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		k := newCap(10, time.Second)
		k.MaxCount = 5
		s := perform(t, [][]turn{{busy}, {good}}, capped(k))
		calls := 0
		for range 60 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { s.call(chatBody("hello")) })
			}
			all.Wait()
			for range 100 {
				if o := <-s.seen.settled; o.Attempts > 1 { // one is the second provider's
					calls++
				}
			}
			time.Sleep(time.Second)
		}
		if n := s.scripts[0].count(); calls < 200 || n > calls*12/10+10 {
			t.Errorf("%d attempts for %d calls that were sent", n, calls)
		}
	})
}

// Where the budget says that enough is repeated, clients are told so too.
func TestBudgetThatIsSpent(t *testing.T) {
	for name, fails := range map[string]turn{"unreachable": refuses, "503 with a time": says(503, `{"code":"BUSY"}`, "Retry-After", "1")} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{fails}})
				var got reply
				for range 20 {
					got = s.call(chatBody("hello"))
				}
				wantHeader(t, got, "X-Should-Retry", "false", "X-Alipayai-Attempts", "1")
			})
		})
	}
}

// Money waits for a provider that is throttling: there is no other one for it.
func TestMoneyWaitsForItsProvider(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{says(429, `{"code":"BUSY"}`, "Retry-After", "2"), good}, {good}}, money)
		wantError(t, s.call(chatBody("hello")), http.StatusTooManyRequests, "BUSY")
		wantServed(t, s.call(chatBody("hello")), "first", "1", "")
		s.wantCalls(2, 0)
	})
}

// The budget is that of a provider: another one has its own.
func TestBudgetOfEachProvider(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{busy}, {busy}})
		const calls = 100
		for range calls {
			s.call(chatBody("hello"))
		}
		for i, script := range s.scripts {
			if n := script.count(); n > calls*12/10+10 || n < calls*12/10 {
				t.Errorf("%d attempts for %d calls at provider %d", n, calls, i+1)
			}
		}
	})
}

// Each attempt has a time and a signature of its own, and the same id.
func TestAttemptsAreSignedAnew(t *testing.T) {
	for name, key := range map[string]string{"with a key": "order-1", "without": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, sandbox.Config{})
			r.set(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY", Times: 2})
			var header []string
			if key != "" {
				header = []string{"Idempotency-Key", key}
			}
			got := r.chat("hello", header...)
			if got.status != http.StatusOK || got.header.Get("X-Alipayai-Attempts") != "3" {
				t.Fatalf("%d %v", got.status, got.header)
			}
			seen := make(map[string]int)
			for _, a := range r.arrived.at(chatPath) {
				for _, name := range []string{"Signature", "Request-Time", "Idempotency-Key"} {
					seen[name+a.header.Get(name)]++
				}
				if string(a.body) != chatBody("hello") {
					t.Errorf("sent %s", a.body)
				}
			}
			for value, times := range seen {
				if same := strings.HasPrefix(value, "Idempotency-Key"); same != (times == 3) {
					t.Errorf("%s came %d times", value, times)
				}
			}
			if stats := r.sim.Stats(); stats.RepeatedSignatures != 0 || len(stats.Bodies) != 1 {
				t.Errorf("%d repeated signatures, %d ids", stats.RepeatedSignatures, len(stats.Bodies))
			}
		})
	}
}

// Money is not asked for at a second provider, and tools that the provider runs make a call such.
func TestMoneyStaysWhereItIs(t *testing.T) {
	hosted := strings.Replace(chatBody("hello"), `{`, `{"tools":[{"type":"web_search"}],`, 1)
	for name, test := range map[string]struct {
		body string
		edit func(*alipayai.Gateway)
	}{
		"by class":     {chatBody("hello"), money},
		"hosted tools": {hosted, func(*alipayai.Gateway) {}},
	} {
		for name2, fails := range map[string]turn{
			"503": busy, "throttled": says(429, `{"code":"BUSY"}`), "system error": sysError, "broken": breaks, "timeout": hangs,
		} {
			t.Run(name+", "+name2, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{fails}, {good}}, test.edit)
					if got := s.call(test.body); got.status < 400 {
						t.Errorf("%d %s", got.status, got.body)
					}
					s.wantCalls(1, 0)
				})
			})
		}
		t.Run(name+", never left", func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{refuses}, {good}}, test.edit)
				wantError(t, s.call(test.body), http.StatusBadGateway, failure.CodeUnreachable)
				s.wantCalls(3, 0)
			})
		})
	}
}

// A call of money is not repeated for a new token, but the next one has it.
func TestMoneyWithARefusedToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Config{}, money)
	r.set(sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1})
	wantError(t, r.chat("hello"), http.StatusBadGateway, "EXPIRED_ACCESS_TOKEN")
	r.wantTraffic(1, 1)
	if got := r.chat("hello again"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	r.wantTraffic(2, 2)
}

// Rules are checked when the provider is prepared.
func TestRulesThatAreNone(t *testing.T) {
	for want, rule := range map[string]failure.Rule{
		`on "": is no pattern`:               {Pattern: "", Class: failure.Fail},
		`on "[": is no pattern`:              {Pattern: "[", Class: failure.Fail},
		`on A*: action "explode" is unknown`: {Pattern: "A*", Class: "explode"},
	} {
		p := plainProvider(t, "http://127.0.0.1:1")
		p.Codes = []failure.Rule{rule}
		if err := p.Prepare(); err == nil || !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
