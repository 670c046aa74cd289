package token

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// The refresh token of an answer is the only living one: whatever the answer says of the access token's end, it is kept.
func TestRefreshTokenBesideASenselessEnd(t *testing.T) {
	for name, test := range map[string]struct {
		end  string
		life time.Duration
	}{
		"in words":              {`"accessTokenExpiryTime":"tomorrow"`, defaultTokenLife},
		"empty":                 {`"accessTokenExpiryTime":""`, defaultTokenLife},
		"null":                  {`"accessTokenExpiryTime":null`, defaultTokenLife},
		"of another form":       {`"accessTokenExpiryTime":"2026-03-01T20:10:00+0800"`, defaultTokenLife},
		"in the past":           {`"accessTokenExpiryTime":"2026-03-01T11:59:59Z"`, 1},
		"this moment":           {`"accessTokenExpiryTime":"2026-03-01T12:00:00Z"`, 1},
		"the year 0":            {`"accessTokenExpiryTime":"0000-01-01T00:00:00Z"`, 1},
		"seconds, in words":     {`"expires_in":"soon"`, defaultTokenLife},
		"seconds, a list":       {`"expires_in":[1800]`, defaultTokenLife},
		"seconds, not a number": {`"expires_in":"NaN"`, defaultTokenLife},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{
				`{"accessToken":"at",` + test.end + `,"refreshToken":"rt","result":{"resultCode":"SUCCESS"}}`,
				`{"refreshToken":"rt","accessToken":"at",` + test.end + `}`,
			} {
				got, err := (&Grant{}).read(http.StatusOK, []byte(body), tokenSentAt, 0)
				if err != nil || got.Access != "at" || got.Refresh != "rt" || got.Expiry.Sub(got.Issued) != test.life {
					t.Errorf("%s: %q, %q for %v (%v), want both for %v", body, got.Access, got.Refresh, got.Expiry.Sub(got.Issued), err, test.life)
				}
			}
		})
	}
}

// A renewal that brings a token which has expired already has failed, and what it has brought to renew it with is redeemed next.
func TestRefreshTokenOfAnExpiredToken(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		store := new(memoryStore)
		var redeemed []string
		s := &Source{Cell: new(Cell), Store: store, RefreshToken: "first", Now: time.Now, Fetcher: fetcherFunc(func(_ context.Context, refresh string) (Token, error) {
			sent := time.Now()
			testwait.Pass(time.Millisecond)
			redeemed = append(redeemed, refresh)
			body := `{"accessToken":"at","refreshToken":"second","accessTokenExpiryTime":"1999-01-01T00:00:00Z"}`
			if refresh == "second" {
				body = `{"accessToken":"at","refreshToken":"third"}`
			}
			return (&Grant{}).read(http.StatusOK, []byte(body), sent, 0)
		})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := s.Token(soon); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if access, err := s.Token(ctx); err != nil || access != "at" || store.token.Refresh != "third" || len(redeemed) != 2 {
			t.Errorf("got %q (%v), after redeeming %q", access, err, redeemed)
		}
	})
}

// What a proxy has compressed is read as the endpoint has written it.
func TestCompressedTokenAnswer(t *testing.T) {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		to := gzip.NewWriter(w)
		defer to.Close()
		_, _ = io.WriteString(to, `{"access_token":"at","expires_in":1800}`)
	}))
	defer endpoint.Close()
	g := &Grant{URL: endpoint.URL, ClientID: "app", Secret: "secret", Transport: newTransportOfToken(t), Now: time.Now}
	if got, err := g.Fetch(t.Context(), ""); err != nil || got.Access != "at" {
		t.Errorf("got %q (%v)", got.Access, err)
	}
}
