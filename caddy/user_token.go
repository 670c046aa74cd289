package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/caddy/stored"
)

// UserToken says how a provider's users authorise the gateway, and where their tokens are had. Those are kept,
// encrypted with the app's `encryption_key`, in Redis, or else in Caddy's storage. Handler `alipayai_oauth` is where
// users give their consent.
type UserToken struct {
	// The token endpoint, as in `token`; without `refresh_token`. Its `header` says where a user's token stands
	// beside the provider's own, in whose place it is without that.
	Token

	// The address of the vendor's page where a person consents; it may be a placeholder. Required, but for
	// profile `sandbox`, which has the simulator's.
	Authorize string `json:"authorize,omitempty" placeholder:"whole"`

	// How codes are exchanged: `oauth` (RFC 6749), `openplatform` (`alipay.system.oauth.token`) or `global`
	// (`applyToken` of Antom and Alipay+). Default: `oauth`
	Form string `json:"form,omitempty"`

	// Leaves out the code challenge of RFC 7636, which form `oauth` has and the others do not. Default: false
	NoPKCE bool `json:"no_pkce,omitempty"`

	// A field of a call's header that names its user as well as `user` in the body does, over which it goes.
	// Default: none.
	NameHeader string `json:"name_header,omitempty"`

	// Refuses calls that name no user. Default: false, they go with the provider's own token.
	Require bool `json:"require,omitempty"`
}

// unmarshalUserToken reads `user_token [<url> [<secret>]]` and its block.
func (p *Provider) unmarshalUserToken(d *caddyfile.Dispenser) error {
	u := new(UserToken)
	p.UserToken = u
	given := []*string{&u.URL, &u.Secret}
	if n := d.CountRemainingArgs(); n < len(given) {
		given = given[:n]
	}
	if err := args(d, given...); err != nil {
		return err
	}
	return block(d, "user_token", append(u.options(),
		option{form: "authorize <url>", read: text(&u.Authorize)},
		option{form: "form oauth|openplatform|global", read: text(&u.Form)},
		option{form: "no_pkce", read: enable(&u.NoPKCE)},
		option{form: "name_header <name>, as name_header X-User", read: text(&u.NameHeader)},
		option{form: "require", read: enable(&u.Require)},
	)...)
}

// buildUsers gives the provider the tokens of tenants' users, where it takes them.
func (u *upstreams) buildUsers(ctx caddy.Context, p *upstream.Provider, c *UserToken, uses credentialUses) error {
	if c == nil {
		return nil
	}
	if u.sealing == nil {
		return errors.New("user_token needs the global option encryption_key: users' tokens are kept encrypted with that; `openssl rand -hex 32` makes one")
	}
	asked, form := c.Token, token.Form(c.Form)
	if err := c.checkGrant(&asked, form); err != nil {
		return err
	}
	if err := u.presentUsers(p, c, &asked); err != nil {
		return err
	}
	authorize, err := c.authorizeAt(p, u.secrets)
	if err != nil {
		return err
	}
	grant, _, err := u.newGrant("user_token", "/oauth2/token", &asked, p, uses)
	if err != nil {
		return err
	}
	form.Adapt(grant)
	memory := acquireFor[consent.Memory](&u.acquired, "consents", p.Name, grant.URL, grant.ClientID, u.store.identity)
	logger := u.logger.With(zap.String("provider", p.Name))
	users := &consent.Consents{
		Provider: strings.Join([]string{p.Name, grant.URL, grant.ClientID}, " "),
		Store:    u.store.consents(ctx.Storage()), Seal: u.sealing, Memory: memory, Grant: grant, Redemptions: u.redemptions(), Hold: u.store.hold, Now: time.Now,
		Page: consent.Page{
			Authorize: authorize, ClientID: grant.ClientID, Scope: asked.Scope,
			Form: form, PKCE: !c.NoPKCE && (form == "" || form == token.FormOAuth),
		},
		OnFetch: func(err error) {
			u.metrics.tokenFetched(p.Name, err)
			if err != nil {
				logger.Warn("a user's access token could not be fetched", zap.Error(err))
			}
		},
	}
	if kept, ok := users.Store.(*stored.Consents); ok {
		u.jobs.add("stored consents of provider "+p.Name, kept.Run)
	}
	u.jobs.add("consents of provider "+p.Name, func(ctx context.Context) { users.Run(ctx) })
	if u.users == nil {
		u.users = make(map[string]*consent.Consents)
	}
	u.users[p.Name], p.Users = users, users
	u.checks = append(u.checks, func() error {
		if users.Page.Address == "" {
			logger.Warn("user_token: users have nowhere to give their consent; add alipayai_oauth " + p.Name + " to a site")
		}
		return nil
	})
	return nil
}

// checkGrant refuses what the endpoint for users' tokens does not take, and completes asked for the form.
func (c *UserToken) checkGrant(asked *Token, form token.Form) error {
	switch err := form.Check(); {
	case err != nil:
		return fmt.Errorf("user_token %w", err)
	case asked.Query != "":
		return errors.New("user_token takes no query: a user's token stands in a header field; write header <name>, or nothing for the place of the provider's own")
	case asked.RefreshToken != "":
		return errors.New("user_token takes no refresh_token: each user has one of its own")
	case form == token.FormOpenPlatform || form == token.FormGlobal:
		asked.Sign = true
		if asked.Secret != "" || asked.Auth != "" {
			return fmt.Errorf("user_token form %s is signed: it takes neither a secret nor auth", form)
		}
	case asked.URL != "" && asked.Secret == "" && !asked.Sign:
		return errors.New("user_token: the secret is missing; write user_token <url> <secret>, or sign in its block")
	}
	return nil
}

// presentUsers sets where requests to p have a user's token, and where calls name the user.
func (u *upstreams) presentUsers(p *upstream.Provider, c *UserToken, asked *Token) (err error) {
	if asked.Header == "" && !p.Profile.TakesToken {
		return fmt.Errorf("user_token needs header <name>: requests of profile %s carry no token in whose place a user's could be", p.Profile.Name)
	}
	own := upstream.Provider{Header: p.Header} // which has this header beside its own
	if err := asked.present(&own); err != nil {
		return fmt.Errorf("user_token: %w", err)
	}
	if asked.Header != "" {
		p.UserHeader, p.UserPrefix = own.TokenHeader, own.TokenPrefix
	}
	p.UserRequired = c.Require
	if c.NameHeader == "" {
		return nil
	}
	if p.UserField, err = ownHeader("user_token name_header", c.NameHeader); err != nil {
		return err
	}
	if !slices.Contains(u.userFields, p.UserField) {
		u.userFields = append(u.userFields, p.UserField)
	}
	return nil
}

// authorizeAt gives the address of the vendor's page where a person consents.
func (c *UserToken) authorizeAt(p *upstream.Provider, s secrets) (string, error) {
	authorize := c.Authorize
	if authorize == "" && p.Profile.Simulated {
		authorize = p.BaseURL.JoinPath("/oauth2/authorize").String()
	}
	if authorize == "" {
		return "", errors.New("user_token: authorize is missing; write authorize <url>, with the vendor's page where a person consents")
	}
	authorize, err := s.public("user_token authorize", authorize)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(authorize)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !upstream.IsLoopback(u.Hostname())) {
		return "", errors.New("user_token authorize must be an absolute https URL; write it like https://auth.example.com/oauth2/authorize")
	}
	if err := upstream.CheckServer(u); err != nil {
		return "", fmt.Errorf("user_token authorize %w", err)
	}
	return authorize, nil
}

// nameUser gives which of its tenant's users a request is for, to what all sites share: by each of the fields that name one to a
// provider, and where one is not there as the body does. Who is not the same by all of them is another than either. A field that
// is there twice names none that there is.
func (u *upstreams) nameUser(header http.Header, named string) string {
	var parts []byte
	user, same := named, true
	for i, field := range u.userFields {
		by := named
		if values := header[field]; len(values) > 0 {
			by = strings.Join(values, "\n")
		}
		if i == 0 {
			user = by
		}
		same = same && by == user
		parts = replay.AppendPart(parts, by)
	}
	if same {
		return user
	}
	return string(parts)
}
