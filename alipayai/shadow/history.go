package shadow

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/internal/batches"
)

// Store keeps the states of histories for all replicas.
type Store interface {
	// Update lets change make the state of a key from the one before, which is empty at first,
	// as one step. It may be called several times. now is the same clock for all replicas.
	Update(ctx context.Context, key string, change func(old []byte, now time.Time) ([]byte, error)) error
}

// ExchangeEvery is how often a history exchanges with its store.
const ExchangeEvery = 5 * time.Second

// Counts are what came of copies.
type Counts struct {
	// Pairs were compared, and Different of them differ in an aspect that is judged.
	Pairs     int64 `json:"pairs"`
	Different int64 `json:"different"`
	// NewBlocks are those that the shadow has blocked alone, and the real provider has answered.
	NewBlocks int64 `json:"new_blocks"`
	// Dropped were not asked, by the reason.
	Dropped map[string]int64 `json:"dropped,omitempty"`
	// Compared and Differ count the pairs by aspect.
	Compared map[Aspect]int64 `json:"compared,omitempty"`
	Differ   map[Aspect]int64 `json:"differ,omitempty"`
}

func (c *Counts) add(o *Counts) {
	c.Pairs, c.Different, c.NewBlocks = c.Pairs+o.Pairs, c.Different+o.Different, c.NewBlocks+o.NewBlocks
	plus(&c.Dropped, o.Dropped)
	plus(&c.Compared, o.Compared)
	plus(&c.Differ, o.Differ)
}

func plus[K comparable](to *map[K]int64, from map[K]int64) {
	if *to == nil && len(from) > 0 {
		*to = make(map[K]int64, len(from))
	}
	for k, n := range from {
		(*to)[k] += n
	}
}

// State is what all replicas have counted.
type State struct {
	Counts
	Drifts map[Aspect]Drift `json:"drifts,omitempty"`
	// BlockedAt is when the shadow has last blocked what was answered; zero for never.
	BlockedAt time.Time `json:"blocked_at,omitzero"`
	// Taken are the last batches of replicas, so that none counts twice.
	Taken batches.Last `json:"taken,omitempty"`
}

// Report is what operators are told.
type Report struct {
	Counts
	// Firing are the aspects in which more pairs differ than may.
	Firing []Aspect `json:"firing"`
	// Away says that the store does not answer, or what it has cannot be read: the counts are of what was known then and of
	// this replica.
	Away bool `json:"store_away"`
}

// Report gives the counts, and which of them are too high.
func (h *History) Report() Report {
	s := h.State()
	r := Report{Counts: s.Counts, Firing: []Aspect{}, Away: h.away.Load()}
	for _, aspect := range Judged {
		if s.Drifts[aspect].Firing {
			r.Firing = append(r.Firing, aspect)
		}
	}
	return r
}

// Replicas that have sent nothing for so long are forgotten, and those beyond so many.
const (
	forgetReplica = 24 * time.Hour
	maxReplicas   = 100
)

func (s *State) clone() *State {
	c := *s
	c.Dropped, c.Compared, c.Differ = maps.Clone(s.Dropped), maps.Clone(s.Compared), maps.Clone(s.Differ)
	c.Drifts, c.Taken = maps.Clone(s.Drifts), maps.Clone(s.Taken)
	return &c
}

// add takes a batch into account, of which the part p0 may differ in each aspect.
func (s *State) add(b *Counts, p0 float64, now time.Time) {
	s.Counts.add(b)
	if b.NewBlocks > 0 {
		s.BlockedAt = now
	}
	for _, aspect := range Judged {
		if trials := b.Compared[aspect]; trials > 0 {
			d := s.Drifts[aspect]
			d.add(trials, b.Differ[aspect], p0)
			if s.Drifts == nil {
				s.Drifts = make(map[Aspect]Drift)
			}
			s.Drifts[aspect] = d
		}
	}
}

// valid reports whether s may have been written by a history.
func (s *State) valid() bool {
	for _, d := range s.Drifts {
		for _, e := range append(d.More[:], d.Fewer[:]...) {
			if math.IsNaN(e) || math.IsInf(e, 0) {
				return false
			}
		}
		if d.Trials < 0 || d.Differ < 0 || d.Differ > d.Trials {
			return false
		}
	}
	return s.Pairs >= 0 && s.Different >= 0
}

// History counts what came of copies, and says when too many differ. It is safe for concurrent
// use; nothing waits for its store.
type History struct {
	store   Store
	key     string
	may     float64
	replica string

	mu sync.Mutex
	// recent is what was counted since the last exchange, and sending what that has not brought
	// to the store yet, as number; nil for nothing. State is what the store had then.
	recent  Counts
	sending *Counts
	number  int64
	state   *State

	exchanging sync.Mutex
	away       atomic.Bool // the last exchange has failed
}

// NewHistory makes a history that is kept under that key. may is the part of the pairs that may
// differ in each aspect.
func NewHistory(store Store, key string, may float64) *History {
	return &History{store: store, key: "shadow:" + key, may: may, replica: rand.Text(), state: new(State)}
}

// record counts a pair.
func (h *History) record(compared []Aspect, differences []Difference) (different bool) {
	one := Counts{Pairs: 1, Compared: make(map[Aspect]int64), Differ: make(map[Aspect]int64)}
	for _, aspect := range compared {
		one.Compared[aspect]++
	}
	for _, d := range differences {
		one.Differ[d.Aspect]++
		different = different || slices.Contains(Judged[:], d.Aspect)
		if d.Aspect == Blocked && d.Worse == OfShadow {
			one.NewBlocks = 1
		}
	}
	if different {
		one.Different = 1
	}
	h.count(&one)
	return different
}

func (h *History) drop(reason string) { h.count(&Counts{Dropped: map[string]int64{reason: 1}}) }

func (h *History) count(one *Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent.add(one)
}

// State is what is known: of all replicas, as the store had it, and what this one has counted since.
func (h *History) State() *State {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, now := h.state.clone(), time.Now()
	if h.sending != nil {
		s.add(h.sending, h.may, now)
	}
	s.add(&h.recent, h.may, now)
	return s
}

// Run exchanges with the store until ctx ends, and calls said with the error of the first exchange that fails, and with nil
// when one succeeds again. Several may run: configurations overlap.
func (h *History) Run(ctx context.Context, said func(err error)) {
	tick := time.NewTicker(ExchangeEvery)
	defer tick.Stop()
	failed := false
	for {
		if err := h.Exchange(ctx); ctx.Err() == nil && (err != nil) != failed { // what fails is kept
			failed = err != nil
			said(err)
		}
		select {
		case <-ctx.Done():
			_ = h.Exchange(context.WithoutCancel(ctx)) // the process may end
			return
		case <-tick.C:
		}
	}
}

// ErrState means that what the store has is no state of a history.
var ErrState = errors.New("the shadow's state cannot be read")

// Exchange brings what was counted to the store, and takes from there what others have. Where the
// store is away, it is kept for the next exchange.
func (h *History) Exchange(ctx context.Context) error {
	h.exchanging.Lock()
	defer h.exchanging.Unlock()
	h.mu.Lock()
	if h.sending == nil {
		batch := h.recent
		h.sending, h.recent = &batch, Counts{}
		h.number++
	}
	sending, known := h.sending, h.state
	h.mu.Unlock()
	var s *State
	err := h.store.Update(ctx, h.key, func(old []byte, now time.Time) ([]byte, error) {
		s = new(State)
		if len(old) == 0 {
			s = known.clone() // the store may have lost its data
		} else if err := json.Unmarshal(old, s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrState, err)
		} else if !s.valid() {
			return nil, ErrState
		}
		if s.Taken.Take(h.replica, h.number, now, forgetReplica, maxReplicas) { // or it was there before, and the reply was lost
			s.add(sending, h.may, now)
		}
		return json.Marshal(s)
	})
	h.away.Store(err != nil)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.sending, h.state = nil, s
	h.mu.Unlock()
	return nil
}
