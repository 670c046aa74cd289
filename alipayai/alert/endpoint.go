package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
)

// endpoint is an address that takes JSON. The address is a secret: with that of a
// Slack webhook anyone can write there.
type endpoint struct {
	name      string
	address   string
	transport http.RoundTripper
}

// newEndpoint checks the address. Its errors do not repeat it.
func newEndpoint(name, address string) (endpoint, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return endpoint{}, fmt.Errorf("alert %s: the address must be a URL with https or http and a host", name)
	}
	return endpoint{name, address, &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: sendTimeout,
		ForceAttemptHTTP2:     true,
		// Alerts are rare, and an idle connection keeps goroutines.
		DisableKeepAlives: true,
	}}, nil
}

// Name implements [Sink].
func (e endpoint) Name() string { return e.name }

// String keeps the address out of whatever is printed.
func (e endpoint) String() string { return e.name }

// GoString is String for %#v.
func (e endpoint) GoString() string { return e.name }

// post delivers v as JSON. Any 2xx is a success. Redirects are not followed: one
// could send secrets to another host.
func (e endpoint) post(ctx context.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return &SendError{Reason: "the notification is no JSON", Final: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.address, bytes.NewReader(body))
	if err != nil {
		return &SendError{Reason: "the address is no URL", Final: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "caddy-alipayai")
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := outgoing.Send(e.transport, req)
	if err != nil {
		return &SendError{Reason: networkReason(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	return statusFailure(resp.StatusCode, resp.Header.Get("Retry-After"))
}

// networkReason says what went wrong.
func networkReason(err error) string {
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}

// statusFailure reads the answer's status as Slack and PagerDuty document
// theirs: 429 and 5xx may be tried again, 429 after Retry-After, all other
// failures stay.
func statusFailure(status int, retryAfter string) error {
	if status/100 == 2 {
		return nil
	}
	failure := &SendError{
		Reason: "status " + strconv.Itoa(status),
		Final:  status != http.StatusTooManyRequests && status/100 != 5,
	}
	// More seconds than fit into an int are the largest, with an error.
	if seconds, err := strconv.Atoi(retryAfter); err == nil || errors.Is(err, strconv.ErrRange) {
		failure.After = time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(retryAfter); err == nil {
		failure.After = min(max(time.Until(at), 0), maxRetryAfter)
	}
	return failure
}

// atMost cuts a text to so many characters.
func atMost(n int, text string) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
