package alert

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
)

// Sink is a service that notifications go to. It is safe for concurrent use.
type Sink interface {
	// Name is what logs and metrics call it. It holds no secret.
	Name() string
	// Send delivers one notification and returns when the service has it. An error
	// says nothing of the address, and is a [*SendError] where trying again
	// makes no sense, or only after a while.
	Send(ctx context.Context, n Notification) error
}

// Result is what became of a notification at a sink.
type Result string

// The results.
const (
	Sent    Result = "sent"
	Failed  Result = "failed"  // by the service, or on the way, after all attempts
	Dropped Result = "dropped" // the sink's queue was full
)

// Options of an [Alerter].
type Options struct {
	Sinks []Sink
	// Source is this gateway's name in notifications, and keeps its alerts
	// apart from those of others: gateways with the same source end each
	// other's alerts. Usually the host's name.
	Source string
	Logger *zap.Logger
	// Credentials knows what summaries must not hold; nil for nothing.
	Credentials *credentials.Filter
	// Observe is called with the result of each notification; it may be nil. It
	// must not block.
	Observe func(sink string, kind Kind, result Result)
}

// Alerter is a [State] with the sinks of one configuration. It is safe for
// concurrent use, and has no end: what is queued is sent, whatever becomes of the
// configuration.
type Alerter struct {
	state *State
	opt   Options
	lanes []*lane
}

// New makes an Alerter. It starts nothing.
func New(state *State, opt Options) *Alerter {
	if opt.Observe == nil {
		opt.Observe = func(string, Kind, Result) {}
	}
	a := &Alerter{state: state, opt: opt}
	names := map[string]int{}
	for _, sink := range opt.Sinks {
		name := sink.Name()
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s_%d", name, names[name])
		}
		a.lanes = append(a.lanes, &lane{id: state.lanes.Add(1), name: name, sink: sink, alerter: a})
	}
	return a
}

// Raise says that something is wrong. If that is known already it only counts, and sends it
// to those sinks that it has not reached.
func (a *Alerter) Raise(kind Kind, provider, summary string) {
	sub := subject{kind, provider}
	if f := a.state.get(sub); f != nil {
		f.repeats.Add(1)
		a.again(sub, f)
		return
	}
	a.change(func() (Notification, bool) { return a.state.raise(sub, summary) })
}

// Update is Raise for what changes while it is wrong: another summary is told as well.
func (a *Alerter) Update(kind Kind, provider, summary string) {
	sub := subject{kind, provider}
	a.change(func() (Notification, bool) { return a.state.update(sub, summary) })
	if f := a.state.get(sub); f != nil {
		a.again(sub, f)
	}
}

// again queues what fires for the sinks that it has not reached.
func (a *Alerter) again(sub subject, f *firing) {
	if !f.missing.Load() {
		return
	}
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	for _, l := range a.lanes {
		if n, ok := a.state.again(sub, l); ok {
			l.push(a.complete(n))
		}
	}
}

// complete gives a notification what all of this configuration have.
func (a *Alerter) complete(n Notification) Notification {
	n.Source, n.Summary = a.opt.Source, a.opt.Credentials.Text(n.Summary)
	return n
}

// Resolve says that all is well. If nothing was wrong that costs next to
// nothing: it may be said after every call.
func (a *Alerter) Resolve(kind Kind, provider, summary string) {
	sub := subject{kind, provider}
	if a.state.get(sub) == nil {
		return
	}
	a.change(func() (Notification, bool) { return a.state.resolve(sub, summary) })
}

// Flush waits until all that was queued is sent, or is given up.
func (a *Alerter) Flush(ctx context.Context) error {
	for _, l := range a.lanes {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// change changes the state, and logs and queues the notification about it, if
// there is one. That it is queued before the state can change again is what keeps
// notifications in order, and that it is logged before it is queued has who
// follows one find it in the log.
func (a *Alerter) change(of func() (Notification, bool)) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	n, changed := of()
	if !changed {
		return
	}
	n = a.complete(n)
	a.log(&n)
	for _, l := range a.lanes {
		l.push(n)
	}
}

func (a *Alerter) log(n *Notification) {
	fields := []zap.Field{zap.String("kind", string(n.Kind)), zap.String("provider", n.Provider), zap.String("summary", n.Summary)}
	if n.Action == Trigger {
		a.opt.Logger.Warn("alert", fields...)
		return
	}
	a.opt.Logger.Info("alert resolved", append(fields, zap.Duration("after", n.Time.Sub(n.Since)), zap.Int64("repeats", n.Repeats))...)
}
