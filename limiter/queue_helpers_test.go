package limiter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// spyWindow is a MemoryWindow that keeps account of its slots, and fails with
// fail if that is set.
type spyWindow struct {
	*MemoryWindow
	t *testing.T

	mu       sync.Mutex
	fail     error
	others   int           // permits that other replicas take before each of ours
	stall    time.Duration // for which the process stands still with the next slot in hand
	reserved int
	returned int
	// unmatched are permits of others that were taken before ours that were returned.
	unmatched int
	out       []Slot // not returned, in order
}

func newSpy(t *testing.T) *spyWindow {
	return &spyWindow{MemoryWindow: NewMemoryWindow(time.Now), t: t}
}

func (w *spyWindow) Reserve(ctx context.Context, l Limit) (Slot, error) {
	w.mu.Lock()
	stall := w.stall
	w.stall = 0
	s, err := w.take(ctx, l)
	w.mu.Unlock()
	time.Sleep(stall)
	return s, err
}

func (w *spyWindow) take(ctx context.Context, l Limit) (Slot, error) {
	if w.fail != nil {
		return Slot{}, w.fail
	}
	// Others take no new slots for one of ours that was returned.
	others := max(0, w.others-w.unmatched)
	w.unmatched = max(0, w.unmatched-w.others)
	for range others {
		if _, err := w.MemoryWindow.Reserve(ctx, l); err != nil {
			return Slot{}, err
		}
	}
	s, err := w.MemoryWindow.Reserve(ctx, l)
	if err == nil {
		w.reserved++
		w.out = append(w.out, s)
	}
	return s, err
}

func (w *spyWindow) Return(s Slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.out, func(o Slot) bool { return o.id == s.id })
	if i < 0 {
		w.t.Errorf("slot %d is returned but not out", s.id)
		return
	}
	w.out = slices.Delete(w.out, i, i+1)
	w.returned++
	w.unmatched += w.others
	w.MemoryWindow.Return(s)
}

// used is how many slots were reserved and not given back.
func (w *spyWindow) used() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reserved - w.returned
}

// future is how many reserved slots have their time yet to come.
func (w *spyWindow) future() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for i := len(w.out) - 1; i >= 0 && w.out[i].At.After(time.Now()); i-- {
		n++
	}
	return n
}

// outcome is how a call's wait ended.
type outcome struct {
	name string
	slot Slot
	err  error
	at   time.Duration // since the harness began
}

func (o outcome) reason() Reason {
	if r, ok := errors.AsType[*Rejection](o.err); ok {
		return r.Reason
	}
	return ""
}

func (o outcome) retryAfter() time.Duration {
	var r *Rejection
	errors.As(o.err, &r)
	return r.RetryAfter
}

// harness sends calls through a queue, in a synctest bubble.
type harness struct {
	*Queue
	t      *testing.T
	window *spyWindow
	began  time.Time
	mu     sync.Mutex
	done   []outcome // in order
}

func newHarness(t *testing.T) *harness {
	w := newSpy(t)
	return &harness{Queue: NewQueue(w, time.Now), t: t, window: w, began: time.Now()}
}

// call sends one and returns as soon as it waits or is through.
func (h *harness) call(ctx context.Context, name string, r Request) {
	go h.do(ctx, name, r)
	h.settle()
}

// settle waits until nothing happens without time passing. Then no more than
// the slot for the head may be reserved.
func (h *harness) settle() {
	synctest.Wait()
	if h.window == nil {
		return
	}
	if n := h.window.future(); n > 1 {
		h.t.Errorf("%d slots are reserved, want only the next", n)
	}
}

func (h *harness) do(ctx context.Context, name string, r Request) {
	s, err := h.Wait(ctx, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, outcome{name, s, err, time.Since(h.began)})
	if late := time.Since(s.At); err == nil && late != 0 {
		h.t.Errorf("%s is admitted %v after its slot begins", name, late)
	}
}

// outcomes returns those since it was last called.
func (h *harness) outcomes() []outcome {
	h.settle()
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.done
	h.done = nil
	return done
}

func (h *harness) names() (names []string) {
	for _, o := range h.outcomes() {
		names = append(names, o.name)
	}
	return names
}

// checkWindow fails if a span holds more permits than the limit allows.
func checkWindow(t *testing.T, l Limit, permits []time.Duration) {
	t.Helper()
	for i := l.Requests; i < len(permits); i++ {
		if apart := permits[i] - permits[i-l.Requests]; apart < l.Span() {
			t.Fatalf("permits %d to %d are within %v, less than %v", i-l.Requests, i, apart, l.Span())
		}
	}
}

// one is a limit of one permit a second.
var one = Limit{Requests: 1, Per: time.Second}

// patient waits as long as it takes.
func patient(tenant string) Request {
	return Request{Tenant: tenant, Bytes: 1, MaxWait: time.Hour, Limit: one, MaxCount: 1 << 20, MaxBytes: 1 << 40}
}
