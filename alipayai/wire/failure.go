package wire

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// What is kept of an upstream's words, in bytes. A hostile upstream must not fill logs and headers.
const (
	maxWord    = 128  // codes, types, parameters, finish reasons
	maxMessage = 1024 // messages
)

// StatusUnknown is the resultStatus of what may have executed, or not.
const StatusUnknown = "U"

// Failure is an upstream's error, in its own words: cut to 128 bytes, the message to 1 KiB, control characters dropped.
type Failure struct {
	// Code is the most specific code, as sent: a v2 sub_code rather than its code. Numbers are kept as text. It is empty
	// when the upstream gave none, as OpenAI does for some errors; Type then is what there is to go by.
	Code    string
	Message string
	Type    string // "type" of OpenAI's form
	Param   string // "param" of OpenAI's form
	// Reason is that of a google.rpc.ErrorInfo, which says more than Google's code and status: API_KEY_INVALID comes under 400; and
	// OpenRouter's in error.metadata, and Anthropic's error.details.error_code. Of iFlytek's Spark, whose codes are numbers, it is the
	// code with the name of what it has beside it: sid.10013 (https://www.xfyun.cn/doc/spark/X1http.html).
	Reason string
	// Daily says that the limit is one of a day, by a google.rpc.QuotaFailure (packages/core/src/utils/googleQuotaErrors.ts of
	// google-gemini/gemini-cli).
	Daily bool
	// Status is the resultStatus of an Antom or Alipay+ result: "F" failed, or [StatusUnknown]. Empty in other shapes.
	Status string
	// GatewayCode is the Open Platform v2 code (20000 service unavailable, 40004 business failure, ..) that Code refines
	// when there is a sub_code. Empty in other shapes.
	GatewayCode string
	// RequestID is by what the upstream's own logs know the call, where the body says so in a place that is known: see [AnswerFields].
	RequestID string
	// RetryAfter is how long the failure lasts, where the body says so in such a place, or as Google does, in error.details[] as a
	// google.rpc.RetryInfo: https://github.com/AtomicBot-ai/atomic-agent/issues/106; and as OpenRouter does, in error.metadata, by its
	// retry_after_seconds or among the headers that it quotes: https://github.com/NousResearch/hermes-agent/issues/102517. A week at
	// most; 0 where it is not said.
	RetryAfter time.Duration
	// ResetAt is when the limit is renewed, where OpenRouter has it, in error.metadata.headers, or others do: see errorWait.
	ResetAt time.Time
	// NotOfAPI says that the body is no JSON and has no words, as HTML or nothing: what stands before the API has answered.
	NotOfAPI bool
}

// BareCode is Code without the name spaces of Alipay Open Platform v2, which the same code does not have elsewhere:
// aop.ACQ.SYSTEM_ERROR and ACQ.SYSTEM_ERROR are SYSTEM_ERROR, isv.app-call-limited is v3's app-call-limited.
func (f Failure) BareCode() string {
	code := f.Code
	for _, space := range []string{"aop.", "isp.", "isv.", "ACQ."} {
		code = strings.TrimPrefix(code, space)
	}
	return code
}

// conclude decides, when all members have been seen, whether the answer is a failure.
//
// A top-level "code" alone does not make one: there are upstreams that wrap successes as {"code":200,"data":..}. It is a
// failure unless the code says success or the answer carries what was asked for, a non-empty array of choices or data:
// what has been generated was paid for, whatever stands beside it. Choices of which nothing has come are none.
// An empty "choices", a "data" that is null or an object of details, or an "object" member beside the code do not excuse
// it: {"code":"SYSTEM_ERROR","data":null} and the {"object":"error","code":400} of older vLLM releases are failures.
// FastAPI's "detail" and a list of "errors" are one likewise.
//
// Shapes may be mixed, as in {"error":"Bad Request","code":"..","message":".."}: what the nested form left out is taken
// from the top level.
func (e *envelope) conclude() {
	typeError := equals(e.typ, "error")
	if (typeError || e.isError) && e.payload != nil && e.Failure == nil {
		e.Failure = payloadFailure(e.payload)
	}
	if e.Failure == nil {
		e.Failure = e.choiceFailure
	}
	failedCode := isFailureCode(e.code) && !e.succeeded
	failed := !e.carries() && (failedCode || e.numbered != "" || isFilled(e.detail) || isFilled(e.errors))
	if e.Failure == nil {
		if !failed && !typeError && !e.isError && !e.hasError {
			return
		}
		e.Failure = new(Failure)
	}
	f := e.Failure
	if f.Code == "" && failedCode {
		f.Code = code(e.code)
	}
	if f.Code == "" {
		f.Code = cmp.Or(e.numbered, statusNumber(e.status), firstCode(e.errors))
	}
	if f.Code == "" && f.Type == "" && FinishWord(e.FinishReason) == contentFilter {
		f.Code = contentFilter
	}
	if e.ofSpark && f.Reason == "" && isFailureText(f.Code) {
		f.Reason = "sid." + f.Code // by numbers that mean something else elsewhere
	}
	if isStatusText(f.Message) { // {"statusCode":400,"error":"Bad Request","message":..}
		f.Message = cmp.Or(words(e.message), f.Message)
	}
	for _, v := range [...]jsontext.Value{e.message, e.detail, e.errors, e.said, e.title} {
		if f.Message == "" {
			f.Message = words(v)
		}
	}
	f.refine(quotedFailure(e.message))
	if f.Type == "" && e.typ.Kind() == '"' && !typeError {
		_, name, spaced := strings.Cut(code(e.typ), "#") // com.amazon.coral.service#ThrottlingException
		if f.Type = name; !spaced {
			f.Type = code(e.typ)
		}
	}
	if f.Param == "" && e.param.Kind() == '"' {
		f.Param = code(e.param)
	}
}

const contentFilter = "content_filter"

// PromptFiltered is what an answer reports that has no choices, since its prompt was filtered.
func PromptFiltered() *Failure {
	return &Failure{Code: contentFilter, Message: "the provider's filter has refused the prompt"}
}

// filters reports whether the results of Azure's filters, one for each prompt, say that one was filtered
// (https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter-annotations). Most say what was looked for and not found.
func filters(results jsontext.Value) bool {
	var prompts []struct {
		Results map[string]struct {
			Filtered bool `json:"filtered"`
		} `json:"content_filter_results"`
	}
	_ = json.Unmarshal(results, &prompts) // what is of another form says nothing
	for _, prompt := range prompts {
		for _, result := range prompt.Results {
			if result.Filtered {
				return true
			}
		}
	}
	return false
}

// filtered reads, of an answer whose status is that of a failure, why one of its choices has been filtered: Azure sends what a
// model of its foundry may not say as a completion under 400 (https://github.com/experientiallabs/experiential/pull/967). Under a
// success, its error may be that the filter did not run.
func (s *scanner) filtered(e *envelope) error {
	return s.eachMember(func(name []byte) error {
		if string(name) != "error" {
			_, err := s.skip()
			return err
		}
		f, err := s.errorMember(nil)
		if e.choiceFailure == nil {
			e.choiceFailure = f
		}
		return err
	})
}

// isStatusText reports whether text says no more than an HTTP status does.
func isStatusText(text string) bool {
	for status := http.StatusBadRequest; text != "" && status <= http.StatusNetworkAuthenticationRequired; status++ {
		if strings.EqualFold(http.StatusText(status), text) {
			return true
		}
	}
	return false
}

// carries reports whether the answer has what was asked for.
func (e *envelope) carries() bool {
	return e.HasChoices && (e.choices.begun == 0 || e.Content || e.FinishReason != "")
}

// isFailureCode reports whether v is a code and none of those that say success: 10000 is Open Platform v2's, SUCCESS is
// Antom's; 0, 200 and OK are what wrappers around other APIs send.
func isFailureCode(v jsontext.Value) bool {
	if v.Kind() != '"' && v.Kind() != '0' {
		return false
	}
	return isFailureText(clean(v, maxWord))
}

func isFailureText(code string) bool {
	switch strings.ToUpper(code) {
	case "", "0", "200", "10000", "OK", "SUCCESS":
		return false
	}
	return true
}

// errorMember reads "error", of an answer or, without an envelope, of a choice. null, false, 0, "", {} and [] are no error:
// many upstreams send them with every success, and OpenAI's Python SDK judges by truth as well.
func (s *scanner) errorMember(e *envelope) (*Failure, error) {
	switch {
	case s.is('{'):
		return s.errorObject()
	case s.is('['):
		filled, v, err := s.rawFilled()
		if e == nil && filled {
			return &Failure{Code: firstCode(v), Message: words(v)}, err
		}
		if e != nil && filled {
			e.hasError, e.errors = true, v
		}
		return nil, err
	}
	v, err := s.scalar()
	switch v.Kind() {
	case '"':
		if len(v) > len(`""`) {
			f := &Failure{Message: words(v)}
			f.refine(quotedFailure(v))
			return f, err
		}
	case 't', '0':
		if e != nil && string(v) != "0" {
			e.hasError = true
		}
	}
	return nil, err
}

// word reads a string or number into dst, cut to limit bytes; any other value leaves dst as it is.
func (s *scanner) word(dst *string, limit int) error {
	v, err := s.scalar()
	if err == nil && (v.Kind() == '"' || v.Kind() == '0') {
		*dst = clean(v, limit)
	}
	return err
}

// code is word for what programs go by: LiteLLM writes Python's None there.
func (s *scanner) code(dst *string) error {
	v, err := s.scalar()
	if err == nil {
		*dst = code(v)
	}
	return err
}
