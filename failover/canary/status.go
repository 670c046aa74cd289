package canary

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Status is what a canary is at, as this replica knows it.
type Status struct {
	// Known says that the store has answered at least once; the rest is zero if not.
	Known  bool      `json:"known"`
	Phase  Phase     `json:"phase,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Step   int       `json:"step,omitempty"` // from 1
	Steps  int       `json:"steps"`
	Share  float64   `json:"share"`
	// Ran is how long the step has run, and For how long it has to at least, in seconds.
	Ran     int64         `json:"ran_seconds"`
	For     int64         `json:"for_seconds"`
	Guards  []GuardStatus `json:"guards,omitempty"`
	Holding bool          `json:"holding"` // the step's time is over, and a guard is inconclusive
	// Away says that the store does not answer.
	Away bool `json:"store_away"`
	// Warning says what guards found of a candidate that an operator has promoted all the same; empty for nothing.
	Warning string `json:"warning,omitempty"`
}

// GuardStatus is what a guard knows.
type GuardStatus struct {
	Guard     string  `json:"guard"`
	Verdict   Verdict `json:"verdict"`
	Stable    Tally   `json:"stable"`
	Candidate Tally   `json:"candidate"`
	// Evidence is how many times likelier the calls are of a candidate that is worse than of one that is not, as an
	// e-process has it; from Threshold on, and MinSample calls, the candidate is rolled back.
	Evidence  float64 `json:"evidence"`
	Threshold float64 `json:"threshold"`
	// BadCalls are the last of the candidate's bad calls, by their request's ids.
	BadCalls []string `json:"bad_calls,omitempty"`
}

// maxEvidence bounds what is said of evidence.
const maxEvidence = 1e12

// String says what the guard has found.
func (g *GuardStatus) String() string {
	return fmt.Sprintf("guard %s: %d of its %d calls were bad, and %d of %d of the stable provider's beside it", g.Guard, g.Candidate.Bad, g.Candidate.Trials, g.Stable.Bad, g.Stable.Trials)
}

// Status gives what is known now.
func (c *Canary) Status() Status {
	s := c.state.Load()
	out := Status{Known: s != nil, Steps: len(c.plan.Steps), Away: c.away.Load()}
	if s == nil {
		return out
	}
	step := min(s.Step, len(c.plan.Steps)-1)
	out.Phase, out.Reason, out.Since, out.Share = s.Phase, s.Reason, s.Since, s.Share(c.plan)
	out.Step, out.Ran, out.For = step+1, int64(s.Ran/time.Second), int64(c.plan.Steps[step].For/time.Second)
	out.Holding = len(s.Inconclusive(c.plan)) > 0
	for _, g := range c.plan.Guards {
		e := &s.Evidence[g]
		out.Guards = append(out.Guards, GuardStatus{
			Guard: g.String(), Verdict: s.Verdict(c.plan, g), Stable: e.Stable, Candidate: e.Candidate,
			Evidence: min(math.Exp(e.logWorseAll()), maxEvidence), Threshold: threshold(len(c.plan.Guards)), BadCalls: e.BadCalls,
		})
	}
	if s.Phase == Promoted && s.Reason == ByOperator {
		out.Warning = against(out.Guards)
	}
	return out
}

// against says which guards have found the candidate to be worse; nothing where none has.
func against(of []GuardStatus) string {
	var found []string
	for _, g := range of {
		if g.Verdict == Fail {
			found = append(found, g.String())
		}
	}
	if found == nil {
		return ""
	}
	return "promoted against " + strings.Join(found, "; ")
}
