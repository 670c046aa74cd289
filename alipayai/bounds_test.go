package alipayai

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// What comes after the gateway may change a header's values where they are: neither the request that they came from nor
// another call may see that.
func TestForwardedValuesAreNotShared(t *testing.T) {
	from := http.Header{"Traceparent": {"00-1", "00-2"}}
	one, other := make(http.Header), make(http.Header)
	forward(one, from, []string{"Traceparent"})
	forward(other, from, []string{"Traceparent"})
	one["Traceparent"][0] = "changed"
	for name, h := range map[string]http.Header{"the source": from, "another call": other} {
		if got := strings.Join(h["Traceparent"], " "); got != "00-1 00-2" {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// A slot is good for half of the guard after its time, and for a millisecond at least.
func TestStaleSlots(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		guard, late time.Duration
		stale       bool
	}{
		"in time":                        {20 * time.Millisecond, 0, false},
		"before its time":                {20 * time.Millisecond, -time.Second, false},
		"half of the guard":              {20 * time.Millisecond, 10 * time.Millisecond, false},
		"later":                          {20 * time.Millisecond, 10*time.Millisecond + 1, true},
		"the whole guard":                {20 * time.Millisecond, 20 * time.Millisecond, true},
		"a millisecond, without a guard": {0, time.Millisecond, false},
		"later, without a guard":         {0, time.Millisecond + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Departure{cap: &Cap{Limit: limiter.Limit{Guard: test.guard}}, slot: limiter.Slot{At: now.Add(-test.late)}}
			if got := d.stale(now); got != test.stale {
				t.Errorf("stale %v, want %v", got, test.stale)
			}
		})
	}
}

// A request that has left has used its slot, whatever became of it.
func TestBrokenAttemptsKeepTheirSlot(t *testing.T) {
	for name, upstream := range map[string]http.HandlerFunc{
		"no answer":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no answer in time": func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"an answer that is cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCap(1, time.Hour)
			k.MaxWait = time.Second
			r := newPlainRig(t, upstream, capped(k), first(func(p *Provider) { p.Timeout = 200 * time.Millisecond }))
			if got := r.chat("is broken off"); got.status < 500 {
				t.Errorf("%d %s", got.status, got.body)
			}
			wantError(t, r.chat("one too many"), http.StatusTooManyRequests, "queue_deadline")
		})
	}
}

// counted is a body that counts what is read of it.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += n
	return n, err
}

// A body that inflates to more than is taken is read no further than to see that: no more than gzip's buffer after it.
func TestInflatedBodiesAreBounded(t *testing.T) {
	const most = 256 << 10
	bomb := deflate(t, strings.Repeat("x", 64*most))
	body := &counted{Reader: strings.NewReader(bomb)}
	r := httptest.NewRequest(http.MethodPost, chatPath, body)
	r.Header.Set("Content-Encoding", "gzip")
	c := &call{g: &Gateway{MaxBody: most}, r: r}
	if got, f := c.readBody(); f == nil || f.Code != codeBodyTooLarge {
		t.Errorf("%d bytes, failure %v", len(got), f)
	}
	if enough := len(bomb)/64 + 8<<10; body.read > enough {
		t.Errorf("%d bytes of %d were read, want at most %d", body.read, len(bomb), enough)
	}
}

// Departures are spread over an eighth of the window, but by 5 ms at the most, and not by less than a timer can keep.
func TestPace(t *testing.T) {
	for name, test := range map[string]struct {
		limit limiter.Limit
		want  time.Duration
	}{
		"50 a second":             {limiter.Limit{Requests: 50, Per: time.Second}, 2500 * time.Microsecond},
		"50 a second and a guard": {limiter.Limit{Requests: 50, Per: time.Second, Guard: 200 * time.Millisecond}, 3 * time.Millisecond},
		"one an hour":             {limiter.Limit{Requests: 1, Per: time.Hour}, 5 * time.Millisecond},
		"125 a second":            {limiter.Limit{Requests: 125, Per: time.Second}, time.Millisecond},
		"126 a second":            {limiter.Limit{Requests: 126, Per: time.Second}, 0},
		"none":                    {limiter.Limit{Per: time.Second}, 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Cap{Limit: test.limit}).pace(); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// A provider of the same name at another host has its own breaker.
func TestAccountNamesTheHost(t *testing.T) {
	accounts := make(map[string]bool)
	for _, base := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://localhost:1/v1"} {
		p := plainProvider(t, base)
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
		if want := "plain@" + p.BaseURL.Host; p.Account() != want || providerOf(p.Account()) != "plain" {
			t.Errorf("account %q, want %q", p.Account(), want)
		}
		accounts[p.Account()] = true
	}
	if len(accounts) != 3 {
		t.Errorf("accounts %v", accounts)
	}
}
