package alipaycaddy

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// sendingVar is the variable that a call's sending is kept in: the placeholder
// {http.vars.alipayai_sending} is "left" once the request may have left.
const sendingVar = "alipayai_sending"

// sending is what all tries of one call have in common; reverse_proxy makes them
// one after the other.
type sending struct {
	// deadline is when the last of them has to have left.
	deadline time.Time
	// left says that one of them may have reached the upstream: a repeat could do
	// twice what has been done.
	left bool
}

// String is what the placeholder gives.
func (s *sending) String() string {
	if s.left {
		return "left"
	}
	return "waiting"
}

// sendingOf gives the sending of the call that ctx belongs to, which begins with
// its first try.
func sendingOf(ctx context.Context, within time.Duration) *sending {
	s, ok := caddyhttp.GetVar(ctx, sendingVar).(*sending)
	if !ok {
		s = &sending{deadline: time.Now().Add(within)}
		caddyhttp.SetVar(ctx, sendingVar, s)
	}
	return s
}

// mayHaveLeft reports whether one of the tries of ctx's call may have reached the
// upstream.
func mayHaveLeft(ctx context.Context) bool {
	s, ok := caddyhttp.GetVar(ctx, sendingVar).(*sending)
	return ok && s.left
}
