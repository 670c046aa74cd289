package alipayai

import (
	"fmt"
	"net/http"
	"path"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Action is what the gateway does about an upstream's failure code.
type Action string

// The actions that a failure code can lead to.
const (
	// ActionFail gives the failure to the client: repeating cannot help.
	ActionFail Action = "fail"
	// ActionRetry may be repeated at the same provider.
	ActionRetry Action = "retry"
	// ActionRefreshToken drops the access token, fetches a new one and repeats once.
	ActionRefreshToken Action = "refresh_token"
	// ActionResign corrects the clock from the answer's Date and signs once more.
	ActionResign Action = "resign"
	// ActionThrottle means that the provider takes no more calls for a while.
	ActionThrottle Action = "throttle"
	// ActionSystemError is the provider's own fault, SYSTEM_ERROR and its kin.
	ActionSystemError Action = "system_error"
	// ActionBlocked is a compliance decision: an answer, not a fault.
	ActionBlocked Action = "blocked"
	// ActionReauthorise needs a person: the grant itself is gone.
	ActionReauthorise Action = "reauthorise"
)

// codeActions maps bare upstream codes (wire.Failure.BareCode) to actions.
//
// Sources: the codes in capitals without a dash are those of Antom's global
// API and, for the Alipay AI API, where no public contract exists, ours; the
// lower-case ones are Alipay Open Platform v3's and, with the isv. and aop.
// prefixes cut off, v2's sub codes.
var codeActions = map[string]Action{
	"SYSTEM_ERROR":      ActionSystemError,
	"UNKNOWN_EXCEPTION": ActionSystemError,
	"unknow-error":      ActionSystemError, // so spelt by the Open Platform
	"20000":             ActionSystemError,

	"REQUEST_TRAFFIC_EXCEED_LIMIT": ActionThrottle,
	"app-call-limited":             ActionThrottle,
	"method-call-limited":          ActionThrottle,
	"40005":                        ActionThrottle,

	"INVALID_ACCESS_TOKEN": ActionRefreshToken,
	"EXPIRED_ACCESS_TOKEN": ActionRefreshToken,
	"invalid-auth-token":   ActionRefreshToken,
	"auth-token-time-out":  ActionRefreshToken,
	"20001":                ActionRefreshToken,

	"invalid-app-auth-token":  ActionReauthorise,
	"app-auth-token-time-out": ActionReauthorise,

	"INVALID_REQUEST_TIME": ActionResign,
	"invalid-timestamp":    ActionResign,

	"COMPLIANCE_BLOCKED": ActionBlocked,
	"content_filter":     ActionBlocked, // OpenAI's own

	// Anthropic's error types.
	"overloaded_error": ActionRetry,
	"api_error":        ActionRetry,
	"timeout_error":    ActionRetry,
	"rate_limit_error": ActionThrottle,
}

// actions are all there are.
var actions = map[Action]bool{
	ActionFail: true, ActionRetry: true, ActionRefreshToken: true, ActionResign: true,
	ActionThrottle: true, ActionSystemError: true, ActionBlocked: true, ActionReauthorise: true,
}

// CodeRule says what to do about the codes of an upstream that a pattern
// matches, instead of what the gateway does by itself.
type CodeRule struct {
	// Pattern is matched as path.Match does, against the code as the upstream
	// sends it and against its bare form (see wire.Failure); where the upstream
	// sends a type alone, that is the code.
	Pattern string
	Action  Action
}

func (r CodeRule) check() error {
	if _, err := path.Match(r.Pattern, ""); err != nil || r.Pattern == "" {
		return fmt.Errorf("on %q: is no pattern; write a code, with * for any characters", r.Pattern)
	}
	if !actions[r.Action] {
		return fmt.Errorf("on %s: action %q is unknown; use retry, refresh_token, resign, throttle, system_error, blocked, reauthorise or fail", r.Pattern, string(r.Action))
	}
	return nil
}

func (r CodeRule) matches(code string) bool {
	ok, _ := path.Match(r.Pattern, code)
	return ok
}

// classify gives the code that f goes by, and what to do about it.
func (p *Provider) classify(status int, f *wire.Failure) (code string, action Action) {
	sent := f.Code
	if code = f.BareCode(); code == "" {
		code, sent = f.Type, f.Type // OpenAI-like servers often send a type alone
	}
	for _, rule := range p.Codes {
		if rule.matches(code) || rule.matches(sent) {
			return code, rule.Action
		}
	}
	return code, Classify(status, code)
}

// credentialCodes are failures of the gateway's own credentials. A client can
// do nothing about them, and a 401 would tell it to change a key that is good.
var credentialCodes = map[string]bool{
	"INVALID_SIGNATURE":            true,
	"INVALID_KEY_VERSION":          true,
	"INVALID_CLIENT":               true,
	"ACCESS_DENIED":                true,
	"invalid-signature":            true,
	"invalid-app-id":               true,
	"insufficient-isv-permissions": true,
	"40006":                        true,

	// Anthropic's, of which others have the second too.
	"billing_error":    true,
	"permission_error": true,
}

// credentialFault reports whether the gateway's own credentials were refused.
func credentialFault(action Action, code string) bool {
	switch action {
	case ActionRefreshToken, ActionResign, ActionReauthorise:
		return true
	default:
		return credentialCodes[code]
	}
}

// Classify says what to do about an answer with this HTTP status that failed
// with this bare code; the code decides first, the status where it is unknown.
func Classify(status int, code string) Action {
	if a, ok := codeActions[code]; ok {
		return a
	}
	switch {
	case credentialCodes[code]:
		return ActionFail
	case status == http.StatusUnauthorized:
		return ActionRefreshToken
	case status == http.StatusTooManyRequests:
		return ActionThrottle
	case status >= http.StatusInternalServerError:
		return ActionRetry
	default:
		return ActionFail
	}
}

// KnownCode gives code if the gateway knows it and "other" if not, so that an
// upstream cannot choose the labels of a metric.
func KnownCode(code string) string {
	if _, ok := codeActions[code]; ok || credentialCodes[code] || localCodes[code] || limitCodes[code] {
		return code
	}
	return "other"
}

// statusOf is the status a client sees for a failure that arrived with this
// upstream status: the true one, also where the upstream said 200.
func statusOf(upstream int, action Action, code string) int {
	if credentialFault(action, code) {
		return http.StatusBadGateway
	}
	if action == ActionBlocked && upstream >= http.StatusInternalServerError {
		return http.StatusForbidden // or the client's SDK would repeat it
	}
	if upstream >= http.StatusBadRequest {
		if upstream == http.StatusUnauthorized {
			return http.StatusBadGateway
		}
		return upstream
	}
	switch action {
	case ActionThrottle:
		return http.StatusTooManyRequests
	case ActionBlocked:
		return http.StatusForbidden
	case ActionRetry:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadGateway
	}
}
