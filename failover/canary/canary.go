package canary

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Arm is one of the two that are compared.
type Arm int

// The arms.
const (
	Stable Arm = iota
	Candidate
)

// String is the arm's name in logs and metrics.
func (a Arm) String() string { return [...]string{"stable", "candidate"}[a] }

const (
	// LookEvery is the time between two exchanges of a replica with the store. Each is a look
	// at what its calls were since the last one.
	LookEvery = 5 * time.Second
	// maxBad bounds the conversations that are remembered as bad, of each guard.
	maxBad = 10_000
)

// Canary is one replica's part in trying a candidate. It is safe for concurrent use, and
// outlives configurations.
type Canary struct {
	plan    Plan
	store   Store
	key     string
	replica string

	// state is what the store had last; nil before it has answered.
	state atomic.Pointer[State]

	mu     sync.Mutex
	counts *Counts // since the last exchange
	totals Counts  // of this replica
	// bad are conversations that have been bad already, by the guard: one conversation is
	// counted as bad once, or a single broken one would decide.
	bad [guards]map[uint64]struct{}

	exchanging sync.Mutex // there is one exchange at a time; it holds what is below
	number     int64
	sending    *Counts // what may have been sent already, under number
	waiting    *Counts // what came since
	alone      *State  // what this replica makes of its own calls while the store is away; nil while it is not

	away atomic.Bool
}

// New makes the part of a replica. key names the canary in the store.
func New(store Store, key string, p Plan) *Canary {
	return &Canary{plan: p, store: store, key: key, replica: rand.Text(), counts: new(Counts), waiting: new(Counts)}
}

// Conversation names a conversation, or whatever has to stay with one arm, by the hash of
// parts, with their lengths.
func Conversation(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Arm gives the arm of a conversation: the candidate for the part of them that is the
// share now, and the same one whenever and at whatever replica it is asked, unless the share
// has changed. A share that grows moves conversations to the candidate alone.
func (c *Canary) Arm(conversation []byte) Arm {
	s := c.state.Load()
	if s == nil {
		return Stable
	}
	share := s.Share(c.plan)
	if share == 1 {
		return Candidate
	}
	mac := hmac.New(sha256.New, s.Key)
	mac.Write(conversation)
	if float64(binary.BigEndian.Uint64(mac.Sum(nil)))/(1<<64) < share {
		return Candidate
	}
	return Stable
}

// Promoted reports whether all conversations go to the candidate.
func (c *Canary) Promoted() bool {
	s := c.state.Load()
	return s != nil && s.Phase == Promoted
}

// Outcome is what became of a call at its arm.
type Outcome struct {
	Arm Arm
	// ID names the call to operators where it was bad; empty for a call without a name.
	ID string
	// Conversation is as for [Canary.Arm], also where arms stay with something else.
	Conversation []byte
	// Failed and Blocked say that the provider gave no answer, or that a compliance decision
	// took its place.
	Failed, Blocked bool
	// HasToolCalls says that the answer calls tools, and BrokenToolCall that a call of them
	// cannot be carried out.
	HasToolCalls, BrokenToolCall bool
	// FirstContent is the time from the request to the first content; 0 where there was none.
	FirstContent time.Duration
}

// Record counts a call.
func (c *Canary) Record(o Outcome) {
	var slow time.Duration
	if s := c.state.Load(); s != nil {
		slow = s.P95
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(Errors, o, o.Failed)
	c.count(Blocked, o, o.Blocked)
	if o.HasToolCalls {
		c.count(ToolCalls, o, o.BrokenToolCall)
	}
	if o.FirstContent <= 0 {
		return
	}
	if slow > 0 {
		c.count(LatencyP95, o, o.FirstContent > slow)
	}
	if o.Arm == Stable {
		c.counts.Latencies[bucketOf(o.FirstContent)]++
	}
}

// count counts a call for one guard. How slow a call is says nothing of the conversation.
func (c *Canary) count(g Guard, o Outcome, bad bool) {
	if g != LatencyP95 && len(o.Conversation) >= 8 {
		name := binary.BigEndian.Uint64(o.Conversation)
		if _, known := c.bad[g][name]; known {
			return
		}
		if bad {
			if c.bad[g] == nil || len(c.bad[g]) >= maxBad {
				c.bad[g] = make(map[uint64]struct{})
			}
			c.bad[g][name] = struct{}{}
		}
	}
	one := Tally{Trials: 1}
	if bad {
		one.Bad = 1
		if o.Arm == Candidate && o.ID != "" {
			c.counts.BadCalls[g] = lastCalls(c.counts.BadCalls[g], o.ID)
		}
	}
	c.counts.Tallies[g][o.Arm].add(one)
	c.totals.Tallies[g][o.Arm].add(one)
}

// Run exchanges with the store until ctx ends, usually each [LookEvery]. Several may run: configurations overlap.
func (c *Canary) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		_ = c.Exchange(ctx) // what fails is kept, and Status says so
		select {
		case <-ctx.Done():
			_ = c.Exchange(context.WithoutCancel(ctx)) // the process may end
			return
		case <-tick.C:
		}
	}
}

// Exchange brings what calls were to the store, which every replica takes its state from.
// Where the store is away, what calls were is kept for the next exchange, and the state stays
// as it is known, unless this replica's own calls say that the candidate is worse.
func (c *Canary) Exchange(ctx context.Context) error {
	c.exchanging.Lock()
	defer c.exchanging.Unlock()
	c.mu.Lock()
	recent := c.counts
	c.counts = new(Counts)
	c.mu.Unlock()
	c.waiting.add(recent)
	if c.sending == nil {
		c.sending, c.waiting = c.waiting, new(Counts)
		c.number++
	}
	last := c.state.Load()
	err := c.update(ctx, func(s *State, now time.Time) {
		if last != nil && last.Epoch != s.Epoch {
			return // what calls were was before it began anew
		}
		if s.Seen.Take(c.replica, c.number, now, forgetReplica, maxReplicas) { // or it was there before, and the reply was lost
			s.Look(c.plan, c.sending, now)
		}
		if a := c.alone; a != nil && a.Phase == RolledBack && s.Phase != Promoted && s.Phase != RolledBack {
			s.enter(RolledBack, a.Reason, now)
		}
	})
	if err != nil {
		c.lookAlone(recent)
		return err
	}
	c.sending, c.alone = nil, nil
	return nil
}

// lookAlone looks at what this replica's calls were while the store is away. Nothing but a
// rollback follows from it.
func (c *Canary) lookAlone(recent *Counts) {
	if c.alone == nil {
		last := c.state.Load()
		if last == nil {
			return
		}
		c.alone = last.clone()
	}
	c.alone.Look(c.plan, recent, c.alone.Looked) // no time passes, and so no step
	if c.alone.Phase == RolledBack {
		c.state.Store(c.alone.clone())
	}
}

// update changes the state in the store. c.exchanging is held.
func (c *Canary) update(ctx context.Context, change func(s *State, now time.Time)) error {
	var s *State
	err := c.store.Update(ctx, c.key, func(old []byte, now time.Time) ([]byte, error) {
		s = new(State)
		if len(old) == 0 {
			s = c.known(now)
		} else if err := json.Unmarshal(old, s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrState, err)
		} else if !s.valid(c.plan) {
			return nil, ErrState
		}
		change(s, now)
		return json.Marshal(s)
	})
	c.away.Store(err != nil)
	if err == nil {
		if last := c.state.Swap(s); last != nil && last.Epoch != s.Epoch {
			c.forget()
		}
	}
	return err
}

// forget forgets what calls were: the canary has begun anew.
func (c *Canary) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.bad = new(Counts), [guards]map[uint64]struct{}{}
	c.sending, c.waiting, c.alone = nil, new(Counts), nil
}

// known gives what to begin with where the store has nothing: a store that has lost its data
// does not make a canary begin anew that was rolled back.
func (c *Canary) known(now time.Time) *State {
	if last := c.state.Load(); last != nil {
		return last.clone()
	}
	return newState(now)
}

// ErrState means that what the store has is no state of a canary.
var ErrState = errors.New("the canary's state cannot be read")

func (s *State) valid(p Plan) bool {
	for _, e := range s.Evidence {
		for _, t := range [...]Tally{e.Stable, e.Candidate, e.Step} {
			if t.Bad < 0 || t.Bad > t.Trials {
				return false
			}
		}
	}
	switch s.Phase {
	case Running, Paused, Passed, Promoted, RolledBack:
		return len(s.Key) == sha256.Size && s.Step >= 0 && s.Step < len(p.Steps)
	}
	return false
}

// Action is what an operator does.
type Action string

// The actions.
const (
	Promote  Action = "promote"  // send all conversations to the candidate
	Rollback Action = "rollback" // send none
	Pause    Action = "pause"    // leave the share as it is
	Resume   Action = "resume"   // go on with the step
	Restart  Action = "restart"  // begin with the first step, and forget what calls were
)

// ErrAction means that an action is not one, or not for the phase that a canary is in.
var ErrAction = errors.New("no such action")

// Do has all replicas do what the operator says, as each exchanges next.
func (c *Canary) Do(ctx context.Context, a Action) error {
	c.exchanging.Lock()
	defer c.exchanging.Unlock()
	var wrong error
	err := c.update(ctx, func(s *State, now time.Time) {
		switch {
		case a == Promote:
			s.enter(Promoted, ByOperator, now)
		case a == Rollback:
			s.enter(RolledBack, ByOperator, now)
		case a == Pause && (s.Phase == Running || s.Phase == Paused):
			s.enter(Paused, ByOperator, now)
		case a == Resume && (s.Phase == Paused || s.Phase == Running):
			s.enter(Running, "", now)
			s.Looked = now
		case a == Restart:
			s.begin(now)
		default:
			wrong = fmt.Errorf("%w: %s while %s", ErrAction, a, s.Phase)
		}
	})
	return errors.Join(wrong, err)
}

// Totals gives how many calls of this replica each guard has judged, since the process began.
func (c *Canary) Totals() map[Guard][2]Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[Guard][2]Tally, len(c.plan.Guards))
	for _, g := range c.plan.Guards {
		out[g] = c.totals.Tallies[g]
	}
	return out
}
