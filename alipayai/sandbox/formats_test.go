package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// formatFaults has every kind that a call of every format may meet; stalls and
// the clock have tests of their own.
func formatFaults() map[string]formatFault {
	all := -1
	return map[string]formatFault{
		"latency":           {Fault{Kind: Latency, Delay: time.Millisecond}, false, 200, false, okCode, all, true, nil},
		"slow first byte":   {Fault{Kind: SlowFirstByte, Delay: time.Millisecond}, false, 200, false, okCode, all, true, nil},
		"slow first event":  {Fault{Kind: SlowFirstByte, Delay: time.Millisecond}, true, 200, false, okCode, all, true, nil},
		"error 200":         {Fault{Kind: SystemError200}, false, 200, true, systemCode, 0, false, nil},
		"error 200 stream":  {Fault{Kind: SystemError200}, true, 200, true, systemCode, 0, false, nil},
		"error 500":         {Fault{Kind: SystemError500}, false, 500, true, systemCode, 0, false, nil},
		"error 500 stream":  {Fault{Kind: SystemError500}, true, 500, true, systemCode, 0, false, nil},
		"error first":       {Fault{Kind: SystemErrorFirst}, true, 200, true, systemCode, 0, false, nil},
		"error after 1":     {Fault{Kind: SystemErrorMidstream}, true, 200, true, systemCode, 1, false, nil},
		"error after 3":     {Fault{Kind: SystemErrorMidstream, AfterEvents: 3}, true, 200, true, systemCode, 3, false, nil},
		"error at the end":  {Fault{Kind: SystemErrorMidstream, AfterEvents: 99}, true, 200, true, systemCode, 5, false, nil},
		"http 400":          {Fault{Kind: HTTPStatus, Status: 400}, false, 400, true, statusOf(400), 0, false, nil},
		"http 401":          {Fault{Kind: HTTPStatus, Status: 401}, true, 401, true, statusOf(401), 0, false, nil},
		"http 403":          {Fault{Kind: HTTPStatus, Status: 403}, true, 403, true, statusOf(403), 0, false, nil},
		"http 503":          {Fault{Kind: HTTPStatus, Status: 503, RetryAfter: 9}, true, 503, true, statusOf(503), 0, false, retryAfter("9")},
		"http 529":          {Fault{Kind: HTTPStatus, Status: 529}, false, 529, true, statusOf(529), 0, false, nil},
		"throttle":          {Fault{Kind: Throttle}, false, 429, true, statusOf(429), 0, false, retryAfter("")},
		"throttle, 7 s":     {Fault{Kind: Throttle, RetryAfter: 7}, true, 429, true, statusOf(429), 0, false, retryAfter("7")},
		"payment":           {Fault{Kind: PaymentRequired}, false, 402, true, statusOf(402), 0, false, nil},
		"reset before":      {Fault{Kind: ResetBefore}, true, 0, false, brokenCode, 0, false, nil},
		"reset after":       {Fault{Kind: ResetAfter}, false, 0, false, brokenCode, 0, false, nil},
		"reset after 2":     {Fault{Kind: ResetAfter, AfterEvents: 2}, true, 0, false, brokenCode, 0, false, nil},
		"cut":               {Fault{Kind: Cut}, true, 200, false, brokenCode, 1, false, nil},
		"cut after 3":       {Fault{Kind: Cut, AfterEvents: 3}, true, 200, false, brokenCode, 3, false, nil},
		"cut in an event":   {Fault{Kind: Cut, AfterEvents: 2, MidEvent: true}, true, 200, false, brokenCode, 2, false, endsWithin},
		"cut in the end":    {Fault{Kind: Cut, AfterEvents: 99, MidEvent: true}, true, 200, false, brokenCode, 5, false, endsWithin},
		"malformed first":   {Fault{Kind: MalformedChunk}, true, 200, false, brokenCode, all, true, badEvents(1)},
		"malformed later":   {Fault{Kind: MalformedChunk, AfterEvents: 2}, true, 200, false, brokenCode, all, true, badEvents(1)},
		"malformed at last": {Fault{Kind: MalformedChunk, AfterEvents: 99}, true, 200, false, brokenCode, all, true, badEvents(1)},
		"malformed body":    {Fault{Kind: MalformedJSON}, false, 200, false, brokenCode, 0, false, func(t *testing.T, _ dialect, o outcome, _ said) { notJSON(t, o) }},
		"truncated body":    {Fault{Kind: TruncatedBody}, false, 0, false, brokenCode, 0, false, nil},
		"empty stream":      {Fault{Kind: EmptyStream}, true, 200, false, brokenCode, 0, false, bodyIs(func(dialect) string { return "" })},
		"end first":         {Fault{Kind: DoneFirst}, true, 200, false, brokenCode, 0, true, bodyIs(func(d dialect) string { return d.end })},
	}
}

const threeWords = "one two three" // which are echoed in five events

func TestEveryFormatMeetsEveryFault(t *testing.T) {
	for _, d := range dialects() {
		for name, tc := range formatFaults() {
			if tc.fault.fits(d.format) != nil {
				continue
			}
			for _, http2 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/h2 %v", d.format, name, http2), func(t *testing.T) {
					t.Parallel()
					g := d.rig(t, http2)
					before := g.srv.Stats().Codes[codeOK]
					once := tc.fault
					once.Times = 1
					g.set(once)
					stream := tc.stream || d.streams
					o := g.try(d.request(g, threeWords, stream))
					tc.verify(t, d, stream, o)

					got := g.srv.Stats()
					want := map[string]int64{tc.code(d): 1}
					want[codeOK] += before
					for code, n := range want {
						if got.Codes[code] != n {
							t.Errorf("code %s counted %d times, want %d: %v", code, got.Codes[code], n, got.Codes)
						}
					}
					if got.Faults[tc.fault.Kind] != 1 || got.Paths[d.path] != 1 || len(g.srv.Faults()) != 0 {
						t.Errorf("faults %v, paths %v, left %v", got.Faults, got.Paths, g.srv.Faults())
					}
					again := g.try(d.request(g, "and then", stream)) // once means once
					if s := d.read(t, stream, again.body); !s.whole || s.text != "You said: and then" || s.failure != "" {
						t.Errorf("after the fault %+v: %s", s, again.body)
					}
				})
			}
		}
	}
}

// TestEveryKindFitsSomeFormat holds that the table above has every kind, and
// that what a format cannot meet is refused at once.
func TestEveryKindFitsSomeFormat(t *testing.T) {
	tested := []Kind{Stall, ClockSkew, FinishReason, NoEnd}
	for _, tc := range formatFaults() {
		tested = append(tested, tc.fault.Kind)
	}
	refused := map[Kind][]Format{
		WrongResponseSignature: {Anthropic, NextBuilder}, ExpiredToken: {Anthropic, NextBuilder}, TokenError: {Anthropic, NextBuilder},
		FinishReason: {Anthropic, NextBuilder}, NoEnd: {Anthropic, NextBuilder},
		MalformedJSON: {NextBuilder}, TruncatedBody: {NextBuilder},
	}
	for kind := range packFaults {
		tested, refused[kind] = append(tested, kind), []Format{NextBuilder}
	}
	for _, d := range dialects() {
		g := d.rig(t, false)
		for kind, sp := range kinds {
			f := Fault{Kind: kind}
			switch sp.need {
			case "delay":
				f.Delay = time.Second
			case "skew":
				f.Skew = time.Second
			case "status":
				f.Status = 500
			case "code":
				f.Code = "error"
			}
			want := slices.Contains(refused[kind], d.format)
			if err := g.srv.SetFaults(f); (err != nil) != want {
				t.Errorf("%s, %s: %v", d.format, kind, err)
			}
			if !want && !slices.Contains(tested, kind) && !slices.Contains(refused[kind], Anthropic) {
				t.Errorf("no test of %s", kind)
			}
		}
		if err := g.srv.SetFaults(Fault{Kind: Throttle, Path: "/v1/nothing"}); err == nil {
			t.Errorf("%s takes a fault for a path that it does not have", d.format)
		}
		g.set(Fault{Kind: Throttle, Path: d.path, ClientID: g.srv.cfg.Apps[0].ClientID})
		if o := g.try(d.request(g, "x", d.streams)); o.status != 429 {
			t.Errorf("%s: status %d", d.format, o.status)
		}
		g.set(Fault{Kind: Throttle, ClientID: "another"})
		if o := g.try(d.request(g, "x", d.streams)); o.status != 200 {
			t.Errorf("%s: status %d", d.format, o.status)
		}
	}
}

func TestMarksInEveryFormat(t *testing.T) {
	for _, d := range dialects() {
		for mark, check := range map[string]func(*testing.T, outcome, said){
			"[[events:50]]": func(t *testing.T, o outcome, s said) {
				if s.events != 50 || !s.whole {
					t.Errorf("%d events: %s", s.events, o.body)
				}
			},
			"[[bytes:700]][[events:7]]": func(t *testing.T, o outcome, s said) {
				if s.events != 7 || len(s.text) != 700 {
					t.Errorf("%d events of %d bytes", s.events, len(s.text))
				}
			},
			"[[interval:1ms]]": func(t *testing.T, _ outcome, s said) {
				if s.text != "You said: x" || !s.whole {
					t.Errorf("got %+v", s)
				}
			},
			"[[fault:system_error_midstream=2,code=BUSY]]": func(t *testing.T, o outcome, s said) {
				if s.failure != "BUSY" || s.events != 2 || s.whole {
					t.Errorf("got %+v: %s", s, o.body)
				}
			},
			"[[fault:system_error_first,shape=openai]]": func(t *testing.T, o outcome, s said) {
				if !strings.Contains(o.body, `data: {"error":{"code":"`) || s.events != 0 {
					t.Errorf("got %s", o.body)
				}
			},
		} {
			t.Run(string(d.format)+" "+mark, func(t *testing.T) {
				t.Parallel()
				g := d.rig(t, false)
				o := g.try(d.request(g, "x "+mark, true))
				reader := d
				if strings.Contains(mark, "shape=") {
					reader = openAIDialect()
				}
				check(t, o, reader.read(t, true, o.body))
			})
		}
		t.Run(string(d.format)+" refuses", func(t *testing.T) {
			g := d.rig(t, false)
			marks := []string{"[[fault:nonsense]]", "[[events:0]]"}
			if d.format != OpenAI {
				marks = append(marks, "[[fault:expired_token]]")
			}
			for _, mark := range marks {
				o := g.try(d.request(g, mark, true))
				if s := d.body(t, o.body); o.status != 400 || s.failure != d.codes[400] {
					t.Errorf("%s: %d %s", mark, o.status, o.body)
				}
			}
		})
	}
}

func TestStallsInEveryFormat(t *testing.T) {
	for _, d := range dialects() {
		for _, events := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s after %d", d.format, events), func(t *testing.T) {
				t.Parallel()
				g := d.rig(t, false)
				ctx, cancel := context.WithCancel(withTimeout(t))
				defer cancel()
				prompt := fmt.Sprintf("%s [[fault:stall=%d]]", threeWords, events)
				resp, err := g.do(d.request(g, prompt, true).WithContext(ctx))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				lines := bufio.NewReader(resp.Body)
				read := ""
				for d.read(t, true, read).events < events {
					line, err := lines.ReadString('\n')
					if err != nil {
						t.Fatalf("%v after %q", err, read)
					}
					read += line
				}
				cancel()
				<-g.served
				got := g.srv.Stats()
				if got.Cancelled != 1 || got.Cancellations[0].Events != events || got.Cancellations[0].Path != d.path {
					t.Errorf("stats %+v", got.Cancellations)
				}
			})
		}
	}
}

func TestAnswersDoNotCrossInAnyFormat(t *testing.T) {
	for _, d := range dialects() {
		t.Run(string(d.format), func(t *testing.T) {
			cfg := d.config()
			cfg.RequestsPerSecond = -1
			g := newRig(t, cfg)
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					prompt := fmt.Sprintf("prompt <%d>", i)
					stream := i%2 == 0 || d.streams
					o := g.try(d.request(g, prompt, stream))
					if s := d.read(t, stream, o.body); s.text != "You said: "+prompt || !s.whole {
						t.Errorf("%q was answered with %+v", prompt, s)
					}
				})
			}
			wg.Wait()
			if n := g.srv.Stats().Paths[d.path]; n != 64 {
				t.Errorf("%d calls counted", n)
			}
		})
	}
}

func TestCapInEveryFormat(t *testing.T) {
	for _, d := range dialects() {
		t.Run(string(d.format), func(t *testing.T) {
			clk := newClock()
			cfg := d.config()
			cfg.RequestsPerSecond, cfg.Now = 2, clk.now
			g := newRig(t, cfg)
			for i, want := range []int{200, 200, 429} {
				o := g.try(d.request(g, "x", true))
				if o.status != want {
					t.Errorf("call %d: status %d: %s", i, o.status, o.body)
				}
				if want == 429 && (o.header.Get("Retry-After") != "1" || d.body(t, o.body).failure != d.codes[429]) {
					t.Errorf("%v: %s", o.header, o.body)
				}
			}
			clk.advance(time.Second)
			if o := g.try(d.request(g, "x", true)); o.status != 200 {
				t.Errorf("a second later: %d", o.status)
			}
			if n := g.srv.Stats().PeakPerSecond[cfg.appName()]; n != 3 {
				t.Errorf("peak %d", n)
			}
		})
	}
}

func (cfg Config) appName() string {
	if len(cfg.Apps) > 0 {
		return cfg.Apps[0].ClientID
	}
	return DemoClientID
}

// TestStatsListAnswers counts repeats and second answers by the call's own id.
func TestStatsListAnswers(t *testing.T) {
	for _, d := range dialects() {
		t.Run(string(d.format), func(t *testing.T) {
			g := d.rig(t, false)
			g.set(Fault{Kind: Cut, Times: 1}, Fault{Kind: SystemError500, Times: 1})
			ids := map[string]bool{}
			for range 4 {
				req := d.request(g, "x", true)
				if d.format != NextBuilder { // which has it in its body
					req.Header.Set("Idempotency-Key", "r-1")
				}
				g.try(req)
			}
			got := g.srv.Stats()
			for _, id := range got.Answers["r-1"] {
				ids[id] = true
			}
			if len(got.Bodies["r-1"]) != 4 || len(got.Answers["r-1"]) != 2 || len(ids) != 2 {
				t.Errorf("bodies %v, answers %v", got.Bodies, got.Answers)
			}
			o := g.try(d.request(g, "x", true))
			for id := range ids {
				if strings.Contains(o.body, id) {
					t.Errorf("the id %s came twice: %s", id, o.body)
				}
			}
			g.srv.ResetStats()
			if n := len(g.srv.Stats().Answers); n != 0 {
				t.Errorf("%d after the reset", n)
			}
		})
	}
}

// TestSimulatorsAreApart holds that two simulators in one process share nothing.
func TestSimulatorsAreApart(t *testing.T) {
	one, two := anthropicDialect(), openAIDialect()
	a, b, c := one.rig(t, false), two.rig(t, false), one.rig(t, false)
	b.srv.ResetStats()
	a.set(Fault{Kind: Throttle})
	if o := a.try(one.request(a, "x", false)); o.status != 429 {
		t.Errorf("status %d", o.status)
	}
	for _, g := range []*rig{b, c} {
		if len(g.srv.Faults()) != 0 || g.srv.Stats().Requests != 0 {
			t.Errorf("faults %v, stats %+v", g.srv.Faults(), g.srv.Stats())
		}
	}
	b.set(Fault{Kind: Latency, Delay: time.Second})
	if fs := a.srv.Faults(); len(fs) != 1 || fs[0].Kind != Throttle {
		t.Errorf("faults %v", fs)
	}
	if o := c.try(one.request(c, "x", false)); o.status != 200 {
		t.Errorf("status %d", o.status)
	}
}
