package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A connection that a request takes while another is made in its place stays, and is replaced in its turn.
func TestPoolUsedWhileReplaced(t *testing.T) {
	f, s := &fake{takes: time.Second, closes: 10 * time.Second}, &Settings{Min: 1, Max: 2, Idle: 10 * time.Second}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		time.Sleep(2 * time.Second)
		for p.Stats().Dialing == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		f.call(t, p, s, 2*time.Second) // on the one that is being replaced
		time.Sleep(time.Minute)
		if st := p.Stats(); st.Closed != 0 || st.Replaced == 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A request that waits gets no connection which the upstream has closed meanwhile, and keeps its turn.
func TestPoolWaitersLook(t *testing.T) {
	f, s := new(fake), &Settings{Min: 1, Max: 1}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		first, err := p.Get(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		var waiting sync.WaitGroup
		for i := range 3 {
			waiting.Go(func() {
				f.call(t, p, s, time.Second) // which counts what is lost
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		first.Conn.(*fakeConn).closed.Store(true)
		p.Put(first, true)
		waiting.Wait()
		if len(order) != 3 || order[0] != 0 || order[1] != 1 || f.made() != 2 {
			t.Errorf("served %v by %d connections", order, f.made())
		}
		if st := p.Stats(); st.Closed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Where the upstream takes no connection, or closes each as soon as it is made, there are no more dials than requests that
// wait and rounds of the backoff, and one report.
func TestPoolStorms(t *testing.T) {
	for name, dial := range map[string]func(f *fake, ctx context.Context) (Conn, error){
		"refused at once": func(*fake, context.Context) (Conn, error) { return nil, errRefused },
		"refused late": func(_ *fake, ctx context.Context) (Conn, error) {
			select {
			case <-time.After(100 * time.Millisecond):
				return nil, errRefused
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		"closed at once": func(f *fake, ctx context.Context) (Conn, error) {
			c, err := f.dial(ctx)
			if err == nil {
				c.(*fakeConn).closed.Store(true)
			}
			return c, err
		},
		"closed soon": func(f *fake, ctx context.Context) (Conn, error) {
			c, err := f.dial(ctx)
			if err == nil {
				time.AfterFunc(3*time.Second, func() { c.(*fakeConn).closed.Store(true) })
			}
			return c, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := new(fake)
			var dials, reports atomic.Int64
			s := &Settings{Min: 10, Max: 30, Failing: func(error) { reports.Add(1) }, Dial: func(ctx context.Context) (Conn, error) {
				dials.Add(1)
				return dial(f, ctx)
			}}
			inBubble(t, f, s, func(t *testing.T, p *Pool) {
				time.Sleep(10 * time.Minute)
				if n := dials.Load(); n < 200 || n > 600 { // ten in each round
					t.Errorf("%d dials in ten minutes", n)
				}
				if n := reports.Load(); n != 1 {
					t.Errorf("%d reports", n)
				}
				if name == "closed soon" {
					return // serves a request
				}
				before := dials.Load()
				const calls = 500
				var calling sync.WaitGroup
				for range calls {
					calling.Go(func() {
						if _, err := p.Get(t.Context(), s); !errors.Is(err, errRefused) && !errors.Is(err, ErrClosed) {
							t.Errorf("%v", err)
						}
					})
				}
				calling.Wait()
				if n := dials.Load() - before; n > calls+int64(s.Min) {
					t.Errorf("%d dials for %d calls", n, calls)
				}
				if n := reports.Load(); n != 1 {
					t.Errorf("%d reports", n)
				}
			})
		})
	}
}

// Ten dials that fail together are one failure: the next is soon, and the pool is full again as soon as the upstream is back.
func TestPoolComesBack(t *testing.T) {
	f, s := &fake{failing: errRefused}, &Settings{Min: 10, Max: 30}
	inBubble(t, f, s, func(t *testing.T, p *Pool) {
		time.Sleep(400 * time.Millisecond)
		f.fail(nil)
		time.Sleep(2 * time.Second)
		if n := f.open(); n != 10 {
			t.Errorf("%d connections", n)
		}
	})
}

// slowConn takes its time to say goodbye, and looks whether the pool can be used meanwhile.
type slowConn struct {
	Conn
	pool   *Pool
	usable *atomic.Bool
}

func (c slowConn) Close() {
	<-time.After(time.Second)
	if c.pool.mu.TryLock() {
		c.usable.Store(true)
		c.pool.mu.Unlock()
	}
	c.Conn.Close()
}

// A connection that is made after the pool was closed says goodbye while the pool can be used.
func TestPoolIsUsedDuringGoodbyes(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		f, p, usable := &fake{takes: time.Second}, new(Pool), new(atomic.Bool)
		s := &Settings{Min: 1, Max: 3, Dial: func(ctx context.Context) (Conn, error) {
			conn, err := f.dial(context.WithoutCancel(ctx)) // it was there just before the end of ctx
			return slowConn{conn, p, usable}, err
		}}
		p.Open(s)
		synctest.Wait()
		p.Leave(s)
		testwait.Pass(10 * time.Second)
		if f.made() != 1 || f.open() != 0 {
			t.Errorf("%d were made, and %d are open", f.made(), f.open())
		}
		if !usable.Load() {
			t.Error("the pool was locked during the goodbye")
		}
	})
}
