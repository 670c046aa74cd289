package upstream

import (
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A request that waits for its second slot while the queue moves to another window takes a slot there: the other window does
// not know the one that it had, and would let requests leave beside it.
func TestRenewFollowsTheQueueToItsWindow(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		window := limiter.NewMemoryWindow(time.Now)
		k := &Cap{
			Limit: limiter.Limit{Requests: 1, Per: time.Second, Guard: DefaultGuard}, Window: window, Queue: limiter.NewQueue(window, time.Now),
			MaxWait: 10 * time.Second, MaxCount: 10, MaxBytes: 1 << 20,
		}
		const moves = 2 * time.Second
		rt := &slowly{connect: time.Second, connected: func() { window.Throttle(2 * time.Second) }} // the slot begins after 3 s
		p := &Provider{
			Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: 10 * time.Second,
			Clock: new(Clock), Hold: new(Hold), Cap: k, Transport: rt,
		}
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		other := limiter.NewMemoryWindow(time.Now)
		opens := began.Add(moves + k.Limit.Span())
		time.AfterFunc(moves, func() { k.Queue.SetWindow(other, opens) })
		x, f := p.Send(t.Context(), &Request{
			Endpoint: EndpointChat, ID: "late", Body: []byte(`{}`), Caller: silent{}, Deadline: began.Add(time.Minute),
		})
		if f != nil {
			t.Fatalf("%s: %s", f.Code, f.Message)
		}
		x.End()
		if rt.written.Before(opens) {
			t.Errorf("written after %v, before the other window opens after %v", rt.written.Sub(began), opens.Sub(began))
		}
		if next := other.Next(k.Limit, time.Now()); next.Sub(rt.written) < k.Limit.Span() {
			t.Errorf("the next request may leave %v after it, want %v", next.Sub(rt.written), k.Limit.Span())
		}
	})
}

// The same holds for the permit of an equal provider that is renewed: the request waits in the queue once more.
func TestEqualsFollowTheQueueToItsWindow(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		window, other := limiter.NewMemoryWindow(time.Now), limiter.NewMemoryWindow(time.Now)
		k := &Cap{
			Limit: limiter.Limit{Requests: 1, Per: time.Second, Guard: DefaultGuard}, Window: window, Queue: limiter.NewQueue(window, time.Now),
			MaxWait: 10 * time.Second, MaxCount: 10, MaxBytes: 1 << 20,
		}
		p, r := &Provider{Cap: k}, &Request{}
		late, err := k.Queue.Wait(t.Context(), k.request(r))
		if err != nil {
			t.Fatal(err)
		}
		e := &Equals{Next: p, slot: late, ready: true, began: time.Now()}
		testwait.Pass(100 * time.Millisecond)
		if _, err := k.Queue.Wait(t.Context(), k.request(r)); err != nil { // the next one is 1.01 s away
			t.Fatal(err)
		}
		opens := time.Now().Add(500*time.Millisecond + k.Limit.Span())
		time.AfterFunc(500*time.Millisecond, func() { k.Queue.SetWindow(other, opens) })
		slot, err := e.reserve(t.Context(), p, r)
		if err != nil || slot.At.Before(opens) || k.Queue.Moved(slot) {
			t.Errorf("the slot begins %v before the other window opens: %v", opens.Sub(slot.At), err)
		}
	})
}
