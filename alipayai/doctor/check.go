package doctor

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// MaxRequests is how many requests one check sends at most, to the upstream and
// to its token endpoint together.
const MaxRequests = 40

// Options say what a check may do. The zero value asks for a token and for the
// models, with the configuration as it is.
type Options struct {
	// Chat permits one streamed chat of a few words, which costs what the
	// vendor's smallest charge is.
	Chat bool
	// Model is the one of the chat, by the client's name. Default: the provider's
	// own, or the first that the upstream lists.
	Model string
	// ProbeSignature permits requests whose signature, time or access token is
	// wrong, or may be.
	ProbeSignature bool
	// With builds the provider once more with changes of its configuration: JSON
	// merge patches (RFC 7396), in order. Nil tries no option.
	With func(patches []string) (*upstream.Provider, error)
	// Now is the local time; time.Now when nil.
	Now func() time.Time
}

// Check asks p, step by step. It takes as long as the upstream takes to answer, at
// most p's Timeout for each request, and ends early with ctx.
func Check(ctx context.Context, p *upstream.Provider, o Options) *Report {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &check{ctx: ctx, options: o, provider: p, tried: make(map[string]bool)}
	c.report = &Report{Provider: p.Name, Profile: p.Profile.Name, Environment: string(p.Environment), Host: p.BaseURL.Host}
	c.run()
	c.report.Requests = c.requests
	c.hide()
	return c.report
}

// check is one check under way.
type check struct {
	ctx     context.Context
	options Options
	// provider is what is asked: the one given, or that with the options found.
	provider *upstream.Provider
	report   *Report
	requests int

	// found are the options that the upstream has wanted, and patches what they
	// change; tried are those that were tried, whether or not it wanted them.
	found   []option
	patches []string
	tried   map[string]bool
	// access is the token that was fetched; whatever is built with other options
	// uses it as well.
	access token.Token

	// secrets are what has been sent, for hide.
	secrets []string
}

// run asks, and makes the steps. Each needs those before it.
func (c *check) run() {
	fetched := c.token()
	if fetched != nil && fetched.verdict != good {
		c.add(c.connection(fetched), c.clock(fetched), c.tokenStep(fetched))
		for _, name := range []string{stepSignature, stepModels, stepRateLimit, stepErrors, stepChat} {
			c.add(Step{Name: name, Status: Skipped, Advice: "there is no access token"})
		}
		return
	}
	var models *exchange
	seen := fetched
	if c.provider.Has(upstream.EndpointModels) {
		models = c.search(c.askModels(c.provider))
		seen = models
	}
	c.add(c.connection(seen), c.clock(seen))
	if fetched != nil {
		c.add(c.tokenStep(fetched))
	}
	// The last two ask, and may find options that other steps show.
	errors := c.errors(models)
	chat := c.chat(models)
	c.add(c.signatureStep(models), c.modelsStep(models), c.rateLimit(models), errors, chat)
}

// add appends steps to the report. One that found options has something to do.
func (c *check) add(steps ...Step) {
	for _, s := range steps {
		if len(s.Options) > 0 {
			s.Status = Fail
		}
		c.report.Steps = append(c.report.Steps, s)
	}
}

// hide leaves out of the report whatever it quotes of credentials: upstreams
// quote what they were sent.
func (c *check) hide() {
	mask := c.provider.Credentials.With(func() []string { return c.secrets })
	for i := range c.report.Steps {
		s := &c.report.Steps[i]
		mask.Texts(&s.Received, &s.Advice)
		// A client id is public, and part of what is signed; it may look like a secret.
		parts := strings.Split(s.Sent, c.provider.ClientID)
		if c.provider.ClientID == "" {
			parts = []string{s.Sent}
		}
		for j := range parts {
			parts[j] = mask.Text(parts[j])
		}
		s.Sent = strings.Join(parts, c.provider.ClientID)
		for _, list := range [][]string{s.Options, s.Suspects} {
			for j := range list {
				list[j] = mask.Text(list[j])
			}
		}
	}
}

// The names of the steps, in order.
const (
	stepConnection = "connection"
	stepClock      = "clock"
	stepToken      = "token"
	stepSignature  = "signature"
	stepModels     = "models"
	stepRateLimit  = "rate limit"
	stepErrors     = "errors"
	stepChat       = "chat"
)

// left reports whether another request may be sent.
func (c *check) left() bool { return c.requests < MaxRequests && c.ctx.Err() == nil }

// sentAs notes what a request to p carries of secrets.
func (c *check) sentAs(p *upstream.Provider, req *http.Request) {
	c.secrets = p.SentSecrets(c.secrets, req)
}
