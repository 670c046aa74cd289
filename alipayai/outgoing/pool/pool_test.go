package pool

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// call is one request that takes so long at the upstream. It gives how long it waited.
func (f *fake) call(t *testing.T, p *Pool, s *Settings, service time.Duration) time.Duration {
	began := time.Now()
	l, err := p.Get(t.Context(), s)
	if err != nil {
		t.Error(err)
		return 0
	}
	waited := time.Since(began)
	c := l.Conn.(*fakeConn)
	f.mu.Lock()
	if c.gone() || !c.open {
		f.lost++
	}
	c.requests++
	if c.requests > max(f.streams, 1) {
		t.Errorf("%d requests on a connection", c.requests)
	}
	f.mu.Unlock()
	time.Sleep(service)
	f.mu.Lock()
	c.requests--
	c.last = time.Now()
	f.mu.Unlock()
	p.Put(l, true)
	return waited
}

// calls makes calls at a rate for so long, and gives how long each waited, in ascending order.
func (f *fake) calls(t *testing.T, p *Pool, s *Settings, rate int, service, during time.Duration) []time.Duration {
	var mu sync.Mutex
	var waits []time.Duration
	var calling sync.WaitGroup
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Second / time.Duration(rate)) {
		calling.Go(func() {
			waited := f.call(t, p, s, service)
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, waited)
		})
	}
	calling.Wait()
	slices.Sort(waits)
	return waits
}

// inBubble runs a test with an open pool, in the time of a bubble.
func inBubble(t *testing.T, f *fake, s *Settings, test func(t *testing.T, p *Pool)) {
	t.Helper()
	testwait.Bubble(t, func(t *testing.T) {
		if s.Dial == nil {
			s.Dial = f.dial
		}
		p := new(Pool)
		p.Open(s)
		test(t, p)
		synctest.Wait()
		// Every connection is in the pool, or is counted by why it is not; those of a pool that ends are not.
		if st := p.Stats(); p.open() && st.Dialed != uint64(st.Idle+st.Active)+st.Replaced+st.Shrunk+st.Closed+st.Broken {
			t.Errorf("%+v do not add up", st)
		}
		p.Leave(s)
		if n := f.open(); n != 0 {
			t.Errorf("%d connections are open after the end", n)
		}
		if f.most > s.Max+f.drains {
			t.Errorf("%d connections at once, and %d at most", f.most, s.Max)
		}
		if f.lost != 0 {
			t.Errorf("%d requests went to connections that the upstream had closed", f.lost)
		}
	})
}

// Connections follow the calls: up at once, so that hardly any waits, and down slowly.
func TestPoolFollowsTheRate(t *testing.T) {
	const trip = 80 * time.Millisecond
	for name, test := range map[string]struct {
		streams, rate    int
		atLeast, atMost  int           // connections, under the load
		longest          time.Duration // that one call in a hundred may wait
		minutesToMinimum float64
	}{
		"few calls":                    {1, 10, 10, 10, 0, 0},
		"calls for half of the pool":   {1, 20, 12, 20, 0, 1},
		"calls for nearly all of it":   {1, 60, 30, 30, 2 * trip, 1},
		"streams":                      {10, 60, 10, 10, 0, 0},
		"streams for more connections": {2, 60, 20, 26, 2 * trip, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := &fake{streams: test.streams, takes: 2 * trip}, &Settings{Min: 10, Max: 30, Idle: MaxIdle}
			inBubble(t, f, s, func(t *testing.T, p *Pool) {
				time.Sleep(time.Second)
				if n := f.open(); n != 10 {
					t.Errorf("%d connections before a call", n)
				}
				waits := f.calls(t, p, s, test.rate, 400*time.Millisecond+trip, 20*time.Second)
				if n := f.open(); n < test.atLeast || n > test.atMost {
					t.Errorf("%d connections, want %d to %d", n, test.atLeast, test.atMost)
				}
				if p99 := waits[len(waits)*99/100]; p99 > test.longest {
					t.Errorf("p99 of waiting is %v, want %v at most", p99, test.longest)
				}
				before := f.open()
				time.Sleep(10 * time.Second)
				if n := f.open(); before > 10 && n < before-5 {
					t.Errorf("from %d to %d within ten seconds", before, n)
				}
				time.Sleep(time.Minute)
				if n := f.open(); n != 10 {
					t.Errorf("%d connections a minute later", n)
				}
			})
		})
	}
}

// Unused connections are replaced before the upstream closes them, at whichever time that is: said, learned or configured.
func TestPoolReplacesInTime(t *testing.T) {
	for name, test := range map[string]struct {
		closes     time.Duration
		takes      time.Duration // a dial; 0 for 100 ms
		idle, said time.Duration
		closed     uint64 // that the upstream may close until it is known
		unlearned  bool
	}{
		"configured":    {closes: 5 * time.Second, idle: 5 * time.Second},
		"said":          {closes: 5 * time.Second, said: 5 * time.Second},
		"by default":    {closes: time.Minute},
		"learned":       {closes: 20 * time.Second, closed: 10},
		"learned, wide": {closes: 30 * time.Second, idle: 5 * time.Minute, closed: 10},
		"short":         {closes: 2 * time.Second, idle: 2 * time.Second},
		"slow dials":    {closes: 20 * time.Second, takes: 1200 * time.Millisecond, idle: 20 * time.Second},
		"too short":     {closes: 3 * time.Second, closed: 10000, unlearned: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := &fake{takes: cmp.Or(test.takes, 100*time.Millisecond), closes: test.closes}, &Settings{Min: 5, Max: 10, Idle: test.idle}
			inBubble(t, f, s, func(t *testing.T, p *Pool) {
				if test.said > 0 {
					p.Said(test.said)
				}
				for range 60 {
					time.Sleep(7 * time.Second)
					if n := f.open(); n < 5 && !test.unlearned {
						t.Errorf("%d connections", n)
					}
					f.call(t, p, s, 100*time.Millisecond)
				}
				if st := p.Stats(); st.Shrunk > 60 && !test.unlearned { // one for each call that takes what is being replaced
					t.Errorf("%d connections were too many", st.Shrunk)
				}
				if st := p.Stats(); st.Closed > test.closed {
					t.Errorf("the upstream closed %d: %+v", st.Closed, st)
				} else if test.unlearned {
					if st.Limit != DefaultIdle || st.Dialed > 60*7/2*5 {
						t.Errorf("%+v", st)
					}
				} else if st.Limit > test.closes || st.Limit < test.closes*8/10 {
					t.Errorf("taken for %v, and it is %v", st.Limit, test.closes)
				}
			})
		})
	}
}

// A restart of the upstream closes all connections at once, whatever they have idled: it is no idle limit.
func TestPoolRestartIsNoLimit(t *testing.T) {
	f, s := &fake{takes: time.Millisecond}, &Settings{Min: 5, Max: 10}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		for range 5 {
			time.Sleep(7 * time.Second) // each has idled for another time
			var calling sync.WaitGroup
			for range 3 {
				calling.Go(func() { f.call(t, p, s, time.Second) })
			}
			calling.Wait()
			time.Sleep(3 * time.Second)
			f.mu.Lock()
			for _, c := range f.conns {
				c.closed.Store(true)
			}
			f.mu.Unlock()
			time.Sleep(2 * time.Second)
			if st := p.Stats(); st.Limit < 20*time.Second || st.Idle < 5 {
				t.Errorf("%+v", st)
			}
		}
	})
}

// A dial that fails ahead is repeated ever later, and by chance; and one that a call waits for is made at once, whose error
// the call gets.
func TestPoolBacksOff(t *testing.T) {
	f := &fake{failing: errRefused}
	var reports atomic.Int64
	var dials atomic.Int64
	s := &Settings{Min: 1, Max: 4, Failing: func(error) { reports.Add(1) }, Dial: func(ctx context.Context) (Conn, error) {
		dials.Add(1)
		return f.dial(ctx)
	}}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		time.Sleep(10 * time.Minute)
		if n := dials.Load(); n < 20 || n > 60 {
			t.Errorf("%d dials in ten minutes", n)
		}
		for range 3 {
			before := dials.Load()
			if _, err := p.Get(t.Context(), s); !errors.Is(err, errRefused) {
				t.Errorf("a call gets %v", err)
			}
			if n := dials.Load() - before; n != 1 {
				t.Errorf("%d dials for a call", n)
			}
		}
		if n := reports.Load(); n != 1 {
			t.Errorf("%d reports", n)
		}
		f.fail(nil)
		f.call(t, p, s, time.Second) // at once
		if n := f.open(); n < 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Each call that waits for a connection which cannot be made learns of it, in a pool that has ended too.
func TestPoolFailsAllThatWait(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		f := &fake{failing: errRefused, takes: time.Second}
		s := &Settings{Min: 1, Max: 1, Dial: f.dial}
		p := new(Pool)
		p.Open(s)
		p.Leave(s)
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := p.Get(ctx, s); !errors.Is(err, errRefused) {
					t.Errorf("a call gets %v", err)
				}
			})
		}
		waiting.Wait()
	})
}

// An upstream that takes no further connection but serves by those it has keeps no call from being served.
func TestPoolWaitsWhereOthersAreServed(t *testing.T) {
	f, s := new(fake), &Settings{Min: 3, Max: 30}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		time.Sleep(time.Second)
		f.fail(errRefused)
		f.calls(t, p, s, 28, 100*time.Millisecond, 10*time.Second) // which fails for each call that is not served
	})
}

// Who gives up waiting leaves the connection to others, and a call that waits is served in its turn.
func TestPoolWaiters(t *testing.T) {
	f, s := new(fake), &Settings{Min: 1, Max: 1}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		first, err := p.Get(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Get(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		var order []int
		var waiting sync.WaitGroup
		for i := range 5 {
			waiting.Go(func() {
				l, err := p.Get(t.Context(), s)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				p.Put(l, true)
			})
			synctest.Wait()
		}
		p.Put(first, true)
		waiting.Wait()
		if !slices.IsSorted(order) || len(order) != 5 || f.made() != 1 {
			t.Errorf("served %v by %d connections", order, f.made())
		}
	})
}

// The last who has opened a pool decides, also when that one leaves again; and what idles outlives who has made it.
func TestPoolUsers(t *testing.T) {
	f := new(fake)
	one, two := &Settings{Min: 2, Max: 5}, &Settings{Min: 4, Max: 5}
	inBubble(t, f, one, func(t *testing.T, p *Pool) {
		time.Sleep(time.Second)
		two.Dial = f.dial
		p.Open(two)
		time.Sleep(time.Second)
		if n := f.open(); n != 4 {
			t.Errorf("%d connections of the second", n)
		}
		p.Leave(two)
		time.Sleep(2 * time.Minute)
		if n := f.open(); n != 2 {
			t.Errorf("%d connections of the first", n)
		}
		p.Open(two)
		p.Leave(one)
		time.Sleep(time.Second)
		if n := f.open(); n != 4 {
			t.Errorf("%d connections of the second alone", n)
		}
		p.Leave(two)
		if n := f.open(); n != 0 {
			t.Errorf("%d connections of none", n)
		}
		f.call(t, p, one, time.Second) // of a configuration that has ended
		if n := f.open(); n != 0 {
			t.Errorf("%d connections after a late call", n)
		}
	})
}

// A connection that ends its request is not used again, and one with other requests on it is closed after them.
func TestPoolBroken(t *testing.T) {
	f, s := &fake{streams: 2, drains: 1}, &Settings{Min: 1, Max: 2}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		time.Sleep(time.Second)
		one, _ := p.Get(t.Context(), s)
		two, _ := p.Get(t.Context(), s)
		if one.Conn != two.Conn {
			t.Fatal("the streams of a connection are not used up")
		}
		if p.Put(one, false) {
			t.Error("kept")
		}
		synctest.Wait()
		if !one.Conn.(*fakeConn).open {
			t.Error("closed with a request on it")
		}
		three, _ := p.Get(t.Context(), s)
		if three.Conn == two.Conn {
			t.Error("used again")
		}
		if p.Put(two, true) {
			t.Error("kept")
		}
		p.Put(three, true)
		synctest.Wait()
		if one.Conn.(*fakeConn).open {
			t.Error("still open")
		}
	})
}
