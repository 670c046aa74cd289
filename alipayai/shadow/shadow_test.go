package shadow

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func whole(answer string) *alipayai.Seen {
	return &alipayai.Seen{Comparable: true, Answer: []byte(answer)}
}

func events(stream string) *alipayai.Seen {
	return &alipayai.Seen{Comparable: true, Answer: []byte(stream), Streamed: true}
}

// What an answer says is the same in one piece and in events, and so are two that differ in wording alone.
func TestCompare(t *testing.T) {
	const (
		hello  = `{"choices":[{"index":0,"message":{"content":"hello"},"finish_reason":"stop"}]}`
		called = `{"choices":[{"message":{"content":null,"tool_calls":[{"type":"function","function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
		broken = `{"choices":[{"message":{"content":null,"tool_calls":[{"type":"function","function":{"name":"nwo","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
	)
	long := `{"choices":[{"message":{"content":"` + string(slices.Repeat([]byte("a"), 500)) + `"},"finish_reason":"stop"}]}`
	slow := whole(hello)
	slow.FirstContent = time.Second
	fast := whole(hello)
	fast.FirstContent = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		real, shadow *alipayai.Seen
		want         []Difference
		compared     []Aspect
	}{
		"other words":        {whole(hello), whole(`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`), nil, []Aspect{Failure, Blocked, Finish, Length}},
		"in events":          {whole(hello), events("data: {\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"), nil, []Aspect{Failure, Blocked, Finish, Length}},
		"events with CR":     {whole(hello), events("data: {\"choices\":[{\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\r\n\r\n"), nil, []Aspect{Failure, Blocked, Finish, Length}},
		"longer":             {whole(hello), whole(long), []Difference{{Length, Neither}}, []Aspect{Failure, Blocked, Finish, Length}},
		"slower":             {fast, slow, []Difference{{Latency, OfShadow}}, []Aspect{Failure, Blocked, Finish, Length, Latency}},
		"faster":             {slow, fast, []Difference{{Latency, Real}}, []Aspect{Failure, Blocked, Finish, Length, Latency}},
		"good calls":         {whole(called), whole(called), nil, []Aspect{Failure, Blocked, Finish, ToolCalls, Length}},
		"a broken call":      {whole(called), whole(broken), []Difference{{ToolCalls, OfShadow}}, []Aspect{Failure, Blocked, Finish, ToolCalls, Length}},
		"text, not a call":   {whole(called), whole(hello), []Difference{{Finish, Neither}}, []Aspect{Failure, Blocked, Finish, ToolCalls, Length}},
		"too long to keep":   {whole(hello), &alipayai.Seen{Comparable: true, Cut: true}, nil, []Aspect{Failure, Blocked}},
		"filtered":           {whole(hello), whole(`{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`), []Difference{{Blocked, OfShadow}}, []Aspect{Failure, Blocked}},
		"finished by error":  {whole(hello), whole(`{"choices":[{"message":{"content":"h"},"finish_reason":"network_error"}]}`), []Difference{{Failure, OfShadow}}, []Aspect{Failure}},
		"blocked for both":   {&alipayai.Seen{Failed: failure.Blocked}, &alipayai.Seen{Failed: failure.Blocked}, nil, []Aspect{Failure, Blocked}},
		"failures differ":    {&alipayai.Seen{Failed: failure.Throttle}, &alipayai.Seen{Failed: failure.Fail}, []Difference{{Failure, Neither}}, []Aspect{Failure}},
		"fails, and answers": {&alipayai.Seen{Failed: failure.Fail}, whole(hello), []Difference{{Failure, Real}}, []Aspect{Failure}},
	} {
		t.Run(name, func(t *testing.T) {
			request := []byte(`{"model":"m","tools":[{"type":"function","function":{"name":"now"}}]}`)
			var tools toolcheck.Checker
			one, other := judge(tt.real, request, &tools), judge(tt.shadow, request, &tools)
			compared, got := compare(&one, &other)
			if !slices.Equal(got, tt.want) || !slices.Equal(compared, tt.compared) {
				t.Errorf("%v of %v, want %v of %v", got, compared, tt.want, tt.compared)
			}
		})
	}
}

// With as many differences as may be an alert hardly ever comes, however long it is looked at; with twice as many it
// comes soon, and it ends when they do.
func TestDrift(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	feed := func(d *Drift, p float64, pairs int, until bool) int {
		for n := 0; n < pairs; n += 5 {
			differ := int64(0)
			for range 5 {
				if rng.Float64() < p {
					differ++
				}
			}
			if d.add(5, differ, 0.05); d.Firing == until {
				return n
			}
		}
		return pairs
	}
	raised, late, unresolved := 0, 0, 0
	for range 200 {
		var d Drift
		if feed(&d, 0.05, 50_000, true) < 50_000 {
			raised++
		}
		d = Drift{}
		feed(&d, 0.01, 5000, true)
		if feed(&d, 0.2, 300, true) == 300 {
			late++
		}
		if d.Firing && feed(&d, 0.01, 1500, false) == 1500 {
			unresolved++
		}
	}
	if raised > 4 || late > 4 || unresolved > 4 {
		t.Errorf("of 200: raised %d times without a reason, %d times not within 300 pairs, %d times not resolved", raised, late, unresolved)
	}
	var few Drift
	if few.add(MinSample-1, MinSample-1, 0.05); few.Firing {
		t.Error("raised by too few pairs")
	}
	if few.add(1, 1, 0.05); !few.Firing {
		t.Error("not raised where all pairs differ")
	}
}

// shared is a store that may be away, or lose its replies.
type shared struct {
	mu            sync.Mutex
	state         []byte
	away, replies bool // replies: lost
}

var errAway = errors.New("away")

func (s *shared) Update(_ context.Context, _ string, change func(old []byte, now time.Time) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	state, err := change(s.state, time.Now())
	if err != nil {
		return err
	}
	if s.state = state; s.replies {
		return errAway
	}
	return nil
}

// Nothing is lost and nothing counts twice, whatever becomes of the store; all replicas know the same.
func TestHistory(t *testing.T) {
	s := new(shared)
	a, b := NewHistory(s, "k", 0.05), NewHistory(s, "k", 0.05)
	pairs := func(h *History, n int) {
		for range n {
			h.record([]Aspect{Failure, Blocked}, []Difference{{Blocked, OfShadow}})
		}
	}
	exchange := func(h *History, want error) {
		t.Helper()
		if err := h.Exchange(t.Context()); !errors.Is(err, want) {
			t.Errorf("exchange: %v", err)
		}
	}
	pairs(a, 10)
	a.drop(QueueFull)
	exchange(a, nil)
	s.away = true
	pairs(a, 20)
	exchange(a, errAway)
	pairs(a, 5)
	exchange(a, errAway)
	if state := a.State(); state.Pairs != 35 || state.NewBlocks != 35 || !state.Drifts[Blocked].Firing || state.BlockedAt.IsZero() {
		t.Errorf("without its store: %+v", state)
	}
	s.away, s.replies = false, true
	exchange(a, errAway)
	s.replies = false
	exchange(a, nil)
	exchange(a, nil)
	pairs(b, 1)
	exchange(b, nil)
	exchange(a, nil)
	after := NewHistory(s, "k", 0.05) // of a process that has started
	exchange(after, nil)
	for name, h := range map[string]*History{"one": a, "the other": b, "a new one": after} {
		if state := h.State(); state.Pairs != 36 || state.Different != 36 || state.Dropped[QueueFull] != 1 || state.Compared[Failure] != 36 || state.Differ[Failure] != 0 || !state.Drifts[Blocked].Firing || state.Drifts[Failure].Firing {
			t.Errorf("%s knows %+v", name, state)
		}
	}
	s.state = []byte("{") // of something else
	exchange(a, ErrState)
	s.state = nil // lost
	exchange(a, nil)
	exchange(after, nil)
	if state := after.State(); state.Pairs != 36 {
		t.Errorf("%d pairs after the store has lost its data", state.Pairs)
	}
}

// That the store does not answer, or has what cannot be read, is said once, stands in the report, and so does its end.
func TestHistorySaysThatItsStoreFails(t *testing.T) {
	for name, test := range map[string]struct {
		fail, mend func(*shared)
		want       error
	}{
		"away":                {func(s *shared) { s.away = true }, func(s *shared) { s.away = false }, errAway},
		"what is not its own": {func(s *shared) { s.state = []byte("{") }, func(s *shared) { s.state = nil }, ErrState},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := new(shared)
				h := NewHistory(s, "k", 0.05)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var said []error
				go h.Run(ctx, func(err error) { said = append(said, err) })
				pass := func() {
					time.Sleep(3 * ExchangeEvery)
					synctest.Wait()
				}
				pass()
				if len(said) != 0 || h.Report().Away {
					t.Errorf("at first: %v, %+v", said, h.Report())
				}
				change := func(by func(*shared)) {
					s.mu.Lock()
					defer s.mu.Unlock()
					by(s)
				}
				change(test.fail)
				h.record([]Aspect{Blocked}, nil)
				pass()
				if len(said) != 1 || !errors.Is(said[0], test.want) || !h.Report().Away || h.Report().Pairs != 1 {
					t.Errorf("while it fails: %v, %+v", said, h.Report())
				}
				change(test.mend)
				pass()
				if len(said) != 2 || said[1] != nil || h.Report().Away || h.Report().Pairs != 1 {
					t.Errorf("when it is back: %v, %+v", said, h.Report())
				}
				cancel()
				synctest.Wait()
				if len(said) != 2 {
					t.Errorf("at the end: %v", said)
				}
			})
		})
	}
}

// What no history can have written is taken for none of it, and what has blocked nothing new says of no time that it did.
func TestStatesThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		state string
		good  bool
	}{
		"none":                        {"", true},
		"one":                         {`{"pairs":3,"different":1,"drifts":{"blocked":{"n":3,"differ":1}}}`, true},
		"fewer pairs than none":       {`{"pairs":-1}`, false},
		"fewer differences than none": {`{"different":-1}`, false},
		"fewer trials than none":      {`{"drifts":{"blocked":{"n":-3,"differ":-4}}}`, false},
		"differs less than never":     {`{"drifts":{"blocked":{"n":3,"differ":-1}}}`, false},
		"differs more than it could":  {`{"drifts":{"blocked":{"n":3,"differ":4}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shared{state: []byte(test.state)}
			h := NewHistory(s, "k", 0.05)
			h.record([]Aspect{Failure, Blocked}, nil)
			if err := h.Exchange(t.Context()); test.good != (err == nil) || !test.good && !errors.Is(err, ErrState) {
				t.Errorf("%v", err)
			}
			if state := h.State(); !state.BlockedAt.IsZero() || state.Pairs < 1 {
				t.Errorf("%+v", state)
			}
		})
	}
}
