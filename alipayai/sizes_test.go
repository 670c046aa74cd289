package alipayai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/failover"
)

// widest notes the most that was read into at once.
type widest struct {
	io.Reader
	most int
}

func (w *widest) Read(b []byte) (int, error) {
	w.most = max(w.most, len(b))
	return w.Reader.Read(b)
}

func (*widest) Close() error { return nil }

// A body whose length is announced is read in one go, its end included, up to what is believed.
func TestAnnouncedBodyHasRoomAtOnce(t *testing.T) {
	for announced, want := range map[int64]int{
		40_000: 40_000,
		// Allocations of this size are exact: there is no room but what was asked for.
		40_960: 40_960 + bytes.MinRead, maxKept: maxKept, 10 * maxKept: maxKept,
	} {
		body := &widest{Reader: bytes.NewReader(make([]byte, min(announced, 1000)))}
		for buffers.Get().(*bytes.Buffer).Cap() > 0 { // others have left some that had room
		}
		c := &call{g: &Gateway{MaxAnswer: 1 << 30}}
		if _, err := c.readAll(t.Context(), newWatchdog(nil), &http.Response{ContentLength: announced, Body: body}); err != nil {
			t.Fatal(err)
		}
		if body.most < want || body.most > want+4*bytes.MinRead+want/4 {
			t.Errorf("%d bytes announced: the first read had room for %d", announced, body.most)
		}
	}
}

// A time-out of Redis is not tried again, within the same time; another error is, once.
func TestTokensTryRedisAgainUnlessItTimesOut(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"a time-out":                  {&net.OpError{Op: "read", Err: timeoutError{true}}, 1},
		"a network error that is not": {&net.OpError{Op: "read", Err: timeoutError{false}}, 2},
		"a closed connection":         {io.EOF, 2},
		"none":                        {nil, 1},
	} {
		tried := 0
		err := new(RedisTokens).exchange(t.Context(), func(context.Context) error { tried++; return test.err })
		if tried != test.want || errors.Is(err, ErrTokenStore) != (test.err != nil) {
			t.Errorf("%s: tried %d times, want %d (%v)", name, tried, test.want, err)
		}
	}
}

type timeoutError struct{ timeout bool }

func (timeoutError) Error() string   { return "i/o error" }
func (e timeoutError) Timeout() bool { return e.timeout }
func (timeoutError) Temporary() bool { return false }

// A probe that never comes back frees its place soon after its call should have ended.
func TestHungProbeFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError, sysError, frozenAfter(time.Hour, good), good}}, func(g *Gateway) {
			g.Breakers, g.Breaker = new(failover.Breakers), failover.Rule{Failures: 1, Within: time.Minute, OpenFor: time.Minute}
			g.Deadline = 10 * time.Second
		})
		s.call(chatBody("hello"))
		s.call(chatBody("hello"))
		wantError(t, s.call(chatBody("hello")), http.StatusServiceUnavailable, codeBreakerOpen)
		time.Sleep(time.Minute)
		go s.call(chatBody("hello")) // the probe
		synctest.Wait()
		s.wantCalls(3)
		time.Sleep(10*time.Second + leaseMargin - time.Millisecond)
		wantError(t, s.call(chatBody("hello")), http.StatusServiceUnavailable, codeBreakerOpen)
		time.Sleep(time.Second)
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		s.wantCalls(4)
		time.Sleep(time.Hour) // the probe wakes
	})
}
