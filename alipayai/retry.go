package alipayai

import (
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// maxAttempts is how often a call is tried at one provider.
const maxAttempts = 3

// retryBackoff is how long a call waits before it is repeated.
var retryBackoff = failover.Backoff{Base: failover.DefaultBase, Max: failover.DefaultMax}

// planRetry says whether to make another attempt after f, and how long to wait
// before. Safe are those where the request never left, or where the upstream
// has refused it or failed for good. As good as safe is one after a connection
// that had idled and broke as soon as it was used: where no other provider can be
// asked, and the client has not asked for the call to happen once, it is worth
// it. A timeout or another connection that broke is none of these: the call may
// have executed, and been billed. Every repeat comes out of p's budget.
func (q *asking) planRetry(f *failure.Failure) (pause time.Duration, ok bool) {
	now := q.g.Now()
	repeat := f.Class.Policy().Repeat
	newToken := q.dropToken(f)
	switch {
	case f.ClientGone || q.attempts >= maxAttempts:
		return 0, false
	case (f.Final || f.Unserved) && (repeat == failure.AfterBackoff || repeat == failure.AfterHold):
		return 0, false
	case f.Code == failure.CodeUnreachable && !f.Sent && q.p.HasOther(q.Tenant, q.regions):
		// It reached nothing, and another address may be there: at once, and not out of the budget, whose calls do.
		return 0, !now.After(q.latest())
	case f.Code == failure.CodeUnreachable && !f.Sent:
		pause = retryBackoff.Delay(q.attempts - 1)
	case q.class() == ClassMoney:
		return 0, false
	case f.StaleConnection && !q.reconnected && !q.alternatives && q.IdempotencyKey == "":
		q.reconnected = true
	case newToken:
		q.refreshed = true
	case f.KeyChanged && !q.rekeyed:
		q.rekeyed = true
	case repeat == failure.WithNewTime && !q.resigned && f.ClockLearned:
		q.resigned = true
	case repeat == failure.AfterBackoff && f.FromUpstream && !f.TimedOut():
		pause = max(retryBackoff.Delay(q.attempts-1), f.RetryAfter)
		if q.alternatives && f.RetryAfter > retryBackoff.Max {
			return 0, false
		}
	case repeat == failure.AfterHold && f.FromUpstream && !q.alternatives:
		// The provider's window is closed for so long; its queue says whether
		// waiting is worth it.
		if pause = f.RetryAfter; pause == 0 {
			pause = upstream.ThrottleHold
		}
		if pause > q.p.Cap.LongestWait() {
			return 0, false
		}
		if q.p.Cap == nil {
			pause = upstream.Spread(pause, q.latest().Sub(now)-pause) // a cap spaces the calls by itself
		}
	default:
		return 0, false
	}
	if now.Add(pause).After(q.latest()) {
		return 0, false
	}
	if q.p.Budget.Withdraw() {
		return pause, true
	}
	// That there were enough repeats already goes for the client's as well; but what
	// was refused for its token or time will be served with the new one.
	f.NoRetry = repeat != failure.WithNewToken && repeat != failure.WithNewTime
	if !f.NoRetry {
		f.RetryAfter = time.Second
	}
	return 0, false
}

// dropToken drops the access token that f was refused with, the first time, and reports
// whether another one may help. It is no good to the next call either, whether or not
// this one is repeated.
func (q *asking) dropToken(f *failure.Failure) bool {
	if f.Class.Policy().Repeat != failure.WithNewToken || q.refreshed {
		return false
	}
	q.refused = f.UserToken
	return q.p.DropToken(f, q.Tenant, q.userAt(q.p))
}

// unauthorised is f or, where p has refused a user's token and the one after it as well, that the
// user has to give its consent anew.
func (q *asking) unauthorised(f *failure.Failure) *failure.Failure {
	again := f.Class == failure.RefreshToken && q.refused != "" && f.UserToken != q.refused
	if f.UserToken == "" || !again && f.Class != failure.Reauthorise {
		return f
	}
	return q.p.NotAuthorised(q.Tenant, q.userAt(q.p))
}

// latest is the last moment to start an attempt: a later one would be billed, but
// not finish in time.
func (c *call) latest() time.Time {
	if !c.by.IsZero() {
		return c.by
	}
	return c.deadline().Add(-min(time.Second, c.g.Deadline/10))
}

// wait waits, and reports whether the client did too.
func (c *call) wait(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}
