package alert

import "time"

// Kind is what can be wrong.
type Kind string

// The kinds.
const (
	// BreakerOpen: a provider gets no calls of at least one tenant for a while.
	BreakerOpen Kind = "breaker_open"
	// SystemErrorRate: a provider reports more SYSTEM_ERRORs a minute than usual.
	SystemErrorRate Kind = "system_error_rate"
	// AllProvidersFailing: a site has no provider left. Its provider is the site.
	AllProvidersFailing Kind = "all_providers_failing"
	// TokenRefreshFailing: a provider gives no new access token.
	TokenRefreshFailing Kind = "token_refresh_failing"
	// StoreLost: replicas cannot see each other's state.
	StoreLost Kind = "store_lost"
	// AccountExhausted: the account at a provider has no money or quota left.
	AccountExhausted Kind = "account_exhausted"
	// PackingStopped: too many answers of packed calls were not those to the calls alone, or
	// too many packs were in vain. Its provider is the site.
	PackingStopped Kind = "packing_stopped"
	// LedgerFailing: what calls cost cannot be written down. Its provider is the ledger.
	LedgerFailing Kind = "ledger_failing"
	// KeyExpiring: a provider's key or certificate has to be replaced soon.
	KeyExpiring Kind = "key_expiring"
	// KeyOverdue: it should have been.
	KeyOverdue Kind = "key_overdue"
	// KeyRefused: a provider has refused a key in traffic.
	KeyRefused Kind = "key_refused"
	// KeyCheckFailing: a provider did not take a key when it was asked last.
	KeyCheckFailing Kind = "key_check_failing"
	// KeysUnusable: a folder or file of keys has changed and cannot be used; those that were read before stay. Its
	// provider is the one that signs with them or, for keys of tenants, the file.
	KeysUnusable Kind = "keys_unusable"
	// CanaryStep: a canary takes a step. Its provider is the canary with the step's number.
	CanaryStep Kind = "canary_step"
	// CanaryInconclusive: a step's time is over, and not every guard has passed. Its provider
	// is the canary, and so it is for the kinds below.
	CanaryInconclusive Kind = "canary_inconclusive"
	// CanaryPassed: an operator has to promote a candidate, or roll it back.
	CanaryPassed Kind = "canary_passed"
	// CanaryPromoted: all conversations go to a candidate.
	CanaryPromoted Kind = "canary_promoted"
	// CanaryRolledBack: a guard, or an operator, has taken a candidate's conversations back.
	CanaryRolledBack Kind = "canary_rolled_back"
	// CanaryUnkept: the store of a canary's state does not answer.
	CanaryUnkept Kind = "canary_unkept"
	// ShadowDivergence: more of a shadow's answers differ than may. Its provider is the shadow with
	// the aspect that they differ in.
	ShadowDivergence Kind = "shadow_divergence"
	// NewComplianceBlock: a shadow blocks what clients are answered. Its provider is the shadow.
	NewComplianceBlock Kind = "new_compliance_block"
	// SuiteChanged: prompts of a suite pass that did not, or fail that did not. Its provider is the suite.
	SuiteChanged Kind = "suite_changed"
	// Throttled: a provider takes fewer requests than its limit says.
	Throttled Kind = "throttled"
)

// OfProvider reports whether it is a provider that is wrong, as against what the comments above name: a site, a file,
// a suite, a canary or a shadow.
func (k Kind) OfProvider() bool {
	switch k {
	case AllProvidersFailing, PackingStopped, LedgerFailing, KeysUnusable, SuiteChanged, ShadowDivergence, NewComplianceBlock,
		CanaryStep, CanaryInconclusive, CanaryPassed, CanaryPromoted, CanaryRolledBack, CanaryUnkept:
		return false
	default:
		return true
	}
}

// Severity says how bad the kind is, in the words of PagerDuty's Common Event
// Format.
func (k Kind) Severity() string {
	switch k {
	case AllProvidersFailing:
		return "critical"
	case Throttled, PackingStopped, KeyExpiring, CanaryInconclusive, CanaryPassed, ShadowDivergence, NewComplianceBlock, SuiteChanged:
		return "warning"
	case CanaryStep, CanaryPromoted:
		return "info"
	default:
		return "error"
	}
}

// Action is what a notification says.
type Action string

// The actions, as PagerDuty names them.
const (
	Trigger Action = "trigger" // it is wrong
	Resolve Action = "resolve" // it is over
)

// Notification is what a sink gets.
type Notification struct {
	Action   Action
	Kind     Kind
	Provider string
	Summary  string    // one line for people; no secrets, no payloads
	Source   string    // who says so: this gateway among others
	Time     time.Time // of what happened
	Since    time.Time // when it began to be wrong; Time for a trigger
	Repeats  int64     // how often it was reported again meanwhile; 0 for the first trigger
}

func (n Notification) subject() subject { return subject{n.Kind, n.Provider} }

// Key is the same for all notifications of one source about the same.
func (n Notification) Key() string {
	return "alipayai/" + n.Source + "/" + string(n.Kind) + "/" + n.Provider
}

// line is the notification in one line of text.
func (n Notification) line() string {
	text := "[FIRING] "
	if n.Action == Resolve {
		text = "[RESOLVED] "
	}
	text += n.Summary + " (" + string(n.Kind) + " at " + n.Provider + ", " + n.Source
	if n.Action == Resolve {
		text += ", after " + n.Time.Sub(n.Since).Round(time.Second).String()
	}
	return text + ")"
}
