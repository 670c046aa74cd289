package failure

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// phrased is what a message under this status says by one of the phrases; empty for nothing. means is the status that it means, where
// that is another one than the vendor's; else 0. wait is how long it is said to wait elsewhere than in the message, or 0.
func phrased(status int, message string, wait time.Duration) (class Class, means int) {
	if ofRequest(status) {
		if policyName.MatchString(strings.ToLower(message)) {
			return Blocked, 0
		}
		message = begun(message)
		for _, s := range sentences {
			if s.begins.MatchString(message) && !(s.class == Throttle && isOfSize(message, wait)) {
				return s.class, s.means
			}
		}
		return "", 0
	}
	said := message
	message = unquoted(said)
	for phrase, class := range phrases {
		if strings.Contains(message, phrase) {
			return class, 0
		}
	}
	switch {
	case isExhausted(status, message, wait):
		return AccountExhausted, 0
	case status == http.StatusForbidden && concurrentWords.MatchString(begun(said)):
		return Throttle, http.StatusTooManyRequests
	}
	return "", 0
}

// ofRequest reports whether a failure with this status is of what is asked, and not of who asks: its message may have words of the
// client's, in quotes and without them. So is one of which nothing says whose it is.
func ofRequest(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, 0:
		return true
	}
	return false
}

// policyName is LiteLLM's name for what Azure and others have filtered, under 400, whatever words come after it.
var policyName = regexp.MustCompile(`^(?:litellm\.)?(?:badrequesterror: )?litellm\.contentpolicyviolationerror\b`)

// sentences are what a message begins with, in lower case, under a status of what is asked, where the vendor's code says nothing
// of it. A short one is the whole sentence: a client's word that a message begins with goes on.
var sentences = []struct {
	begins *regexp.Regexp
	class  Class
	means  int // the status that it means, where the vendor's says that the request is at fault, which it is not; else 0
}{
	// Anthropic's of the account: https://github.com/anthropics/claude-code/issues/66314, 2127 and 1047.
	{regexp.MustCompile(`^your credit balance is too low\b`), AccountExhausted, 0},
	{regexp.MustCompile(`^you have reached your specified (?:workspace )?api usage limits\b`), AccountExhausted, 0},
	// And of what its model has said, under 400 or half-way in a stream: https://github.com/anthropics/claude-code/issues/58367.
	{regexp.MustCompile(`^output blocked by content filtering policy\b`), Blocked, 0},
	// An empty account in any vendor's words: DeepSeek's 402, which LiteLLM makes a 400, Novita's
	// (https://github.com/experientiallabs/experiential/pull/993), and those of https://github.com/diegosouzapw/OmniRoute/pull/10116
	// and https://github.com/Tongyi-MAI/Z-Image/issues/44. Another proxy's budget, and DeepSeek's of what it may not hear.
	{regexp.MustCompile(`^(?:(?:you have|you've|(?:your|the) account has|user has) )?(?:insufficient|not enough) (?:account )?(?:balance|credits?|quota)(?:$|[.,;(]| (?:to|for|in|available)\b)`), AccountExhausted, 0},
	{regexp.MustCompile(`^budget has been exceeded!`), AccountExhausted, 0},
	{regexp.MustCompile(`^content exists risk(?:$|[.(])`), Blocked, 0},
	// Keys, with the code of any bad request: xAI's (https://github.com/continuedev/continue/issues/10778), and Google's where its
	// details have been left out.
	{regexp.MustCompile(`^incorrect api key provided(?:$|[:.])`), RefreshToken, 0},
	{regexp.MustCompile(`^api key not valid\. please pass a valid api key`), RefreshToken, 0},
	{regexp.MustCompile(`^api key expired\. please renew the api key`), RefreshToken, 0},
	// Azure's filter, whose code gateways leave out, and OpenAI's policy.
	{regexp.MustCompile(`^the response was filtered due to the prompt triggering (?:azure openai|microsoft|content management)`), Blocked, 0},
	{regexp.MustCompile(`^invalid prompt: your prompt was flagged\b`), Blocked, 0},
	{regexp.MustCompile(`^the request was rejected because it was considered high risk`), Blocked, 0}, // Moonshot
	// xAI's, in a stream: https://github.com/NousResearch/hermes-agent/pull/28111.
	{regexp.MustCompile(`^you have either run out of available resources or do not have an active grok subscription\b`), AccountExhausted, 0},
	{regexp.MustCompile(`^content violates usage guidelines\b`), Blocked, 0},
	// Anthropic's of a subscription's credits: https://github.com/NousResearch/hermes-agent/pull/11736.
	{regexp.MustCompile(`^you're out of extra usage\b`), AccountExhausted, 0},
	// Spark's of an app that has no grant, or has used its own up, under 200 (https://github.com/log159/LogChat/issues/2).
	{regexp.MustCompile(`^appidnoautherror:`), AccountExhausted, 0},
	// OpenAI's words, and others', where an aggregator sends the message of an error alone
	// (https://github.com/apache/rocketmq-dashboard/issues/2178).
	{regexp.MustCompile(`^(?:you(?:'ve| have)? exceeded your current quota\b|quota (?:has been )?exceeded(?:$|[.,(]))`), AccountExhausted, 0},
	{regexp.MustCompile(`^you(?:'ve| have)? (?:reached|exceeded|hit) your (?:\w+ )?usage limit\b`), AccountExhausted, 0}, // Ollama
	{regexp.MustCompile(`^(?:in|out)put new_sensitive\b`), Blocked, 0},                                                   // see newSensitive
	// UCloud's and Baidu's, with the code of a bad request: api_doc/common/error-code.md of UCloudDoc-Team/modelverse.
	{regexp.MustCompile(`^sensitive (?:chat messages|check error)(?:$|[.,(])`), Blocked, 0},

	// Limits: Xiaomi's (https://github.com/diegosouzapw/OmniRoute/pull/4986), and Qwen's and Amazon's in place of an answer, which
	// gateways put into a choice (https://github.com/ranxianglei/billion-context-pi/issues/169).
	{regexp.MustCompile(`^detected high-frequency non-compliant requests from you\b`), Throttle, http.StatusTooManyRequests},
	{regexp.MustCompile(`^throttling(?:$|[.:])`), Throttle, http.StatusTooManyRequests},
	{regexp.MustCompile(`^(?:the )?rate limit (?:has been )?(?:exceeded|reached)(?:$|[.,:(]| for\b)`), Throttle, http.StatusTooManyRequests},
	{regexp.MustCompile(`^too many (?:concurrent )?requests(?:$|[.,(])`), Throttle, http.StatusTooManyRequests},
	{regexp.MustCompile(`^too many tokens, please wait before trying again\b`), Throttle, http.StatusTooManyRequests},

	// What serves the model is not there for now, and was not asked: NVIDIA's (https://github.com/tashfeenahmed/freellmapi/issues/522,
	// https://github.com/diegosouzapw/OmniRoute/issues/8248) and LM Studio's (https://github.com/continuedev/continue/issues/10150,
	// https://github.com/charmbracelet/crush/issues/2546).
	{regexp.MustCompile(`^function id '[^']*'?: degraded function cannot be invoked\b`), Retry, http.StatusServiceUnavailable},
	{regexp.MustCompile(`^failed to load model "`), Retry, http.StatusServiceUnavailable},
	// What was asked has failed, which aggregators pass on as a refusal (https://github.com/ENTERPILOT/GoModel/pull/607,
	// https://github.com/theopenco/llmgateway/pull/3012), and LM Studio's of a model that fell over (https://github.com/aaif-goose/goose/issues/4549).
	{regexp.MustCompile(`^(?:error from provider \([^)]*\): )?upstream request failed\.?$`), Retry, http.StatusBadGateway},
	{regexp.MustCompile(`^temporary routing error\b`), Retry, http.StatusBadGateway},
	{regexp.MustCompile(`^the model has crashed without additional information\b`), Retry, http.StatusBadGateway},
}

// isOfSize reports whether a message, in lower case, is of how much one request may hold: no wait makes room for more, whichever words
// for many requests it begins with. Google's is "at most 100 requests can be in one batch" (https://github.com/weaviate/weaviate/issues/11275).
// What counts in a time, or waits, is a rate: "Number of request tokens has exceeded your per-minute rate limit" is Anthropic's
// (https://github.com/cline/cline/issues/42).
func isOfSize(message string, wait time.Duration) bool {
	return sizeWords.MatchString(message) && !rateWords.MatchString(message) && cmp.Or(wait, saidWait(message)) == 0
}

var sizeWords = regexp.MustCompile(`\b(?:per|in|into) (?:a |an |one |each |the |this |more )?(?:single )?(?:submitted )?` +
	`(?:batch(?:es)?|request|api call|input|payload|body|array|prompt)(?:$|[^\w\s-])`)

// phrases are what only the message says under a code that says nothing of it, in lower case, where the status is of who asks or of
// the server. None holds two of them.
var phrases = map[string]Class{
	"credit balance is too low":                      AccountExhausted, // Anthropic's
	"you have reached your specified api usage limi": AccountExhausted,
	"specified workspace api usage limits":           AccountExhausted,
	// MiniMax's is under 500 api_error (https://github.com/MiniMax-AI/MiniMax-M2/issues/62).
	"insufficient balance":      AccountExhausted,
	"budget has been exceeded!": AccountExhausted, // LiteLLM's
	// OpenRouter's, under 403.
	"key limit exceeded":                             AccountExhausted,
	"requires moderation and your input was flagged": Blocked,
	// And of the account's guardrails: https://www.developersdigest.tech/errors/api/openrouter/403-permission-denied.
	"request blocked: prompt injection": Blocked,
	// xAI's, under 403 and 429 with a code of many words: https://github.com/openclaw/openclaw/pull/117341,
	// https://github.com/continuedev/continue/issues/12670, https://github.com/Wei-Shaw/sub2api/issues/4069.
	"run out of credits":          AccountExhausted,
	"need a grok subscription":    AccountExhausted,
	"an active grok subscription": AccountExhausted,
	"doesn't have any credits":    AccountExhausted,
	"used all available credits":  AccountExhausted,
	usageGuidelines:               Blocked, // https://github.com/stanford-crfm/helm/pull/3770
	// Fireworks', under 412: https://docs.fireworks.ai/guides/inference-error-codes.
	"reaching the monthly spending limit": AccountExhausted,
	// Moonshot's of a subscription, under 403 permission_error: https://github.com/NanmiCoder/cc-haha/issues/1208.
	"usage limit for this billing cycle":         AccountExhausted,
	"output blocked by content filtering policy": Blocked,
	newSensitive: Blocked, sensitiveWords: Blocked,
}

// newSensitive is MiniMax's of what goes in or comes out, "input new_sensitive (1026)", under 422 and under 500 api_error
// (https://github.com/NousResearch/hermes-agent/issues/32421, and CLIProxyAPI's handlers make a 400 of the latter).
const newSensitive = "put new_sensitive"

// sensitiveWords is new-api's, and that of gateways made of it, under 500 and without its code
// (https://github.com/NousResearch/hermes-agent/pull/100113).
const sensitiveWords = "sensitive words detected"

// usageGuidelines is xAI's of what it may not hear. It charges each such request: https://docs.x.ai/developers/models
// (usage guidelines violation fee).
const usageGuidelines = "content violates usage guid"

// What is used up comes back when somebody pays, or a plan's window ends: no call waits for that, and the vendor's words for it
// are the operator's. Most vendors say it under the statuses of limits and of permissions, with a code for those, and in words of
// their own. Collections of them, with tests: agent/error_classifier.py of https://github.com/NousResearch/hermes-agent
// (pull/93455) and packages/ai/src/error/rate-limit.ts of https://github.com/can1357/oh-my-pi.
var (
	// spentWords are of money, and of the quota of a plan, in lower case.
	spentWords = regexp.MustCompile(`\bspend(?:ing)?[ -](?:limit|cap)\b` + // Gemini, xAI, Anthropic: https://github.com/continuedev/continue/issues/10373
		`|\b(?:billing (?:hard )?|hard )limit\b` +
		`|\b(?:out of|insufficient|not enough|available) (?:account )?(?:credits?|balance|funds)\b` + // OpenRouter
		`|\b(?:credits?|balance|funds) (?:is |are |has been |have been )?(?:depleted|exhausted|used up|too low|insufficient)\b` + // Gemini: https://github.com/dyad-sh/dyad/issues/3626
		`|\baccount\b.{0,40}\b(?:overdue|in arrears)\b|\boverdue (?:balance|payment)\b` + // Volcengine Ark, Baidu
		// MiniMax, Ollama, Mistral and ChatGPT's: https://github.com/MiniMax-AI/MiniMax-M2.7/issues/36,
		// https://github.com/NousResearch/hermes-agent/pull/68832, https://github.com/code-yeongyu/senpi/issues/1969.
		`|\busage (?:limit|quota)` +
		// Quotas of gateways: https://github.com/14790897/MiqroForge-Desktop/issues/1190, and Higress's and those made of it
		// (plugins/wasm-go/extensions/ai-quota of higress-group/higress).
		`|\b(?:token|consumer) quota exhausted\b|\bno (?:quota|token|cost) left\b|\b(?:no|insufficient) (?:user )?quota(?:$|[.,;])` +
		// xAI's of a plan that is free: https://github.com/Wei-Shaw/sub2api/issues/4568.
		`|\bused (?:up )?all (?:of )?(?:the |your )?(?:\w+ ){0,2}usage\b` +
		`|\b(?:weekly|monthly)\b.{0,20}\b(?:limit|quota|cap|credits)\b` + // Hugging Face, Volcengine Ark: https://github.com/anomalyco/opencode/issues/44099
		`|(?:/|\bper) ?month\b` + // Cohere's "limited to 1000 API calls / month"
		`|\bout of call volume quota\b` + // Azure's API management, before whichever of its APIs
		// Balances, bills, quotas and packs of tokens, in Chinese: https://github.com/can1357/oh-my-pi/pull/4575, the errors of
		// Tencent's Hunyuan (https://cloud.tencent.com/document/api/1729/101838), one-api and new-api.
		`|余额不足|欠费|额度.{0,4}(?:不足|用尽|用完|耗尽)|配额.{0,4}(?:用尽|用完|耗尽)|资源包.{0,6}(?:用尽|用完|耗尽)|使用.{0,12}上限`)
	// rateWords are of limits that end by themselves within a minute, which vendors word like the others.
	// Fireworks' "usage limits" are of what comes at once: https://github.com/GordeyZuev/LEAP/issues/6.
	rateWords = regexp.MustCompile(`(?:/|\bper)[ -]?(?:second|sec|minute|min)\b|\b[rt]p[ms]\b|\bconcurren|\bin-flight requests\b|\busage limits\. please try again later\b` +
		`|每分钟|每秒|并发|速率|频率`)
	// concurrentWords begin a message of a limit on calls at once where a vendor has a permission refused for it, as Kimi's plans do
	// (https://github.com/Wei-Shaw/sub2api/issues/6955, https://github.com/ros-claw/rosclaw/pull/560).
	concurrentWords = regexp.MustCompile(`^you(?:'ve| have) (?:reached|exceeded) your concurren(?:t|cy)(?: requests?)? limit\b`)
	// noQuota is Google's of a model that the account may not call at all without paying, whatever it says to wait
	// (https://github.com/google-gemini/gemini-cli/issues/8437 has the words with another limit).
	noQuota = regexp.MustCompile(`free_tier_\w+, limit: 0\b`)
	// dayWords are of limits of a day, which are no plan's and end by themselves, but within no call: https://github.com/can1357/oh-my-pi
	// has OpenRouter's "free-models-per-day", and Amazon's is "Too many tokens per day".
	dayWords = regexp.MustCompile(`(?:/|\bper)[ -]?day\b|\bdaily\b.{0,16}\b(?:limit|quota|allocation)\b|\bper 86400s\b|今日|每日|每天`)
)

// isExhausted reports whether a message says that an account has nothing left. Only statuses of who asks count, and not those of
// what is asked: a refusal of a request quotes it. What comes back within a minute is not used up.
func isExhausted(status int, message string, wait time.Duration) bool {
	if status == http.StatusTooManyRequests && noQuota.MatchString(message) {
		return true
	}
	if wait = cmp.Or(wait, saidWait(message)); 0 < wait && wait < maxRetryAfter {
		return false
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return spentWords.MatchString(message) && !rateWords.MatchString(message)
	}
	return false
}

// ofField is what validators say after the name of a field, which the client chooses, as Anthropic's does:
// https://github.com/amrit110/oli/issues/7, https://github.com/anthropics/claude-code/issues/4378.
var ofField = regexp.MustCompile(`: (?:extra inputs are not permitted|field required|input (?:should|tag)\b|value error, )`)

// quotesRequest reports whether a refusal says which part of the request it is of, or that it is of the model. Its message then has
// words of the client's, which say nothing of the account.
func quotesRequest(status int, code string, f *wire.Failure) bool {
	if status == http.StatusForbidden { // which names the model that the account may not use
		return modelRefused(status, code, f) != ModelTaken
	}
	return ofRequest(status) && (f.Param != "" || ofField.MatchString(strings.ToLower(f.Message)) || modelRefused(status, code, f) != ModelTaken)
}

// limitedByDay reports whether a message says that the limit of a day is used up.
func limitedByDay(message string) bool { return dayWords.MatchString(strings.ToLower(message)) }

// tokenLimit is the part of DashScope's page of errors that a message refers to where its limit on tokens in a minute is meant,
// in OpenAI's code and words for an empty account: https://github.com/can1357/oh-my-pi/issues/8496.
const tokenLimit = "error-code#token-limit"

// accountPhrases are what refusals of an account, its key or its address begin with, in lower case, with the status that they
// count under; 0 for any.
var accountPhrases = map[string]int{
	// Azure's, of an address that the operator has not let in.
	"access denied due to virtual network/firewall rules": http.StatusForbidden,
	// OpenRouter's, of the account's settings: https://github.com/ShamanicArts/Flow.Launcher.Plugin.AI-Assistant/issues/2,
	// https://github.com/truefoundry/models/pull/826.
	"no endpoints found matching your data policy":   http.StatusNotFound,
	"no endpoints available matching your guardrail": http.StatusNotFound,
	// OpenAI's: https://github.com/continuedev/continue/issues/8209.
	"your organization must be verified": 0,
	// Anthropic's.
	"this organization has been disabled": 0,
	"your organization has been disabled": 0,
	// Ollama's, of its larger models.
	"this model requires a subscription": http.StatusForbidden,
	// Cloudflare's: src/content/docs/workers-ai/platform/errors.mdx of cloudflare/cloudflare-docs.
	"the account is not allowed to access this model": http.StatusForbidden,
	"user has not agreed to":                          http.StatusForbidden,
	"service unavailable for account":                 http.StatusForbidden,
	// xAI's of a grant that has ended: https://github.com/lingxiaoyiyu-hub/grok-register-win/issues/4.
	"access to the chat endpoint is denied": http.StatusForbidden,
	// Higress's plugins for keys and quotas: https://github.com/higress-group/higress/issues/3141. Others' policies refuse what is asked
	// in the same words.
	"request denied by ai quota check":   http.StatusForbidden,
	"request denied by key auth check":   http.StatusForbidden,
	"request denied by basic auth check": http.StatusForbidden,
	// UCloud's: api_doc/common/error-code.md of UCloudDoc-Team/modelverse.
	"no permission to use the model": 0,
}

// keyLacksModel is what gateways say of a model that a key of theirs may not ask for, under 400, where another key may
// (https://github.com/open-ace/open-ace/pull/2003).
var keyLacksModel = regexp.MustCompile(`^model \S+ is not available for this api key\b`)

// refusesAccount reports whether a refusal is of the gateway's account, its key or its address, by what is said without a code of
// its own for that: by one of the phrases, or by nothing at all, as what stands before an API answers in HTML
// (https://github.com/alvinunreal/oh-my-opencode-slim/issues/511, https://github.com/AgnesAI-Labs/AgnesAI-Models/issues/119).
func refusesAccount(status int, code, message string) bool {
	if message = begun(message); ofField.MatchString(message) {
		return false
	}
	for phrase, under := range accountPhrases {
		if strings.HasPrefix(message, phrase) && (under == 0 || under == status) {
			return true
		}
	}
	switch {
	case keyLacksModel.MatchString(message):
		return true
	case status == http.StatusProxyAuthRequired: // of a proxy on the gateway's own way out
		return true
	case status != http.StatusForbidden:
		return false
	case code == "model_not_found": // OpenAI's "Project .. does not have access to model .."
		return true
	}
	switch message {
	case "", "forbidden", "403 forbidden", "the provider answered forbidden": // which is what the gateway says of no words
		return code == ""
	}
	return message == "request not allowed" // Anthropic's of a place: https://github.com/memovai/mimiclaw/issues/162
}
