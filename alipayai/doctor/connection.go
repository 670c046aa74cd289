package doctor

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// connection is what was seen of one while it was made. Where one is reused, that
// is what was seen then.
type connection struct {
	mu        sync.Mutex // net/http may try several addresses at once
	addresses []string
	peer      string
	state     *tls.ConnectionState
	errors    []error
}

// trace gives the hooks by which c sees.
func (c *connection) trace() *httptrace.ClientTrace {
	see := func(err error, set func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.errors = append(c.errors, err)
			return
		}
		set()
	}
	return &httptrace.ClientTrace{
		DNSDone: func(info httptrace.DNSDoneInfo) {
			see(info.Err, func() {
				for _, address := range info.Addrs {
					c.addresses = append(c.addresses, address.String())
				}
			})
		},
		ConnectDone: func(_, address string, err error) { see(err, func() { c.peer = address }) },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			see(err, func() { c.state = &state })
		},
		GotConn: func(info httptrace.GotConnInfo) {
			see(nil, func() {
				c.peer = info.Conn.RemoteAddr().String()
				if t, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
					state := t.ConnectionState()
					c.state = &state
				}
			})
		},
	}
}

// brokeHTTP2 reports whether a request without an answer went over HTTP/2. A peer
// that agrees to it and cannot serve it resets the request, by HTTP_1_1_REQUIRED
// (RFC 9113, section 7) or otherwise.
func (c *connection) brokeHTTP2() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != nil && c.state.NegotiatedProtocol == "h2"
}

// connection makes the step on name, TLS and HTTP version.
func (c *check) connection(x *exchange) Step {
	p := c.provider
	s := Step{Name: stepConnection, Status: OK, Options: c.optionsOf(stepConnection)}
	if x == nil {
		return Step{Name: stepConnection, Status: Skipped, Advice: "profile " + p.Profile.Name + " has no call that costs nothing; permit a chat"}
	}
	s.Sent = "a connection to " + x.host
	x.conn.mu.Lock()
	defer x.conn.mu.Unlock()
	if x.answer == nil {
		s.Status, s.Received, s.Advice = Fail, x.reason, "look at the network between here and "+x.host
		if err := errors.Join(x.conn.errors...); err != nil {
			s.Received = failure.ReasonOf(err).Error()
			s.Advice = cmp.Or(dialAdvice(err), s.Advice)
		}
		return s
	}
	s.Received = x.conn.peer
	if len(x.conn.addresses) > 0 {
		s.Received += " (of " + strings.Join(x.conn.addresses, ", ") + ")"
	}
	if state := x.answer.TLS; state != nil {
		s.Received += ", " + tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			s.Received += ", certificate until " + state.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly)
		}
	} else {
		s.Received += ", without TLS"
		if p.Environment == upstream.Production && !upstream.IsLoopback(p.BaseURL.Hostname()) {
			s.Status, s.Advice = Warn, "production without TLS: write base_url https://…"
		}
	}
	s.Received += ", " + x.answer.Proto
	switch {
	case len(s.Options) > 0:
		s.Advice = "the upstream takes requests by this version of HTTP only"
	case x.verdict == version:
		s.Status, s.Advice, s.Suspects = Fail, "the upstream takes another HTTP version", texts(versionOptions(x))
	case x.verdict == redirected:
		s.Status, s.Advice = Fail, "it answers with a redirect, which is not followed: set base_url to where it is"
		if to, err := x.answer.Location(); err == nil {
			s.Advice += ", " + to.Scheme + "://" + to.Host
		}
	case s.Status == OK && x.answer.ProtoMajor == 1 && x.answer.TLS != nil:
		s.Advice = "the upstream does not offer HTTP/2: each request under way has a connection of its own"
	}
	return s
}

// dialAdvice says what is to be done about a connection that could not be made.
func dialAdvice(err error) string {
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is signed by an authority that this machine does not know: transport http { tls_trust_pool file <pem> }"
	case errors.As(err, &hostname):
		return "its certificate is for another name: correct base_url, or set transport http { tls_server_name <name> }"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or the clock of this machine is wrong"
	case errors.As(err, &record):
		return "it does not speak TLS there: write base_url http://…, or its port"
	}
	return ""
}

// clock makes the step on the upstream's time. The gateway corrects what it signs by
// each answer's Date, so a wrong clock costs the first call after a start.
func (c *check) clock(x *exchange) Step {
	s := Step{Name: stepClock, Status: Skipped, Advice: "no answer says the time"}
	if x == nil || x.answer == nil {
		return s
	}
	date, err := http.ParseTime(x.answer.Header.Get("Date"))
	if err != nil {
		s.Status, s.Received = Warn, "no Date"
		s.Advice = "without it the gateway cannot correct the time that it signs: keep the clock of this machine right"
		return s
	}
	local := x.sentAt.Add(x.gotAt.Sub(x.sentAt) / 2)
	skew := date.Add(500 * time.Millisecond).Sub(local).Round(time.Second)
	s.Sent, s.Received = "the clock of this machine: "+local.UTC().Format(http.TimeFormat), "Date: "+date.UTC().Format(http.TimeFormat)
	if skew.Abs() <= upstream.MinSkew {
		s.Status, s.Advice = OK, ""
		return s
	}
	behind := "behind"
	if skew < 0 {
		behind = "ahead"
	}
	s.Status = Warn
	s.Advice = fmt.Sprintf("the clock of this machine is %v %s the upstream's: set it (NTP). "+
		"The gateway corrects what it signs by each answer's Date, but the first call after a start may be refused", skew.Abs(), behind)
	return s
}
