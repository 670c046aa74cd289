package sandbox

import (
	"strconv"
	"strings"
)

// Shape is the form in which an error is written.
type Shape string

// The shapes of errors: {"code","message"} of the Alipay AI API, OpenAI's, that
// of Antom and Alipay+, that of the Open Platform's gateway.do, that of its
// version 3, the error event of its streaming agent API, and Anthropic's; then those
// of other vendors: OpenRouter's with a number for its code and the account beside it,
// the same inside of a choice, vLLM's, FastAPI's, Google's array, Ollama's and plain text.
const (
	ShapeAlipay      Shape = "alipay"
	ShapeOpenAI      Shape = "openai"
	ShapeGlobal      Shape = "global"
	ShapeGateway     Shape = "gateway"
	ShapeOpenAPI     Shape = "openapi-v3"
	ShapeNextBuilder Shape = "nextbuilder"
	ShapeAnthropic   Shape = "anthropic"

	ShapeOpenRouter Shape = "openrouter"
	ShapeChoice     Shape = "choice"
	ShapeVLLM       Shape = "vllm"
	ShapeFastAPI    Shape = "fastapi"
	ShapeGoogle     Shape = "google"
	ShapeOllama     Shape = "ollama"
	ShapeText       Shape = "text"
)

var shapes = []Shape{
	ShapeAlipay, ShapeOpenAI, ShapeGlobal, ShapeGateway, ShapeOpenAPI, ShapeNextBuilder, ShapeAnthropic,
	ShapeOpenRouter, ShapeChoice, ShapeVLLM, ShapeFastAPI, ShapeGoogle, ShapeOllama, ShapeText,
}

// failure is what an error says.
type failure struct{ code, message, requestID string }

type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type globalResult struct {
	Code    string `json:"resultCode"`
	Status  string `json:"resultStatus"`
	Message string `json:"resultMessage"`
}

type gatewayError struct {
	Code    string `json:"code"`
	Msg     string `json:"msg"`
	SubCode string `json:"sub_code"`
	SubMsg  string `json:"sub_msg"`
}

type openAPIError struct {
	apiError
	Links []openAPILink `json:"links"`
}

type openAPILink struct {
	Link string `json:"link"`
	Desc string `json:"desc"`
}

type anthropicError struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id,omitzero"`
}

// numeric is a code that vendors send as a number, if it is one.
func numeric(code string) any {
	if n, err := strconv.Atoi(code); err == nil {
		return n
	}
	return code
}

// errorBody writes an error as one JSON value, or as text.
func errorBody(shape Shape, f failure) []byte {
	var v any
	switch shape {
	case ShapeOpenAI:
		v = map[string]any{"error": map[string]string{"code": f.code, "message": f.message, "type": "server_error"}}
	case ShapeGlobal:
		v = map[string]any{"result": globalResult{f.code, "U", f.message}}
	case ShapeGateway:
		sub := f.code
		if sub == codeSystem {
			sub = "aop.ACQ." + sub
		}
		v = map[string]any{
			"alipay_ai_chat_completions_response": gatewayError{"20000", "Service Currently Unavailable", sub, f.message},
			"sign":                                "",
		}
	case ShapeOpenAPI:
		v = openAPIError{apiError{f.code, f.message}, []openAPILink{{"https://open.alipay.com/", "troubleshooting"}}}
	case ShapeNextBuilder:
		payload := mustJSON(map[string]string{"errorCode": f.code})
		v = map[string]string{"type": "error", "payload": string(payload)}
	case ShapeAnthropic:
		e := anthropicError{Type: "error", RequestID: f.requestID}
		e.Error.Type, e.Error.Message = f.code, f.message
		v = e
	case ShapeOpenRouter:
		v = map[string]any{"error": map[string]any{"code": numeric(f.code), "message": f.message}, "user_id": "org_sandbox"}
	case ShapeChoice:
		nothing := map[string]any{"role": "assistant", "content": ""}
		v = map[string]any{"id": f.requestID, "choices": []any{map[string]any{
			"index": 0, "message": nothing, "delta": nothing, "finish_reason": "error",
			"error": map[string]any{"code": numeric(f.code), "message": f.message},
		}}}
	case ShapeVLLM:
		v = map[string]any{"object": "error", "message": f.message, "type": "Error", "param": nil, "code": numeric(f.code)}
	case ShapeFastAPI:
		v = map[string]any{"detail": []any{map[string]any{"type": f.code, "loc": []any{"body", "model"}, "msg": f.message}}}
	case ShapeGoogle:
		v = []any{map[string]any{"error": map[string]any{"code": numeric(f.code), "message": f.message, "status": "UNKNOWN"}}}
	case ShapeOllama:
		v = map[string]any{"error": f.message}
	case ShapeText:
		return []byte(f.message)
	default:
		v = apiError{f.code, f.message}
	}
	return mustJSON(v)
}

// errorEvent writes an error as it comes within a stream, with what follows it there.
func errorEvent(shape Shape, f failure) []byte {
	var b strings.Builder
	switch shape {
	case ShapeNextBuilder:
		b.WriteString("event: error\n")
	case ShapeAnthropic:
		b.WriteString("event: error\n")
		f.requestID = "" // which only the body of an error has
	}
	b.WriteString("data: ")
	b.Write(errorBody(shape, f))
	b.WriteString("\n\n")
	if shape == ShapeNextBuilder {
		b.WriteString(endEvent)
	}
	return []byte(b.String())
}
