package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
)

const pathGenerate = "/v3/stream/alipay/cloud/nextbuilder/agent/chat/generate"

// nextBuilder is the streaming agent API of the Open Platform. Its path, its
// signature, the fields of a request, the names of the events and {"type",
// "payload"} are those of the platform's official SDKs. Of the payloads and of
// most codes no public contract exists: they are the simulator's own.
type nextBuilder struct{}

func (nextBuilder) credentials() (required, optional []string) { return []string{"PublicKey"}, nil }

func (nextBuilder) models() []string { return []string{"sandbox-agent"} }

func (nextBuilder) endpoint(path string) (endpoint, bool) {
	if path == pathGenerate {
		return endpoint{method: http.MethodPost, serve: (*call).generate}, true
	}
	return endpoint{}, false
}

func (nextBuilder) caller(c *call) *app {
	header, _ := single(c.r.Header, "Authorization")
	a, _ := parseAuthorization(header)
	return c.srv.apps[a.appID]
}

// callID is the request_id of the body, which a caller repeats with its call.
func (nextBuilder) callID(_ *http.Request, body []byte) string {
	var req struct {
		ID string `json:"request_id"`
	}
	_ = json.Unmarshal(body, &req) // what is no request has no id
	return req.ID
}

const codeBadParameter = "INVALID_PARAMETER"

// refusal drops the prefixes that version 2 of the platform has before its codes.
// That an unknown method is a 400, and what a bad parameter is called, are what
// the official Node SDK's tests see.
func (f nextBuilder) refusal(status int, code string) (int, string) {
	switch code {
	case "":
		return status, f.codeOf(status)
	case codeInvalidAPI:
		return http.StatusBadRequest, "invalid-method"
	case codeMethod:
		return status, "invalid-method"
	case codeParam, codeMediaType:
		return status, codeBadParameter
	case codeTraffic:
		return status, "app-call-limited"
	}
	return status, code
}

// codeOf is the code that a status without one gets.
func (nextBuilder) codeOf(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "app-call-limited"
	case status == http.StatusUnauthorized:
		return "invalid-auth-token"
	case status == http.StatusForbidden:
		return "insufficient-isv-permissions"
	case status < http.StatusInternalServerError:
		return codeBadParameter
	}
	return "unknow-error" // so spelt
}

func (nextBuilder) shapes() (body, event Shape) { return ShapeOpenAPI, ShapeNextBuilder }

// whole is never asked for: every answer is a stream.
func (nextBuilder) whole(*answer) any { return nil }

// generate is POST /v3/stream/alipay/cloud/nextbuilder/agent/chat/generate.
func (c *call) generate() {
	if !c.wantJSON() {
		return
	}
	q, err := parseGenerate(c.body)
	if err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if !c.serves(q.model) {
		c.openStream()
		c.failStream("", "Resource-Not-Found", "") // as the platform does it, after a 200
		return
	}
	if q.session == "" {
		q.session = "sandbox-session-" + strconv.FormatInt(c.number, 10)
	}
	c.converse(q)
}

// parseGenerate reads a request. Fields that the official SDKs do not know are
// refused, so that a caller's mistake shows.
func parseGenerate(body []byte) (*ask, error) {
	o := newObject(body, "agent_id", "outer_user_id", "query", "request_id", "session_id", "inputs", "multi_modal_inputs",
		"llm_thinking", "config_version", "latitude", "longitude")
	q := &ask{stream: true, prefix: "message-"}
	var word string
	for _, name := range []string{"outer_user_id", "request_id"} {
		o.required(name, "string", &word)
		if word == "" {
			o.wrong(name, "Field required")
		}
	}
	o.required("agent_id", "string", &q.model)
	o.required("query", "string", &q.prompt.text)
	if q.prompt.text == "" {
		o.wrong("query", "Field required")
	}
	o.optional("session_id", "string", &q.session)
	o.optional("llm_thinking", "boolean", &q.thinking)
	for _, name := range []string{"config_version", "latitude", "longitude"} {
		o.optional(name, "string", &word)
	}
	var inputs string
	var values map[string]json.RawMessage
	if o.optional("inputs", "string that holds a JSON object", &inputs) && json.Unmarshal([]byte(inputs), &values) != nil {
		o.wrong("inputs", "Input should be a valid string that holds a JSON object")
	}
	if o.has("multi_modal_inputs") {
		var images []string
		o.child("multi_modal_inputs", o.fields["multi_modal_inputs"], "images").optional("images", "list of file ids", &images)
		q.prompt.images = len(images)
	}
	q.texts, q.images = []string{q.prompt.text}, q.prompt.images
	return q, *o.err
}

const endEvent = "event: end\ndata: {\"type\":\"end\"}\n\n"

// script is a ping, then the content as events of name message, then the end.
// Events carry a number as their id. Every other payload is a string that holds
// JSON, as the official SDKs have it, and the rest are the objects themselves.
func (nextBuilder) script(a *answer) script {
	out := script{
		open:   [][]byte{[]byte("event: ping\ndata: {\"type\":\"ping\"}\n\n")},
		finish: [][]byte{[]byte(endEvent)},
		end:    []byte(endEvent),
	}
	say := func(kind, text string) {
		n := len(out.content) + 1
		var payload any = agentPayload{text, a.session, a.id}
		if n%2 == 1 {
			payload = string(mustJSON(payload))
		}
		data := mustJSON(agentChunk{kind, payload})
		out.content = append(out.content, []byte("id: "+strconv.Itoa(n)+"\nevent: message\ndata: "+string(data)+"\n\n"))
	}
	if a.thought != "" {
		say("thinking", a.thought)
	}
	for _, p := range a.pieces() {
		say("text", p)
	}
	return out
}

// agentChunk is the data of an event.
type agentChunk struct {
	Type    string `json:"type"`
	Payload any    `json:"payload"`
}

type agentPayload struct {
	Text    string `json:"text"`
	Session string `json:"session_id"`
	Message string `json:"message_id"`
}
