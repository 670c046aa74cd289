package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// token asks the token endpoint, in other forms too where it refuses the
// configured one. It is nil where the provider takes no token.
func (c *check) token() *exchange {
	if c.provider.Tokens == nil {
		return nil
	}
	x := c.askToken(c.provider)
	for x.verdict != good {
		next := c.improveToken(x)
		if next == nil {
			return x
		}
		x = next
	}
	return x
}

// improveToken finds one option with which the token endpoint gets further than x; nil
// where there is none.
func (c *check) improveToken(x *exchange) *exchange {
	for _, o := range c.tokenCandidates(x) {
		if p := c.try(o); p != nil {
			if after := c.askToken(p); better(x.verdict, after.verdict) {
				c.keep(o, p)
				return after
			}
		}
	}
	return nil
}

// tokenCandidates are the options that may be what the token endpoint wants. A
// refresh token is good for one request, which is not risked on a guess.
func (c *check) tokenCandidates(x *exchange) []option {
	switch {
	case x.verdict == version:
		return versionOptions(x)
	case c.provider.Tokens.RefreshToken != "":
	case x.verdict == otherNames:
		fields, _ := tokenNames(x.body)
		return []option{tokenAnswerOption(fields)}
	case x.verdict == wrongRequest:
		return tokenFormOptions
	}
	return nil
}

// askToken fetches a token. One of client_credentials is fetched anew, whatever the
// gateway keeps; a refresh token is redeemed by who keeps it, if that is due.
func (c *check) askToken(p *upstream.Provider) *exchange {
	x := &exchange{}
	grant, ok := p.Tokens.Fetcher.(*token.Grant)
	if !ok {
		x.reason = "its tokens are not those of a token endpoint"
		return x
	}
	if u, err := url.Parse(grant.URL); err == nil {
		x.host = u.Host
	}
	if !c.left() {
		x.reason = fmt.Sprintf("not sent: a check sends %d requests at most", MaxRequests)
		return x
	}
	observed := *grant
	observed.OnRequest = func(req *http.Request) {
		c.requests++
		x.sentAt = c.options.Now()
		x.sent = describe(req) + ": " + formOf(p.Tokens, grant)
		id, secret := url.QueryEscape(grant.ClientID), url.QueryEscape(grant.Secret)
		c.secrets = append(c.secrets, grant.Secret, credentials.Basic(id, secret), p.Tokens.RefreshToken)
	}
	observed.OnAnswer = func(answer *http.Response, body []byte) {
		x.gotAt, x.answer, x.body = c.options.Now(), answer, body
	}
	ctx, cancel := context.WithTimeout(httptrace.WithClientTrace(c.ctx, x.conn.trace()), p.Timeout)
	defer cancel()
	var err error
	var got token.Token
	if p.Tokens.RefreshToken == "" {
		got, err = observed.Fetch(ctx, "")
		c.secrets = append(c.secrets, got.Access, got.Refresh)
		c.access = got
	} else {
		source := *p.Tokens
		source.Fetcher = &observed
		_, err = source.Token(ctx)
		c.access, _ = p.Tokens.Cell.Peek()
	}
	x.tokenVerdict(err)
	if err == nil && !got.Expiry.IsZero() {
		x.life = got.Expiry.Sub(got.Issued)
		x.message = "a token for " + x.life.Round(time.Second).String()
	}
	return x
}

// tokenVerdict says what an answer of a token endpoint means.
func (x *exchange) tokenVerdict(err error) {
	switch {
	case err == nil:
		x.verdict = good
	case x.answer == nil:
		x.verdict, x.reason = unreachable, token.Reason(err)
		if x.conn.brokeHTTP2() {
			x.verdict = version
		}
	case x.answer.StatusCode == http.StatusHTTPVersionNotSupported:
		x.verdict = version
	case x.answer.StatusCode == http.StatusNotFound, x.answer.StatusCode == http.StatusMethodNotAllowed:
		x.verdict = notFound
	case x.answer.StatusCode >= 300 && x.answer.StatusCode < 400:
		x.verdict = redirected
	case x.answer.StatusCode == http.StatusTooManyRequests:
		x.verdict = throttled
	case x.answer.StatusCode >= 500:
		x.verdict = broken
	default:
		x.verdict = wrongRequest
		if _, ok := tokenNames(x.body); ok && x.answer.StatusCode == http.StatusOK {
			x.verdict = otherNames
		}
	}
	if err != nil && x.answer != nil {
		x.reason = token.Reason(err)
	}
}

// tokenStep makes the step on the token endpoint.
func (c *check) tokenStep(x *exchange) Step {
	s := Step{Name: stepToken, Status: OK, Sent: x.sent, Received: x.reason, Options: c.optionsOf(stepToken)}
	if x.answer != nil {
		s.Received = fmt.Sprintf("%d %s, %s", x.answer.StatusCode, x.answer.Proto, members(x.answer, x.body))
	}
	if x.verdict == good {
		if x.answer == nil {
			s.Sent, s.Received = "nothing", "the token that is kept is good still"
		} else {
			s.Received += ": " + x.message
		}
		if len(s.Options) > 0 {
			s.Advice = "the upstream takes the access token in this form only"
		}
		if grant, ok := c.provider.Tokens.Fetcher.(*token.Grant); ok && grant.Answer == nil && x.life >= longLife*time.Second {
			s.Status, s.Advice = Warn, "that is long for an access token: if its end is said in milliseconds, say so"
			s.Suspects = []string{"token <url> <secret> {\n\tanswer {\n\t\texpires expires_in ms\n\t}\n}"}
		}
		return s
	}
	s.Status = Fail
	if x.answer != nil && x.reason != "" {
		s.Received += ": " + strings.Join(append([]string{x.reason}, refusedTexts(x)...), "; ")
	}
	switch x.verdict {
	case unreachable, version:
		s.Advice = "see the step on the connection"
	case notFound:
		s.Advice = "there is no token endpoint at that address: correct token <url>"
	case redirected:
		s.Advice = "it is somewhere else, and redirects are not followed: correct token <url>"
	case otherNames:
		fields, _ := tokenNames(x.body)
		s.Advice, s.Suspects = "the answer seems to have a token, under another name than is looked for", []string{tokenAnswerOption(fields).text}
	case throttled, broken:
		s.Advice = "the token endpoint is throttling or failing: ask again later"
	default:
		s.Advice = "the client's id or secret may be wrong, or the form that they are sent in"
		s.Suspects = append([]string{"client_id", "token <url> <secret>"}, texts(tokenFormOptions)...)
		if c.provider.Tokens.RefreshToken != "" {
			s.Suspects = append([]string{"token <url> <secret> {\n\trefresh_token <token>\n}"}, s.Suspects...)
		}
	}
	return s
}
