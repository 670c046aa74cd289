package alipaycaddy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Moderator is a policy: what may be sent to models, and shown of their answers.
type Moderator struct {
	// Files of rules. A line is a word or a phrase that is refused, or `policy: <name>`, `pattern: <RE2>`,
	// `list <name>: <word> | <word>`, `deny: <list> + <list> within <words> unless <list>`, `word: <word>` for one that reads
	// as a rule, or a comment behind `#`. A line that reads as a rule with a mistake is refused.
	// They are read when the configuration is loaded. Default: none.
	RuleFiles []string `json:"rule_files,omitempty"`

	// Rules that come with the plugin: `china`, what Chinese law forbids to ask of a financial assistant. Default: none.
	BuiltinRules []string `json:"builtin_rules,omitempty"`

	// Words and phrases that are refused. Those in Latin letters match whole words only. Default: none.
	Words []string `json:"words,omitempty" placeholder:"text"`

	// RE2 expressions that are refused, over the folded text: lower case, NFKC, without invisible characters. Default: none.
	Patterns []string `json:"patterns,omitempty" placeholder:"text"`

	// A model that is asked about what the rules permit. Default: none.
	Model *ModeratorModel `json:"model,omitempty"`

	// How long the model may take for its verdict, waiting for its provider's rate cap included. Default: `800ms`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What becomes of a request that the model gives no verdict on: `open` sends it, `closed` refuses it with 503
	// `moderation_unavailable`, or with 429 `tenant_budget` where the tenant's budget does not cover the model's call.
	// Required with `model`: there is no default.
	OnError string `json:"on_error,omitempty"`

	// What becomes of a request that is blocked: `refuse` answers 403 `moderation_blocked`, `route` only sets the
	// placeholder `{http.alipayai.moderation}` for matchers behind. Default: `refuse`
	OnBlock string `json:"on_block,omitempty"`

	// How long a model's verdict counts, in the memory of this process. Default: `1h`
	CacheTTL caddy.Duration `json:"cache_ttl,omitempty"`

	// How many verdicts are kept, of about 200 bytes each. Default: `10000`
	CacheEntries int `json:"cache_entries,omitempty"`

	// Asks the model each time. Default: false
	CacheOff bool `json:"cache_off,omitempty"`

	// Does not hold answers against the rules. Default: false
	OutputOff bool `json:"output_off,omitempty"`

	// How many characters of an answer are held back for `patterns`: of what one of them matches within so many, nothing is
	// shown. At most 1000. Default: `64`
	OutputWindow int `json:"output_window,omitempty"`

	policy  *moderate.Moderator
	model   *upstream.Provider // nil for none
	metrics *metrics
	logger  *zap.Logger
	name    string
	used    bool // by a handler
}

// ModeratorModel is a model that gives verdicts.
type ModeratorModel struct {
	// The provider, which the `alipayai` app declares. Its rate cap, breaker and retry budget hold, and so do the
	// tenant's budgets. Required.
	Provider string `json:"provider,omitempty"`

	// The model by the provider's name. Default: the provider's own `model`.
	Model string `json:"model,omitempty"`

	// How it is asked: `chat` (any chat model, with `policy`), `qwen3guard`, `llama_guard` or `moderations`
	// (`POST /v1/moderations`). Default: `chat`
	Form string `json:"form,omitempty"`

	// What form `chat` holds texts against. Default: what Chinese law forbids a financial assistant.
	Policy string `json:"policy,omitempty" placeholder:"text"`
}

// Actions of a moderator.
const (
	onBlockRefuse = "refuse"
	onBlockRoute  = "route"
)

// maxOutputWindow bounds what a guard looks at again with each event of a stream.
const maxOutputWindow = 1000

// openModerators builds the moderators.
func (a *accounts) openModerators(all map[string]*Moderator) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := moderate.CheckName(name); err != nil {
			return fmt.Errorf("moderator %w", err)
		}
		if err := all[name].open(a, name); err != nil {
			return fmt.Errorf("moderator %s: %w", name, err)
		}
	}
	return nil
}

func (m *Moderator) open(a *accounts, name string) error {
	m.name, m.metrics, m.logger = name, a.metrics, a.logger
	if err := m.check(); err != nil {
		return err
	}
	rules, err := m.rules()
	if err != nil {
		return err
	}
	words, patterns, combinations := rules.Counts()
	m.logger.Info("rules of a moderator are loaded", zap.String("moderator", name), zap.Int("words", words),
		zap.Int("patterns", patterns), zap.Int("combinations", combinations))
	m.policy = &moderate.Moderator{
		Name: name, Rules: rules,
		Timeout: time.Duration(m.Timeout), Open: m.OnError == "open",
		CacheTTL: time.Duration(m.CacheTTL), CacheEntries: m.CacheEntries,
		Shared: func(tenant string) bool { return tenant == alipayai.AnonymousTenant },
	}
	if m.Model != nil {
		if err := m.openModel(a); err != nil {
			return fmt.Errorf("model: %w", err)
		}
	}
	return m.policy.Prepare()
}

func (m *Moderator) check() error {
	switch {
	case m.OnBlock != "" && m.OnBlock != onBlockRefuse && m.OnBlock != onBlockRoute:
		return fmt.Errorf("on_block %q is unknown; use refuse or route", m.OnBlock)
	case m.OnError != "" && m.OnError != "open" && m.OnError != "closed":
		return fmt.Errorf("on_error %q is unknown; use open or closed", m.OnError)
	case m.Model != nil && m.OnError == "":
		return errors.New("on_error is missing: write on_error closed, so that what the model gives no verdict on is refused, or on_error open, so that it is sent; there is no default")
	case m.Model == nil && (m.OnError != "" || m.Timeout != 0 || m.CacheTTL != 0 || m.CacheEntries != 0 || m.CacheOff):
		return errors.New("on_error, timeout and cache are of a model, and there is none")
	case m.OutputWindow != 0 && len(m.RuleFiles)+len(m.BuiltinRules)+len(m.Words)+len(m.Patterns) == 0:
		return errors.New("output guards answers by rules, words and patterns, and there are none: the model is asked about requests alone")
	case m.Timeout < 0 || m.CacheTTL < 0 || m.CacheEntries < 0:
		return errors.New("timeout and cache must not be negative")
	case m.OutputWindow < 0 || m.OutputWindow > maxOutputWindow:
		return fmt.Errorf("output window %d is not a number of characters from 1 to %d", m.OutputWindow, maxOutputWindow)
	}
	return nil
}

func (m *Moderator) rules() (*moderate.Rules, error) {
	rules := new(moderate.Rules)
	for _, path := range m.RuleFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("rules file: %w", err)
		}
		if err := rules.AddFile(m.name, string(text)); err != nil {
			return nil, fmt.Errorf("rules file %s: %w", path, err)
		}
	}
	for _, name := range m.BuiltinRules {
		if err := rules.AddBuiltin(name); err != nil {
			return nil, err
		}
	}
	if err := rules.AddWords(m.name, m.Words...); err != nil {
		return nil, fmt.Errorf("words: %w", err)
	}
	for _, expression := range m.Patterns {
		if err := rules.AddPattern(m.name, expression); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// openModel gives the moderator a gateway of its own to the provider.
func (m *Moderator) openModel(a *accounts) error {
	p, err := a.provider(m.Model.Provider)
	if err != nil {
		return err
	}
	form := moderate.Form(cmp.Or(m.Model.Form, string(moderate.Chat)))
	if !slices.Contains(moderate.Forms(), form) {
		var known []string
		for _, f := range moderate.Forms() {
			known = append(known, string(f))
		}
		return fmt.Errorf("form %q is unknown; use %s", m.Model.Form, strings.Join(known, ", "))
	}
	if m.Model.Policy != "" && form != moderate.Chat {
		return fmt.Errorf("policy is of form chat, and not of %s", form)
	}
	endpoint := upstream.EndpointChat
	if form == moderate.Moderations {
		endpoint = upstream.EndpointModerations
	}
	model := m.Model.Model
	if model == "" {
		if model = p.Model; model == "" {
			return fmt.Errorf("provider %s has no model of its own: write model %s <model>", p.Name, p.Name)
		}
	}
	if !p.Has(endpoint) {
		return fmt.Errorf("provider %s has no path for %s", p.Name, endpoint)
	}
	if !p.Serves(endpoint, model) {
		return fmt.Errorf("provider %s does not serve model %s", p.Name, model)
	}
	m.model = p
	who := "moderator " + m.name
	if m.policy.Model, err = a.models(p, who, cmp.Or(time.Duration(m.Timeout), moderate.DefaultTimeout), a.asks(p, who)); err != nil {
		return err
	}
	m.policy.ModelName, m.policy.Form, m.policy.Policy = model, form, m.Model.Policy
	m.policy.Asked = p.Asked(endpoint, model)
	if !m.CacheOff {
		m.policy.Cache = acquireFor[moderate.Cache](&a.acquired, "verdicts", m.name)
	}
	return nil
}

// guard gives what answers are held against; nil for nothing.
func (m *Moderator) guard() *alipayai.OutputGuard {
	if m.OutputOff || m.policy.Rules.Empty() {
		return nil
	}
	return &alipayai.OutputGuard{
		Rules: m.policy.Rules, Name: m.name, Window: cmp.Or(m.OutputWindow, moderate.DefaultWindow),
		Blocked: func(a alipayai.BlockedAnswer) {
			m.metrics.moderated(m.name, "output", "blocked")
			m.logger.Warn("answer blocked", zap.String("moderator", m.name), zap.String("policy", a.Policy), zap.String("version", m.policy.Version()),
				zap.String("tenant", a.Tenant), zap.String("provider", a.Provider), zap.String("request_id", a.RequestID))
		},
	}
}
