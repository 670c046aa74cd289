package failure

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// verdict is what a failure of an upstream means.
type verdict struct {
	// code is what it goes by: the bare code, or the type where there is none.
	code  string
	class Class
	// status is the HTTP status that the upstream means by it: that of the answer
	// if it is one of a failure, and else that of the code or type; 0 for none.
	status int
	// timedOut says that the upstream gave up waiting for what lies behind it.
	timedOut bool
	// refused says that a known word, or a number that is a status, says that the request was refused.
	refused bool
	// large says that the request is larger than a limit of the account's: see exceedsRate.
	large bool
	// hold is how long the upstream takes no more calls, by a rule; 0 for what it says.
	hold time.Duration
}

// Classify gives the code that an upstream's failure goes by, and what it
// means under this HTTP status. It is decided, in this order, by the rules, the
// codes that are known, a number in place of a code that is an HTTP status,
// as OpenRouter, vLLM and LiteLLM send it, the types that are known, and the
// HTTP status. What Alipay says to be unknown is nothing to be repeated, by whichever of these.
func Classify(status int, f *wire.Failure, rules []Rule) (code string, class Class) {
	v := judge(status, f, rules, 0)
	return v.code, v.class
}

// ClassOf says what an answer with this HTTP status means that failed with
// this bare code; the code decides first, the status where it is unknown.
func ClassOf(status int, code string) Class {
	return judge(status, &wire.Failure{Code: code}, nil, 0).class
}

// judge is the verdict on a failure; wait is how long its header fields say to wait, or 0.
func judge(status int, f *wire.Failure, rules []Rule, wait time.Duration) verdict {
	v := verdict{code: f.BareCode()}
	sent := f.Code
	if v.code == "" {
		v.code, sent = f.Type, f.Type // OpenAI-like servers often send a type alone
	}
	v.class, v.status = decide(status, v.code, f, wait)
	k, worded := kindOf(v.code)
	n := statusNumber(v.code)
	if r, ok := kinds[f.Reason]; ok && f.Reason != "" {
		k, worded = r, true
	}
	v.refused = v.class == Fail && (worded && k.class == Fail || n != 0 && !isTimeoutStatus(n) && n != http.StatusConflict || v.code == "" && status < http.StatusBadRequest)
	_, known := classes[v.code]
	v.timedOut = !known && (isTimeoutStatus(v.status) || namesTimeout(v.code) || namesTimeout(f.Type) ||
		v.status >= http.StatusInternalServerError && namesTimeout(f.Message))
	if sent == "" && status >= http.StatusBadRequest {
		sent = strconv.Itoa(status) // which is all that a rule can go by
	}
	ruled := false
	for _, rule := range rules {
		if rule.matches(status, f.Message, v.code, sent) {
			v.hold = rule.Hold
			if v.class = rule.Class; v.class == byStatus {
				v.class, v.status = decide(status, "", f, wait)
			} else {
				ruled = true
				_, v.status = decideByWord(status, v.code, f) // what its words mean, the rule decides
			}
			break
		}
	}
	if v.large = v.class == Throttle && !ruled && (exceedsRate(f.Message) || forbidsLength(f.Message)); v.large {
		v.class, v.code = Fail, wire.CodeContextLength
	}
	if v.class == Fail && !credentialCodes[v.code] {
		switch {
		case statusNumber(v.code) != 0 && credentialCodes[f.Type]:
			v.code = f.Type
		case strings.HasPrefix(begun(f.Message), googlePlace):
			v.code = codePlace
		case refusesAccount(status, v.code, f.Message):
			v.code = codePermission
		}
	}
	return v
}

// decide is judge without the rules.
func decide(status int, code string, f *wire.Failure, wait time.Duration) (class Class, means int) {
	class, means = decideByWord(status, code, f)
	if _, known := kindOf(code); f.Status == wire.StatusUnknown && (class == Retry || class == Fail && !known && !credentialCodes[code]) {
		// It may have executed, and is neither repeated nor free: as UNKNOWN_EXCEPTION, which is this status's own code.
		return SystemError, means
	}
	if class == AccountExhausted && strings.Contains(f.Message, tokenLimit) {
		return Throttle, means
	}
	if class != Fail && class != Retry && class != Throttle && class != RefreshToken || class == Fail && quotesRequest(means, code, f) {
		return class, means
	}
	if class == Retry && means >= http.StatusInternalServerError && !isTimeoutStatus(means) && (longCodes[code] || longCodes[f.Type]) {
		return Fail, http.StatusBadRequest // llama.cpp's is a 500: https://github.com/ggml-org/llama.cpp/pull/15780
	}
	if class == Retry && means >= http.StatusInternalServerError && ofHistory(f.Message) {
		return Fail, http.StatusBadRequest
	}
	wordless := class == Retry && means == 0 && code == "" // but for its message
	if wordless {
		if refused := ofMessage(f); refused != 0 {
			return Fail, refused
		}
	}
	said, restated := phrased(means, f.Message, wait)
	switch {
	case said == AccountExhausted:
		return said, means // be it a key, a permission, an overload or a limit by its code
	case said == Blocked && class == Retry:
		return said, means // whatever else would hear it is a way around that
	case said == Throttle && restated != 0 && class != RefreshToken:
		return said, restated // whatever permission, or end, its code is of
	case said == "" || class != Fail && (!wordless || said == Retry) || credentialCodes[code]:
		return class, means
	}
	return said, cmp.Or(restated, means)
}

// ofHistory reports whether a message is what llama.cpp says, under 500, of the arguments of a call in the request's own messages, which
// it reads before it generates anything (https://github.com/am17an/llama.cpp/issues/43, https://github.com/vxcontrol/pentagi/issues/313).
func ofHistory(message string) bool {
	return strings.HasPrefix(begun(message), "failed to parse tool call arguments as json")
}

// ofMessage is the status of a refusal of the request, where a message under a success says that it is one and nothing else does: of a
// conversation that is too long, or of the model; 0 for any other. What it quotes may be the client's, or the model's.
func ofMessage(f *wire.Failure) int {
	switch {
	case isTooLong("", &wire.Failure{Message: firstSentence(begun(unquoted(f.Message)))}):
		return http.StatusBadRequest
	case modelRefused(0, "", &wire.Failure{Message: withoutRaw(f.Message)}) != ModelTaken:
		return http.StatusNotFound
	}
	return 0
}

// decideByWord is decide but for what only the message says.
func decideByWord(status int, code string, f *wire.Failure) (Class, int) {
	means := status
	if status < http.StatusBadRequest {
		means = 0
	}
	if class, ok := classes[code]; ok {
		return class, means
	}
	if credentialCodes[code] {
		return Fail, means
	}
	if k, ok := kinds[f.Reason]; ok && f.Reason != "" {
		if k.class == Throttle { // under 402 it asks for no money
			means = 0
		}
		return k.class, cmp.Or(means, k.status)
	}
	if status == http.StatusUnauthorized && modelCodes[code] == ModelUnknown { // Baidu's, to a key that it takes
		return Fail, http.StatusNotFound
	}
	number := statusNumber(code)
	ofType, typeKnown := kindOf(f.Type)
	typeKnown = typeKnown && !(number != 0 && f.Type == codeInvalidPrompt)
	ofCode, codeKnown := kindOf(code)
	codeKnown = codeKnown && !isOthers(code, cmp.Or(means, ofType.status))
	if means == 0 {
		switch {
		case number != 0:
			means = number
		case codeKnown && !ofCode.vague:
			means = ofCode.status
		case typeKnown:
			means = ofType.status
		case codeKnown:
			means = ofCode.status
		}
	}
	switch {
	case codeKnown && !ofCode.vague:
		return ofCode.class, means
	case typeKnown && (ofType.class == AccountExhausted || ofType.class == Blocked):
		return ofType.class, means // LiteLLM puts the status into code beside it
	case number != 0:
		return classOfStatus(number), means
	case typeKnown && ofType.decidesOver(status):
		return ofType.class, means
	case codeKnown && ofCode.decidesOver(status):
		return ofCode.class, means
	case status < http.StatusBadRequest && code == "":
		return Retry, means // it was taken, and then failed: Ollama sends a message alone
	}
	return classOfStatus(status), means
}

// classOfStatus says what an HTTP status means by itself. A 402 that asks the
// client to pay (see upstream.AsksForPayment) does not come here: it passes on,
// or goes by CodePaymentRequired.
func classOfStatus(status int) Class {
	switch {
	case status == http.StatusUnauthorized:
		return RefreshToken
	case status == http.StatusMisdirectedRequest, status == http.StatusTooEarly, status == statusCapacity, isTimeoutStatus(status):
		return Retry // it says nothing of the request, whatever its first digit
	case status == http.StatusPaymentRequired:
		return AccountExhausted
	case status == http.StatusTooManyRequests:
		return Throttle
	case status >= http.StatusInternalServerError:
		return Retry
	default:
		return Fail
	}
}

// statusCapacity is Groq's of a service tier that is full (https://console.groq.com/docs/errors).
const statusCapacity = 498

// statusNumber is a code that is the HTTP status of an error; 0 for any other.
func statusNumber(code string) int {
	if len(code) != 3 {
		return 0
	}
	n, err := strconv.Atoi(code)
	if err != nil || n < 400 || n > 599 {
		return 0
	}
	return n
}

// isTimeoutStatus reports whether a server with this status has given up on what it waited for: 522 and
// 524 are Cloudflare's, 499 nginx's, and 424 is that of gateways and inference servers whose backend has failed
// (https://github.com/mnfst/llm-gateway/issues/1407). It may have executed, and be billed.
func isTimeoutStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusGatewayTimeout, http.StatusFailedDependency, ClientClosedRequest, 522, 524:
		return true
	}
	return false
}

// timeouts are what each vendor's word for a timeout has in it, in lower case and without
// spaces, dashes and underscores: timeout_error, RequestTimeOut, DEADLINE_EXCEEDED, litellm.Timeout.
var timeouts = []string{"timeout", "timedout", "deadlineexceeded"}

func namesTimeout(text string) bool {
	if text == "" {
		return false
	}
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '_' {
			return -1
		}
		return r
	}, strings.ToLower(text))
	for _, word := range timeouts {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// FinishClass says what a finish reason means that is one of a failure; ok is false
// for all others.
func FinishClass(reason string) (class Class, ok bool) {
	class, ok = finishReasons[wire.FinishCode(reason)]
	return class, ok
}

// refusesCredentials reports whether the gateway's own credentials were refused.
func refusesCredentials(class Class, code string) bool {
	return class.Policy().Credentials || credentialCodes[code] && class != Throttle // which some vendors have a permission refused for
}

// statusOf is the status that a client sees of a failure that arrived with this
// upstream status: the true one, also where the upstream said 200.
func statusOf(upstream int, class Class, code string) int {
	v := judge(upstream, &wire.Failure{Code: code}, nil, 0)
	v.class = class
	return v.shown(upstream)
}

// isUnserved reports whether a refusal of the request says that nothing serves the model for now: nothing was asked.
func (v verdict) isUnserved(upstream int) bool {
	return v.class == Retry && v.status == http.StatusServiceUnavailable && upstream >= http.StatusBadRequest && upstream < http.StatusInternalServerError
}

// shown is the status that a client sees.
func (v verdict) shown(upstream int) int {
	if v.hidden() {
		return http.StatusBadGateway
	}
	if v.class == Blocked && v.status >= http.StatusInternalServerError {
		return http.StatusForbidden // or the client's SDK would repeat it
	}
	if upstream == ClientClosedRequest {
		return http.StatusBadGateway // this client has not left
	}
	restated := v.status != 0 && v.status != upstream
	if upstream >= http.StatusBadRequest && upstream != http.StatusUnauthorized && upstream != http.StatusPaymentRequired && !restated {
		return upstream // else it is the account's, but for what is known better
	}
	if v.status != 0 {
		return v.status
	}
	return v.class.Policy().Status
}

// hidden reports whether the failure is the operator's business alone: how the
// gateway's credentials failed, and whose account is empty.
func (v verdict) hidden() bool {
	return refusesCredentials(v.class, v.code) || v.status == http.StatusUnauthorized || v.status == http.StatusPaymentRequired
}
