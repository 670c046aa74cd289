package alert

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
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
	// id keeps lanes of the same name, of configurations that follow each other, apart.
	id      int64
	name    string
	sink    Sink
	alerter *Alerter
	dropped atomic.Int64 // since the last log entry

	mu      sync.Mutex
	jobs    []*job
	working bool          // whether there is a worker
	idle    chan struct{} // closed when no job is left; nil while there is none
}

// job is a notification, and its place on the way to the sink.
type job struct {
	Notification
	place *place
	// held says that the lane of another configuration may still be sending about the same.
	held bool
	// until is when it is given up. A job that waits for its turn has no longer than one that is at the sink: where the
	// sink is away, each that waits is tried once.
	until time.Time
}

func (l *lane) way(n Notification) delivery { return delivery{l.name, n.subject()} }

// push queues a notification, or drops it. The state is locked.
func (l *lane) push(n Notification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) >= maxQueued {
		l.dropped.Add(1)
		l.alerter.opt.Observe(l.name, n.Kind, Dropped)
		l.alerter.state.outcome(l, n, false)
		return
	}
	before, place := l.alerter.state.follow(l.way(n), l.id)
	j := &job{Notification: n, place: place, until: time.Now().Add(sendFor)}
	if before != nil && before.lane != l.id {
		j.held = true
		go l.await(j, before)
	}
	l.jobs = append(l.jobs, j)
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	l.wake()
}

// await lets a job go when the one before it, in another lane, has arrived or never will. What is about something else goes
// meanwhile. The time of those that have waited begins then.
func (l *lane) await(j *job, before *place) {
	<-before.done
	l.mu.Lock()
	defer l.mu.Unlock()
	j.held = false
	for _, other := range l.jobs {
		if other.subject() == j.subject() {
			other.until = time.Now().Add(sendFor)
		}
	}
	l.wake()
}

// wake starts the worker where there is something for it. The lane is locked.
func (l *lane) wake() {
	if !l.working && l.next() >= 0 {
		l.working = true
		go l.run()
	}
}

// next is the index of the job that is sent next: the first one, unless it is held, or comes after one about the same that is;
// -1 for none. The lane is locked.
func (l *lane) next() int {
	var held []subject
	for i, j := range l.jobs {
		switch {
		case j.held:
			held = append(held, j.subject())
		case !slices.Contains(held, j.subject()):
			return i
		}
	}
	return -1
}

func (l *lane) run() {
	for {
		l.mu.Lock()
		i := l.next()
		if i < 0 {
			l.working = false
			if len(l.jobs) == 0 {
				close(l.idle)
				l.idle, l.jobs = nil, nil
			}
			l.mu.Unlock()
			return
		}
		next := l.jobs[i]
		l.jobs = slices.Delete(l.jobs, i, i+1)
		l.mu.Unlock()
		l.work(next)
	}
}

// work delivers one notification.
func (l *lane) work(j *job) {
	opt := l.alerter.opt
	defer l.alerter.state.arrived(l.way(j.Notification), j.place)
	err := l.deliver(j)
	l.alerter.state.mu.Lock()
	l.alerter.state.outcome(l, j.Notification, err == nil)
	l.alerter.state.mu.Unlock()
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
func (l *lane) deliver(j *job) error {
	for attempt := 0; ; attempt++ {
		err := l.send(j.Notification)
		var failure *SendError
		if err == nil || !time.Now().Before(j.until) || errors.As(err, &failure) && failure.Final {
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
