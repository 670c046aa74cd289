package alipayai

import (
	"encoding/hex"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Header values that every answer shares.
var (
	jsonType    = []string{"application/json"}
	eventStream = []string{"text/event-stream"}
)

// forwardedToClient are the upstream's headers that reach the client.
var forwardedToClient = [...]string{
	"Content-Type",
	"Cache-Control",
	"Payment-Needed",
	"Openai-Processing-Ms",
	"X-Ratelimit-Limit-Requests",
	"X-Ratelimit-Limit-Tokens",
	"X-Ratelimit-Remaining-Requests",
	"X-Ratelimit-Remaining-Tokens",
	"X-Ratelimit-Reset-Requests",
	"X-Ratelimit-Reset-Tokens",
}

// maxVisible bounds what IsVisible takes, in bytes.
const maxVisible = 255

// idempotencyID is what goes upstream as Idempotency-Key: the same for every
// attempt of a call. A client's own key is bound to its tenant and endpoint,
// since two tenants that use the same key at one upstream account mean two
// calls. Anonymous clients cannot be told apart, so theirs counts for nothing.
func idempotencyID(tenant string, endpoint upstream.Endpoint, key, requestID string) string {
	if key == "" || tenant == AnonymousTenant {
		return requestID
	}
	id := replay.NewKey(tenant, string(endpoint), key)
	var digits [32]byte
	hex.Encode(digits[:], id[:len(digits)/2])
	return string(digits[:])
}

// IsVisible reports whether value is at most 255 bytes of visible ASCII, as header values that are
// keys and names should be.
func IsVisible(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return false
		}
	}
	return len(value) <= maxVisible
}
