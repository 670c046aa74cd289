package upstream

import (
	"cmp"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Hold is how long an upstream says that it is throttling an account, or the
// account's calls for one model where the vendor counts by model (see
// Profile.LimitsModels). An account with a Cap closes its window instead. It is what
// this process was answered. The zero value holds nothing, and a nil Hold never does.
type Hold struct {
	until   atomic.Int64 // nanoseconds since began; 0 for never held
	waiting atomic.Int64

	mu     sync.RWMutex
	models map[string]*Hold
}

// began is what holds are counted from. It carries a monotonic part, as readings of time.Now do, so that no hold becomes longer
// or shorter when the clock is set.
var began = time.Now()

// SharedHold is how long, as replicas share it, an account is throttling. Neither
// method waits.
type SharedHold interface {
	// Extend has all replicas hold model, or all models for "", until d from now, or
	// longer if that was asked for already.
	Extend(now time.Time, d time.Duration, model string)
	// Left is how long any of them holds model, or all models for "".
	Left(now time.Time, model string) time.Duration
}

// maxHeldModels bounds how many models of an account are held at once. Clients may
// choose their names.
const maxHeldModels = 1024

// ExtendModel is Extend for one model of the account.
func (h *Hold) ExtendModel(now time.Time, d time.Duration, model string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	of, ok := h.models[model]
	if !ok {
		if len(h.models) >= maxHeldModels {
			maps.DeleteFunc(h.models, func(_ string, of *Hold) bool { return of.Left(now) == 0 })
		}
		if len(h.models) >= maxHeldModels {
			return // the next call is answered 429 as well
		}
		if h.models == nil {
			h.models = make(map[string]*Hold)
		}
		of = new(Hold)
		h.models[model] = of
	}
	of.Extend(now, d)
}

// LeftModel is how long the account, or that model of it, is still held.
func (h *Hold) LeftModel(now time.Time, model string) time.Duration {
	if h == nil {
		return 0
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return max(h.Left(now), h.models[model].Left(now))
}

// Extend holds until d from now, or longer if that was asked for already.
func (h *Hold) Extend(now time.Time, d time.Duration) {
	if h == nil {
		return
	}
	for until := int64(now.Add(d).Sub(began)); ; {
		held := h.until.Load()
		if held != 0 && held >= until || h.until.CompareAndSwap(held, until) {
			return
		}
	}
}

// Left is how long it still holds.
func (h *Hold) Left(now time.Time) time.Duration {
	if h == nil {
		return 0
	}
	until := h.until.Load()
	if until == 0 {
		return 0
	}
	return max(time.Duration(until)-now.Sub(began), 0)
}

// Wait counts a caller that waits for the end of the hold. done must be called
// when it waits no longer; ok is false where too many wait already.
func (h *Hold) Wait() (done func(), ok bool) {
	return func() { h.waiting.Add(-1) }, h.waiting.Add(1) <= DefaultQueueCount
}

// Waiting is how many callers wait for the end of the hold.
func (h *Hold) Waiting() int64 { return h.waiting.Load() }

// Throttled takes note that p takes no more calls for as long as it said, or a
// second: none for model where its vendor counts by model, and else none of the
// account. model is empty where it is not known.
//
// A rate window is of the host where a provider has no client id, so only an account
// with one may close it. A window is shared by the store that keeps it, all else by
// SharedHold.
func (p *Provider) Throttled(now time.Time, hold time.Duration, model string) {
	hold = cmp.Or(hold, ThrottleHold)
	switch {
	case p.Profile.LimitsModels && model != "":
		p.Hold.ExtendModel(now, hold, model)
	case p.Cap != nil && (p.ClientID != "" || p.Profile.Signs()):
		p.Cap.Throttled(hold)
		return
	default:
		model = ""
		p.Hold.Extend(now, hold)
	}
	if p.SharedHold != nil {
		p.SharedHold.Extend(now, hold, model)
	}
}

// Held is how long p takes no calls for model.
func (p *Provider) Held(now time.Time, model string) time.Duration {
	var left time.Duration
	if p.Profile.LimitsModels {
		left = p.Hold.LeftModel(now, model)
	} else {
		left, model = p.Hold.Left(now), ""
	}
	if p.SharedHold != nil {
		left = max(left, p.SharedHold.Left(now, model))
	}
	return left
}
