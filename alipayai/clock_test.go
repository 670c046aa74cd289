package alipayai_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

func TestClockLearnsFromDate(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	date := func(ahead time.Duration) string { return sent.Add(ahead).Format(http.TimeFormat) }
	// A Date is cut to the second: on average it is half of one late.
	const half = 500 * time.Millisecond
	for name, test := range map[string]struct {
		header  http.Header
		took    time.Duration
		skew    time.Duration
		learned bool
	}{
		"in time":             {http.Header{"Date": {date(0)}}, 0, 0, false},
		"a second ahead":      {http.Header{"Date": {date(time.Second)}}, 0, 0, false},
		"a second behind":     {http.Header{"Date": {date(-time.Second)}}, 0, 0, false},
		"an hour ahead":       {http.Header{"Date": {date(time.Hour)}}, 0, time.Hour + half, true},
		"ten minutes behind":  {http.Header{"Date": {date(-10 * time.Minute)}}, 0, -10*time.Minute + half, true},
		"a slow answer":       {http.Header{"Date": {date(time.Hour + 2*time.Second)}}, 4 * time.Second, time.Hour + half, true},
		"one of either end":   {http.Header{"Date": {date(time.Hour)}}, 5 * time.Second, 0, false},
		"almost a day":        {http.Header{"Date": {date(23 * time.Hour)}}, 0, 23*time.Hour + half, true},
		"more than a day":     {http.Header{"Date": {date(25 * time.Hour)}}, 0, 0, false},
		"the epoch":           {http.Header{"Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}}, 0, 0, false},
		"RFC 850":             {http.Header{"Date": {sent.Add(time.Hour).Format(time.RFC850)}}, 0, time.Hour + half, true},
		"out of a cache":      {http.Header{"Date": {date(time.Hour)}, "Age": {"0"}}, 0, 0, false},
		"twice":               {http.Header{"Date": {date(time.Hour), date(time.Hour)}}, 0, 0, false},
		"none":                {http.Header{}, 0, 0, false},
		"empty":               {http.Header{"Date": {""}}, 0, 0, false},
		"garbage":             {http.Header{"Date": {"next Tuesday"}}, 0, 0, false},
		"a month that is not": {http.Header{"Date": {"Sun, 01 Foo 2026 12:00:00 GMT"}}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c upstream.Clock
			if learned := c.Learn(test.header, sent, sent.Add(test.took)); learned != test.learned || c.Skew() != test.skew {
				t.Errorf("learned %v, skew %v; want %v, %v", learned, c.Skew(), test.learned, test.skew)
			}
			if got := c.At(sent); !got.Equal(sent.Add(test.skew)) {
				t.Errorf("the upstream's time is %v", got)
			}
		})
	}
}

func TestClockForgetsACorrectedSkew(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	learn := func(c *upstream.Clock, ahead time.Duration) bool {
		now = now.Add(time.Second)
		return c.Learn(http.Header{"Date": {now.Add(ahead).Format(http.TimeFormat)}}, now, now)
	}
	var c upstream.Clock
	if !learn(&c, time.Hour) || learn(&c, time.Hour) {
		t.Error("want something new from the first answer, and nothing from the second")
	}
	c.Learn(http.Header{"Date": {"garbage"}}, now, now)
	if c.Skew() < time.Hour {
		t.Error("garbage has undone what was learned")
	}
	if !learn(&c, 0) || c.Skew() != 0 {
		t.Errorf("the upstream's clock was put right; skew %v", c.Skew())
	}
}

func TestSkewedClockCostsOneMoreSignature(t *testing.T) {
	for name, skew := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			if got := r.chat("the token, with a clock that is right"); got.status != http.StatusOK {
				t.Fatal(got.body)
			}
			r.outcome()
			r.sim.ResetStats()
			r.set(sandbox.Fault{Kind: sandbox.ClockSkew, Skew: skew})
			for i, attempts := range []int{2, 1, 1} {
				if got := r.chat(fmt.Sprint("call ", i)); got.status != http.StatusOK {
					t.Fatalf("call %d: %d %s", i, got.status, got.body)
				}
				if o := r.outcome(); o.Attempts != attempts || o.Code != "" {
					t.Errorf("call %d took %d attempts, want %d: %+v", i, o.Attempts, attempts, o)
				}
			}
			stats := r.sim.Stats()
			if stats.Codes["INVALID_REQUEST_TIME"] != 1 || stats.Codes["OK"] != 3 || stats.RepeatedSignatures != 0 {
				t.Errorf("%v, %d signatures repeated", stats.Codes, stats.RepeatedSignatures)
			}
			r.set() // the upstream's clock is put right
			if got := r.chat("again"); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
			if o := r.outcome(); o.Attempts != 2 {
				t.Errorf("took %d attempts, want 2", o.Attempts)
			}
		})
	}
}

// Calls may be refused before the first of them has taught the clock; these are as many as the budget of repeats has.
func TestSkewedClockUnderLoad(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.chat("the token, with a clock that is right")
	r.set(sandbox.Fault{Kind: sandbox.ClockSkew, Skew: time.Hour})
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			got := r.do(t.Context(), http.MethodPost, "/v1/chat/completions", chatBody(fmt.Sprint("call ", i)))
			if got.status != http.StatusOK {
				t.Errorf("call %d: %d %s", i, got.status, got.body)
			}
		})
	}
	all.Wait()
}

// A clock that is right all the same has nothing to learn: the refusal stands, after one attempt.
func TestTimeRefusedWithoutASkew(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.set(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_REQUEST_TIME"})
	wantError(t, r.chat("hello"), http.StatusBadGateway, "INVALID_REQUEST_TIME")
	if o := r.outcome(); o.Attempts != 1 {
		t.Errorf("%d attempts", o.Attempts)
	}
}

// A clock that jumps with every answer must not keep a call going round.
func TestClockThatNeverSettles(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.chat("the token, with a clock that is right")
	r.outcome()
	r.set(
		sandbox.Fault{Kind: sandbox.ClockSkew, Skew: time.Hour, Times: 1},
		sandbox.Fault{Kind: sandbox.ClockSkew, Skew: -time.Hour, Times: 1},
		sandbox.Fault{Kind: sandbox.ClockSkew, Skew: 3 * time.Hour, Times: 1},
	)
	// Faults of this kind add up: the skews are 3, 0 and 0 hours.
	got := r.chat("hello")
	o := r.outcome()
	if o.Attempts != 2 || got.status != http.StatusBadGateway || o.Code != "INVALID_REQUEST_TIME" {
		t.Errorf("%d after %d attempts: %+v", got.status, o.Attempts, o)
	}
}

// An exchange's header belongs to another exchange when it has ended: the clock keeps nothing of it.
func TestClockKeepsNoHeader(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	date := func(ahead time.Duration) string { return sent.Add(ahead).Format(http.TimeFormat) }
	var c upstream.Clock
	h := http.Header{"Date": {date(0)}}
	c.Learn(h, sent, sent)
	h["Date"][0] = date(time.Hour)
	if !c.Learn(h, sent, sent) || c.Skew() < time.Hour {
		t.Errorf("a date that comes in the former one's header is taken for it: skew %v", c.Skew())
	}
}
