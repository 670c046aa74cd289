package token

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/seal"
)

// An endpoint says "never" by a date that no clock shows, and can be behind: what it gave can be kept.
func TestTokensThatNeverEnd(t *testing.T) {
	sealing, err := seal.New([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, body := range map[string]string{
		"the refresh token":  `{"accessToken":"a","refreshToken":"r","accessTokenExpiryTime":"2026-11-29T13:00:00Z","refreshTokenExpiryTime":"9999-12-31T23:59:59Z"}`,
		"both":               `{"accessToken":"a","refreshToken":"r","accessTokenExpiryTime":"9999-12-31T23:59:59Z","refreshTokenExpiryTime":"9999-12-31T23:59:59-12:00"}`,
		"in seconds, of day": `{"access_token":"a","refresh_token":"r","expires_in":1e300,"re_expires_in":"1e300"}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := &Grant{URL: "https://vendor.example/token", ClientID: "c", Secret: "s", Clock: late{}, Now: func() time.Time { return now }, Transport: answering(func(req *http.Request) *http.Response {
				h := http.Header{"Date": {now.Add(-time.Hour).Format(http.TimeFormat)}, "Content-Type": {"application/json"}}
				return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: req}
			})}
			given, err := g.Fetch(t.Context(), "before")
			if err != nil {
				t.Fatal(err)
			}
			if !given.RefreshExpiry.IsZero() {
				t.Errorf("the refresh token ends %v", given.RefreshExpiry)
			}
			if kept, err := Open(sealing, "p", Seal(sealing, "p", given)); err != nil || kept.Refresh != "r" {
				t.Errorf("%v, %v", kept, err)
			}
		})
	}
}

// late is the clock of an endpoint that is an hour behind.
type late struct{}

func (late) Learn(http.Header, time.Time, time.Time) bool { return false }
func (late) Skew() time.Duration                          { return -time.Hour }

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(req *http.Request) (*http.Response, error) { return a(req), nil }
