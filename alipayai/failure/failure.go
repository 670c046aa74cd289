package failure

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

// Failure is why an attempt, or a call, brought no answer.
type Failure struct {
	// Error is what the client sees.
	wire.Error
	Class Class
	// FromUpstream says that Code is the upstream's, not the gateway's own.
	FromUpstream bool
	// Sent says that bytes of the request may have reached the upstream: what
	// they did there, and what it costs, is not known.
	Sent bool
	// StaleConnection says that a connection broke that was kept since another
	// request: the upstream has closed it, most likely, before it read this one.
	StaleConnection bool
	// Unprocessed says that the upstream has done nothing with the request, by its own word: HTTP/2 has one for that.
	Unprocessed bool
	// Final says that the upstream asks not to be asked again, by X-Should-Retry, which OpenAI's and Anthropic's SDKs go by.
	// A gateway says so of a call that may have executed behind it. So is one that has generated something: see AfterContent.
	Final bool
	// Unserved says that nothing behind the upstream serves the model for now: it has asked nothing, and a repeat finds nothing.
	Unserved bool
	// Used is what the upstream has counted for what it has generated before it failed; not OK where it says nothing of it.
	Used wire.Usage
	// Original is the upstream's whole answer, for a client of the same form; nil where it is not for one to see.
	Original []byte
	// Token is the access token that was sent, and UserToken that of a tenant's user.
	Token, UserToken string
	// ClockLearned says that the upstream's clock has been corrected since the
	// request was signed.
	ClockLearned bool
	// KeyChanged says that another version of the key signs since the upstream has
	// refused the one of this request.
	KeyChanged bool
	// UpstreamID is by what the upstream's own logs know the call, where it says so.
	UpstreamID string
	// Cause is why, for the operator's log; a client gets Message alone.
	Cause error
	// UnsupportedHere says that the provider cannot do what the request asks for,
	// or refuses the form that it was translated to, but another may do it.
	UnsupportedHere bool
	// Model is what an upstream says of the model that it was asked for.
	Model ModelRefusal
	// ClientGone says that the client has left.
	ClientGone bool
	// timedOut says that the upstream names a timeout, and refused that it names a refusal of the request.
	timedOut, refused bool
}

// MayHaveExecuted reports whether the call may have executed although f is
// all that came of it. Whose credentials are refused is not served.
func (f *Failure) MayHaveExecuted() bool {
	switch {
	case !f.Sent || f.ClientGone:
		return f.Sent
	case f.FromUpstream && refusesCredentials(f.Class, f.Code):
		return false
	default:
		return f.NoRetry
	}
}

// mayRepeatItself reports whether a repeat could do, and cost, twice what has
// been done: what a system error or a gateway's failure has done is not known,
// nor what an answer did that calls itself a success. Credentials do not mend by
// asking again either. A 503 that names a time was refused.
func (f *Failure) mayRepeatItself(status int) bool {
	switch {
	case isCharged(f.Code, f.Message):
		return true
	case f.Class == Throttle, f.Class == Blocked:
		return false
	case status < http.StatusBadRequest:
		return true
	case f.Class == Fail && status >= http.StatusInternalServerError && (f.Code == wire.CodeContextLength || ofHistory(f.Message)):
		return false
	case f.Class == SystemError, f.Status == http.StatusBadGateway:
		return true
	case status == http.StatusServiceUnavailable && f.RetryAfter > 0:
		return false
	default:
		return status >= http.StatusInternalServerError || status == http.StatusConflict || isTimeoutStatus(status)
	}
}

// chargedCodes are those of refusals that come after the model has answered, or are charged all the same: Groq's of an answer that is
// not of the form that was asked for, which it quotes (https://console.groq.com/docs/errors), and new-api's of xAI's fee.
var chargedCodes = map[string]bool{
	"tool_use_failed": true, "json_validate_failed": true, "output_parse_failed": true, "violation_fee.grok.csam": true,
}

// isCharged reports whether a refusal costs what it refuses, each time that it is asked for.
func isCharged(code, message string) bool {
	return chargedCodes[code] || strings.Contains(strings.ToLower(message), usageGuidelines)
}

// neverServed reports whether a server's fault is of one before the vendor's, which has asked nothing behind it: Cloudflare that
// could not connect to what it stands before, by address, name or certificate
// (https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/), or hasNoChannel.
func neverServed(status int, code string, reported *wire.Failure, h http.Header) bool {
	switch status {
	case 521, 523, 525, 526, 530:
		return strings.EqualFold(h.Get("Server"), "cloudflare")
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if noBackend.MatchString(reported.Message) {
			return true
		}
	}
	return hasNoChannel(status, code, reported)
}

// noBackend is the whole of what proxies say that have none to pass a request on to, or have not come to a connection: Envoy's
// (source/common/router/router.cc of envoyproxy/envoy, https://github.com/vllm-project/aibrix/issues/1103 and
// https://github.com/vllm-project/semantic-router/issues/275), Traefik's and Kong's; and llama.cpp's while it reads a model
// (tools/server/README.md of ggml-org/llama.cpp). A connection that ends or is reset may have carried the request, and so may
// those that came before "the latest" where Envoy has retried by itself.
var noBackend = regexp.MustCompile(`^(?:[Ll]oading model|no healthy upstream|no available server|failure to get a peer from the ring-balancer|name resolution failed` +
	`|upstream connect error or disconnect/reset before headers\. reset reason: (?:(?:remote |local )?connection failure|connection timeout|overflow)(?:, transport failure reason: .*)?)$`)

// noChannel is what one-api and the elder new-api say without a code, before they ask a channel (middleware/distributor.go of
// songquanpeng/one-api), and the latter in English (https://github.com/a37836323/-chatgpt4.0-api-key/issues/2). The names of the group
// and of the model stand between.
var noChannel = regexp.MustCompile(`^(?:当前分组 .* 下对于模型 .* ?无可用渠道|No available channels? for model .* (?:in|under) group .*?)(?: \(distributor\))?(?: \(request id: [^)]*\))?$`)

// hasNoChannel reports whether one-api or new-api has no channel for the model (https://github.com/QuantumNous/new-api/pull/6310):
// one that has failed is tried again after minutes, or by a person, so that no repeat of the call finds another. Where the channels
// have run out after one was asked, new-api says so by get_channel_failed under 500 (controller/relay.go of QuantumNous/new-api).
func hasNoChannel(status int, code string, reported *wire.Failure) bool {
	if status != http.StatusServiceUnavailable {
		return false
	}
	return modelCodes[code] == ModelUnknown || strings.HasSuffix(reported.Type, "_api_error") && noChannel.MatchString(reported.Message)
}

// RefusedUnread reports whether an answer that calls itself a success says by a word that is known that the request, or the model that
// it names, was refused: nothing has been generated for it, and nothing is charged. Where the same comes after content, the answer
// broke off.
func (f *Failure) RefusedUnread() bool {
	return f.refused && f.Class == Fail && !isCharged(f.Code, f.Message)
}

// AfterContent notes that the same answer had content before it said so: that was generated, and is charged, as it would be again.
func (f *Failure) AfterContent() { f.refused, f.NoRetry, f.Final = false, true, true }

// unreadable begins what llama.cpp says, under 500, of an answer in which it finds no tool call as its parser knows them
// (https://github.com/ggml-org/llama.cpp/issues/23838): it was generated, as each repeat would be.
const unreadable = "failed to parse input at pos "

// TimedOut reports whether the upstream says that it gave up waiting for what
// lies behind it: that may have executed, and be billed.
func (f *Failure) TimedOut() bool { return f.timedOut || f.Status == http.StatusGatewayTimeout }

// FallsOver reports whether another provider may serve a call that failed by f.
// What the upstream says of the request itself is an answer, and so is a
// compliance decision.
func (f *Failure) FallsOver() bool {
	switch {
	case f.ClientGone || f.Class == Blocked || f.Code == CodeIdempotencyUnavailable && !f.FromUpstream:
		return false // nor has any other provider a claim to send by
	case f.FromUpstream:
		return f.Class.Policy().FallsOver || f.UnsupportedHere || credentialCodes[f.Code]
	default:
		return f.UnsupportedHere || f.Status >= http.StatusInternalServerError || f.Class == Throttle
	}
}

// AtProvider reports whether f is the provider's: what it has answered, that it has not, or
// that it could not be asked. What the gateway rejects by itself says nothing of a provider, nor does a client that leaves.
func (f *Failure) AtProvider() bool {
	switch f.Code {
	case CodeTimeout, CodeUnreachable, CodeMalformed, CodeTruncated, CodeResponseTooLarge, CodeRedirect, CodeBadSignature,
		CodeTokenUnavailable, CodeSigningFailed, CodeUnsupported:
		return true
	}
	return f.FromUpstream
}

// OverBudget reports whether the tenant's budget does not permit the call.
func (f *Failure) OverBudget() bool { return f.Code == CodeTenantBudget && !f.FromUpstream }

// Result is what the end of a call means to the provider's breaker; f is nil for
// an answer.
func (f *Failure) Result() failover.Result {
	if f == nil {
		return failover.Success
	}
	return f.Class.Policy().Breaker
}

// Reason is a word for f, for X-Alipayai-Reason and metrics: one of the
// gateway's own codes, or what the upstream's code means.
func (f *Failure) Reason() string {
	switch {
	case !f.FromUpstream:
		return f.Code
	case f.Class == Fail && f.UnsupportedHere && f.Model != ModelTaken:
		return CodeModelNotFound
	case f.Class == Fail && !f.UnsupportedHere:
		return policies[RefreshToken].Reason
	default:
		return f.Class.Policy().Reason
	}
}
