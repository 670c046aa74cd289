package alipaycaddy

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// limited declares the rig's API with more options.
func limited(options ...string) string {
	return strings.Replace(oneProvider, "base_url", strings.Join(options, "\n")+"\nbase_url", 1)
}

// limitedSite serves it in both ways: a raw call goes through the transport.
const limitedSite = `
http://${gateway} {
	metrics /metrics
	handle_path /raw/* {
		reverse_proxy http://${api} {
			transport alipayai alipay {
				paths /v1/*
				allow_anonymous
			}
		}
	}
	alipayai_proxy alipay
}`

// inBackground makes calls at once, each at the target it is given, and gives
// their answers when all are there.
func (g *rig) inBackground(n int, target func(i int) string, fields ...string) (wait func() []answer) {
	answers := make([]answer, n)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() {
			resp, err := g.send("gateway", "POST", target(i), chatBody("call "+strconv.Itoa(i), false), fields...)
			if err != nil {
				answers[i].body = err.Error()
				return
			}
			answers[i] = g.read(resp, nil)
		})
	}
	return func() []answer { calls.Wait(); return answers }
}

func toChat(int) string { return chatPath }

// gauge gives the value of a metric of the provider alipay.
func (g *rig) gauge(name string) string {
	return g.scrape()["caddy_alipayai_"+name+`{provider="alipay"}`]
}

// allCome waits until n calls have come. Some of them still wait for the window, unless
// the machine is so busy that they come more slowly than that lets them go.
func (g *rig) allCome(n int) {
	g.t.Helper()
	g.eventually("all calls to have come", func() bool {
		seen := g.scrape()
		waiting, _ := strconv.Atoi(seen[`caddy_alipayai_queue_depth{provider="alipay"}`])
		permitted, _ := strconv.Atoi(seen[`caddy_alipayai_queue_wait_seconds_count{provider="alipay"}`])
		if waiting+permitted < n {
			return false
		}
		if waiting == 0 {
			g.t.Log("no call waits any more: the machine is too busy to show much")
		}
		return true
	})
}

func (g *rig) wantServed(answers []answer) {
	g.t.Helper()
	for i, a := range answers {
		if a.status != http.StatusOK {
			g.t.Errorf("call %d: %d %s", i, a.status, a.body)
		}
	}
}

// patientSpan is the window of patientlyLimited with its guard.
const patientSpan = 700 * time.Millisecond

// wantPaced checks that no call arrived before the cap of patientlyLimited allowed it, counted
// from when the first may have been sent: of each 50 permits the first is a whole window with its
// guard after that of the 50 before, and a call leaves no earlier than its permit. How close
// to each other calls arrive says nothing, nor how long all take: on a busy machine, which client,
// gateway and API share, they wait on their way. That each window holds no more, and that the cap
// is used whole, is judged to the nanosecond where time is that of a bubble: package alipayai's
// TestBurstIsKeptWithinTheCap.
func (g *rig) wantPaced(began time.Time) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.arrived, time.Time.Compare)
	for i, at := range g.arrived {
		if after := at.Sub(began); after < time.Duration(i/50)*patientSpan {
			g.t.Errorf("call %d of %d arrived after %v: more than 50 in %v", i+1, len(g.arrived), after, patientSpan)
			return
		}
	}
}

// patientlyLimited is a cap of 50 in a window that is soon over, for calls that wait as long
// as a busy machine takes, and a guard that it does not miss.
func patientlyLimited(options ...string) string {
	return limited(append(options, "limit 50 400ms 300ms", "timeout 1m", "queue {\nmax_wait 1m\n}")...)
}

// TestDefaultLimit sends far more at once than the API takes in a second, half
// of it through the transport: all is served, and nothing too early.
func TestDefaultLimit(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(oneProvider, limitedSite)
	if got := g.gauge("rate_limit_requests"); got != "50" {
		t.Errorf("%s requests in a window by default, want 50", got)
	}
	g.load(patientlyLimited(), limitedSite)
	began := time.Now()
	g.wantServed(g.inBackground(120, func(i int) string { return []string{"", "/raw"}[i%2] + chatPath })())
	g.wantPaced(began)
	if n := g.chats(); n != 120 {
		t.Errorf("%d calls arrived", n)
	}
}

// TestLimitOff sends them all at once.
func TestLimitOff(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(limited("limit off"), limitedSite)
	g.wantServed(g.inBackground(80, toChat)())
	if value := g.gauge("queue_depth"); value != "" {
		t.Errorf("a queue without a limit: %s", value)
	}
}

// TestQueueIsSeen looks at the gauges while a call waits and after its client
// has left.
func TestQueueIsSeen(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(limited("limit 1 8s"), limitedSite)
	g.chat("hello")
	ctx, leave := context.WithCancel(t.Context())
	body := chatBody("waits", false)
	ended := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+g.vars["gateway"]+chatPath, strings.NewReader(body))
		if err == nil {
			req.Header.Set("Content-Type", "application/json")
			_, err = g.http.Do(req)
		}
		ended <- err
	}()
	g.eventually("the call to wait", func() bool { return g.gauge("queue_depth") == "1" })
	if got := g.gauge("queue_bytes"); got != strconv.Itoa(len(body)) {
		t.Errorf("%s bytes wait, want %d", got, len(body))
	}
	if got := g.gauge("rate_limit_requests"); got != "1" {
		t.Errorf("rate %s, want 1", got)
	}
	leave()
	if err := <-ended; err == nil {
		t.Error("the client that left has an answer")
	}
	g.eventually("the call to be taken out", func() bool { return g.gauge("queue_depth") == "0" && g.gauge("queue_bytes") == "0" })
	g.eventually("the rejection to be counted", func() bool {
		return g.scrape()[`caddy_alipayai_rejections_total{provider="alipay",reason="client_gone"}`] == "1"
	})
	if n := g.chats(); n != 1 {
		t.Errorf("%d calls arrived, want 1", n)
	}
}

// TestTurnedAway asks for what would have to wait longer than is allowed, in
// both ways.
func TestTurnedAway(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(limited("limit 1 60s", "queue {\nmax_wait 20s\n}"), limitedSite)
	g.chat("hello")
	for _, target := range []string{chatPath, "/raw" + chatPath} {
		began := time.Now()
		a := g.do("POST", target, chatBody("too late", false))
		if took := time.Since(began); a.status != http.StatusTooManyRequests || a.code() != "queue_deadline" || took > 10*time.Second {
			t.Errorf("%s: %d %s after %v", target, a.status, a.body, took)
		}
		if seconds, _ := strconv.Atoi(a.header.Get("Retry-After")); seconds < 40 || seconds > 61 || a.header.Get("Retry-After-Ms") == "" {
			t.Errorf("%s: header %v", target, a.header)
		}
	}
	g.eventually("both to be counted", func() bool {
		return g.scrape()[`caddy_alipayai_rejections_total{provider="alipay",reason="queue_deadline"}`] == "2"
	})
}

// A provider that is throttling is not asked by the proxy nor by the transport, whichever of them it told, and whether or not
// it has a rate cap.
func TestThrottlingBindsProxyAndTransport(t *testing.T) {
	const raw = "/raw" + chatPath
	for name, tt := range map[string]struct {
		options       []string
		first, second string
		code, rate    string
	}{
		"capped, the transport was told":   {nil, raw, chatPath, "queue_deadline", "0"},
		"capped, the proxy was told":       {nil, chatPath, raw, "queue_deadline", "0"},
		"uncapped, the transport was told": {[]string{"limit off"}, raw, chatPath, "upstream_throttled", ""},
		"uncapped, the proxy was told":     {[]string{"limit off"}, chatPath, raw, "upstream_throttled", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 30, Times: 1}); err != nil {
				t.Fatal(err)
			}
			g.load(limited(tt.options...), limitedSite)
			if a := g.do("POST", tt.first, chatBody("hello", false)); a.status != http.StatusTooManyRequests {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got := g.gauge("rate_limit_requests"); got != tt.rate {
				t.Errorf("rate %q, want %q", got, tt.rate)
			}
			if a := g.do("POST", tt.second, chatBody("hello", false)); a.status != http.StatusTooManyRequests || a.code() != tt.code {
				t.Errorf("%d %s", a.status, a.body)
			}
			if asked := g.api.Stats().Paths[chatPath]; asked != 1 {
				t.Errorf("the upstream was asked %d times", asked)
			}
		})
	}
}
