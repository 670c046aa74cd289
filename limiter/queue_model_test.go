package limiter

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/race"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// arrival is a call of the model.
type arrival struct {
	waiter
	at, leaves time.Duration // leaves is never where it stays
}

const never64 = time.Duration(math.MaxInt64)

// seeds are the numbers from which scenarios are drawn: fewer, of each kind, where the race detector slows computing.
func seeds(n uint64) uint64 {
	if race.Enabled {
		return n / 2 / 3 * 3 // as many of each of three limits
	}
	return n
}

// model is the queue as it is meant, over a list of all that happens.
type model struct {
	limit   Limit
	pace    time.Duration
	permits []time.Duration
	classes [classes]*naive
	passed  [classes]int
	ends    map[uint64]ending // by the calls' numbers
}

// ending is how a call has ended, and what it is told to wait where that is said.
type ending struct {
	at         time.Duration
	reason     Reason
	retryAfter time.Duration
}

func (m *model) end(w *waiter, at time.Duration, how Reason) {
	m.ends[w.seq] = ending{at: at, reason: how}
}

func (m *model) ended(w *waiter) bool {
	_, ended := m.ends[w.seq]
	return ended
}

func (m *model) waiting() (n int, bytes int64) {
	for _, c := range m.classes {
		n += len(c.calls)
		for _, w := range c.calls {
			bytes += w.Bytes
		}
	}
	return n, bytes
}

// next is when the first slot at or after now begins that keeps the limit.
func (m *model) next(now time.Duration) time.Duration {
	n := len(m.permits)
	if n > 0 {
		now = max(now, m.permits[n-1]+m.pace)
	}
	if n >= m.limit.Requests {
		now = max(now, m.permits[n-m.limit.Requests]+m.limit.Span())
	}
	return now
}

func (m *model) admit(w *waiter, at time.Duration) {
	m.permits = append(m.permits, at)
	m.end(w, at, "")
}

func (m *model) serve(at time.Duration) {
	turn := -1
	for c := range m.classes {
		if len(m.classes[c].calls) > 0 && (turn < 0 || m.passed[c] >= maxSkips) {
			turn = c
			if m.passed[c] >= maxSkips {
				break
			}
		}
	}
	for c := range m.classes {
		m.passed[c]++
		if c == turn || len(m.classes[c].calls) == 0 {
			m.passed[c] = 0
		}
	}
	m.admit(m.classes[turn].pop(), at)
}

func (m *model) arrive(a *arrival) {
	count, bytes := m.waiting()
	switch {
	case count == 0 && m.next(a.at) == a.at:
		m.admit(&a.waiter, a.at)
		return
	case count+1 > a.MaxCount || bytes+a.Bytes > a.MaxBytes:
		victim := m.victim(a, bytes)
		if victim == nil {
			m.end(&a.waiter, a.at, QueueFull)
			return
		}
		for count+1 > a.MaxCount || bytes+a.Bytes > a.MaxBytes {
			w := victim[len(victim)-1]
			victim = victim[:len(victim)-1]
			m.classes[w.Priority.class()].remove(w)
			m.end(w, a.at, QueueFull)
			count, bytes = m.waiting()
		}
	}
	m.classes[a.Priority.class()].push(&a.waiter)
}

// victim is the line that has to give way to a, if there is one.
func (m *model) victim(a *arrival, bytes int64) (most []*waiter) {
	size := func(line []*waiter) (n int64) {
		for _, w := range line {
			n += w.Bytes
		}
		return n
	}
	short := bytes + a.Bytes - a.MaxBytes
	count, _ := m.waiting()
	full := count+1 > a.MaxCount
	var own []*waiter
	tied := false
	for c, class := range m.classes {
		lines := make(map[string][]*waiter)
		for _, w := range class.calls {
			lines[w.Tenant] = append(lines[w.Tenant], w)
		}
		for tenant, line := range lines {
			if c == a.Priority.class() && tenant == a.Tenant {
				own = line
			}
			more := size(line) - size(most)
			if full {
				more = int64(len(line) - len(most))
			}
			if more == 0 && most != nil {
				tied = true
			}
			if more > 0 || most == nil {
				most, tied = line, false
			}
		}
	}
	if tied { // any of them may: the model takes the queue's choice
		panic("tie")
	}
	if len(own) > 0 && own[0] == most[0] ||
		full && len(most)-1 < len(own)+1 ||
		short > 0 && size(most)-short < size(own)+a.Bytes {
		return nil
	}
	return most
}

// run plays what happens and says how each call ended.
func (m *model) run(arrivals []*arrival) map[uint64]ending {
	m.ends = make(map[uint64]ending)
	for c := range m.classes {
		m.classes[c] = &naive{starts: make(map[string]float64)}
	}
	came := 0
	for now := time.Duration(0); ; {
		slot, leaves := never64, never64
		var leaver *arrival
		if n, _ := m.waiting(); n > 0 {
			slot = m.next(now)
		}
		for _, a := range arrivals[:came] {
			if a.leaves < leaves && !m.ended(&a.waiter) {
				leaves, leaver = a.leaves, a
			}
		}
		arrives := never64
		if came < len(arrivals) {
			arrives = arrivals[came].at
		}
		now = min(slot, leaves, arrives)
		switch now {
		case never64:
			return m.ends
		case arrives:
			m.arrive(arrivals[came])
			came++
		case leaves:
			m.classes[leaver.Priority.class()].remove(&leaver.waiter)
			m.end(&leaver.waiter, now, ClientGone)
		case slot:
			m.serve(now)
		}
	}
}

// schedule makes up arrivals at times that coincide with nothing.
func schedule(rng *rand.Rand, limit Limit) []*arrival {
	arrivals := make([]*arrival, 400)
	mean := float64(limit.Span()) / float64(limit.Requests)
	at := time.Duration(0)
	for i := range arrivals {
		busy := 0.5 + float64(i/50%2) // load alternates around the cap
		at += time.Duration(rng.ExpFloat64()*mean/(0.4+busy)) + 1
		tenant := rng.IntN(6)
		a := &arrival{at: at, leaves: never64}
		a.seq = uint64(i)
		a.Request = Request{
			Tenant: fmt.Sprint(tenant), Weight: 1 << (tenant % 3), Priority: Priority(rng.IntN(3) - 1),
			// Sums of bytes do not tie, as numbers of calls do.
			Bytes: int64(1 + rng.IntN(1<<20)), MaxBytes: 8 << 20,
			MaxWait: time.Hour, MaxCount: 1 << 20, Limit: limit,
		}
		if rng.IntN(5) == 0 {
			a.leaves = at + time.Duration(rng.ExpFloat64()*float64(limit.Span())) + 1
		}
		arrivals[i] = a
	}
	return arrivals
}

func TestQueueDecidesLikeTheModel(t *testing.T) {
	limits := []Limit{
		{Requests: 1, Per: 100 * time.Millisecond},
		{Requests: 5, Per: time.Second, Guard: 10 * time.Millisecond},
		{Requests: 50, Per: time.Second, Guard: 10 * time.Millisecond},
	}
	ended := make(map[Reason]int)
	for seed := range seeds(18) {
		limit := limits[seed%3]
		arrivals := schedule(rand.New(rand.NewPCG(seed, 2)), limit)
		m := &model{limit: limit}
		want := m.run(arrivals)

		testwait.Bubble(t, func(t *testing.T) {
			h := newHarness(t)
			for _, a := range arrivals {
				go func() {
					time.Sleep(a.at)
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					if a.leaves != never64 {
						stop := time.AfterFunc(a.leaves-a.at, leave)
						defer stop.Stop()
					}
					h.do(ctx, fmt.Sprint(a.seq), a.Request)
				}()
			}
			for range 100 {
				time.Sleep(arrivals[len(arrivals)-1].at / 100)
				h.settle()
			}
			time.Sleep(time.Hour)
			var permits []time.Duration
			out := h.outcomes()
			for _, o := range out {
				ended[o.reason()]++
				if o.err == nil {
					permits = append(permits, o.at)
				}
				if got := (ending{at: o.at, reason: o.reason()}); got != want[o.number()] {
					t.Fatalf("seed %d: call %s ends %+v, want %+v", seed, o.name, got, want[o.number()])
				}
			}
			if len(out) != len(want) {
				t.Errorf("seed %d: %d calls end, want %d", seed, len(out), len(want))
			}
			slices.SortFunc(permits, cmp.Compare)
			checkWindow(t, limit, permits)
			if n := h.window.future(); n != 0 {
				t.Errorf("seed %d: %d slots are left reserved", seed, n)
			}
		})
	}
	for _, reason := range []Reason{"", ClientGone, QueueFull} {
		if ended[reason] < 100 {
			t.Errorf("only %d calls end with %q: the model shows little", ended[reason], reason)
		}
	}
}
