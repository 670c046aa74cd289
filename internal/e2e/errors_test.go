package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// apiError is what the SDK's error says, and what there is to tell a person
// who asks about it.
type apiError struct {
	status           int
	code, typ, param string
	retryAfter       string
}

// checkError compares err with want and gives the SDK's error.
func checkError(t *testing.T, err error, want apiError) *openai.Error {
	t.Helper()
	var got *openai.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %T %v, want an *openai.Error of %+v", err, err, want)
	}
	header := got.Response.Header
	if said := (apiError{got.StatusCode, got.Code, got.Type, got.Param, header.Get("Retry-After")}); said != want {
		t.Errorf("error %+v, want %+v: %s", said, want, got.RawJSON())
	}
	if got.Message == "" {
		t.Error("the error has no message")
	}
	var body errorObject
	if err := json.Unmarshal([]byte(got.RawJSON()), &body); err != nil {
		t.Fatal(err)
	}
	checkRequestID(t, header, body)
	return got
}

// errorObject is what the SDK does not show by itself of an error in OpenAI's
// form.
type errorObject struct {
	Code      string `json:"code"`
	Type      string `json:"type"`
	RequestID string `json:"request_id"`
}

func checkRequestID(t *testing.T, header http.Header, body errorObject) {
	t.Helper()
	if id := header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") || body.RequestID != id {
		t.Errorf("request id %q in the header, %q in the body", id, body.RequestID)
	}
}

// TestRefusedCalls: what the gateway refuses itself never reaches the API.
func TestRefusedCalls(t *testing.T) {
	cases := map[string]struct {
		chat openai.ChatCompletionNewParams
		opts []option.RequestOption
		want apiError
	}{
		"wrong key": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithAPIKey("sk-of-another")},
			want: apiError{status: 401, code: "invalid_api_key", typ: "authentication_error"},
		},
		"no key": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithHeaderDel("Authorization")},
			want: apiError{status: 401, code: "invalid_api_key", typ: "authentication_error"},
		},
		"model that no provider serves": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithJSONSet("model", "gpt-unknown")},
			want: apiError{status: 404, code: "model_not_found", typ: "invalid_request_error", param: "model"},
		},
		"no messages": {
			chat: openai.ChatCompletionNewParams{Model: modelChat},
			want: apiError{status: 400, code: "missing_required_parameter", typ: "invalid_request_error", param: "messages"},
		},
		"empty messages": {
			chat: openai.ChatCompletionNewParams{Model: modelChat, Messages: []openai.ChatCompletionMessageParamUnion{}},
			want: apiError{status: 400, code: "empty_array", typ: "invalid_request_error", param: "messages"},
		},
		"no model": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithJSONDel("model")},
			want: apiError{status: 400, code: "missing_required_parameter", typ: "invalid_request_error", param: "model"},
		},
		"wrong type": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithJSONSet("messages", "Hello.")},
			want: apiError{status: 400, code: "invalid_type", typ: "invalid_request_error", param: "messages"},
		},
		"model in two spellings": {
			chat: ask("Hello."), opts: []option.RequestOption{option.WithJSONSet("Model", "gpt-unknown")},
			want: apiError{status: 400, code: "unknown_parameter", typ: "invalid_request_error", param: "model"},
		},
		"too large": {
			chat: ask(strings.Repeat("long ", 20_000)),
			want: apiError{status: 413, code: "request_too_large", typ: "invalid_request_error"},
		},
		"two idempotency keys": {
			chat: ask("Hello."),
			opts: []option.RequestOption{option.WithHeader("Idempotency-Key", "a"), option.WithHeaderAdd("Idempotency-Key", "b")},
			want: apiError{status: 400, code: "invalid_idempotency_key", typ: "invalid_request_error"},
		},
	}
	g := startGateway(t, options{provider: "models " + modelChat + " " + modelEmbed, proxy: "max_body 64KiB"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			for form, streamed := range forms {
				t.Run(name+"/"+form, func(t *testing.T) {
					_, err := c.complete(t.Context(), streamed, tc.chat, tc.opts...)
					checkError(t, err, tc.want)
					if got := g.take(pathChat); len(got) != 0 {
						t.Errorf("the API got %q", got)
					}
				})
			}
		}
		t.Run("embeddings", func(t *testing.T) {
			_, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: modelEmbed})
			checkError(t, err, apiError{status: 400, code: "missing_required_parameter", typ: "invalid_request_error", param: "input"})
		})
		t.Run("models", func(t *testing.T) {
			_, err := c.Models.List(t.Context(), option.WithAPIKey("sk-of-another"))
			checkError(t, err, apiError{status: 401, code: "invalid_api_key", typ: "authentication_error"})
		})
	})
}

// TestUpstreamErrors: whatever the shape and the status of a failure, the
// client gets the upstream's code under a true status, and the API is asked
// once.
func TestUpstreamErrors(t *testing.T) {
	const (
		either = ""
		whole  = "json"
		stream = "stream"
	)
	systemError := apiError{status: 502, code: "SYSTEM_ERROR", typ: "server_error"}
	truncated := apiError{status: 502, code: "upstream_truncated_response", typ: "server_error"}
	blocked := apiError{status: 403, code: "COMPLIANCE_BLOCKED", typ: "permission_error"}
	cases := map[string]struct {
		prompt string
		form   string
		opts   []option.RequestOption
		want   apiError
	}{
		"SYSTEM_ERROR in a 200":                    {prompt: "[[fault:system_error_200]]", want: systemError},
		"SYSTEM_ERROR in a 200, OpenAI's form":     {prompt: "[[fault:system_error_200=openai]]", want: systemError},
		"SYSTEM_ERROR in a 200, global form":       {prompt: "[[fault:system_error_200=global]]", want: systemError},
		"SYSTEM_ERROR in a 200, gateway.do's form": {prompt: "[[fault:system_error_200=gateway]]", want: systemError},
		"SYSTEM_ERROR in a 500": {
			prompt: "[[fault:system_error_500]]", want: apiError{status: 500, code: "SYSTEM_ERROR", typ: "server_error"},
		},
		"SYSTEM_ERROR as the first event":             {prompt: "[[fault:system_error_first]]", form: stream, want: systemError},
		"SYSTEM_ERROR as the first nextbuilder event": {prompt: "[[fault:system_error_first=nextbuilder]]", form: stream, want: systemError},

		"compliance":            {prompt: "Please predict future income.", want: blocked},
		"compliance in Chinese": {prompt: "请帮我预测未来收入。", want: blocked},
		"parameter that the API refuses": {
			prompt: "Hello.", opts: []option.RequestOption{option.WithJSONSet("n", 2)},
			want: apiError{status: 400, code: "PARAM_ILLEGAL", typ: "invalid_request_error"},
		},
		"model that the API does not serve": {
			prompt: "Hello.", opts: []option.RequestOption{option.WithJSONSet("model", "gpt-unknown")},
			want: apiError{status: 404, code: "MODEL_NOT_FOUND", typ: "invalid_request_error"},
		},
		"unavailable": {
			prompt: "[[fault:http_status=503,code=PROCESS_BUSY,retry_after=3]]",
			want:   apiError{status: 503, code: "PROCESS_BUSY", typ: "server_error", retryAfter: "3"},
		},

		"reset before the head":    {prompt: "[[fault:reset_before]]", want: truncated},
		"reset in the body":        {prompt: "[[fault:reset_after]]", want: truncated},
		"truncated body":           {prompt: "[[fault:truncated_body]]", form: whole, want: truncated},
		"stream without events":    {prompt: "[[fault:empty_stream]]", form: stream, want: truncated},
		"stream of its end alone":  {prompt: "[[fault:done_first]]", form: stream, want: truncated},
		"body that is no JSON":     {prompt: "[[fault:malformed_json]]", form: whole, want: apiError{status: 502, code: "upstream_malformed_response", typ: "server_error"}},
		"wrong response signature": {prompt: "[[fault:wrong_response_signature]]", form: whole, want: apiError{status: 502, code: "invalid_response_signature", typ: "server_error"}},
	}
	// With so little time, nothing is repeated after the seconds that the API asks for.
	g := startGateway(t, options{provider: newConnections, proxy: "deadline 2s"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			for form, streamed := range forms {
				if tc.form != either && tc.form != form {
					continue
				}
				t.Run(name+"/"+form, func(t *testing.T) {
					_, err := c.complete(t.Context(), streamed, ask(tc.prompt), tc.opts...)
					checkError(t, err, tc.want)
					if got := g.take(pathChat); len(got) != 1 {
						t.Errorf("the API was asked %d times, want once", len(got))
					}
				})
			}
		}
	})
}

// TestThrottled: a call that the API throttles gets Retry-After, and so do all
// calls until then, without the API being asked again.
func TestThrottled(t *testing.T) {
	g := startGateway(t, options{proxy: "deadline 2s"})
	throttled := false
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		if !throttled {
			_, err := c.complete(t.Context(), false, ask("[[fault:throttle=30]]"))
			checkError(t, err, apiError{status: 429, code: "REQUEST_TRAFFIC_EXCEED_LIMIT", typ: "rate_limit_error", retryAfter: "30"})
			if got := g.take(pathChat); len(got) != 1 {
				t.Errorf("the API was asked %d times, want once", len(got))
			}
			throttled = true
		}
		for form, streamed := range forms {
			_, err := c.complete(t.Context(), streamed, ask("Hello."))
			var refused *openai.Error
			if !errors.As(err, &refused) || refused.StatusCode != http.StatusTooManyRequests {
				t.Fatalf("%s: error %v, want a 429", form, err)
			}
			if seconds, _ := strconv.Atoi(refused.Response.Header.Get("Retry-After")); seconds < 20 || seconds > 30 {
				t.Errorf("%s: Retry-After is %d", form, seconds)
			}
			if got := g.take(pathChat); len(got) != 0 {
				t.Errorf("%s: the API was asked %d times, want never", form, len(got))
			}
		}
	})
}
