package failure

import (
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Codes of the gateway's own failures, beside the upstreams' codes.
const (
	CodeTimeout             = "upstream_timeout"
	CodeUnreachable         = "upstream_unreachable"
	CodeMalformed           = "upstream_malformed_response"
	CodeTruncated           = "upstream_truncated_response"
	CodeResponseTooLarge    = "upstream_response_too_large"
	CodeBuffersFull         = "buffers_full"
	CodeRedirect            = "upstream_redirect"
	CodeBadSignature        = "invalid_response_signature"
	CodeTokenUnavailable    = "token_unavailable"
	CodeSigningFailed       = "signing_failed"
	CodeNotSigned           = "not_signed"
	CodeRateLimit           = "rate_limit_unavailable"
	CodeProviderUnavailable = "provider_unavailable"
	CodeModelNotFound       = "model_not_found"
	CodeUnknownURL          = "unknown_url"
	CodeMethodNotAllowed    = "method_not_allowed"
	CodeRequestTooLarge     = "request_too_large"
	CodeRequestUnreadable   = "request_unreadable"
	CodeContentType         = "unsupported_content_type"
	CodeClientGone          = "client_gone"
	CodeBreakerOpen         = "breaker_open"
	CodeThrottled           = "upstream_throttled"
	CodeUnsupported         = "unsupported_parameter"
	CodeAllProvidersFailed  = "all_providers_failed"
	// CodeResidencyUnavailable: none that may see the call, by its tenant's residency, is there to serve it.
	CodeResidencyUnavailable = "residency_unavailable"
	CodeInvalidAPIKey        = "invalid_api_key"
	CodeTenantBudget         = "tenant_budget"
	CodeBudgetUnavailable    = "budget_unavailable"
	CodePriceUnknown         = "price_unknown"
	CodeGateway              = "gateway_error"

	// CodeAuthorisationRequired says that a call's user has to give its consent first.
	CodeAuthorisationRequired = "authorisation_required"
	CodeConsentNotFound       = "consent_not_found"
	CodeConsentUnavailable    = "consent_unavailable"

	// CodePreviousResponseNotFound is the code of OpenAI's API for a request that goes on from what is not there.
	CodePreviousResponseNotFound = "previous_response_not_found"
	CodeResponseInProgress       = "response_in_progress"
	CodeResponseStoreUnavailable = "response_store_unavailable"

	CodeModerationBlocked     = "moderation_blocked"
	CodeModerationUnavailable = "moderation_unavailable"
	// CodeBlockedBefore is why a provider was not asked that has blocked the same request: a client gets what it said then.
	CodeBlockedBefore = "blocked_before"

	CodeInvalidIdempotencyKey  = "invalid_idempotency_key"
	CodeIdempotencyInFlight    = "idempotency_in_flight"
	CodeIdempotencyUnresolved  = "idempotency_unresolved"
	CodeIdempotencyReused      = "idempotency_key_reused"
	CodeIdempotencyUnavailable = "idempotency_unavailable"
)

// own are the gateway's own codes and those of OpenAI's error form that it
// answers itself; as metric labels they are safe.
var own = set(
	CodeTimeout, CodeUnreachable, CodeMalformed, CodeTruncated, CodeResponseTooLarge, CodeBuffersFull, CodeRedirect, CodeBadSignature,
	CodeTokenUnavailable, CodeSigningFailed, CodeNotSigned, CodeRateLimit, CodeProviderUnavailable, CodeModelNotFound,
	CodeUnknownURL, CodeMethodNotAllowed, CodeRequestTooLarge, CodeRequestUnreadable, CodeContentType, CodeClientGone,
	CodeBreakerOpen, CodeThrottled, CodeUnsupported, CodeAllProvidersFailed, CodeResidencyUnavailable, CodeInvalidAPIKey,
	CodeModerationBlocked, CodeModerationUnavailable, CodeBlockedBefore, CodeBudgetUnavailable, CodePriceUnknown, CodeGateway,
	CodeAuthorisationRequired, CodeConsentNotFound, CodeConsentUnavailable,
	CodePreviousResponseNotFound, CodeResponseInProgress, CodeResponseStoreUnavailable,
	CodeInvalidIdempotencyKey, CodeIdempotencyInFlight, CodeIdempotencyUnresolved, CodeIdempotencyReused, CodeIdempotencyUnavailable,
	wire.CodeInvalidJSON, wire.CodeDuplicateKey, wire.CodeNestingTooDeep, wire.CodeMissingParameter, wire.CodeInvalidType,
	wire.CodeEmptyString, wire.CodeEmptyArray, wire.CodeUnknownParameter, wire.CodeInvalidValue,
	"", // a success
)

// limits are the reasons for which a limit rejects a call.
var limits = set(
	string(limiter.QueueFull), string(limiter.QueueDeadline), string(limiter.ClientGone), string(limiter.Draining),
	string(limiter.TenantRequests), string(limiter.TenantTokens), string(limiter.TenantConcurrency),
	CodeTenantBudget,
)

func set(codes ...string) map[string]bool {
	s := make(map[string]bool, len(codes))
	for _, code := range codes {
		s[code] = true
	}
	return s
}

// IsRejection reports whether code is the gateway's own reason to reject a
// call: no upstream was asked.
func IsRejection(code string) bool { return limits[code] || code == CodeThrottled }

// Known gives code if the gateway knows it and "other" if not, so that an
// upstream cannot choose the labels of a metric.
func Known(code string) string {
	if _, ok := classes[code]; ok || credentialCodes[code] || own[code] || limits[code] {
		return code
	}
	if _, ok := kinds[code]; ok || statusNumber(code) != 0 {
		return code
	}
	if _, ok := finishReasons[code]; ok {
		return code
	}
	return "other"
}
