package upstream

import (
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A request is signed before a connection is looked for. Where making one takes longer than its slot is good for, it waits for
// another slot with the signature that it has, since a transport may be reading the request already: a signature leaves no older
// than what making the connection and the longest wait of the queue take together, by default less than half a minute.
func TestAgeOfASignature(t *testing.T) {
	for name, test := range map[string]struct{ connect, throttle, maxWait, want time.Duration }{
		"a connection that is there":          {maxWait: 10 * time.Second},
		"a slow one, and a slot at once":      {connect: 4 * time.Second, maxWait: 10 * time.Second, want: 4 * time.Second},
		"a slow one, and a slot later":        {connect: 4 * time.Second, throttle: 8 * time.Second, maxWait: 10 * time.Second, want: 12 * time.Second},
		"the longest of both by the defaults": {connect: DefaultTimeout - time.Second, throttle: DefaultMaxWait - time.Second, maxWait: DefaultMaxWait, want: DefaultTimeout + DefaultMaxWait - 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				window, scheme := limiter.NewMemoryWindow(time.Now), new(timed)
				k := &Cap{
					Limit: limiter.Limit{Requests: 1, Per: time.Second, Guard: DefaultGuard}, Window: window, Queue: limiter.NewQueue(window, time.Now),
					MaxWait: test.maxWait, MaxCount: 10, MaxBytes: 1 << 20,
				}
				rt := &slowly{connect: test.connect, connected: func() {
					if test.throttle > 0 {
						k.Throttled(test.throttle)
					}
				}}
				p := &Provider{
					Profile: known(t, "alipay"), BaseURL: &url.URL{Scheme: "http", Host: "upstream.test"}, Timeout: DefaultTimeout,
					Clock: new(Clock), Hold: new(Hold), Cap: k, Transport: rt, Scheme: scheme,
				}
				if err := p.Prepare(); err != nil {
					t.Fatal(err)
				}
				x, f := p.Send(t.Context(), &Request{
					Endpoint: EndpointChat, ID: "one", Body: []byte(`{}`), Deadline: time.Now().Add(time.Minute), Caller: silent{},
				})
				if f != nil {
					t.Fatalf("%+v", f)
				}
				x.End()
				if age := rt.written.Sub(scheme.at); age != test.want {
					t.Errorf("its signature left %v old, want %v", age, test.want)
				}
			})
		})
	}
}
