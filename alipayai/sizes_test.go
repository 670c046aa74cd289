package alipayai_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A probe that never comes back frees its place soon after its call should have ended.
func TestHungProbeFreesItsPlace(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError, sysError, frozenAfter(time.Hour, good), good}}, func(g *alipayai.Gateway) {
			g.Breakers, g.Breaker = new(failover.Breakers), failover.Rule{Failures: 1, Within: time.Minute, OpenFor: time.Minute}
			g.Deadline = 10 * time.Second
		})
		s.call(chatBody("hello"))
		s.call(chatBody("hello"))
		wantError(t, s.call(chatBody("hello")), http.StatusServiceUnavailable, failure.CodeBreakerOpen)
		time.Sleep(time.Minute)
		go s.call(chatBody("hello")) // the probe
		synctest.Wait()
		s.wantCalls(3)
		time.Sleep(10*time.Second + alipayai.LeaseMargin - time.Millisecond)
		wantError(t, s.call(chatBody("hello")), http.StatusServiceUnavailable, failure.CodeBreakerOpen)
		time.Sleep(time.Second)
		if got := s.call(chatBody("hello")); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		s.wantCalls(4)
		time.Sleep(time.Hour) // the probe wakes
	})
}
