package suite

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
)

// Observer hears what operators are to know. Its methods return at once.
type Observer interface {
	// Ended follows each run that this replica has brought to its end.
	Ended(r *Report)
	// Elsewhere follows the first look at one that another replica has.
	Elsewhere(r *Report)
	// StoreFailed: the record cannot be read or written. No run is begun meanwhile, since another replica may be at it.
	StoreFailed(err error)
}

// Config is what a [Schedule] works on. Its functions are safe for concurrent use.
type Config struct {
	// Name and Provider are those of the reports.
	Name, Provider string
	Suite          *Suite
	// Every is how long after the beginning of a run the next one begins.
	Every       time.Duration
	Concurrency int
	Ask         Asked

	Store    record.Store
	Observer Observer
	// Known is what was known before; nil for nothing. Keep gets what is known from now on; it may be nil.
	Known *Record
	Keep  func(Record)
	// Now is the local time.
	Now func() time.Time
}

// Schedule runs a suite again and again, by one replica for all. It is safe for concurrent use.
type Schedule struct {
	Config

	mu        sync.Mutex
	record    Record
	told      time.Time // when the last run began that the observer has heard of
	loaded    bool
	unwritten bool // the store does not know all of the record
	store     record.Health
	life      time.Duration
}

// NewSchedule makes a schedule. It starts nothing.
func NewSchedule(c Config) *Schedule {
	s := &Schedule{Config: c, life: turn + leaseMargin}
	for _, p := range c.Suite.Prompts {
		s.life = max(s.life, turn+p.Timeout+leaseMargin)
	}
	if c.Known != nil {
		s.record, s.loaded = *c.Known, true
		if s.record.Last != nil {
			s.told = s.record.Last.Began
		}
	}
	return s
}

const (
	// turn is for how long a replica begins prompts before it writes down what came of them and looks again.
	turn = time.Minute
	// leaseMargin is what the lease has beyond the longest turn.
	leaseMargin = 30 * time.Second
	// writeEvery is how often results are written down during a turn: so many seconds of them a process that is killed loses.
	writeEvery = time.Second
	// forsaken is after what time a run of another file's content, or of another provider, is taken for given up.
	forsaken = 10 * time.Minute
)

// Run looks at once, and then each minute, until ctx ends.
func (s *Schedule) Run(ctx context.Context) { record.Run(ctx, nil, s.Look) }

// Record gives what is known.
func (s *Schedule) Record() Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record
}

// State is how a suite fares.
type State struct {
	Provider string `json:"provider"`
	// Every is how long after the beginning of a run the next one begins, as 6h0m0s.
	Every string `json:"every"`
	// Last is the last run that has ended, and Running one that has not; null for none.
	Last    *Report `json:"last"`
	Running *Report `json:"running"`
}

// State is what is known, for an operator.
func (s *Schedule) State() State {
	r := s.Record()
	return State{s.Provider, s.Every.String(), r.Last, r.Running}
}

// Look reads the record, runs the suite for a turn where it is due, and writes down what came of it. It reports whether
// nothing is left to do just now.
func (s *Schedule) Look(ctx context.Context) bool {
	if !s.load(ctx) {
		return ctx.Err() != nil || !s.due() && !s.isUnwritten()
	}
	if !s.due() && !s.isUnwritten() {
		return true
	}
	release, ok, err := s.Store.Lease(ctx, s.life)
	if err != nil || !ok {
		s.stored(ctx, err)
		return false
	}
	defer release()
	if !s.load(ctx) { // another replica may just have done it
		return false
	}
	if s.isUnwritten() && !s.write(ctx) {
		return false
	}
	if !s.due() {
		return true
	}
	return s.turn(ctx)
}

// due reports whether there is anything to ask. The run of another replica is left to it until its lease must have ended:
// where the store was away, it may be at it without one, and has a minute to write what it knows.
func (s *Schedule) due() bool {
	now, r := s.Now(), s.Record()
	if r.Running == nil {
		return r.Last == nil || now.Sub(r.Last.Began).Abs() >= s.Every
	}
	if s.own(r.Running) && r.HandedOver {
		return true
	}
	patience := s.life
	if !s.own(r.Running) {
		patience = forsaken
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(r.Touched).Abs() >= patience && now.Sub(s.store.WellSince) >= record.LookEvery
}

// own reports whether a run is of the same file and provider.
func (s *Schedule) own(r *Report) bool {
	return r.Version == s.Suite.Version && r.Provider == s.Provider
}

// turn begins a run, or goes on with it. The replica has the lease.
func (s *Schedule) turn(ctx context.Context) (ended bool) {
	began := s.Now()
	report := &Report{Suite: s.Name, Version: s.Suite.Version, Provider: s.Provider, Began: began.UTC()}
	if running := s.Record().Running; running != nil && s.own(running) {
		report.Began, report.Results = running.Began, running.Results
	}
	s.progress(report.with(report.Results), false)
	// Before the first prompt is asked, so that replicas that lose the store know of it.
	if !s.write(ctx) {
		return false
	}
	soFar, written := append([]Result{}, report.Results...), began
	run := Run{
		Suite: s.Suite, Ask: s.Ask, Concurrency: s.Concurrency, Now: s.Now, Until: began.Add(turn),
		Done: func(r Result) {
			r.Answer = nil
			soFar = append(soFar, r)
			s.progress(report.with(s.Suite.sort(soFar)), false)
			if now := s.Now(); now.Sub(written) >= writeEvery {
				written = now
				s.write(ctx)
			}
		},
	}
	results, whole := run.Do(ctx, report.Results)
	report.Results = results
	if whole {
		s.end(report)
	} else {
		s.progress(report, true)
	}
	// What was asked was paid for: it is written also where the configuration has ended meanwhile.
	return s.write(context.WithoutCancel(ctx)) && whole
}

// with gives the report with these results.
func (r *Report) with(results []Result) *Report {
	next := *r
	next.Results = results
	return &next
}

// progress notes the run as it is, and whether this replica leaves it to whichever comes first.
func (s *Schedule) progress(r *Report, handOver bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Running, s.record.Touched, s.record.HandedOver, s.unwritten = r, s.Now().UTC(), handOver, true
	s.keep()
}

// end notes the end of a run, and tells the observer.
func (s *Schedule) end(r *Report) {
	s.mu.Lock()
	r.Ended = s.Now().UTC()
	r.Changes = r.Compare(s.record.Verdicts)
	s.record = Record{Last: r, Touched: r.Ended, Verdicts: r.Verdicts(s.record.Verdicts)}
	s.told, s.unwritten = r.Began, true
	s.keep()
	s.mu.Unlock()
	s.Observer.Ended(r)
}

// keep passes on what is known. The schedule is locked.
func (s *Schedule) keep() {
	if s.Keep != nil {
		s.Keep(s.record)
	}
}

// load reads the record, and goes by it unless this replica knows more: the store may have lost it.
func (s *Schedule) load(ctx context.Context) bool {
	shared, err := s.read(ctx)
	if !s.stored(ctx, err) {
		return false
	}
	s.mu.Lock()
	var news *Report
	if shared.newer(s.record) {
		s.record = shared
		s.keep()
	}
	s.unwritten = s.record.newer(shared)
	if last := s.record.Last; last != nil && last.Began.After(s.told) {
		if s.loaded {
			news = last
		}
		s.told = last.Began
	}
	s.loaded = true
	s.mu.Unlock()
	if news != nil {
		s.Observer.Elsewhere(news)
	}
	return true
}

// read gives what the store has.
func (s *Schedule) read(ctx context.Context) (Record, error) {
	content, err := s.Store.Load(ctx)
	if err != nil {
		return Record{}, err
	}
	return ParseRecord(content), nil
}

// write writes the record, and reports whether the store has it.
func (s *Schedule) write(ctx context.Context) bool {
	s.mu.Lock()
	content, of := s.record.Marshal(), s.record
	s.mu.Unlock()
	if !s.stored(ctx, s.Store.Save(ctx, content)) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwritten = s.record.newer(of)
	return true
}

func (s *Schedule) isUnwritten() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unwritten
}

// stored notes how the store fares, and reports whether it does well.
func (s *Schedule) stored(ctx context.Context, err error) bool {
	if err != nil && ctx.Err() != nil {
		return false // this replica ends, and not the store
	}
	s.mu.Lock()
	first := s.store.Note(err, s.Now())
	s.mu.Unlock()
	if first {
		s.Observer.StoreFailed(err)
	}
	return err == nil
}
