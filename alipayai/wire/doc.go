// Package wire reads and writes the formats that cross the gateway: OpenAI requests, answers, stream chunks and errors,
// the error shapes of Alipay's APIs, and server-sent events.
//
// It decides nothing: what a failure code means, who may serve a model and when to retry are decided elsewhere; here a code
// is a string. What is in a form that both sides speak is never re-encoded: a request is forwarded byte for byte, except that
// [Request.WithModel] replaces one value in place, and a stream is forwarded as the exact bytes of its events ([Event.Raw]).
// [Chat] writes the requests of other forms.
//
// # Strictness
//
// JSON is read with one token walk. Requests are read strictly: duplicate keys, invalid UTF-8, lone surrogates and nesting
// beyond [Limits.MaxDepth] are refused with a [RequestError] in OpenAI's terms, so that the gateway and whoever reads the
// same bytes next cannot disagree about them; [WithoutHalves] gives what can be read of the third. Answers have been paid
// for, and are read as leniently as clients read them: lone surrogates, as an emoji has that is split over two chunks, and
// repeated keys pass. A repeated key that decides what an answer is, such as "error" or "choices", invalid UTF-8 and deeper
// nesting yield [ErrMalformed]. Neither error ever quotes what was sent: payloads do not leave through error messages.
//
// # Failures
//
// One parser serves JSON answers ([ParseBody]) and stream payloads ([ParseChunk], [ParseEvent]), whatever the HTTP
// status was, because every shape below also arrives inside a 200:
//
//	{"code":"SYSTEM_ERROR","message":".."}                                  Alipay Open Platform v3
//	{"error":{"code":"..","message":"..","type":".."}} or {"error":".."}      OpenAI and those that follow it
//	{"result":{"resultCode":"..","resultStatus":"U","resultMessage":".."}}  Antom and Alipay+
//	{"x_y_response":{"code":"20000","sub_code":"aop.ACQ.SYSTEM_ERROR"}}      Alipay Open Platform v2, gateway.do
//	{"type":"error","payload":"{\"errorCode\":\"..\"}"}                        Alipay nextbuilder agent stream
//	{"object":"error","code":400,"type":"..","message":".."}                vLLM, SGLang and Mistral
//	{"detail":[{"loc":[..],"msg":".."}]}                                    FastAPI, so Mistral and vLLM
//	{"errors":[{"code":..,"message":".."}]}                                 Cloudflare
//	[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]                  Google
//	{"choices":[{"error":{"code":502},"finish_reason":"error"}]}            OpenRouter
//
// [ParseRefusal] reads the body of a status that says by itself that it is a failure: then a message is enough, and plain
// text will do. [EndingOf] says which finish reasons are good.
package wire
