package alipayai_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// wantSpread checks that all after the first n requests came within the second after the hold, and not at one time.
func wantSpread(t *testing.T, s *script, n int, until time.Time) {
	t.Helper()
	first, last := until.Add(time.Hour), until
	for _, a := range s.seen[n:] {
		if a.when.Before(until) || a.when.After(until.Add(upstream.HoldSpread)) {
			t.Errorf("a request came %v after the hold", a.when.Sub(until))
		}
		if a.when.Before(first) {
			first = a.when
		}
		if a.when.After(last) {
			last = a.when
		}
	}
	if last.Sub(first) < upstream.HoldSpread/32 { // chance decides, and will not have eight come so close
		t.Errorf("%d requests came within %v", len(s.seen)-n, last.Sub(first))
	}
}

// Calls that have waited come back one after the other: those that came during the hold, and those that were throttled.
func TestHeldCallsComeBackSpread(t *testing.T) {
	for name, held := range map[string]bool{"held": true, "throttled": false} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				const calls = 8 // which the budget of repeats allows
				began := time.Now()
				until := began.Add(5 * time.Second)
				upstream := func(req *http.Request) (*http.Response, error) {
					if time.Now().Equal(began) {
						return after(time.Millisecond, says(429, "{}", "Retry-After", "5"))(req)
					}
					return good(req)
				}
				s := perform(t, [][]turn{{upstream}})
				before := calls
				if held {
					s.gateway.Providers[0].Hold.Extend(began, 5*time.Second)
					before = 0
				} else {
					until = until.Add(time.Millisecond)
				}
				var all sync.WaitGroup
				for range calls {
					all.Go(func() {
						if got := s.call(chatBody("hello")); got.status != http.StatusOK {
							t.Errorf("%d %s", got.status, got.body)
						}
					})
				}
				all.Wait()
				s.wantCalls(before + calls)
				wantSpread(t, s.scripts[0], before, until)
			})
		})
	}
}

// A stream that ends in a throttle holds the account as any other answer does.
func TestThrottleWithinAStream(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		throttled := streams(nil, deltaEvent, `{"error":{"code":"REQUEST_TRAFFIC_EXCEED_LIMIT"}}`)
		s := perform(t, [][]turn{{throttled, good}, {good}})
		if got := s.call(streamBody("hello")); got.err == nil {
			t.Errorf("%d %s", got.status, got.body)
		}
		wantServed(t, s.call(chatBody("hello")), "second", "1", failure.CodeThrottled)
		time.Sleep(upstream.ThrottleHold)
		wantServed(t, s.call(chatBody("hello")), "first", "1", "")
	})
}

// No more wait than would in a queue; those that are too many are told so at once.
func TestHeldCallsAreBounded(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const most = upstream.DefaultQueueCount
		s := perform(t, [][]turn{{good}})
		hold := s.gateway.Providers[0].Hold
		hold.Extend(time.Now(), 5*time.Second)
		var all sync.WaitGroup
		for range most {
			all.Go(func() {
				if got := s.call(chatBody("hello")); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		for range 3 {
			wantError(t, s.call(chatBody("one too many")), http.StatusTooManyRequests, failure.CodeThrottled)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("told after %v", took)
		}
		all.Wait()
		s.wantCalls(most)
		if n := hold.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

// Who has waited looks whether there is a new hold, and waits for that too if it is worth it.
func TestHoldThatGrows(t *testing.T) {
	for name, test := range map[string]struct {
		grows, deadline time.Duration
		status          int
		least, most     time.Duration
	}{
		"a little":           {5 * time.Second, 30 * time.Second, 200, 6 * time.Second, 7 * time.Second},
		"beyond the wait":    {20 * time.Second, 60 * time.Second, 429, 2 * time.Second, 3 * time.Second},
		"beyond the time":    {9 * time.Second, 10 * time.Second, 429, 2 * time.Second, 3 * time.Second},
		"nearly to the time": {7 * time.Second, 10 * time.Second, 200, 8 * time.Second, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{good}}, deadline(test.deadline))
				hold := s.gateway.Providers[0].Hold
				hold.Extend(time.Now(), 2*time.Second)
				began := time.Now()
				go func() { time.Sleep(time.Second); hold.Extend(time.Now(), test.grows) }()
				got := s.call(chatBody("hello"))
				if took := time.Since(began); got.status != test.status || took < test.least || took > test.most {
					t.Errorf("%d after %v: %s", got.status, took, got.body)
				}
				if test.status != http.StatusOK {
					wantError(t, got, test.status, failure.CodeThrottled)
				}
				if hold.Waiting() != 0 {
					t.Error("still waits")
				}
			})
		})
	}
}

// However they are spread, calls begin while there is time for an answer.
func TestHeldCallsBeginInTime(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{good}}, deadline(5*time.Second)) // of which the last half second is too late
		began := time.Now()
		s.gateway.Providers[0].Hold.Extend(began, 4400*time.Millisecond)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { s.call(chatBody("hello")) })
		}
		all.Wait()
		s.wantCalls(50)
		for _, a := range s.scripts[0].seen {
			if at := a.when.Sub(began); at > 4500*time.Millisecond {
				t.Errorf("one began after %v", at)
			}
		}
	})
}
