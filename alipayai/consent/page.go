package consent

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// Life is how long each step towards a consent may take.
const Life = 10 * time.Minute

// Errors of the steps that a browser takes. None says anything of what it was given.
var (
	// ErrLink is an address that was not made here, or that has been used, or has ended.
	ErrLink = errors.New("this address is not valid, or has been used already, or is older than ten minutes")
	// ErrReturn is a return from the vendor that does not belong to what this browser began, or comes twice.
	ErrReturn = errors.New("this page does not belong to anything that this browser has begun, or was opened already")
)

// Errors of what an address is asked for with.
var (
	// ErrReturnTo is a page that users may not be sent back to.
	ErrReturnTo = errors.New("return_to is none of those that are configured")
	// ErrTooLong is more than the cookie of the user's browser can hold.
	ErrTooLong = errors.New("the names of tenant and user, return_to and state are too long together; shorten state or return_to")
)

// Page is where the users of tenants give their consent.
type Page struct {
	// Address is the public URL of the routes below it, without a slash at its end; empty where there is no page.
	Address string
	// ReturnTo are the addresses that users may be sent back to. The first is the one where none is named.
	ReturnTo []string
	// Authorize is the vendor's page, and ClientID and Scope what it is asked for.
	Authorize, ClientID, Scope string
	// Form is the vendor's; PKCE says that it takes a code challenge (RFC 7636).
	Form token.Form
	PKCE bool
}

// Where the routes are below a page's address.
const (
	AuthorizePath = "/authorize"
	CallbackPath  = "/callback"
)

// names are how a form calls what goes to the vendor's page, and what comes back from it.
type names struct{ clientID, redirectURI, scope, state, code, stateBack string }

var formNames = map[token.Form]names{
	token.FormOAuth:        {"client_id", "redirect_uri", "scope", "state", "code", "state"},
	token.FormOpenPlatform: {"app_id", "redirect_uri", "scope", "state", "auth_code", "state"},
	token.FormGlobal:       {"authClientId", "authRedirectUrl", "scopes", "authState", "authCode", "authState"},
}

func (p *Page) names() names {
	if n, ok := formNames[p.Form]; ok {
		return n
	}
	return formNames[token.FormOAuth]
}

// Link implements [upstream.UserTokens], with the first of Page.ReturnTo.
func (c *Consents) Link(tenant, user string) string {
	address, _, _ := c.LinkTo(tenant, user, "", "")
	return address
}

// ErrNoPage says that users have nowhere to give their consent.
var ErrNoPage = errors.New("no alipayai_oauth serves this provider")

// LinkTo makes an address at which that user may give its consent, once. returnTo is one of Page.ReturnTo, and
// state comes back with the result; either may be empty. The errors are [ErrReturnTo], [ErrTooLong] and [ErrNoPage].
func (c *Consents) LinkTo(tenant, user, returnTo, state string) (address string, ends time.Time, err error) {
	if c.Page.Address == "" || len(c.Page.ReturnTo) == 0 {
		return "", time.Time{}, ErrNoPage
	}
	if returnTo == "" {
		returnTo = c.Page.ReturnTo[0]
	}
	ends = c.Now().Add(Life).Truncate(time.Second).UTC()
	t := ticket{Tenant: tenant, User: user, ReturnTo: returnTo, State: state, Ends: ends}
	if !c.returns(t) {
		return "", time.Time{}, ErrReturnTo
	}
	if cookie := c.bind(c.begin(t)); len(cookie.Name)+len(cookie.Value) > maxCookie { // all cookies of the ticket have this length
		return "", time.Time{}, ErrTooLong
	}
	sealed := sealJSON(c.Seal, c.placeOf("address"), t)
	return c.Page.Address + AuthorizePath + "?ticket=" + base64.RawURLEncoding.EncodeToString(sealed), ends, nil
}

// placeOf is the associated data of what is sealed for a step at this provider.
func (c *Consents) placeOf(step string) string { return "consent " + step + " " + c.Provider }

// open reads what sealJSON has made for a step, and gives it as it was sealed, of which text is one of several
// writings: base64 passes over line breaks and spare bits.
func (c *Consents) open(step, text string, value any) (sealed []byte, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	plain, err := c.Seal.Open(c.placeOf(step), sealed)
	return sealed, err == nil && json.Unmarshal(plain, value) == nil
}

// once reports whether this is the first use of a secret.
func (c *Consents) once(ctx context.Context, secret []byte) (bool, error) {
	_, first, err := c.Store.Lease("used "+redisstore.Digest(secret)).Take(ctx, 2*Life)
	return first, err
}

// Begin gives where a browser that has opened an address of LinkTo goes on, and the cookie that it has to come
// back with. The errors are [ErrLink] and [ErrStore].
func (c *Consents) Begin(ctx context.Context, query url.Values) (vendor string, cookie *http.Cookie, err error) {
	var t ticket
	given, ok := c.open("address", query.Get("ticket"), &t)
	if !ok || !c.Now().Before(t.Ends) || !c.returns(t) {
		return "", nil, ErrLink
	}
	first, err := c.once(ctx, given)
	switch {
	case err != nil:
		return "", nil, err
	case !first:
		return "", nil, ErrLink
	}
	b := c.begin(t)
	p, n := &c.Page, c.Page.names()
	options := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam(n.clientID, p.ClientID), oauth2.SetAuthURLParam(n.redirectURI, p.redirectURI()), oauth2.SetAuthURLParam(n.state, b.VendorState),
	}
	if p.Scope != "" {
		options = append(options, oauth2.SetAuthURLParam(n.scope, p.Scope))
	}
	if p.PKCE {
		options = append(options, oauth2.S256ChallengeOption(b.Verifier))
	}
	vendor = (&oauth2.Config{Endpoint: oauth2.Endpoint{AuthURL: p.Authorize}}).AuthCodeURL("", options...)
	if n != formNames[token.FormOAuth] { // which have none of oauth2's own
		if vendor, err = without(vendor, "response_type", "client_id"); err != nil {
			return "", nil, err
		}
	}
	return vendor, c.bind(b), nil
}

func without(address string, parameters ...string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	query := u.Query()
	for _, name := range parameters {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func (p *Page) redirectURI() string { return p.Address + CallbackPath }

// Result is what has come of a user's way to the vendor.
type Result string

// The results.
const (
	Granted Result = "granted"
	Denied  Result = "denied"
	Failed  Result = "failed"
)

// exchangeTimeout bounds the exchange of a code, and keepTimeout how long it is tried to keep what it brought.
const exchangeTimeout, keepTimeout = 10 * time.Second, 5 * time.Second

// Finished is the end of a user's way.
type Finished struct {
	// ReturnTo is where the browser goes on, and Cookie the one that is over.
	ReturnTo string
	Cookie   *http.Cookie

	Tenant, User string
	Result       Result
	// Cause is why it has failed, for the operator. It holds no secret.
	Cause error
}

// Finish takes what the vendor has sent the browser back with. The errors are [ErrReturn] and [ErrStore], with
// which nothing has happened: the code is still good.
func (c *Consents) Finish(ctx context.Context, query url.Values, cookies []*http.Cookie) (*Finished, error) {
	n := c.Page.names()
	states, codes := query[n.stateBack], query[n.code]
	if len(states) != 1 || len(codes) > 1 {
		return nil, ErrReturn
	}
	var b begun
	bound := false
	for _, cookie := range cookies {
		if cookie.Name != CookieName(states[0]) {
			continue
		}
		if _, ok := c.open("cookie", cookie.Value, &b); ok {
			bound = subtle.ConstantTimeCompare([]byte(b.VendorState), []byte(states[0])) == 1
			break
		}
	}
	if !bound || !c.Now().Before(b.Ends) || !c.returns(b.ticket) {
		return nil, ErrReturn
	}
	first, err := c.once(ctx, []byte(b.VendorState))
	switch {
	case err != nil:
		return nil, err
	case !first:
		return nil, ErrReturn
	}
	f := &Finished{Cookie: c.cookie(b.VendorState, "", -time.Second), Tenant: b.Tenant, User: b.User, Result: Denied}
	if len(codes) == 1 && codes[0] != "" && query.Get("error") == "" {
		f.Result = Granted
		// The code is spent with the exchange, whether the browser waits for it or not.
		if f.Cause = c.exchange(context.WithoutCancel(ctx), b, codes[0]); f.Cause != nil {
			f.Result = Failed
		}
	}
	f.ReturnTo, err = b.returnTo(f.Result)
	return f, err
}

// exchange exchanges the code, and keeps what it brings.
func (c *Consents) exchange(ctx context.Context, b begun, code string) error {
	asking, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	t, err := c.Grant.Exchange(asking, token.Code{Value: code, RedirectURI: c.Page.redirectURI(), Verifier: b.Verifier})
	if c.OnFetch != nil {
		c.OnFetch(err)
	}
	if err != nil {
		return err
	}
	keeping, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		if err = c.keep(keeping, b.Tenant, b.User, t); !errors.Is(err, ErrStore) {
			return err
		}
		select {
		case <-keeping.Done():
			return fmt.Errorf("keeping the consent: %w", err)
		case <-time.After(pause):
		}
	}
}
