package alipaycaddy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai/intent"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

func init() {
	caddy.RegisterModule(new(MatchCall))
}

// MatchCall matches requests by the call that they make, as `alipayai_proxy` would read it. All conditions must hold;
// without any, every call matches. A request that makes no call, because its path is another or its body cannot be
// read, matches nothing. `GET /v1/models` has nothing but an endpoint.
//
// The body is read and parsed once for all matchers and the proxy, up to the largest `max_body` of the configuration,
// and stays to be read by other handlers.
type MatchCall struct {
	// The endpoints: `chat`, `embeddings` or `models`. Default: any.
	Endpoint []string `json:"endpoint,omitempty"`

	// The models, by the names that clients ask for; `*` stands for any characters. Default: any.
	Model []string `json:"model,omitempty"`

	// Whether the answer is asked for as a stream. Default: either.
	Stream *bool `json:"stream,omitempty"`

	// Whether tools are offered. Default: either.
	Tools *bool `json:"tools,omitempty"`

	// Whether a message has an image. Default: either.
	Images *bool `json:"images,omitempty"`

	// How many messages there are: `<10`, `<=10`, `>10`, `>=10`, `5-10` or `5`. Default: any.
	Messages string `json:"messages,omitempty"`

	// How many characters all texts have together, as Unicode code points; written like `messages`. Default: any.
	Characters string `json:"characters,omitempty"`

	// How many characters the last user message has, or what is to be embedded; written like `messages`. Default: any.
	LastCharacters string `json:"last_characters,omitempty"`

	// The scripts that most of the last user message may be in: `latin`, `han`, `kana` (Japanese), `hangul`, `cyrillic`
	// or another of Unicode's. Default: any.
	Language []string `json:"language,omitempty"`

	// What the last user message may be about. Default: any.
	Intent []string `json:"intent,omitempty"`

	app                                  *App
	messages, characters, lastCharacters span
}

// span is a range of numbers, its bounds included.
type span struct{ from, to int }

// anyNumber is the span of a condition that is not set.
var anyNumber = span{0, maxNumber}

const maxNumber = 1<<31 - 1

func (s span) has(n int) bool { return n >= s.from && n <= s.to }

// CaddyModule returns the Caddy module information.
func (*MatchCall) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.alipayai",
		New: func() caddy.Module { return new(MatchCall) },
	}
}

// Provision checks the conditions.
func (m *MatchCall) Provision(ctx caddy.Context) error {
	var err error
	if m.app, err = loadApp(ctx); err != nil {
		return err
	}
	if err := checkValues(m); err != nil {
		return err
	}
	for _, endpoint := range m.Endpoint {
		if err := checkEndpoint(endpoint); err != nil {
			return err
		}
	}
	for _, name := range m.Language {
		if err := checkLanguage(name); err != nil {
			return err
		}
	}
	for _, name := range m.Intent {
		if err := m.app.intents.check(name); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		option, text string
		to           *span
	}{
		{"messages", m.Messages, &m.messages},
		{"characters", m.Characters, &m.characters},
		{"last_characters", m.LastCharacters, &m.lastCharacters},
	} {
		if *n.to, err = parseSpan(n.option, n.text); err != nil {
			return err
		}
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	switch upstream.Endpoint(endpoint) {
	case upstream.EndpointChat, upstream.EndpointEmbeddings, upstream.EndpointModels:
		return nil
	}
	return fmt.Errorf("endpoint %q is unknown; use chat, embeddings or models", endpoint)
}

func checkLanguage(name string) error {
	if !slices.Contains(intent.Scripts(), name) {
		return fmt.Errorf("language %q is unknown; use the name of a script in lower case, such as han, latin, kana, hangul, cyrillic or arabic", name)
	}
	return nil
}

// parseSpan reads a condition on a number.
func parseSpan(option, text string) (span, error) {
	s, ok := anyNumber, true
	number := func(text string) int {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		ok = ok && err == nil && n >= 0 && n <= maxNumber
		return n
	}
	rest := func(prefix string) (string, bool) { return strings.CutPrefix(strings.TrimSpace(text), prefix) }
	if text == "" {
		return s, nil
	}
	if n, found := rest("<="); found {
		s.to = number(n)
	} else if n, found := rest(">="); found {
		s.from = number(n)
	} else if n, found := rest("<"); found {
		s.to = number(n) - 1
	} else if n, found := rest(">"); found {
		s.from = number(n) + 1
	} else if from, to, found := strings.Cut(text, "-"); found {
		s.from, s.to = number(from), number(to)
	} else {
		s.from = number(text)
		s.to = s.from
	}
	if !ok || s.from > s.to {
		return s, fmt.Errorf("%s %q is no range; write <200, <=200, >200, >=200, 100-200 or 200", option, text)
	}
	return s, nil
}

// Match reports whether the request makes a call for which all conditions hold.
func (m *MatchCall) Match(r *http.Request) bool {
	c := m.app.see(r)
	switch {
	case c.Failure != nil, !among(m.Endpoint, string(c.Endpoint)):
		return false
	case c.Request.Body == nil:
		return !m.needsRequest()
	}
	return (len(m.Model) == 0 || slices.ContainsFunc(m.Model, func(pattern string) bool { return matchesPattern(pattern, c.Request.Model) })) &&
		is(m.Stream, c.Request.Stream) && is(m.Tools, c.Request.HasTools) && is(m.Images, c.Request.HasImages) &&
		m.messages.has(c.Request.Messages) &&
		(m.characters == anyNumber || m.characters.has(c.findTexts().characters)) &&
		(m.lastCharacters == anyNumber || m.lastCharacters.has(c.findTexts().lastCharacters)) &&
		(len(m.Language) == 0 || slices.Contains(m.Language, c.findScript())) &&
		(len(m.Intent) == 0 || slices.Contains(m.Intent, c.findIntent().Intent))
}

// MatchWithError is Match. There are no errors: a request that cannot be read matches nothing, for the proxy to answer it.
func (m *MatchCall) MatchWithError(r *http.Request) (bool, error) { return m.Match(r), nil }

// needsRequest reports whether there is a condition on more than the endpoint.
func (m *MatchCall) needsRequest() bool {
	return len(m.Model)+len(m.Language)+len(m.Intent) > 0 || m.Stream != nil || m.Tools != nil || m.Images != nil ||
		m.Messages != "" || m.Characters != "" || m.LastCharacters != ""
}

func among(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

func is(want *bool, have bool) bool { return want == nil || *want == have }

// matchesPattern reports whether a name is that of a pattern, in which * stands for any characters, "/" included, which names
// of models have.
func matchesPattern(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, last)
}

// CELLibrary makes the matcher a function of Caddy's expressions, whose argument has the conditions of the Caddyfile, by name:
//
//	expression `alipayai({'intent': ['financial', 'other'], 'characters': '< 200', 'stream': 'true'})`
func (*MatchCall) CELLibrary(ctx caddy.Context) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl("alipayai", "alipayai_request_map", []*cel.Type{caddyhttp.CELTypeJSON},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			conditions, err := caddyhttp.CELValueToMapStrList(data)
			if err != nil {
				return nil, err
			}
			// A condition a line, as in a Caddyfile.
			var tokens []caddyfile.Token
			for line, name := range slices.Sorted(maps.Keys(conditions)) {
				for _, text := range append([]string{"alipayai", name}, conditions[name]...) {
					tokens = append(tokens, caddyfile.Token{File: "expression", Line: line + 1, Text: text})
				}
			}
			m := new(MatchCall)
			if err := m.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
				return nil, err
			}
			return m, m.Provision(ctx)
		})
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*MatchCall)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchCall)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchCall)(nil)
)
