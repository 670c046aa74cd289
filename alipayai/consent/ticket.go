package consent

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// maxCookie is how many bytes of a cookie's name and value browsers keep; of a longer one they keep nothing (RFC 6265bis,
// section 5.6, https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis).
const maxCookie = 4096

// ticket is what an address says, sealed.
type ticket struct {
	Tenant   string    `json:"t"`
	User     string    `json:"u"`
	ReturnTo string    `json:"r"`
	State    string    `json:"s,omitempty"` // the tenant's own
	Ends     time.Time `json:"e"`
}

// begun is what the cookie says, sealed.
type begun struct {
	ticket
	VendorState string `json:"v"`
	Verifier    string `json:"p,omitempty"`
}

// begin makes what binds a ticket to a browser.
func (c *Consents) begin(t ticket) begun {
	b := begun{ticket: t, VendorState: rand.Text()}
	b.Ends = c.Now().Add(Life).Truncate(time.Second).UTC()
	if c.Page.PKCE {
		b.Verifier = oauth2.GenerateVerifier()
	}
	return b
}

// bind makes the cookie of it.
func (c *Consents) bind(b begun) *http.Cookie {
	return c.cookie(b.VendorState, base64.RawURLEncoding.EncodeToString(sealJSON(c.Seal, c.placeOf("cookie"), b)), Life)
}

// returns reports whether the ticket's page is still one that users may be sent back to: the configuration may have changed
// since the ticket was made.
func (c *Consents) returns(t ticket) bool { return slices.Contains(c.Page.ReturnTo, t.ReturnTo) }

// cookie is what binds a state to a browser. Each state has one of its own, so that a user may begin twice.
func (c *Consents) cookie(state, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: CookieName(state), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// CookieName is that of the cookie that belongs to a state.
func CookieName(state string) string {
	return "__Host-alipayai-" + redisstore.Digest([]byte(state))[:16]
}

// returnTo is the tenant's page with the result.
func (t *ticket) returnTo(result Result) (string, error) {
	u, err := url.Parse(t.ReturnTo)
	if err != nil {
		return "", ErrReturn
	}
	query := u.Query()
	query.Set("authorisation", string(result))
	if t.State != "" {
		query.Set("state", t.State)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
