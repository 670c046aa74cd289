package canary

import (
	"crypto/rand"
	"maps"
	"time"

	"github.com/caddy-alipayai/gateway/internal/batches"
)

// Phase is where a canary is.
type Phase string

// The phases.
const (
	// Running: a step's share of the conversations goes to the candidate.
	Running Phase = "running"
	// Paused: the share stays as it is until an operator resumes; guards still roll back.
	Paused Phase = "paused"
	// Passed: every step has passed, and the plan leaves the rest to an operator. Guards
	// still roll back.
	Passed Phase = "passed"
	// Promoted: all conversations go to the candidate.
	Promoted Phase = "promoted"
	// RolledBack: none does.
	RolledBack Phase = "rolled_back"
)

// ByOperator is the reason of a change that no guard has made.
const ByOperator = "operator"

// Counts are what calls were since the last look. They add up over replicas.
type Counts struct {
	Tallies [guards][2]Tally `json:"tallies"` // of the stable arm and the candidate
	// BadCalls are the last of the candidate's bad calls, by guard.
	BadCalls [guards][]string `json:"bad_calls"`
	// Latencies are those of the stable arm.
	Latencies histogram `json:"latencies"`
}

func (c *Counts) add(o *Counts) {
	for g := range c.Tallies {
		c.BadCalls[g] = lastCalls(c.BadCalls[g], o.BadCalls[g]...)
		for arm := range c.Tallies[g] {
			c.Tallies[g][arm].add(o.Tallies[g][arm])
		}
	}
	c.Latencies.add(&o.Latencies)
}

// State is all that is known of a canary. It is kept as JSON.
type State struct {
	// Key is that of the hash which decides about conversations; replicas alone know it.
	Key   []byte `json:"key"`
	Phase Phase  `json:"phase"`
	// Epoch is another one each time that the canary begins anew.
	Epoch int64 `json:"epoch,omitempty"`
	// Reason is why the candidate was rolled back or promoted: a guard's name, or ByOperator;
	// empty where every step has passed.
	Reason string `json:"reason,omitempty"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
	// Step is the index of the step that is taken, and Ran for how long it has run.
	Step int           `json:"step"`
	Ran  time.Duration `json:"ran"`
	// Looked is when the last look was.
	Looked time.Time `json:"looked"`
	// Evidence is what the guards know.
	Evidence [guards]Evidence `json:"evidence"`
	// Latencies are those of the stable arm, and P95 what a call must exceed to count as slow
	// until the next look; 0 while that is not known.
	Latencies histogram     `json:"latencies"`
	P95       time.Duration `json:"p95"`
	// Seen is the number of the last batch of counts of each replica, and when it came.
	Seen batches.Last `json:"seen"`
}

// newState begins with the first step.
func newState(now time.Time) *State {
	s := &State{Key: make([]byte, 32)}
	_, _ = rand.Read(s.Key) // never fails
	s.begin(now)
	return s
}

// clone copies the state, which is read by calls.
func (s *State) clone() *State {
	c := *s
	c.Seen = maps.Clone(s.Seen)
	return &c
}

// begin begins anew, with what the arms' calls were so far forgotten.
func (s *State) begin(now time.Time) {
	*s = State{Key: s.Key, Seen: s.Seen, Epoch: s.Epoch + 1, Phase: Running, Since: now, Looked: now}
}

func (s *State) enter(phase Phase, reason string, now time.Time) {
	s.Phase, s.Reason, s.Since = phase, reason, now
}

// Share is the part of the conversations that goes to the candidate.
func (s *State) Share(p Plan) float64 {
	switch s.Phase {
	case Promoted:
		return 1
	case RolledBack:
		return 0
	default:
		return p.Steps[min(s.Step, len(p.Steps)-1)].Share
	}
}

// maxGap bounds the time between two looks that counts as running: while no process runs,
// nothing is tried.
const maxGap = time.Minute

// Look takes what calls were since the last look into account, and follows the plan from
// there: one step at most.
func (s *State) Look(p Plan, c *Counts, now time.Time) {
	ran := min(max(now.Sub(s.Looked), 0), maxGap)
	s.Looked = now
	if s.Phase == Promoted || s.Phase == RolledBack {
		return // there is nothing to compare any more
	}
	for _, g := range p.Guards {
		e := &s.Evidence[g]
		e.add(table{c.Tallies[g][0], c.Tallies[g][1]}, g.Margin())
		e.BadCalls = lastCalls(e.BadCalls, c.BadCalls[g]...)
	}
	for _, g := range p.Guards {
		if s.Evidence[g].failed(len(p.Guards)) {
			s.enter(RolledBack, g.String(), now)
			return
		}
	}
	s.Latencies.add(&c.Latencies)
	s.Latencies.fade()
	s.P95 = s.Latencies.p95()
	if s.Phase != Running {
		return
	}
	s.Ran += ran
	if s.Ran < p.Steps[s.Step].For || len(s.open(p)) > 0 {
		return
	}
	switch {
	case s.Step < len(p.Steps)-1:
		s.Step++
		s.Ran, s.Since = 0, now
		for g := range s.Evidence {
			e := &s.Evidence[g]
			e.Well, e.Passed, e.Step = 0, false, Tally{}
		}
	case p.Hold:
		s.enter(Passed, "", now)
	default:
		s.enter(Promoted, "", now)
	}
}

// open gives the guards that have not passed the step yet.
func (s *State) open(p Plan) (open []Guard) {
	for _, g := range p.Guards {
		if !s.Evidence[g].Passed {
			open = append(open, g)
		}
	}
	return open
}

// Inconclusive gives the guards that hold a step whose time is over.
func (s *State) Inconclusive(p Plan) []Guard {
	if s.Phase != Running || s.Ran < p.Steps[s.Step].For {
		return nil
	}
	return s.open(p)
}

// Verdict is what a guard says of a step.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Verdict is what the guard says now.
func (s *State) Verdict(p Plan, g Guard) Verdict {
	switch e := &s.Evidence[g]; {
	case e.failed(len(p.Guards)):
		return Fail
	case e.Passed:
		return Pass
	default:
		return Inconclusive
	}
}

const (
	// maxReplicas bounds the replicas of which batches are remembered.
	maxReplicas = 1024
	// forgetReplica is how long a replica is remembered that sends nothing more.
	forgetReplica = 7 * 24 * time.Hour
)
