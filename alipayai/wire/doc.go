// Package wire reads and writes the formats that cross the gateway: OpenAI requests, answers, stream chunks and errors,
// the error shapes of Alipay's APIs, and server-sent events.
//
// It only parses. What a failure code means, who may serve a model and when to retry are decided elsewhere; here a code
// is a string. Nothing is ever re-encoded: a request is forwarded byte for byte, except that [Request.WithModel]
// replaces one value in place, and a stream is forwarded as the exact bytes of its events ([Event.Raw]).
//
// # Strictness
//
// JSON is read with one token walk by a reader that refuses duplicate keys, invalid UTF-8, lone surrogates and nesting
// beyond [Limits.MaxDepth], so that the gateway and whoever reads the same bytes next cannot disagree about them.
// Requests that break this yield a [RequestError] in OpenAI's terms; answers yield [ErrMalformed]. Neither ever quotes
// what was sent: payloads do not leave through error messages.
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
package wire
