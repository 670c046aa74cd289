package failure

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// kind is what a vendor of models means by a word, whether it sends it as code or as type.
type kind struct {
	class Class
	// status is the HTTP status that belongs to it.
	status int
	// vague says that vendors send the word with statuses that say more: OpenAI and
	// DeepSeek have the type invalid_request_error with 401, 402, 404 and 429.
	vague bool
}

// decidesOver reports whether the word says more than the answer's status.
func (k kind) decidesOver(status int) bool {
	switch {
	case !k.vague || status < http.StatusBadRequest:
		return true
	case k.class == Fail:
		return false
	default: // a fault of the server's: 401 to 499 say more
		return status == http.StatusBadRequest || status >= http.StatusInternalServerError
	}
}

var (
	throttled   = kind{class: Throttle, status: http.StatusTooManyRequests}
	exhausted   = kind{class: AccountExhausted, status: http.StatusPaymentRequired}
	unavailable = kind{class: Retry, status: http.StatusServiceUnavailable}
	broken      = kind{class: Retry, status: http.StatusInternalServerError}
	faulty      = kind{class: Retry, status: http.StatusInternalServerError, vague: true}
	tooLate     = kind{class: Retry, status: http.StatusGatewayTimeout}
	censored    = kind{class: Blocked, status: http.StatusForbidden}
	badKey      = kind{class: RefreshToken, status: http.StatusUnauthorized}
	forbidden   = kind{class: Fail, status: http.StatusForbidden, vague: true}
	badRequest  = kind{class: Fail, status: http.StatusBadRequest, vague: true}
	notFound    = kind{class: Fail, status: http.StatusNotFound, vague: true}
)

// CodePaymentRequired is OpenRouter's word for an account without credits. So goes a demand for payment (see
// upstream.AsksForPayment) that the client cannot read, whatever its body says: it asks the gateway's own account to pay.
const CodePaymentRequired = "payment_required"

// codeInvalidPrompt is OpenAI's code for a prompt that its policy forbids; as OpenRouter's type beside a status it is a message that
// is not well formed (https://openrouter.ai/docs/api/reference/errors-and-debugging).
const codeInvalidPrompt = "invalid_prompt"

// kinds are the words that mean the same at whichever vendor; those of one vendor
// alone that could be another's are with its profile. testdata/recorded.json
// has them as they were recorded, with the sources.
var kinds = map[string]kind{
	// Anthropic. "overloaded_error" and the like are what others copy.
	"overloaded_error": {class: Retry},
	"api_error":        {class: Retry, vague: true},
	"timeout_error":    tooLate,
	"rate_limit_error": throttled,
	"billing_error":    exhausted,
	// The cap of the tier for a month, as error.details.error_code beside rate_limit_error:
	// https://www.developersdigest.tech/errors/api/anthropic-api/429-enforced-spend-limit-reached.
	"enforced_spend_limit_reached": exhausted,
	"credits_required":             exhausted, // of a model, likewise: https://github.com/code-yeongyu/senpi/pull/484
	"authentication_error":         badKey,
	"not_found_error":              notFound,
	"invalid_request_error":        badRequest,

	// OpenAI and Azure.
	"content_filter":           censored,
	"content_policy_violation": censored,
	codeInvalidPrompt:          censored,
	"moderation_blocked":       censored,
	// Google's, beside those that are finish reasons as well: https://ai.google.dev/gemini-api/docs/api-errors.
	"content_blocked": censored, "language": censored, "image_other": censored,
	"censorship_blocked":         censored, // StepFun's, under 451
	"rate_limit_exceeded":        throttled,
	"requests":                   throttled,
	"tokens":                     throttled,
	"slow_down":                  unavailable,
	"insufficient_quota":         exhausted,
	"billing_hard_limit_reached": exhausted,
	"billing_not_active":         exhausted,
	// Of limits that the account has set itself, and of its credits: https://developers.openai.com/api/docs/guides/error-codes.
	"credit_balance_exhausted":          exhausted,
	"organization_spend_limit_exceeded": exhausted,
	"project_spend_limit_exceeded":      exhausted,
	"organization_usage_limit_exceeded": exhausted,
	"server_error":                      faulty,
	"engine_overloaded":                 unavailable,
	"server_is_overloaded":              unavailable,
	"model_at_capacity":                 unavailable,
	"invalid_api_key":                   badKey,
	"model_not_found":                   notFound,
	"context_length_exceeded":           badRequest,

	// OpenRouter (error.metadata.error_type, and words for code within streams). The reason is in its metadata: the credits are
	// reserved for calls that are under way, and come back as these end (https://github.com/NousResearch/hermes-agent/issues/102517).
	"in_flight_budget_exhausted": throttled,
	"provider_unavailable":       unavailable,
	"provider_overloaded":        unavailable,
	"provider_error":             unavailable,
	"upstream_error":             unavailable,
	"bad_gateway":                unavailable,
	"insufficient_credits":       exhausted,
	CodePaymentRequired:          exhausted,
	"request_timeout":            tooLate,
	"timeout":                    tooLate,
	"internal_server_error":      faulty,
	"internal_error":             faulty,

	// DeepSeek.
	"service_unavailable_error": unavailable,
	"service_unavailable":       unavailable,
	"insufficient_balance":      exhausted,

	// Qwen (DashScope), in its own form and in OpenAI's.
	"Throttling":                 throttled,
	"Throttling.RateQuota":       throttled,
	"Throttling.AllocationQuota": throttled,
	"Throttling.BurstRate":       throttled,
	"limit_requests":             throttled,
	"limit_burst_rate":           throttled,
	"Arrearage":                  exhausted,
	"AllocationQuota":            exhausted,
	"PrepaidBillOverdue":         exhausted,
	"PostpaidBillOverdue":        exhausted,
	"CommodityNotPurchased":      exhausted,
	"DataInspectionFailed":       censored,
	"data_inspection_failed":     censored,
	"InternalError":              faulty,
	"InternalError.Algo":         broken,
	"InternalError.Timeout":      tooLate,
	"RequestTimeOut":             tooLate,
	"ResponseTimeout":            tooLate,
	"SystemError":                broken,
	"ModelServiceFailed":         broken,
	"ModelServingError":          broken,
	"ModelUnavailable":           unavailable,
	"ServiceUnavailable":         unavailable,
	"InvalidApiKey":              badKey,
	"AccessDenied":               forbidden,
	"InvalidParameter":           badRequest,
	"invalid_parameter_error":    badRequest,

	// xAI has the descriptions of gRPC's statuses, as Rust's tonic words them (tonic/src/status.rs of hyperium/tonic):
	// https://github.com/anomalyco/opencode/issues/1298, https://github.com/openclaw/openclaw/pull/117341.
	"Some resource has been exhausted":                                       throttled,
	"The service is currently unavailable":                                   unavailable,
	"Internal error":                                                         faulty,
	"Deadline expired before operation could complete":                       tooLate,
	"The request does not have valid authentication credentials":             badKey,
	"The caller does not have permission to execute the specified operation": forbidden,
	"Client specified an invalid argument":                                   badRequest,
	"Some requested entity was not found":                                    notFound,

	// Mistral.
	"rate_limited":                   throttled,
	"service_tier_capacity_exceeded": throttled,

	// Moonshot.
	"rate_limit_reached_error":       throttled,
	"engine_overloaded_error":        unavailable,
	"exceeded_current_quota_error":   exhausted,
	"invalid_authentication_error":   badKey,
	"resource_not_found_error":       notFound,
	"permission_denied_error":        forbidden,
	"insufficient_balance_error":     exhausted,
	"insufficient_user_quota":        exhausted, // one-api and new-api
	"pre_consume_token_quota_failed": exhausted,
	// new-api's, under 500 or whichever status: types/error.go and controller/relay.go of QuantumNous/new-api. For the last it takes
	// a fee each time, as xAI does that stands behind it.
	"sensitive_words_detected": censored,
	"prompt_blocked":           censored,
	"violation_fee.grok.csam":  censored,

	// vLLM and SGLang, whose types are the names of Python's exceptions.
	"BadRequestError":          badRequest,
	"BadRequest":               badRequest,
	"NotFoundError":            notFound,
	"InternalServerError":      faulty,
	"ServiceUnavailableError":  unavailable,
	"RateLimitError":           throttled,
	"AuthenticationError":      badKey,
	"UnprocessableEntityError": badRequest,

	// Google, whose words are those of gRPC.
	"RESOURCE_EXHAUSTED":  throttled,
	"UNAVAILABLE":         unavailable,
	"INTERNAL":            broken,
	"DEADLINE_EXCEEDED":   tooLate,
	"UNAUTHENTICATED":     badKey,
	"PERMISSION_DENIED":   forbidden,
	"INVALID_ARGUMENT":    badRequest,
	"FAILED_PRECONDITION": badRequest,
	"NOT_FOUND":           notFound,
	"ABORTED":             unavailable,
	// Reasons of its ErrorInfo: google/api/error_reason.proto of googleapis.
	"API_KEY_INVALID":         badKey,
	"ACCESS_TOKEN_EXPIRED":    badKey,
	"BILLING_DISABLED":        exhausted,
	"RATE_LIMIT_EXCEEDED":     throttled,
	"RESOURCE_QUOTA_EXCEEDED": exhausted,

	// LiteLLM.
	"throttling_error":            throttled,
	"auth_error":                  badKey,
	"budget_exceeded":             exhausted,
	"ContentPolicyViolationError": censored,
	"ContextWindowExceededError":  badRequest,

	// Groq: https://console.groq.com/docs/errors.
	"capacity_exceeded": unavailable,

	// Hugging Face TGI, as error_type: router/src/infer/mod.rs and router/src/server.rs of text-generation-inference.
	"overloaded":            unavailable,
	"generation":            broken,
	"incomplete_generation": broken,
	"validation":            badRequest,

	// Portkey: a guardrail has refused the request or the answer.
	"hooks_failed": censored,

	// Volcengine Ark: https://www.volcengine.com/docs/82379/1299023. What it refines, after a dot, is the same.
	"AccountOverdueError":               exhausted,
	"SetLimitExceeded":                  exhausted, // the operator's own limit, with which the model is paused
	"QuotaExceeded":                     exhausted,
	"AccountQuotaExceeded":              exhausted, // of a plan: https://github.com/anomalyco/opencode/issues/44099
	"OperationDenied.ServiceOverdue":    exhausted,
	"RateLimitExceeded":                 throttled,
	"AccountRateLimitExceeded":          throttled,
	"ModelAccountRpmRateLimitExceeded":  throttled,
	"ModelAccountTpmRateLimitExceeded":  throttled,
	"RequestBurstTooFast":               throttled,
	"ServerOverloaded":                  unavailable,
	"InternalServiceError":              broken,
	"SensitiveContentDetected":          censored,
	"InputTextSensitiveContentDetected": censored, "InputImageSensitiveContentDetected": censored, "InputVideoSensitiveContentDetected": censored,
	"OutputTextSensitiveContentDetected": censored, "OutputImageSensitiveContentDetected": censored, "OutputVideoSensitiveContentDetected": censored,
	"InputTextRiskDetection": censored, "InputImageRiskDetection": censored, "OutputTextRiskDetection": censored, "OutputImageRiskDetection": censored,

	// Amazon Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and CommonErrors.html.
	"ThrottlingException":           throttled,
	"ServiceQuotaExceededException": throttled,
	"ModelNotReadyException":        unavailable,
	"ServiceUnavailableException":   unavailable,
	"InternalServerException":       faulty,
	"ModelErrorException":           broken,
	"ModelStreamErrorException":     broken,
	"ModelTimeoutException":         tooLate,
	"ValidationException":           badRequest,
	"ResourceNotFoundException":     notFound,
	"ExpiredTokenException":         badKey,
	"UnrecognizedClientException":   badKey,
	"InvalidSignatureException":     badKey,

	// MiniMax: https://platform.minimax.io/docs/api-reference/errorcode.
	"base_resp.1000": broken, "base_resp.1013": broken, "base_resp.1024": broken, "base_resp.1033": broken,
	"base_resp.1001": tooLate,
	"base_resp.1002": throttled, "base_resp.1039": throttled, "base_resp.1041": throttled,
	"base_resp.1004": badKey, "base_resp.2049": badKey,
	"base_resp.1008": exhausted, "base_resp.2056": exhausted,
	"base_resp.1028": exhausted, "base_resp.1030": exhausted, "base_resp.2061": exhausted, // src/errors/api.ts of MiniMax-AI/cli
	"base_resp.1026": censored, "base_resp.1027": censored,
	"base_resp.1042": badRequest, "base_resp.2013": badRequest,

	// Baidu's Qianfan, in its first form: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh.
	"error_code.1": broken, "error_code.2": unavailable, "error_code.336000": broken, "error_code.336100": unavailable,
	"error_code.4": throttled, "error_code.18": throttled,
	"error_code.17": exhausted, "error_code.19": exhausted,
	"error_code.15": unavailable, // an app that could not be made, which a repeat mends
	"error_code.13": badKey, "error_code.14": badKey, "error_code.100": badKey, "error_code.110": badKey, "error_code.111": badKey,

	// The same codes in "code", with 336501 for a minute's requests, and the words that have come in their place, both under 200:
	// https://cloud.baidu.com/doc/WENXINWORKSHOP/s/hlzic283e and cm79w0mjf. Those of the request: ai-doc/WENXINWORKSHOP/tlmyncueh and
	// ai-doc/BML/Hkhzv1j2k of ai.baidu.com, https://github.com/baidubce/bce-qianfan-sdk/issues/866 and 576, and consts.py of that SDK.
	"rpm_rate_limit_exceeded": throttled, "tpm_rate_limit_exceeded": throttled,
	"336000": broken, "336100": unavailable,

	// Qianfan in OpenAI's form: https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w, and its plans:
	// https://github.com/farion1231/cc-switch/pull/2322.
	"unsafe_request":                   censored,
	"account_overdue":                  exhausted,
	"invalid_iam_token":                badKey,
	"coding_plan_hour_quota_exceeded":  exhausted,
	"coding_plan_week_quota_exceeded":  exhausted,
	"coding_plan_month_quota_exceeded": exhausted,
	"coding_plan_subscription_expired": exhausted,
	"coding_plan_not_subscribed":       exhausted,

	// Tencent's cloud, with what it refines after a dot, and its Hunyuan: tencentcloud/hunyuan/v20230901/errors.go of
	// tencentcloud-sdk-go, https://www.tencentcloud.com/document/api/1284/75543.
	"AuthFailure":                                badKey,
	"RequestLimitExceeded":                       throttled,
	"LimitExceeded":                              throttled,
	"InvalidParameterValue":                      badRequest,
	"ResourceUnavailable.InArrears":              exhausted,
	"ResourceUnavailable.LowBalance":             exhausted,
	"ResourceUnavailable.StopUsing":              exhausted,
	"ResourceInsufficient.ChargeResourceExhaust": exhausted,
	"FailedOperation.ResourcePackExhausted":      exhausted,
	"FailedOperation.FreeResourcePackExhausted":  exhausted,
	"FailedOperation.ServiceStop":                exhausted,
	"FailedOperation.ServiceStopArrears":         exhausted,
	"FailedOperation.EngineServerLimitExceeded":  throttled,
	"FailedOperation.EngineServerError":          broken,
	"FailedOperation.EngineRequestTimeout":       tooLate,
	"OperationDenied.TextIllegalDetected":        censored,
	"OperationDenied.ImageIllegalDetected":       censored,

	// Cerebras: https://inference-docs.cerebras.ai/support/error.
	"too_many_requests_error": throttled, "too_many_tokens_error": throttled,
	"token_quota_exceeded": throttled, "request_quota_exceeded": throttled, "queue_exceeded": throttled,

	// sub2api (https://github.com/Wei-Shaw/sub2api/issues/890) and Venice, and Together.
	"INSUFFICIENT_BALANCE": exhausted,
	"credit_limit":         exhausted,

	// ChatGPT's plans (https://github.com/code-yeongyu/senpi/issues/1969), Cline (https://github.com/cline/cline/pull/10207), and
	// what stands before LiteLLM (https://github.com/NousResearch/hermes-agent/pull/106427).
	"usage_limit_reached":      exhausted,
	"SPEND_LIMIT_EXCEEDED":     exhausted,
	"terminal_quota_exhausted": exhausted,

	// iFlytek's Spark, as the reason beside its sid: https://www.xfyun.cn/doc/spark/接口说明.html. 11200 is of a grant, or of one that
	// has been used up, and 11201 of a day.
	"sid.10003": badRequest, "sid.10004": badRequest, "sid.10005": badRequest, "sid.10163": badRequest, "sid.10907": badRequest,
	"sid.10006": throttled, "sid.10007": throttled, "sid.11201": throttled, "sid.11202": throttled, "sid.11203": throttled,
	"sid.10008": unavailable, "sid.10110": unavailable,
	"sid.10009": broken, "sid.10010": broken, "sid.10011": broken, "sid.10012": broken, "sid.10222": broken,
	"sid.10013": censored, "sid.10014": censored, "sid.10019": censored, "sid.10021": censored,
	"sid.10015": exhausted, "sid.10016": exhausted, "sid.11200": exhausted,

	// SiliconFlow: https://docs.siliconflow.cn/cn/faqs/error-code, https://github.com/CherryHQ/cherry-studio/issues/4541.
	"30001": exhausted,
	"50508": unavailable,
}

// qianfanRequest are Baidu's numbers of a request that it does not take, of its form, its parameters and its length, and qianfanLimit
// those of a rate; either may have been read of "code" or of "error_code".
var (
	qianfanRequest = regexp.MustCompile(`^(?:error_code\.)?336(?:0(?:0[1-35-9]|[1-9]\d)|10[1-9]|1[1-9]\d)$`)
	qianfanLimit   = regexp.MustCompile(`^(?:error_code\.)?33650\d$`)
)

// kindOf looks a word up. Qwen refines its own after a dot: Throttling.X is a
// Throttling whatever X is.
func kindOf(word string) (kind, bool) {
	if word == "" {
		return kind{}, false
	}
	if k, ok := kinds[word]; ok {
		return k, true
	}
	if n, ok := numbers[word]; ok {
		return n.kind, true
	}
	if class, ok := finishReasons[word]; ok {
		return kind{class: class}, true
	}
	if wire.FinishWord(word) == "content_filter" { // as Google's "prohibited_content": https://github.com/googleapis/js-genai/issues/1973
		return censored, true
	}
	switch {
	case qianfanRequest.MatchString(word):
		return kind{class: Fail, status: http.StatusBadRequest}, true
	case qianfanLimit.MatchString(word):
		return throttled, true
	}
	general, _, refined := strings.Cut(word, ".")
	if !refined {
		return kind{}, false
	}
	k, ok := kinds[general]
	return k, ok
}

// finishReasons are those of failures, in lower case: what there is of an answer was broken off. "error" is
// OpenRouter's, Mistral's and Cohere's, the second DeepSeek's, the third GLM's, the fourth vLLM's and SGLang's; the last are
// Google's of a call that its model has written wrong, of which nothing comes (https://github.com/coder/coder/pull/28470).
// The content beside "error_finish" is what went wrong, as Qwen's endpoints have it: packages/core/src/core/openaiContentGenerator/pipeline.ts
// of QwenLM/qwen-code.
// Others that are not known to be good are the client's to judge (see wire.EndingOf).
var finishReasons = map[string]Class{
	"error":                        Retry,
	wire.FinishErrorText:           Retry,
	"insufficient_system_resource": Retry,
	"network_error":                Retry,
	"abort":                        Retry,
	"function_call_filter":         Retry,
	"malformed_function_call":      Retry,
}
