package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// storm lets things go wrong, at random.
type storm struct {
	rig      *rig
	settings settings
	stop     chan struct{}
	blowing  sync.WaitGroup

	mu                sync.Mutex
	err               error
	paused, restarted int // how often Redis was
}

func newStorm(s settings, r *rig) *storm {
	return &storm{rig: r, settings: s, stop: make(chan struct{})}
}

// Streams of random numbers, so that one does not shift another.
const (
	drawAlipay = iota
	drawClaude
	drawRedis
	drawGather
	drawClients // and the clients after it
)

func (s settings) draws(stream int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, uint64(stream)))
}

// outage is what an upstream answers to all calls, for long enough that it tells:
// by system errors breakers open, by others budgets run out.
const outage = 700 * time.Millisecond

// begin starts it; end stops it, and lets all be well.
func (s *storm) begin() {
	s.blow(drawAlipay, 150*time.Millisecond, 500*time.Millisecond,
		s.breakUpstream(s.rig.alipay, 8, sandbox.Fault{Kind: sandbox.SystemError500}))
	s.blow(drawClaude, 150*time.Millisecond, 500*time.Millisecond,
		s.breakUpstream(s.rig.claude, 4, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 500}))
	s.blow(drawGather, 2*time.Second, 3*time.Second, func(*rand.Rand) error {
		for _, u := range s.rig.upstreams() {
			u.gather()
		}
		return nil
	})
	if s.rig.redis != nil {
		// Often enough that a short run sees both ways.
		d := s.settings.duration
		s.blow(drawRedis, min(d/10, time.Second), min(d/4, 3*time.Second), s.breakRedis)
	}
}

func (s *storm) end() error {
	close(s.stop)
	s.blowing.Wait()
	for _, u := range s.rig.upstreams() {
		s.failed(u.sim.SetFaults()) // none
	}
	return s.err
}

// blow does something again and again, with pauses drawn from least to most.
func (s *storm) blow(stream int, least, most time.Duration, do func(*rand.Rand) error) {
	r := s.settings.draws(stream)
	s.blowing.Go(func() {
		for s.pause(least + time.Duration(r.Int64N(int64(most-least)))) {
			s.failed(do(r))
		}
	})
}

// failed remembers what should have worked.
func (s *storm) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

// pause waits, and reports whether it goes on.
func (s *storm) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// breakUpstream draws the faults of an upstream; every so many times it is out, by
// that fault alone.
func (s *storm) breakUpstream(u *upstream, every int, out sandbox.Fault) func(*rand.Rand) error {
	times := 0
	return func(r *rand.Rand) error {
		if times++; times%every != 1 {
			return u.sim.SetFaults(draw(r, u == s.rig.alipay)...)
		}
		before := s.rig.seen.openings()
		err := u.sim.SetFaults(out)
		s.pause(outage)
		// With few calls, breakers take longer.
		for range 4 {
			if out.Kind != sandbox.SystemError500 || s.rig.seen.openings() > before || !s.pause(outage) {
				break
			}
		}
		return err
	}
}

// breakRedis stops it and kills it in turn, for some time each.
func (s *storm) breakRedis(r *rand.Rand) error {
	most := min(s.settings.duration/10, time.Second)
	redis, away := s.rig.redis, 100*time.Millisecond+time.Duration(r.Int64N(int64(most)))
	if s.paused == s.restarted {
		s.paused++
		if err := redis.pause(); err != nil {
			return fmt.Errorf("pausing redis-server: %w", err)
		}
		s.pause(away)
		return redis.resume()
	}
	s.restarted++
	redis.kill()
	s.pause(away)
	return redis.restart(context.Background())
}

// draw gives what goes wrong for some time: often nothing, sometimes everything.
func draw(r *rand.Rand, alipay bool) []sandbox.Fault {
	if r.IntN(3) == 0 {
		return nil
	}
	faults := make([]sandbox.Fault, 0, 4)
	for range 1 + r.IntN(3) {
		f := drawFault(r, alipay)
		if f.Times = 1 + r.IntN(12); r.IntN(6) == 0 && f.Kind != sandbox.TokenError {
			f.Times = 0 // until the next draw
		}
		faults = append(faults, f)
	}
	if alipay && r.IntN(10) == 0 {
		// Seldom: the cap starts again at half its rate.
		faults = append(faults, sandbox.Fault{Kind: sandbox.Throttle, Times: 1, RetryAfter: r.IntN(2)})
	}
	return faults
}

var (
	faults = []sandbox.Kind{
		sandbox.Latency, sandbox.SlowFirstByte, sandbox.SystemError200, sandbox.SystemError500,
		sandbox.SystemErrorFirst, sandbox.SystemErrorMidstream, sandbox.HTTPStatus, sandbox.ResetBefore,
		sandbox.ResetAfter, sandbox.Stall, sandbox.Cut, sandbox.MalformedChunk, sandbox.MalformedJSON,
		sandbox.TruncatedBody, sandbox.EmptyStream, sandbox.DoneFirst,
	}
	alipayFaults = []sandbox.Kind{sandbox.ExpiredToken, sandbox.TokenError, sandbox.WrongResponseSignature, sandbox.ClockSkew}
)

func drawFault(r *rand.Rand, alipay bool) sandbox.Fault {
	n := r.IntN(len(faults) + len(alipayFaults))
	if n >= len(faults) && !alipay {
		n -= len(alipayFaults)
	}
	if n >= len(faults) {
		f := sandbox.Fault{Kind: alipayFaults[n-len(faults)]}
		if f.Kind == sandbox.ClockSkew {
			f.Skew = time.Duration(r.IntN(2*20)-20) * time.Minute
			f.Skew += time.Second // none is not taken
		}
		return f
	}
	f := sandbox.Fault{Kind: faults[n]}
	switch f.Kind {
	case sandbox.Latency, sandbox.SlowFirstByte:
		f.Delay = time.Duration(1 + r.Int64N(int64(time.Second)))
	case sandbox.HTTPStatus:
		f.Status = []int{500, 502, 503, 504}[r.IntN(4)]
		if f.Status == 503 {
			f.RetryAfter = r.IntN(2)
		}
	case sandbox.ResetAfter, sandbox.Stall, sandbox.MalformedChunk:
		f.AfterEvents = r.IntN(6)
	case sandbox.Cut:
		f.AfterEvents, f.MidEvent = 1+r.IntN(6), r.IntN(2) == 0
	case sandbox.SystemErrorMidstream:
		f.AfterEvents = 1 + r.IntN(6)
	}
	return f
}
