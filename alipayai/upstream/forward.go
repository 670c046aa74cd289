package upstream

import (
	"net/http"
	"slices"
	"strings"
)

// userAgent names the gateway to upstreams.
const userAgent = "caddy-alipayai"

// Header values that every request shares.
var (
	jsonValue        = []string{"application/json"}
	eventStreamValue = []string{"text/event-stream"}
	identity         = []string{"identity"}
	userAgentValue   = []string{userAgent}
)

// forwardedToUpstream are the client's headers that go upstream; all others
// stay: Authorization, cookies, forwarding and hop-by-hop headers are the
// client's business with the gateway. Payment-Proof belongs to agent payments
// (HTTP 402), the other two are W3C Trace Context.
var forwardedToUpstream = [...]string{"Payment-Proof", "Traceparent", "Tracestate"}

// Forward copies the named fields. The values are to's own: what comes after the
// gateway may change them where they are, as Caddy's header directive does. Single
// values are put into room, as long as there is any.
func Forward(to, from http.Header, names, room []string) {
	for _, name := range names {
		switch values := from[name]; {
		case len(values) == 1 && len(room) > 0:
			room[0] = values[0]
			to[name], room = room[:1:1], room[1:]
		case len(values) > 0:
			to[name] = slices.Clone(values)
		}
	}
}

// IsEventStream reports whether an answer says that it is one.
func IsEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
