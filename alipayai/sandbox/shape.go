package sandbox

import "strings"

// Shape is the form in which an error is written.
type Shape string

// The shapes of errors: {"code","message"} of the Alipay AI API, OpenAI's, that
// of Antom and Alipay+, that of the Open Platform's gateway.do, that of its
// version 3, the error event of its streaming agent API, and Anthropic's.
const (
	ShapeAlipay      Shape = "alipay"
	ShapeOpenAI      Shape = "openai"
	ShapeGlobal      Shape = "global"
	ShapeGateway     Shape = "gateway"
	ShapeOpenAPI     Shape = "openapi-v3"
	ShapeNextBuilder Shape = "nextbuilder"
	ShapeAnthropic   Shape = "anthropic"
)

var shapes = []Shape{
	ShapeAlipay, ShapeOpenAI, ShapeGlobal, ShapeGateway, ShapeOpenAPI, ShapeNextBuilder, ShapeAnthropic,
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

// errorBody writes an error as one JSON value.
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
