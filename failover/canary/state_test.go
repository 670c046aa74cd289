package canary

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// look is one that has many calls: of the candidate's tool calls so many are bad.
func look(bad int64) *Counts {
	c := new(Counts)
	for g := range c.Tallies {
		c.Tallies[g] = [2]Tally{{Trials: 20_000, Bad: 20}, {Trials: 20_000, Bad: 20}}
	}
	c.Tallies[ToolCalls][Candidate].Bad = bad
	return c
}

var threeSteps = Plan{Steps: []Step{{0.01, time.Minute}, {0.1, 2 * time.Minute}, {0.5, time.Minute}}, Guards: []Guard{Errors, ToolCalls}}

// A canary follows its plan, minute by minute.
func TestLook(t *testing.T) {
	hold := threeSteps
	hold.Hold = true
	well, broken, nothing := look(20), look(2000), new(Counts)
	for name, tt := range map[string]struct {
		plan    Plan
		looks   []*Counts
		want    string // phase and step after each
		reason  string
		holding bool
	}{
		"well":                   {threeSteps, []*Counts{well, well, well, well, well, well}, "running 1,running 2,running 2,running 3,promoted 3,promoted 3", "", false},
		"well, and held":         {hold, []*Counts{well, well, well, well, well, well, well}, "running 1,running 2,running 2,running 3,passed 3,passed 3,passed 3", "", false},
		"broken":                 {threeSteps, []*Counts{broken, well}, "rolled_back 1,rolled_back 1", "tool_calls", false},
		"broken in the end":      {threeSteps, []*Counts{well, well, well, well, broken, well}, "running 1,running 2,running 2,running 3,rolled_back 3,rolled_back 3", "tool_calls", false},
		"broken after it passed": {hold, []*Counts{well, well, well, well, well, well, broken}, "running 1,running 2,running 2,running 3,passed 3,passed 3,rolled_back 3", "tool_calls", false},
		"no calls":               {threeSteps, []*Counts{nothing, nothing, nothing, nothing}, "running 1,running 1,running 1,running 1", "", true},
		"late calls":             {threeSteps, []*Counts{nothing, nothing, nothing, well, well}, "running 1,running 1,running 1,running 1,running 2", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState(start)
			var got []string
			for i, c := range tt.looks {
				s.Look(tt.plan, c, start.Add(time.Duration(i+1)*time.Minute))
				got = append(got, string(s.Phase)+" "+string(rune('1'+s.Step)))
			}
			if strings.Join(got, ",") != tt.want || s.Reason != tt.reason || len(s.Inconclusive(tt.plan)) > 0 != tt.holding {
				t.Errorf("%v, reason %q, holding %v; want %s", got, s.Reason, s.Inconclusive(tt.plan), tt.want)
			}
			b, err := json.Marshal(s)
			again := new(State)
			if err != nil || json.Unmarshal(b, again) != nil || !again.valid(tt.plan) || again.Share(tt.plan) != s.Share(tt.plan) {
				t.Errorf("it is kept as %s: %v", b, err)
			}
		})
	}
}

// Time in which nothing runs is no time of a step.
func TestGapsDoNotCount(t *testing.T) {
	s := newState(start)
	s.Look(twoHours, look(20), start.Add(24*time.Hour))
	if s.Ran != maxGap {
		t.Errorf("it ran %v", s.Ran)
	}
	s.Look(twoHours, look(20), start) // a clock that was put back
	if s.Ran != maxGap || s.Step != 0 {
		t.Errorf("it ran %v", s.Ran)
	}
}

// A guard says nothing of fewer calls than it needs.
func TestMinSample(t *testing.T) {
	c := new(Counts)
	c.Tallies[Errors] = [2]Tally{{Trials: 100_000}, {Trials: MinSample - 1, Bad: MinSample - 1}}
	s := newState(start)
	s.Look(twoHours, c, start.Add(time.Second))
	if s.Phase != Running || s.Verdict(twoHours, Errors) != Inconclusive {
		t.Errorf("%s of %d calls", s.Phase, MinSample-1)
	}
	one := new(Counts)
	one.Tallies[Errors] = [2]Tally{{Trials: 100}, {Trials: 1, Bad: 1}}
	s.Look(twoHours, one, start.Add(2*time.Second))
	if s.Phase != RolledBack || s.Verdict(twoHours, Errors) != Fail {
		t.Errorf("%s of %d calls", s.Phase, MinSample)
	}
}

// The quantile follows the day: calls that were slow long ago count less and less.
func TestP95FollowsTheDay(t *testing.T) {
	s, at := newState(start), start
	calls := func(n int64, took time.Duration) {
		c := new(Counts)
		c.Latencies[bucketOf(took)] = n
		at = at.Add(time.Second)
		s.Look(twoHours, c, at)
	}
	calls(30_000, 10*time.Second)
	if s.P95 < 5*time.Second {
		t.Errorf("of slow calls: %v", s.P95)
	}
	for range 10 {
		calls(10_000, 100*time.Millisecond)
	}
	if s.P95 > time.Second {
		t.Errorf("after three times as many fast ones: %v", s.P95)
	}
}

func TestP95(t *testing.T) {
	var h histogram
	if h.p95() != 0 {
		t.Error("of nothing")
	}
	for i := range 1000 {
		h[bucketOf(time.Duration(i+1)*time.Millisecond)]++
	}
	if got := h.p95(); math.Abs(got.Seconds()-0.95) > 0.1 {
		t.Errorf("of a second: %v", got)
	}
	for _, d := range []time.Duration{0, 1, time.Millisecond, time.Hour, math.MaxInt64} {
		h[bucketOf(d)]++
	}
}

func TestCheck(t *testing.T) {
	good := twoHours
	for name, edit := range map[string]func(*Plan){
		"at least 1 to 20 shares": func(p *Plan) { p.Steps = nil },
		"many":                    func(p *Plan) { p.Steps = slices.Repeat(p.Steps, 21) },
		"shares must grow":        func(p *Plan) { p.Steps = slices.Repeat(p.Steps, 2) },
		"nothing":                 func(p *Plan) { p.Steps = []Step{{0, time.Hour}} },
		"all":                     func(p *Plan) { p.Steps = []Step{{1, time.Hour}} },
		"no number":               func(p *Plan) { p.Steps = []Step{{math.NaN(), time.Hour}} },
		"short":                   func(p *Plan) { p.Steps = []Step{{0.1, time.Second}} },
		"no guard":                func(p *Plan) { p.Guards = nil },
		"a guard twice":           func(p *Plan) { p.Guards = []Guard{Errors, Errors} },
	} {
		p := good
		if edit(&p); p.Check() == nil {
			t.Errorf("%s: %+v is taken", name, p)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
