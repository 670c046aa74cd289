package canary

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Guard is what the arms are compared by.
type Guard int

// The guards.
const (
	// Errors compares how many calls failed.
	Errors Guard = iota
	// ToolCalls compares how many answers with tool calls have one that is broken.
	ToolCalls
	// Blocked compares how many calls a compliance decision blocked.
	Blocked
	// LatencyP95 compares how many calls take longer to their first content than 95 in 100
	// of the stable arm's did.
	LatencyP95

	guards = 4
)

var guardNames = [guards]string{"errors", "tool_calls", "blocked", "latency_p95"}

// String is the guard's name in configurations, metrics and reports.
func (g Guard) String() string { return guardNames[g] }

// ParseGuard reads a guard's name.
func ParseGuard(name string) (Guard, error) {
	i := slices.Index(guardNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("guard %q is unknown; use errors, tool_calls, blocked or latency_p95", name)
	}
	return Guard(i), nil
}

// Margin is by how much bad calls may be more frequent at a candidate that passes: one in a
// hundred, and more where there are fewer calls to compare, or more of them are bad.
func (g Guard) Margin() float64 {
	switch g {
	case ToolCalls:
		return 0.02
	case LatencyP95:
		return 0.03
	default:
		return 0.01
	}
}

const (
	// MinSample is how many calls of the candidate a guard has to see before it says anything.
	MinSample = 30
	// falseAlarm bounds the probability that a candidate which is not worse is rolled back,
	// by any guard, however long it runs.
	falseAlarm = 0.004
	// falsePass bounds the probability that one guard passes one step of a candidate that is
	// worse by the guard's margin.
	falsePass = 0.05
	// MaxSteps bounds the steps of a plan.
	MaxSteps = 20
)

// Step is a share of the conversations, and for how long they have it at least.
type Step struct {
	// Share is from above 0 to 1.
	Share float64
	For   time.Duration
}

// Plan is how a candidate is tried.
type Plan struct {
	// Steps follow each other; their shares grow.
	Steps []Step
	// Guards have to pass each step, and roll the candidate back where they fail.
	Guards []Guard
	// Hold leaves the last step to an operator, who promotes the candidate or rolls it back.
	Hold bool
}

// Check refuses a plan that cannot be followed.
func (p Plan) Check() error {
	if len(p.Steps) == 0 || len(p.Steps) > MaxSteps {
		return fmt.Errorf("name 1 to %d shares, each with its time, as share 1%% 2h", MaxSteps)
	}
	last := 0.0
	for _, s := range p.Steps {
		if !(s.Share > last && s.Share <= 1) {
			return errors.New("shares must grow from step to step, from above 0% to below 100%")
		}
		if s.Share == 1 {
			return errors.New("a share of 100% leaves nothing to compare with; use on_pass promote")
		}
		if s.For < time.Minute || s.For > 90*24*time.Hour {
			return errors.New("a step takes from a minute to 90 days")
		}
		last = s.Share
	}
	if len(p.Guards) == 0 {
		return errors.New("name at least one guard: errors, tool_calls, blocked or latency_p95")
	}
	for i, g := range p.Guards {
		if g < 0 || g >= guards || slices.Contains(p.Guards[:i], g) {
			return fmt.Errorf("guard %s is named twice", g)
		}
	}
	return nil
}
