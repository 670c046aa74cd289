package failover

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/race"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestCallerThatIsGoneIsNoProbe(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newStage(t, Rule{})
		s.play("- - - - 60s")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.breakers.Allow(gone, testKey, s.rule); !errors.Is(err, context.Canceled) || errors.Is(err, ErrOpen) {
			t.Errorf("error %v, want the context's", err)
		}
		s.play("(a x")
	})
}

// A Changed that takes its time holds up neither other calls nor itself when it
// calls the breakers.
func TestChangedBlocksNoCall(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		rule := Rule{Failures: 1}
		entered, leave := make(chan struct{}), make(chan struct{})
		rule.Changed = func(key Key, state State) {
			if _, err := b.Allow(t.Context(), key, rule); !errors.Is(err, ErrOpen) {
				t.Errorf("within Changed: %v", err)
			}
			_ = b.States()
			close(entered)
			<-leave
		}
		first, _ := b.Allow(t.Context(), testKey, rule)
		second, _ := b.Allow(t.Context(), testKey, rule)
		first.Done(Failure)
		go second.Done(Failure)
		<-entered
		other, err := b.Allow(t.Context(), Key{"other", "alipay"}, rule)
		if err != nil {
			t.Fatal(err)
		}
		other.Done(Failure)
		close(leave)
	})
}

func TestOneProbeOfManyCalls(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newStage(t, Rule{})
		s.play("- - - - 60s")
		var (
			calls sync.WaitGroup
			mu    sync.Mutex
			n     int
		)
		s.rule.Changed = nil
		for range 100 {
			calls.Go(func() {
				if _, err := s.breakers.Allow(t.Context(), testKey, s.rule); err == nil {
					mu.Lock()
					n++
					mu.Unlock()
				}
			})
		}
		calls.Wait()
		if n != 1 {
			t.Errorf("%d of 100 calls are the probe, want 1", n)
		}
	})
}

// When several calls find a probe due, the lock lets only one be the probe.
func TestProbeIsDecidedUnderTheLock(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newStage(t, Rule{})
		s.play("- - - - 60s")
		rule := s.rule.withDefaults()
		probe, err := s.breakers.probe(testKey, rule)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.breakers.probe(testKey, rule); !errors.Is(err, ErrOpen) {
			t.Errorf("a second probe: %v", err)
		}
		probe.Done(Success)
		if admitted, err := s.breakers.probe(testKey, rule); err != nil {
			t.Errorf("a call that came too late to be the probe: %v", err)
		} else {
			admitted.Done(Failure)
		}
		s.play("- - - x")
		if want := []string{"open", "closed", "open"}; !slices.Equal(s.changes, want) {
			t.Errorf("changes %q, want %q", s.changes, want)
		}
	})
}

func TestDoneOfAnEndedCallDoesNotEndAnother(t *testing.T) {
	var b Breakers
	rule := Rule{Failures: 1}
	var ended []Admission
	for range 200 {
		admitted, err := b.Allow(t.Context(), testKey, rule)
		if err != nil {
			t.Fatal(err)
		}
		admitted.Done(Success)
		ended = append(ended, admitted)
	}
	under, _ := b.Allow(t.Context(), testKey, rule)
	for _, admitted := range ended {
		admitted.Done(Failure)
	}
	if h := b.read(testKey); len(h.failures) != 0 || h.isOpen() {
		t.Errorf("calls that had ended have failed: %+v", h)
	}
	under.Done(Failure)
	if h := b.read(testKey); len(h.failures) != 1 {
		t.Errorf("the call in flight is not counted: %+v", h)
	}
}

func TestClosedCallAllocatesOnce(t *testing.T) {
	if race.Enabled {
		return // the detector makes pools forget
	}
	var b Breakers
	ctx, rule := t.Context(), Rule{}
	if n := testing.AllocsPerRun(1000, func() {
		admitted, _ := b.Allow(ctx, testKey, rule)
		admitted.Done(Success)
	}); n > 1 {
		t.Errorf("%g allocations of a call through a closed breaker, want at most 1", n)
	}
}
