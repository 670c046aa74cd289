package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/signer"
)

// DefaultTimeout is how long an upstream may take to the head of its answer, to
// a stream's first content, and between the parts of a JSON answer.
const DefaultTimeout = 15 * time.Second

// VerifyMode says what an answer's signature is worth.
type VerifyMode string

// The modes. Streams are never verified: their body has no end to sign when
// the head is sent.
const (
	VerifyOff       VerifyMode = "off"
	VerifyIfPresent VerifyMode = "if_present"
	VerifyRequire   VerifyMode = "require"
)

// Provider is one upstream as configured: where it is, how requests to it are
// authenticated, and which models it serves. Its fields do not change after
// Prepare.
type Provider struct {
	Name        string
	Profile     Profile
	BaseURL     *url.URL
	Environment Environment
	// Region is where the provider's data stays; empty when not declared.
	Region string
	// Addresses are those at which it is reached besides BaseURL, whose region is Region.
	Addresses []*Address
	// Routes know how fast each is, and which fail; new ones when nil.
	Routes *Routes
	// Residency says where tenants' calls may be, whoever sends them; nil for anywhere.
	Residency *residency.Rules
	ClientID  string

	// Scheme authenticates requests; nil where the upstream wants nothing.
	Scheme signer.Scheme
	// Keys hears which versions of the key the upstream refuses; nil where all
	// sign as they come.
	Keys KeyCalendar
	// Tokens keeps the OAuth access token; nil where there is none.
	Tokens *token.Source
	// Users has the access tokens of tenants' users; nil where the provider takes none.
	Users UserTokens
	// UserHeader, in canonical form, and UserPrefix, with the space behind it, are how a user's
	// token is presented; in the place of the provider's own token when empty.
	UserHeader, UserPrefix string
	// UserField is a field of a call's header, in canonical form, that names its user as well as
	// the body does; empty for none.
	UserField string
	// UserRequired refuses calls that name no user, which else go with the provider's own token.
	UserRequired bool
	// Credentials knows the secrets that p uses, beside those that each request
	// carries; a new one when nil.
	Credentials *credentials.Filter
	// Cap is the upstream's rate cap; nil for none.
	Cap *Cap
	// Hold keeps the account, or a model of it, from being asked too early; a new one
	// when nil. Providers of one host and account share theirs.
	Hold *Hold
	// SharedHold is what all replicas hold of it; nil where they share none.
	SharedHold SharedHold
	// Clock is the upstream's time.
	Clock *Clock
	// Transport carries the requests. Redirects are not followed.
	Transport http.RoundTripper

	// Models are those served, in the client's names; none means any.
	Models []string
	// Model is what every model becomes upstream, unless ModelMap names it;
	// empty leaves the request's, and so do names that begin with OwnModels, unless that is empty.
	Model, OwnModels string
	// ModelMap is the upstream's model by the client's.
	ModelMap map[string]string
	// Paths replace the profile's.
	Paths map[Endpoint]string
	// Responses says that it has the Responses API beside chat completions.
	Responses bool
	// Header is sent with every request.
	Header http.Header
	// IDHeader is the field, in canonical form, that holds a call's id, the same for
	// each attempt; Idempotency-Key when empty.
	IDHeader string
	// TokenHeader is the field, in canonical form, that holds the access token, behind
	// TokenPrefix; "Authorization" and "Bearer " when empty.
	TokenHeader, TokenPrefix string

	// Format is what the upstream speaks. Prepare sets OpenAI's where the profile
	// says so.
	Format wire.Format
	// Dialect is the name of how it speaks OpenAI's format; the profile's when empty.
	Dialect string
	// AnswerForm says where its answers in OpenAI's format have what, as
	// AnswerFields has it, of which Prepare makes it; nil where as usual.
	AnswerFields *wire.AnswerFields
	AnswerForm   *wire.AnswerForm
	// RequestFields say what is around its requests, of which Prepare makes the
	// envelope; nil for nothing.
	RequestFields *RequestFields
	// StreamHeader is sent with requests for a stream, besides Header.
	StreamHeader http.Header
	// TokenQuery is the parameter of the query that holds the access token, in the place of TokenHeader; empty for none.
	TokenQuery string
	envelope   *envelope
	// OnUnsupported says what becomes of a request of which Format cannot carry
	// everything over; OnUnsupportedWarn when empty.
	OnUnsupported OnUnsupported
	// Codes come before the built-in classes, the first match counts.
	Codes []failure.Rule
	// Budget bounds the repeats; a new one when nil.
	Budget *failover.Budget

	// Timeout is how long the upstream may take to the head of its answer, to a
	// stream's first content, and between the parts of a JSON answer.
	Timeout time.Duration
	// StreamTimeout is how long may pass between a stream's events; twice Timeout
	// when 0.
	StreamTimeout time.Duration

	Verify VerifyMode
	// Unavailable, if set, says why the provider cannot be used now, such as
	// an expired certificate; nil while it can. Clients are told its text.
	Unavailable func(now time.Time) error

	// rules are Codes and the profile's.
	rules []failure.Rule
	// account tells the provider from others that had its name.
	account string
	// Shape tells it from others that might answer the same request differently.
	Shape replay.Key
	// addresses are all of them, and targets those of the first.
	addresses []*Address
	targets   map[Endpoint]target
	// signedAt is the time of the last signature, in Unix milliseconds.
	signedAt atomic.Int64
	// lastPresented is the token's field of the last request.
	lastPresented atomic.Pointer[string]
	// nonce: the scheme wants one for each message, whatever its kind says.
	nonce bool
}

// UserTokens has what the users of tenants have authorised at a provider.
type UserTokens interface {
	// Token gives the user's access token. Its errors hold no secret; [ErrNotAuthorised] says that the user has to
	// give a consent.
	Token(ctx context.Context, tenant, user string) (string, error)
	// Drop forgets one that the provider has refused, and reports whether another one may help.
	Drop(tenant, user, access string) (another bool)
	// Link makes the address at which the user may give its consent; empty where there is none.
	Link(tenant, user string) string
}

// maxUser is the length of the longest name of a tenant's user, in bytes.
const maxUser = 255

// CheckUser refuses what is no name of a tenant's user.
func CheckUser(user string) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) || hasControl(user) {
		return fmt.Errorf("a user's name must have 1 to %d bytes of UTF-8 without control characters", maxUser)
	}
	return nil
}

// ErrNotAuthorised says that a user has given no consent, or that it has ended.
var ErrNotAuthorised = errors.New("the user has given no consent, or it has ended")

// KeyCalendar decides which version of a provider's key signs.
type KeyCalendar interface {
	// Refused says that the upstream has refused a signature of that version, and
	// reports whether another one signs from now on.
	Refused(version int) (changed bool)
}

// hasControl reports whether s has a control character, such as CR, LF or NUL.
func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// OnUnsupported says what becomes of a request that a provider's format cannot
// carry over whole.
type OnUnsupported string

// The choices.
const (
	// OnUnsupportedWarn drops what cannot be carried, and says so in a header
	// of the answer.
	OnUnsupportedWarn OnUnsupported = "warn"
	// OnUnsupportedDrop drops it and says nothing.
	OnUnsupportedDrop OnUnsupported = "drop"
	// OnUnsupportedReject does not ask the provider.
	OnUnsupportedReject OnUnsupported = "reject"
)

// target is one endpoint's address, worked out once.
type target struct {
	url *url.URL
	// requestTarget is the encoded path and query, as it is sent and signed.
	requestTarget string
}

// Account tells the provider from others that had its name, as breakers know it.
func (p *Provider) Account() string { return p.account }

// Place is where data goes as long as no region is declared.
func (p *Provider) Place() string {
	switch {
	case p.BaseURL == nil:
		return ""
	case IsLoopback(p.BaseURL.Hostname()):
		return "this machine"
	default:
		return p.BaseURL.Host
	}
}

// ProviderOf gives the name of the provider with that account.
func ProviderOf(account string) string {
	name, _, _ := strings.Cut(account, "@")
	return name
}

// Has reports whether the provider has that endpoint.
func (p *Provider) Has(endpoint Endpoint) bool {
	_, ok := p.targets[endpoint]
	return ok
}

// Serves reports whether the provider serves model, by the client's name, at
// that endpoint. A name that it has for one of its models is one of them.
func (p *Provider) Serves(endpoint Endpoint, model string) bool {
	if !p.Has(endpoint) {
		return false
	}
	if len(p.Models) == 0 || slices.Contains(p.Models, model) {
		return true
	}
	_, renamed := p.ModelMap[model]
	return renamed
}

// Speaks reports whether the provider takes requests, and gives answers, in that form as they are; nil is none.
func (p *Provider) Speaks(format wire.Format) bool {
	return format != nil && (p.Format.Name() == format.Name() || format.Name() == wire.Responses && p.Has(EndpointResponses))
}

// UpstreamModel is what the client's model is called upstream.
func (p *Provider) UpstreamModel(model string) string {
	if to, ok := p.ModelMap[model]; ok {
		return to
	}
	if p.Model == "" || p.OwnModels != "" && strings.HasPrefix(model, p.OwnModels) {
		return model
	}
	return p.Model
}
