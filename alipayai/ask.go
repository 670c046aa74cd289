package alipayai

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// maxAttempts is how often a call is tried at one provider.
const maxAttempts = 3

// retryBackoff is how long a call waits before it is repeated.
var retryBackoff = failover.Backoff{Base: failover.DefaultBase, Max: failover.DefaultMax}

// asking is a call at one provider.
type asking struct {
	*call
	p *upstream.Provider

	attempts int
	// What is done once.
	refreshed, resigned, reconnected bool
}

// ask gets an answer of p, in as many attempts as that may take.
func (c *call) ask(p *upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	c.alternatives = alternatives
	body, f := c.encode(p)
	if f != nil {
		return nil, f
	}
	c.sentBody = body
	q := asking{call: c, p: p}
	unsent := c.outcome.Attempts
	for {
		q.attempts++
		a, f := c.paidAttempt(p, body)
		if q.attempts == 1 && c.outcome.Attempts > unsent {
			p.Budget.Deposit() // a call that was turned away here pays for nothing
		}
		c.g.Observer.Attempted(c.attempted(f))
		if f == nil {
			return a, nil
		}
		c.mayHaveExecuted = c.mayHaveExecuted || f.MayHaveExecuted()
		pause, ok := q.planRetry(f)
		if !ok {
			return nil, f
		}
		if !c.wait(pause) {
			return nil, failure.OfTransport(c.ctx, c.ctx, c.ctx.Err(), f.Sent)
		}
	}
}

// encode puts the request into p's form.
func (c *call) encode(p *upstream.Provider) ([]byte, *failure.Failure) {
	c.unsupported = ""
	if c.Endpoint == upstream.EndpointModels {
		return nil, nil
	}
	encoded, err := p.Format.EncodeRequest(c.wireAsk(p))
	if err != nil {
		f := failure.UnreadableRequest(err)
		f.UnsupportedHere = true
		return nil, f
	}
	if len(encoded.Unsupported) == 0 {
		return encoded.Body, nil
	}
	switch names := listed(encoded.Unsupported); p.OnUnsupported {
	case upstream.OnUnsupportedReject:
		f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported, "provider "+p.Name+" cannot do what the request asks for: "+names)
		f.Param, f.UnsupportedHere = encoded.Unsupported[0], true
		return nil, f
	case upstream.OnUnsupportedWarn:
		c.unsupported = names
	}
	return encoded.Body, nil
}

// listed names as much as a header may hold.
func listed(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// planRetry says whether to make another attempt after f, and how long to wait
// before. Safe are those where the request never left, or where the upstream
// has refused it or failed for good. As good as safe is one after a connection
// that had idled and broke as soon as it was used: where no other provider can be
// asked, and the client has not asked for the call to happen once, it is worth
// it. A timeout or another connection that broke is none of these: the call may
// have been served, and billed. Every repeat comes out of p's budget.
func (q *asking) planRetry(f *failure.Failure) (pause time.Duration, ok bool) {
	now := q.g.Now()
	// A token that is refused is no good to the next call either.
	repeat := f.Class.Policy().Repeat
	replaced := repeat == failure.WithNewToken && !q.refreshed && q.p.DropToken(f)
	switch {
	case f.ClientGone || q.attempts >= maxAttempts:
		return 0, false
	case f.Code == failure.CodeUnreachable && !f.Sent:
		pause = retryBackoff.Delay(q.attempts - 1)
	case q.class() == ClassMoney:
		return 0, false
	case f.StaleConnection && !q.reconnected && !q.alternatives && q.IdempotencyKey == "":
		q.reconnected = true
	case replaced:
		q.refreshed = true
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

// latest is the last moment to start an attempt: a later one would be billed, but
// not finish in time.
func (c *call) latest() time.Time {
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

// attempted is the last attempt, which ended in f; nil for an answer.
func (c *call) attempted(f *failure.Failure) Attempt {
	a := Attempt{
		RequestID: c.outcome.RequestID, Provider: c.outcome.Provider,
		Number: c.outcome.Attempts, Status: http.StatusOK,
	}
	if f != nil {
		a.Status, a.Code, a.Class, a.Cause = f.Status, f.Code, f.Class, f.Cause
	}
	return a
}
