package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Defaults of a Queue.
const (
	DefaultMaxCalls = 100
	DefaultMaxBytes = 16 << 20
	// DefaultDivergence is the part of the pairs that may differ.
	DefaultDivergence = 0.05
)

const (
	// maxAsked is how many copies are asked at once.
	maxAsked = 16
	// longest bounds one copy, and a stream to its end.
	longest = 2 * time.Minute
)

// Why a copy is dropped. One that the provider's limit, or else the gateway, rejects is dropped
// for the code of its failure.
const (
	QueueFull  = "queue_full"
	QueueBytes = "queue_bytes"
	// NotAsked: the copy came to nothing that could be compared.
	NotAsked = "not_asked"
	// ProcessEnds: the process ends before the shadow has answered.
	ProcessEnds = "process_ends"
)

// Pair is two answers that differ.
type Pair struct {
	// Call is the call, of its tenant, and Real what its client has seen.
	Call *alipayai.Call
	Real *alipayai.Seen
	// Shadow is what the shadow has answered.
	Shadow      *alipayai.Seen
	Differences []Difference
}

// Observer observes copies. Its methods must not block.
type Observer interface {
	// Compared follows each pair; different says that it differs in an aspect that is judged.
	Compared(p Pair, different bool)
	// Dropped follows each copy that was not asked. cause is not nil where the gateway is at fault.
	Dropped(reason string, cause error)
}

// Queue asks the shadow, and compares. Its fields do not change after the first copy.
type Queue struct {
	// Gateway has the shadow's provider alone; see [NewGateway].
	Gateway *alipayai.Gateway
	// MaxCalls bounds the copies that wait, and MaxBytes what those and the ones that are asked hold in memory.
	MaxCalls int
	MaxBytes int64
	History  *History
	Observer Observer
	// Running, where it is set, is called when the queue has something to do, and what it gives when it has no more:
	// that may be after the configuration has been replaced.
	Running func() (ended func())

	tools   toolcheck.Checker
	mu      sync.Mutex
	waiting []copied
	bytes   int64
	asking  int
	// idle is closed when nothing is asked any more. What is asked ends with asks, which stop ends.
	idle chan struct{}
	asks context.Context
	stop context.CancelFunc
	// ended says that nothing is taken any more, and lost how many copies were there then.
	ended bool
	lost  int
}

// copied is a copy that waits.
type copied struct {
	call  *alipayai.Call
	real  *alipayai.Seen
	bytes int64
}

// NewGateway makes what asks p alone: with permits that no client waits for, and with nothing that the calls of clients
// share. It is to be prepared.
func NewGateway(p *upstream.Provider) *alipayai.Gateway {
	return &alipayai.Gateway{
		Providers: []*upstream.Provider{p}, DefaultShare: upstream.Share{Weight: 1, Priority: limiter.Background}, Room: new(alipayai.Room),
		AllowCrossRegion: true, // the gateway whose calls are copied permits or refuses
	}
}

// Copy takes a copy; see [alipayai.Shadow].
func (q *Queue) Copy(c *alipayai.Call, seen *alipayai.Seen) {
	const fixed = 4 << 10
	one := copied{c, seen, fixed + int64(len(c.Request.Body)+len(seen.Answer))}
	if c.Native != nil {
		one.bytes += int64(len(c.Native.Body) + len(c.Native.Sendable.Body))
	}
	if reason := q.push(one); reason != "" {
		q.drop(reason, nil)
	}
}

func (q *Queue) drop(reason string, cause error) {
	q.History.drop(reason)
	q.Observer.Dropped(reason, cause)
}

// push puts one in line, or says why there is no room for it.
func (q *Queue) push(one copied) (reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return ProcessEnds
	case len(q.waiting) >= q.MaxCalls:
		return QueueFull
	case q.bytes+one.bytes > q.MaxBytes:
		return QueueBytes
	}
	q.waiting, q.bytes = append(q.waiting, one), q.bytes+one.bytes
	if q.asks == nil {
		q.asks, q.stop = context.WithCancel(context.Background())
	}
	if q.asking == 0 {
		q.idle = make(chan struct{})
	}
	if q.asking < maxAsked {
		q.asking++
		ended := func() {}
		if q.Running != nil {
			ended = q.Running()
		}
		go func() {
			defer ended()
			q.work()
		}()
	}
	return ""
}

// work asks one after the other, until none waits.
func (q *Queue) work() {
	var last copied
	for {
		q.mu.Lock()
		q.bytes -= last.bytes
		if len(q.waiting) == 0 {
			q.asking--
			q.waiting = nil
			if q.asking == 0 {
				close(q.idle)
			}
			q.mu.Unlock()
			return
		}
		last = q.waiting[0]
		q.waiting[0] = copied{} // the array lives on
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		if err := q.one(last); err != nil {
			q.drop(NotAsked, err)
		}
	}
}

// End waits, until ctx ends, for the copies that are there. Then it takes no more, and drops those that are left, also those
// that are being asked; it gives how many.
func (q *Queue) End(ctx context.Context) (lost int) {
	q.wait(ctx)
	q.mu.Lock()
	q.ended = true
	left := len(q.waiting)
	q.waiting, q.lost = nil, left
	if q.stop != nil {
		q.stop()
	}
	q.mu.Unlock()
	for range left {
		q.drop(ProcessEnds, nil)
	}
	q.wait(context.WithoutCancel(ctx)) // what is asked ends at once
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// wait waits until nothing is asked, or ctx ends.
func (q *Queue) wait(ctx context.Context) {
	q.mu.Lock()
	asking, idle := q.asking, q.idle
	q.mu.Unlock()
	if asking == 0 {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// why gives why a copy that is not comparable was dropped, which the queue's end may be.
func (q *Queue) why(reason string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		return reason
	}
	q.lost++
	return ProcessEnds
}

// one asks the shadow, and compares what it does. A panic is the copy's alone.
func (q *Queue) one(of copied) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	seen, reason := q.ask(of.call)
	if !seen.Comparable {
		q.drop(q.why(reason), nil)
		return nil
	}
	request := of.call.Request.Body
	theReal, theShadow := judge(of.real, request, &q.tools), judge(seen, request, &q.tools)
	compared, differences := compare(&theReal, &theShadow)
	different := q.History.record(compared, differences)
	q.Observer.Compared(Pair{Call: of.call, Real: of.real, Shadow: seen, Differences: differences}, different)
	return nil
}

// ask makes the call to the shadow, and reads all of its answer.
func (q *Queue) ask(of *alipayai.Call) (seen *alipayai.Seen, reason string) {
	c := *of
	c.Tenant, c.Seen = alipayai.ShadowTenant, new(alipayai.Seen)
	ctx, cancel := context.WithTimeout(q.asks, longest)
	defer cancel()
	a, err := q.Gateway.Do(ctx, &c)
	if failed, ok := errors.AsType[*alipayai.Error](err); ok {
		return c.Seen, failed.Code
	}
	if err != nil {
		return c.Seen, NotAsked
	}
	for err == nil && a.Streams() {
		_, err = a.Next()
	}
	a.Close(err == nil || errors.Is(err, io.EOF))
	return c.Seen, NotAsked
}
