package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/caddy/stored"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// Token says where a provider's OAuth access tokens are had. A token is
// cached for its life and renewed in the background at about 80 % of it.
type Token struct {
	// The token endpoint's address; it may be a placeholder. Required, but for profile
	// `sandbox`, which has the simulator's.
	URL string `json:"url,omitempty" placeholder:"whole"`

	// The client secret. By placeholder. Required where `url` is, but with `sign`.
	Secret string `json:"secret,omitempty" placeholder:"whole"`

	// The client id, where it differs from the provider's; it may be a
	// placeholder. Default: the provider's `client_id`
	ClientID string `json:"client_id,omitempty" placeholder:"whole"`

	// How the client proves itself, and so what a token request is: `basic`, a form
	// with HTTP Basic; `form`, one with `client_id` and `client_secret` in it;
	// `json`, a JSON object with all of it; or `query`, all of it in the address, which
	// proxies log. Default: `basic`
	Auth string `json:"auth,omitempty"`

	// Signs token requests as those to the API are signed. Default: false
	Sign bool `json:"sign,omitempty"`

	// The scope to ask for. Default: none.
	Scope string `json:"scope,omitempty"`

	// The endpoint's own names of a request's fields `grant_type`, `client_id`,
	// `client_secret`, `refresh_token` and `scope`. Default: these.
	Fields map[string]string `json:"fields,omitempty"`

	// Further fields of each request. Values may be placeholders. Default: none.
	Params map[string]string `json:"params,omitempty" placeholder:"within"`

	// Where the endpoint's answers have what is read of them. Default: as in RFC
	// 6749 and Ant's interfaces.
	Answer *TokenAnswer `json:"answer,omitempty"`

	// The first refresh token, which makes the grant `refresh_token`. Rotated
	// ones are kept, encrypted with the app's `encryption_key`, in Caddy's storage,
	// whose lock lets replicas that share it redeem them one after the other.
	// By placeholder. Default: none, and the grant `client_credentials`.
	RefreshToken string `json:"refresh_token,omitempty" placeholder:"whole"`

	// The header field that requests carry the token in. Default: `Authorization`,
	// with the prefix `Bearer`
	Header string `json:"header,omitempty"`

	// The parameter of the query that holds the token, in the place of `header`: addresses end up in more logs than
	// header fields do, so only where the upstream takes nothing else. Default: none.
	Query string `json:"query,omitempty"`

	// The word before the token, with a space between. Default: none where
	// `header` is set.
	Prefix string `json:"prefix,omitempty"`
}

// present says where p's requests carry the token.
func (t *Token) present(p *upstream.Provider) (err error) {
	if t.Query != "" {
		if t.Header != "" {
			return errors.New("token query and header exclude each other: the token stands in one place")
		}
		p.TokenQuery = t.Query
	}
	if t.Header == "" {
		if t.Prefix != "" {
			return errors.New("token prefix needs header, the field that it stands in")
		}
		return nil
	}
	if p.TokenHeader, err = ownHeader("token header", t.Header); err != nil {
		return err
	}
	if p.Header[p.TokenHeader] != nil {
		return fmt.Errorf("token header %s is set by the option header, too", t.Header)
	}
	if t.Prefix != "" {
		p.TokenPrefix = t.Prefix + " "
	}
	return checkHeaderValue("token prefix", t.Prefix)
}

// buildTokens gives the provider its access tokens, where it takes them.
func (u *upstreams) buildTokens(ctx caddy.Context, p *upstream.Provider, c *Provider, uses credentialUses) error {
	if !p.Profile.TakesToken {
		return nil
	}
	if c.Token == nil && !p.Profile.Simulated {
		return fmt.Errorf("token is missing; profile %s needs one: token <url> {env.NAME}", p.Profile.Name)
	}
	var asked Token
	if c.Token != nil {
		asked = *c.Token
	}
	grant, identity, err := u.newGrant("token", "/oauth2/token", &asked, p, uses)
	if err != nil {
		return err
	}
	address, clientID, secret, scope := grant.URL, grant.ClientID, grant.Secret, identity
	source := &token.Source{Fetcher: grant, Now: time.Now}
	if asked.RefreshToken != "" {
		if source.RefreshToken, err = u.secrets.resolve("refresh_token", asked.RefreshToken); err != nil {
			return err
		}
	}
	if source.RefreshToken != "" {
		if source.Store, err = stored.NewRefreshTokens(ctx.Storage(), u.sealing, address, clientID, source.RefreshToken); err != nil {
			return err
		}
		source.Redemptions = u.redemptions()
	}
	cell := acquireFor[token.Cell](&u.acquired, "token", address, clientID, secret, scope, source.RefreshToken)
	source.Cell = cell
	u.acquired.add(live.Watch(cell))

	logger := u.logger.With(zap.String("provider", p.Name))
	// One failure is logged but raises no alert: the next try comes at once, and at the
	// start the upstream may be this very process, which does not listen yet.
	var failures atomic.Int64
	source.OnFetch = func(err error) {
		u.metrics.tokenFetched(p.Name, err)
		switch {
		case err == nil:
			failures.Store(0)
			u.monitor.TokenRefresh(p.Name, nil)
		case failures.Add(1) == 1:
			logger.Warn("access token could not be fetched; trying again", zap.Error(err))
		default:
			logger.Error("access token could not be fetched", zap.Error(err))
			u.monitor.TokenRefresh(p.Name, err)
		}
	}
	u.shareTokens(source, logger, address, clientID, scope, source.RefreshToken)
	p.Tokens = source
	u.jobs.add("token of provider "+p.Name, func(ctx context.Context) { source.Run(ctx) })
	return nil
}

// redemptions are the process's, whichever configuration has begun them.
func (u *upstreams) redemptions() *token.Redemptions {
	u.redeeming = acquireFor[token.Redemptions](&u.acquired, "redemptions")
	return u.redeeming
}

// endRedemptions waits, when the process ends, for refresh tokens that are being redeemed: one whose answer is not kept is lost.
func (u *upstreams) endRedemptions() {
	if u.redeeming == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), token.ExitTime)
	defer cancel()
	if err := u.redeeming.Close(ctx); err != nil {
		u.logger.Error("a refresh token may be lost", zap.Error(err))
	}
}

// newGrant makes how tokens are had from an endpoint that option declares: for profile sandbox the simulator's at
// that path. scope is what asks for another token at the same endpoint.
func (u *upstreams) newGrant(option, simulated string, asked *Token, p *upstream.Provider, uses credentialUses) (grant *token.Grant, scope string, err error) {
	at, secret, err := u.tokenEndpoint(option, simulated, asked, p)
	if err != nil {
		return nil, "", err
	}
	if secret != "" {
		if err := uses.add(p, option+" secret", []byte(secret)); err != nil {
			return nil, "", err
		}
	}
	clientID := p.ClientID
	if asked.ClientID != "" {
		if clientID, err = u.secrets.public(option+" client_id", asked.ClientID); err != nil {
			return nil, "", err
		}
	}
	auth := token.Auth(asked.Auth)
	if err := auth.Check(); err != nil {
		return nil, "", err
	}
	grant = &token.Grant{
		URL: at.text, ClientID: clientID, Secret: secret, Auth: auth, Scope: asked.Scope,
		Transport: p.Transport, Credentials: live, Now: time.Now,
	}
	if asked.Sign {
		if !p.Profile.Signs() {
			return nil, "", fmt.Errorf("%s sign: profile %s signs nothing", option, p.Profile.Name)
		}
		grant.Sign = p.SignToken
	}
	further, err := asked.request(grant, p, u.secrets)
	if err != nil {
		return nil, "", err
	}
	if grant.Answer, err = asked.Answer.form(); err != nil {
		return nil, "", err
	}
	if secret != "" {
		live.Add(credentials.Basic(url.QueryEscape(clientID), url.QueryEscape(secret)))
	}
	if at.Host == p.BaseURL.Host {
		grant.Clock = p.Clock // another host has another clock
	}
	// Everything that would make another token belongs to its identity.
	scope = asked.Scope
	if further != "" {
		scope += " with " + further
	}
	return grant, scope, nil
}

// endpoint is an address, and the text that it was parsed of.
type endpoint struct {
	*url.URL
	text string
}

// tokenEndpoint gives the address of a token endpoint, and the secret that it is asked with; none where it takes a signature.
func (u *upstreams) tokenEndpoint(option, simulated string, asked *Token, p *upstream.Provider) (at endpoint, secret string, err error) {
	secret = sandbox.DemoOAuthSecret
	if p.Profile.Simulated && asked.URL == "" && asked.Secret == "" {
		asked.URL = p.BaseURL.JoinPath(simulated).String()
	} else if secret = ""; asked.Secret != "" || !asked.Sign {
		if secret, err = u.secrets.resolve(option+" secret", asked.Secret); err != nil {
			return at, "", err
		}
	}
	if at.text, err = u.secrets.public(option+" url", asked.URL); err != nil {
		return at, "", err
	}
	at.URL, err = url.Parse(at.text)
	if err != nil || at.Host == "" || at.User != nil || at.Scheme != "http" && at.Scheme != "https" {
		return at, "", errors.New(option + " url is not absolute; write it like https://auth.example.com/oauth2/token")
	}
	if err := upstream.CheckServer(at.URL); err != nil {
		return at, "", fmt.Errorf("%s url %w", option, err)
	}
	if p.Profile.Simulated && !upstream.IsLoopback(at.Hostname()) {
		return at, "", fmt.Errorf("%s url: profile %s is for loopback hosts only, not %s", option, p.Profile.Name, at.Hostname())
	}
	u.warnings.unencrypted(p, option+" url", "secrets and tokens", at.URL)
	return at, secret, nil
}

// shareTokens lets replicas with the same store have the token of source in
// common. identity is what makes another token; the secret is left out, so that it
// cannot be guessed by the name that it gives in the store.
func (u *upstreams) shareTokens(source *token.Source, logger *zap.Logger, identity ...string) {
	key := hashAll(identity)
	source.Share, source.Hold = u.store.tokens(u.sealing, string(key[:])), u.store.hold
	source.OnShare = func(err error) {
		switch {
		case err == nil:
			logger.Info("access tokens are shared again")
		case errors.Is(err, seal.ErrSealed):
			logger.Error("shared access token is not used: do all replicas have the same encryption_key?", zap.Error(err))
		default:
			logger.Error("access tokens are not shared at present", zap.Error(err))
		}
	}
}
