package alipayai

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// An Idempotency-Key is its tenant's, for one endpoint, and that of one of the tenant's users: whoever else sends the same has another
// claim, and no answer of theirs.
func TestWhoseAKeyIs(t *testing.T) {
	call := func(edit func(*Call)) *Call {
		c := &Call{Tenant: "acme", Endpoint: upstream.EndpointChat, IdempotencyKey: "k", Header: http.Header{"User": {"u1"}}}
		edit(c)
		return c
	}
	g := &Gateway{Claims: new(Claims), hasUsers: true, userField: "User"}
	var keys, names []string
	for name, c := range map[string]struct {
		call *Call
		user string
	}{
		"a key":               {call(func(*Call) {}), "u1"},
		"of no user":          {call(func(c *Call) { c.Header = nil }), ""},
		"of another user":     {call(func(c *Call) { c.Header = http.Header{"User": {"u2"}} }), "u2"},
		"of another tenant":   {call(func(c *Call) { c.Tenant = "zeta" }), "u1"},
		"of another endpoint": {call(func(c *Call) { c.Endpoint = upstream.EndpointEmbeddings }), "u1"},
		"another key":         {call(func(c *Call) { c.IdempotencyKey = "l" }), "u1"},
	} {
		key := c.call.claimKey(c.user)
		if again := c.call.claimKey(c.user); again != key || slices.Contains(keys, string(key[:])) {
			t.Errorf("%s: the claim is another one's, or not its own", name)
		}
		claim := g.ClaimOf(c.call)
		if claim != g.ClaimOf(c.call) || claim == "" || slices.Contains(names, claim) {
			t.Errorf("%s: the claim's name is another one's, or not its own", name)
		}
		keys, names = append(keys, string(key[:])), append(names, claim)
	}
	without := Gateway{Claims: g.Claims, userField: "User"}
	if without.ClaimOf(call(func(*Call) {})) != without.ClaimOf(call(func(c *Call) { c.Header = nil })) {
		t.Error("a header that names no user tells claims apart")
	}
	for name, claim := range map[string]string{
		"without claims": (&Gateway{}).ClaimOf(call(func(*Call) {})),
		"without a key":  g.ClaimOf(call(func(c *Call) { c.IdempotencyKey = "" })),
		"of anybody":     g.ClaimOf(call(func(c *Call) { c.Tenant = AnonymousTenant })),
	} {
		if claim != "" {
			t.Errorf("%s: a call has a claim", name)
		}
	}
}
