package alipayai_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// unheard is a caller that counts nothing.
type unheard struct{}

func (unheard) Permitted(*upstream.Provider, time.Duration)                {}
func (unheard) Rejected(*upstream.Provider, string)                        {}
func (unheard) SigningFailed(*upstream.Provider)                           {}
func (unheard) Leaving(*upstream.Provider, *http.Request) *failure.Failure { return nil }

// gives answers every request with the same.
type gives struct{ *http.Response }

func (a gives) RoundTrip(*http.Request) (*http.Response, error) { return a.Response, nil }

// unsigned is an answer that nobody has signed.
func unsigned(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(body)}
}

// send has p send a request that somebody else has composed; transport is p's own when nil.
func send(t *testing.T, p *upstream.Provider, req *http.Request, body []byte, transport http.RoundTripper) (*upstream.Exchange, *failure.Failure) {
	t.Helper()
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	return p.Send(req.Context(), &upstream.Request{Client: req, Body: body, Tenant: "acme", LeaveBy: time.Now().Add(time.Minute), Caller: unheard{}, Transport: transport})
}

// sign is send to an upstream that answers with nothing: the request as it was sent.
func sign(t *testing.T, p *upstream.Provider, req *http.Request, body []byte) (*http.Request, *failure.Failure) {
	t.Helper()
	x, f := send(t, p, req, body, gives{unsigned(http.StatusOK, strings.NewReader(""))})
	if f != nil {
		return nil, f
	}
	return x.Request, nil
}

// exchange is a signed request and an answer to it that nobody has signed; both have the same body.
func exchange(t *testing.T, p *upstream.Provider, status int, body string) *upstream.Exchange {
	t.Helper()
	x, f := send(t, p, composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay"), []byte(body), gives{unsigned(status, strings.NewReader(body))})
	if f != nil {
		t.Fatal(f)
	}
	return x
}

// codeOf is a failure's code; empty for none.
func codeOf(f *failure.Failure) string {
	if f == nil {
		return ""
	}
	return f.Code
}
