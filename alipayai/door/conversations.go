package door

import (
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// Conversations are what a site keeps of its tenants' conversations, so that clients may send only what is new.
type Conversations struct {
	// Cache is where they are kept. It tells tenants apart.
	Cache replay.Cache
	// TTL is for how long, from the last turn on.
	TTL time.Duration
	// Permits reports whether a tenant's may be kept there; nil where all may.
	Permits func(tenant string) bool
	// User gives which of its tenant's users a request is for, by its header and the user that its body names; nil where
	// tenants have no users. It is the same at each site that keeps conversations in one cache.
	User func(header http.Header, named string) string
}

// Owner is whose a conversation is. Those of two users of a tenant have nothing in common.
type Owner struct {
	Tenant string
	// User is one of the tenant's users; empty for the tenant itself.
	User string
}

// Owner gives whose a request's conversation is.
func (c *Conversations) Owner(r *http.Request, tenant string, rd *Reading) Owner {
	owner := Owner{Tenant: tenant}
	if c == nil || c.User == nil {
		return owner
	}
	owner.User = c.User(r.Header, rd.Request.User())
	return owner
}

// Keeps reports whether something is kept for a tenant: nothing is for those who are not known.
func (c *Conversations) Keeps(tenant string) bool {
	return c != nil && tenant != "" && tenant != alipayai.AnonymousTenant && (c.Permits == nil || c.Permits(tenant))
}

// Continue completes a call that goes on from what is kept for a tenant, once, and reports whether it has changed it. It
// is to be called before something looks at the call's texts, as Serve does at the latest.
func (rd *Reading) Continue(r *http.Request, kept *Conversations, tenant string) (changed bool) {
	if !rd.Continues || rd.continued != (Owner{}) || rd.Failure != nil || !kept.Keeps(tenant) {
		return false
	}
	dialect, ok := rd.Dialect.(Continuer)
	if !ok {
		return false
	}
	rd.continued = kept.Owner(r, tenant, rd)
	rd.Failure = dialect.Continue(r.Context(), kept, rd.continued, rd)
	return true
}

// converse completes a call that goes on from what the site keeps. One that it cannot complete is refused, rather than
// answered without what was said before.
func (d *Door) converse(r *http.Request, tenant string, rd *Reading) {
	rd.Conversations = d.Conversations
	if !rd.Continues || rd.Failure != nil {
		return
	}
	rd.Continue(r, d.Conversations, tenant)
	switch {
	case rd.Failure != nil:
	case d.Conversations == nil:
		rd.Failure = nothingKept("this site keeps no responses (store_responses is off): send the whole conversation as input, with store: false")
	case d.Conversations.Permits != nil && !d.Conversations.Permits(tenant):
		rd.Failure = nothingKept("no responses are kept for you, whose data may not be where this site keeps them: send the whole conversation as input, with store: false")
	case rd.continued.Tenant == tenant && rd.continued != d.Conversations.Owner(r, tenant, rd):
		rd.Failure = nothingKept("the call names another user than before it was matched: name its user in what the client sends, or before the first matcher that looks at calls")
	case rd.continued.Tenant != tenant:
		rd.Failure = nothingKept("responses are kept for clients with a key of their own: send the whole conversation as input, with store: false")
	case int64(len(rd.Request.Body)) > d.Gateway.MaxBody:
		rd.Failure = bodyTooLarge(d.Gateway.MaxBody)
		rd.Failure.Message += ", and this request is with what it goes on from"
	}
}

func nothingKept(message string) *failure.Failure {
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodePreviousResponseNotFound, message)
	f.Param = "previous_response_id"
	return f
}
