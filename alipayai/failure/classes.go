package failure

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/failover"
)

// Class is what a failure means, and so what is done about it; the words are
// those of the option `on`.
type Class string

// The classes.
const (
	// Fail gives the failure to the client: repeating cannot help.
	Fail Class = "fail"
	// Retry may be repeated at the same provider.
	Retry Class = "retry"
	// RefreshToken drops the access token, fetches a new one and repeats once.
	RefreshToken Class = "refresh_token"
	// Resign corrects the clock from the answer's Date and signs once more.
	Resign Class = "resign"
	// Throttle means that the provider takes no more calls for a while.
	Throttle Class = "throttle"
	// SystemError is the provider's own fault, SYSTEM_ERROR and its kin.
	SystemError Class = "system_error"
	// Blocked is a compliance decision: an answer, not a fault.
	Blocked Class = "blocked"
	// Reauthorise needs a person: the grant itself is gone.
	Reauthorise Class = "reauthorise"
	// AccountExhausted needs the operator: the account has no money or quota left.
	AccountExhausted Class = "account_exhausted"

	// byStatus is for rules of profiles: the code says nothing, the type and the status decide.
	byStatus Class = "by_status"
)

// ByStatus makes the rule of a profile for codes that say nothing.
func ByStatus(pattern string) Rule { return Rule{Pattern: pattern, Class: byStatus} }

// Repeat says when a call is sent to the same provider again.
type Repeat int

// The ways to repeat, all within the provider's budget and the call's deadline.
const (
	// Never is for what another attempt cannot change, or could pay for twice.
	Never Repeat = iota
	// AfterBackoff waits by the backoff, or for Retry-After where that is longer.
	AfterBackoff
	// WithNewToken drops the access token and repeats once.
	WithNewToken
	// WithNewTime repeats once, if the answer has corrected the clock.
	WithNewTime
	// AfterHold waits as long as the provider says, if no other can be asked.
	AfterHold
)

// Policy is what the gateway does about a class of failures of an upstream.
type Policy struct {
	// Repeat is whether the same provider is asked again.
	Repeat Repeat
	// FallsOver says that another provider may be asked.
	FallsOver bool
	// Breaker is what the provider's breaker counts it as.
	Breaker failover.Result
	// Evidence says that request and answer are recorded.
	Evidence bool
	// Credentials says that the gateway's own credentials, or its account, were
	// refused: the operator's matter, which the client can do nothing about.
	Credentials bool
	// Status is the HTTP status that a client sees of one that came under a
	// status of success.
	Status int
	// Reason is the word for it in X-Alipayai-Reason and in metrics.
	Reason string
}

var policies = map[Class]Policy{
	Fail:         {Status: http.StatusBadGateway, Reason: "request_refused"},
	Retry:        {Repeat: AfterBackoff, FallsOver: true, Status: http.StatusServiceUnavailable, Reason: "server_error"},
	RefreshToken: {Repeat: WithNewToken, FallsOver: true, Credentials: true, Status: http.StatusBadGateway, Reason: "credentials"},
	Resign:       {Repeat: WithNewTime, FallsOver: true, Credentials: true, Status: http.StatusBadGateway, Reason: "credentials"},
	Throttle:     {Repeat: AfterHold, FallsOver: true, Status: http.StatusTooManyRequests, Reason: "throttled"},
	SystemError:  {FallsOver: true, Breaker: failover.Failure, Evidence: true, Status: http.StatusBadGateway, Reason: "system_error"},
	Blocked:      {Status: http.StatusForbidden, Reason: "blocked"},
	Reauthorise:  {FallsOver: true, Credentials: true, Status: http.StatusBadGateway, Reason: "credentials"},

	AccountExhausted: {FallsOver: true, Credentials: true, Status: http.StatusBadGateway, Reason: "account_exhausted"},
}

// Policy gives what is done about failures of the class; that of Fail for an
// unknown one.
func (c Class) Policy() Policy {
	if p, ok := policies[c]; ok {
		return p
	}
	return policies[Fail]
}

// classes maps bare upstream codes (wire.Failure.BareCode) to classes.
//
// Sources: the codes in capitals without a dash are those of Antom's global
// API and, for the Alipay AI API, where no public contract exists, ours; the
// lower-case ones are Alipay Open Platform v3's and, with the isv. and aop.
// prefixes cut off, v2's sub codes. Those of the vendors of models are in kinds.
var classes = map[string]Class{
	"SYSTEM_ERROR":      SystemError,
	"UNKNOWN_EXCEPTION": SystemError,
	"unknow-error":      SystemError, // so spelt by the Open Platform
	"20000":             SystemError,

	"REQUEST_TRAFFIC_EXCEED_LIMIT": Throttle,
	"app-call-limited":             Throttle,
	"method-call-limited":          Throttle,
	"40005":                        Throttle,

	"INVALID_ACCESS_TOKEN": RefreshToken,
	"EXPIRED_ACCESS_TOKEN": RefreshToken,
	"invalid-auth-token":   RefreshToken,
	"auth-token-time-out":  RefreshToken,
	"20001":                RefreshToken,

	"invalid-app-auth-token":  Reauthorise,
	"app-auth-token-time-out": Reauthorise,

	"INVALID_REQUEST_TIME": Resign,
	"invalid-timestamp":    Resign,

	"COMPLIANCE_BLOCKED": Blocked,
}

// credentialCodes are failures of the gateway's own credentials that no new
// token mends. A client can do nothing about them, and a 401 would tell it to
// change a key that is good.
var credentialCodes = map[string]bool{
	"INVALID_SIGNATURE":            true,
	"INVALID_KEY_VERSION":          true,
	"INVALID_CLIENT":               true,
	"ACCESS_DENIED":                true,
	"invalid-signature":            true,
	"invalid-app-id":               true,
	"insufficient-isv-permissions": true,
	"40006":                        true,

	codePermission: true, // Anthropic's and others'

	// What the key, its account or the gateway's place may not use, by vendors of models.
	codePlace:                  true, // OpenAI
	"PERMISSION_DENIED":        true, // Google
	"permission_denied_error":  true, // Moonshot
	"AccessDenied":             true, // Qwen, with the next three
	"AccessDenied.Unpurchased": true,
	"Model.AccessDenied":       true,
	"Workspace.AccessDenied":   true,
	"ModelNotOpen":             true, // Volcengine Ark: the account has not the model yet
	"AccessDeniedException":    true, // Amazon
	// Kimi's plans, of the plan or of the program that asks: https://github.com/Wei-Shaw/sub2api/pull/7340.
	"access_terminated_error": true,
	"1220":                    true, // GLM: see numbers
	// Baidu's Qianfan: https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w.
	"no_parameter_permission": true,
	"error_code.6":            true, // of a service that its app may not use: ai.baidu.com/ai-doc/WENXINWORKSHOP/tlmyncueh
	"error_code.336004":       true, // with its number in "code": PermissionError of python/qianfan/consts.py of baidubce/bce-qianfan-sdk
	"336004":                  true,
	"invalid_appid":           true,
	// Tencent: see kinds.
	"UnauthorizedOperation":               true,
	"FailedOperation.ServiceNotActivated": true,
	"FailedOperation.UserUnAuthError":     true,
	"ResourceUnavailable.NotExist":        true,
}

const (
	codePermission = "permission_error"

	codePlace = "unsupported_country_region_territory"
	// googlePlace begins what Google says of it under a code that it has for many things, in lower case.
	googlePlace = "user location is not supported"
)

// keyCodes are failures of the key that has signed: the vendor does not know it, or
// knows another one. 40006 stands for missing permissions as well.
var keyCodes = map[string]bool{
	"INVALID_SIGNATURE":   true,
	"INVALID_KEY_VERSION": true,
	"invalid-signature":   true,
}

// RefusesKey reports whether a failure of an upstream with that Code says that the key
// which signed the request is not taken.
func RefusesKey(code string) bool { return keyCodes[code] }

// Rule says what the codes of an upstream mean that a pattern matches, instead
// of what the gateway takes them for by itself.
type Rule struct {
	// Pattern is matched as path.Match does, against the code as the upstream
	// sends it and against its bare form (see wire.Failure); where the upstream
	// sends a type alone, that is the code, and where it sends neither, the HTTP
	// status.
	Pattern string
	Class   Class
	// Status and Message are of profiles' rules, for codes that say too little: the HTTP status, and what the message
	// holds; any where they are zero.
	Status  int
	Message string
	// Hold is how long the upstream takes no more calls, whatever it says itself; zero for what it says.
	Hold time.Duration
}

// Check refuses what is no pattern and no class.
func (r Rule) Check() error {
	if _, err := path.Match(r.Pattern, ""); err != nil || r.Pattern == "" {
		return fmt.Errorf("on %q: is no pattern; write a code, with * for any characters", r.Pattern)
	}
	if _, ok := policies[r.Class]; !ok {
		return fmt.Errorf("on %s: action %q is unknown; use retry, refresh_token, resign, throttle, system_error, blocked, reauthorise, account_exhausted or fail", r.Pattern, string(r.Class))
	}
	return nil
}

// matches reports whether the rule is for a failure with one of the codes.
func (r Rule) matches(status int, message string, codes ...string) bool {
	if r.Status != 0 && r.Status != status || !strings.Contains(message, r.Message) {
		return false
	}
	return slices.ContainsFunc(codes, func(code string) bool {
		ok, _ := path.Match(r.Pattern, code)
		return ok || r.Pattern == "*"
	})
}
