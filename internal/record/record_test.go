package record

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// It is looked at once, sooner where something is left to do, when it is woken, and not after the end.
func TestRun(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		wake := make(chan struct{}, 1)
		began := time.Now()
		var at []time.Duration
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Run(ctx, wake, func(context.Context) bool {
				at = append(at, time.Since(began))
				return len(at) != 2
			})
		}()
		time.Sleep(LookEvery + BusyEvery + 10*time.Second)
		wake <- struct{}{}
		synctest.Wait()
		cancel()
		<-ended
		if want := []time.Duration{0, LookEvery, LookEvery + BusyEvery, LookEvery + BusyEvery + 10*time.Second}; !slices.Equal(at, want) {
			t.Errorf("looked after %v, want %v", at, want)
		}
	})
}

func TestHealth(t *testing.T) {
	var h Health
	away, began := errors.New("away"), time.Now()
	for i, step := range []struct {
		err          error
		first, fails bool
		well         int
	}{{nil, false, false, -1}, {away, true, true, -1}, {away, false, true, -1}, {nil, false, false, 3}, {nil, false, false, 3}, {away, true, true, 3}} {
		first := h.Note(step.err, began.Add(time.Duration(i)))
		well := time.Time{}
		if step.well >= 0 {
			well = began.Add(time.Duration(step.well))
		}
		if first != step.first || h.Fails != step.fails || !h.WellSince.Equal(well) {
			t.Errorf("step %d: first %v, %+v", i, first, h)
		}
	}
}
