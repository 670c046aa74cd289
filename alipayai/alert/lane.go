package alert

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// maxQueued is how many notifications wait for one sink.
	maxQueued = 256
	// sendFor is how long a notification is tried to be sent: what opens a breaker,
	// such as a network that fails, may keep the sink out of reach as well. An
	// attempt takes up to sendTimeout; between attempts are up to firstBackoff,
	// twice that, and so on, up to maxBackoff.
	sendFor      = 5 * time.Minute
	sendTimeout  = 10 * time.Second
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// maxRetryAfter is the longest wait that a service may ask for.
	maxRetryAfter = time.Minute
)

// SendError is why a sink could not deliver a notification.
type SendError struct {
	// Reason has no secret in it, such as the address.
	Reason string
	// Final says that it would fail again.
	Final bool
	// After is the wait that the service asks for, if it does.
	After time.Duration
}

// Error implements error.
func (f *SendError) Error() string { return f.Reason }

// lane is the queue of one sink. Its worker exists only while there is something
// to send.
type lane struct {
	name    string
	sink    Sink
	alerter *Alerter
	dropped atomic.Int64 // since the last log entry

	mu   sync.Mutex
	jobs []job
	idle chan struct{} // closed when the worker ends; nil while there is none
}

// job is a notification, and its place on the way to the sink.
type job struct {
	Notification
	before, done chan struct{}
}

func (l *lane) way(n Notification) delivery {
	return delivery{l.name, subject{n.Kind, n.Provider}}
}

// push queues a notification, or drops it. The state is locked.
func (l *lane) push(n Notification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) >= maxQueued {
		l.dropped.Add(1)
		l.alerter.opt.Observe(l.name, n.Kind, Dropped)
		return
	}
	before, done := l.alerter.state.follow(l.way(n))
	l.jobs = append(l.jobs, job{n, before, done})
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.run()
	}
}

func (l *lane) run() {
	for {
		l.mu.Lock()
		if len(l.jobs) == 0 {
			close(l.idle)
			l.idle, l.jobs = nil, nil
			l.mu.Unlock()
			return
		}
		next := l.jobs[0]
		l.jobs = l.jobs[1:]
		l.mu.Unlock()
		l.work(next)
	}
}

// work delivers one notification, after the one about the same that another
// configuration may still be sending.
func (l *lane) work(j job) {
	opt := l.alerter.opt
	defer l.alerter.state.arrived(l.way(j.Notification), j.done)
	if j.before != nil {
		<-j.before
	}
	err := l.deliver(j.Notification)
	result := Sent
	if err != nil {
		result = Failed
		opt.Logger.Error("alert could not be sent", zap.String("sink", l.name),
			zap.String("action", string(j.Action)), zap.String("kind", string(j.Kind)),
			zap.String("provider", j.Provider), zap.Error(err))
	}
	if n := l.dropped.Swap(0); n > 0 {
		opt.Logger.Error("alerts were dropped", zap.String("sink", l.name), zap.Int64("count", n))
	}
	opt.Observe(l.name, j.Kind, result)
}

// deliver sends, and tries again where that may help.
func (l *lane) deliver(n Notification) error {
	until := time.Now().Add(sendFor)
	for attempt := 0; ; attempt++ {
		err := l.send(n)
		var failure *SendError
		if err == nil || !time.Now().Before(until) || errors.As(err, &failure) && failure.Final {
			return err
		}
		wait := rand.N(min(firstBackoff<<min(attempt, 8), maxBackoff))
		if failure != nil {
			wait = max(wait, min(failure.After, maxRetryAfter))
		}
		time.Sleep(wait)
	}
}

func (l *lane) send(n Notification) error {
	// A notification belongs to no call and to no configuration.
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	return l.sink.Send(ctx, n)
}

func (l *lane) flush(ctx context.Context) error {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
