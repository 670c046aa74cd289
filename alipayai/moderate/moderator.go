package moderate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// DefaultTimeout is how long a model may take for its verdict, waiting for its provider's rate cap included.
const DefaultTimeout = 800 * time.Millisecond

// MaxModelText is how many bytes of text a model is asked about. It cannot judge more, which is an error. Form moderations is
// sent up to twice as many, since it is asked about texts of several parts twice.
const MaxModelText = 256 << 10

// Model asks a model. body is a request in OpenAI's form, of POST /v1/moderations where moderations is set and else of
// POST /v1/chat/completions, and so is the answer.
type Model interface {
	Ask(ctx context.Context, tenant string, body []byte, moderations bool) (answer []byte, err error)
}

// Moderator decides whether texts may be sent.
type Moderator struct {
	// Name is that of the policy: what of it refuses is named after a dot, as in law.income-forecast.
	Name string
	// Rules come first.
	Rules *Rules
	// Model is asked for what the rules permit; nil for none. ModelName, Form and Policy say how: Policy is of form Chat alone.
	Model     Model
	ModelName string
	Form      Form
	Policy    string
	// Asked says what Model is, and where, so that verdicts of another do not count as its own. It holds no secret.
	Asked []string
	// Timeout bounds how long the verdict takes; DefaultTimeout when 0.
	Timeout time.Duration
	// Open permits what the model gives no verdict on; else it is refused.
	Open bool
	// Cache keeps the model's verdicts for CacheTTL, CacheEntries of them; nil for none.
	Cache        *Cache
	CacheTTL     time.Duration
	CacheEntries int
	// Shared says that tenant is of many who cannot be told apart, whose verdicts are not kept.
	Shared func(tenant string) bool
	// Now is the time; time.Now when nil.
	Now func() time.Time

	version [sha256.Size]byte
}

// By is what has decided.
type By string

// What decides.
const (
	ByRules By = "rules"
	ByModel By = "model"
	ByCache By = "cache" // the model, before
	ByError By = "error" // the model gave no verdict, and the configuration decides
)

// Verdict is what a moderator says of texts.
type Verdict struct {
	// Blocked says that they must not be sent.
	Blocked bool
	// Policy is what they break; empty where they are not blocked.
	Policy string
	By     By
	// Err is why the model gave no verdict. It quotes no text.
	Err error
}

// Prepare completes the moderator.
func (m *Moderator) Prepare() error {
	if m.Rules == nil {
		m.Rules = new(Rules)
	}
	if err := m.Rules.Compile(); err != nil {
		return err
	}
	if m.Rules.Empty() && m.Model == nil {
		return errors.New("a moderator needs rules, words, a pattern or a model")
	}
	if m.Timeout == 0 {
		m.Timeout = DefaultTimeout
	}
	if m.CacheTTL == 0 {
		m.CacheTTL = DefaultCacheTTL
	}
	if m.CacheEntries == 0 {
		m.CacheEntries = DefaultCacheEntries
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.Policy == "" {
		m.Policy = DefaultPolicy
	}
	m.version = sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %x", m.Name, m.Form, m.Asked, m.ModelName, m.Policy, m.Rules.version))
	return nil
}

// Version names the moderator's policy as it is now: its rules, and how its model is asked.
func (m *Moderator) Version() string { return hex.EncodeToString(m.version[:8]) }

// CheckRules holds texts against the rules.
func (m *Moderator) CheckRules(texts []wire.Text) Verdict {
	if policy, found := m.Rules.CheckTexts(texts); found {
		return Verdict{Blocked: true, Policy: m.policy(policy), By: ByRules}
	}
	return Verdict{By: ByRules}
}

func (m *Moderator) policy(name string) string { return PolicyName(m.Name, name) }

// PolicyName is the full name of a policy of a moderator: law.income-forecast, or law for what has no name of its own.
func PolicyName(moderator, policy string) string {
	if policy == "" || policy == moderator {
		return moderator
	}
	return moderator + "." + policy
}

// normalised gives texts in NFC (Unicode Standard Annex 15), which makes one of characters that are the same by definition,
// as é is with its accent apart. The model is asked about these, so that a verdict counts for what was read.
func normalised(texts []wire.Text) []wire.Text {
	first := slices.IndexFunc(texts, func(t wire.Text) bool { return !norm.NFC.IsNormalString(t.Value) })
	if first < 0 {
		return texts
	}
	texts = slices.Clone(texts)
	for i := first; i < len(texts); i++ {
		texts[i].Value = norm.NFC.String(texts[i].Value)
	}
	return texts
}

func (m *Moderator) said(blocked bool, by By) Verdict {
	if !blocked {
		return Verdict{By: by}
	}
	return Verdict{Blocked: true, Policy: m.policy("model"), By: by}
}
