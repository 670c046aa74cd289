package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/failover"
)

// ledger is what the replicas say of themselves.
type ledger struct {
	mu sync.Mutex
	// calls is how many asked a provider, at least once, from a replica.
	calls map[asked]int
	// runs are the calls in flight, by request id; keyed are those with
	// an Idempotency-Key that have ended, in that order.
	runs  map[string]*attempted
	keyed map[string][]keyedRun
	// fallen is how often calls went on to the next provider, by reason.
	fallen map[string]int
	// states are the breakers' by replica, tenant and provider; opened is how often
	// one has opened that was closed.
	states map[string]failover.State
	opened int
}

type asked struct {
	replica  int
	provider string
}

// attempted is what a call in flight has tried.
type attempted struct {
	providers []string // that were sent something
	codes     []string
	sent      int // how many attempts were
}

// keyedRun is what became of one call with an Idempotency-Key.
type keyedRun struct {
	sent bool // something, to a provider
	// served says that the client was given a provider's answer, whole or in part.
	served bool
	// rejected is how many answers it did not take although they may have been whole.
	rejected int
}

func newLedger() *ledger {
	return &ledger{
		calls: make(map[asked]int), runs: make(map[string]*attempted), keyed: make(map[string][]keyedRun),
		fallen: make(map[string]int), states: make(map[string]failover.State),
	}
}

// openings is how often a breaker has opened that was closed.
func (l *ledger) openings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened
}

type keyOf struct{}

// withKey tells the observer whose key a call has.
func withKey(ctx context.Context, tenant, key string) context.Context {
	if key == "" {
		return ctx
	}
	return context.WithValue(ctx, keyOf{}, tenant+" "+key)
}

// witness is the observer of one replica.
type witness struct {
	*ledger
	replica int
}

// Attempted implements alipayai.Observer.
func (w *witness) Attempted(a alipayai.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run := w.runs[a.RequestID]
	if run == nil {
		run = new(attempted)
		w.runs[a.RequestID] = run
	}
	if sent := a.Number > run.sent; sent && !slices.Contains(run.providers, a.Provider) {
		run.providers = append(run.providers, a.Provider)
		w.calls[asked{w.replica, a.Provider}]++
	}
	run.sent, run.codes = a.Number, append(run.codes, a.Code)
}

// unusable are the codes of answers that may have been whole at the upstream.
var unusable = []string{"invalid_response_signature", "upstream_timeout", "upstream_truncated_response"}

// Settled implements alipayai.Observer.
func (w *witness) Settled(ctx context.Context, o alipayai.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run := w.runs[o.RequestID]
	delete(w.runs, o.RequestID)
	key, ok := ctx.Value(keyOf{}).(string)
	if !ok || run == nil {
		return
	}
	ended := keyedRun{sent: o.Attempts > 0, served: o.Stored == "" && o.Attempts > 0 && (o.Code == "" || o.Aborted)}
	for _, code := range run.codes {
		if slices.Contains(unusable, code) {
			ended.rejected++
		}
	}
	w.keyed[key] = append(w.keyed[key], ended)
}

// FellOver implements alipayai.Observer.
func (w *witness) FellOver(_, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fallen[reason]++
}

// BreakerChanged implements alipayai.Observer.
func (w *witness) BreakerChanged(tenant, provider string, state failover.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	breaker := fmt.Sprint(w.replica, tenant, provider)
	if state == failover.Open && w.states[breaker] == failover.Closed {
		w.opened++
	}
	w.states[breaker] = state
}

// Permitted implements alipayai.Observer.
func (*witness) Permitted(string, time.Duration) {}

// Rejected implements alipayai.Observer.
func (*witness) Rejected(string, string) {}

// Charged implements alipayai.Observer.
func (*witness) Charged(alipayai.Cost) {}

// SigningFailed implements alipayai.Observer.
func (*witness) SigningFailed(string) {}
