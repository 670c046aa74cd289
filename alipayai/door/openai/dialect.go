package openai

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Dialect is OpenAI's.
type Dialect struct{}

// Routes implements [door.Dialect].
func (Dialect) Routes() []door.Route {
	return []door.Route{
		{Method: http.MethodPost, Path: "/chat/completions", Endpoint: upstream.EndpointChat},
		{Method: http.MethodPost, Path: "/embeddings", Endpoint: upstream.EndpointEmbeddings},
		{Method: http.MethodGet, Path: "/models", Endpoint: upstream.EndpointModels},
		{Method: http.MethodGet, Path: "/models/", Endpoint: upstream.EndpointModels},
		{Method: http.MethodGet, Path: "/models/{id}", Endpoint: upstream.EndpointModels, Begin: oneModel},
		{Method: http.MethodPost, Path: "/moderations", Endpoint: upstream.EndpointModerations},
		{Method: http.MethodPost, Path: "/completions", Endpoint: upstream.EndpointChat, Begin: beginCompletion},
	}
}

// Claims implements [door.Dialect].
func (Dialect) Claims(*http.Request) bool { return false }

// Parse implements [door.Dialect].
func (Dialect) Parse(rd *door.Reading, body []byte) *failure.Failure {
	var err error
	switch {
	case rd.Path() == "/completions":
		return parseCompletion(rd, body)
	case rd.Endpoint == upstream.EndpointEmbeddings:
		rd.Request, err = wire.ParseEmbeddingsRequest(body, wire.Limits{})
	case rd.Endpoint == upstream.EndpointModerations:
		rd.Request, err = parseModeration(body)
	default:
		err = parseChat(rd, body)
	}
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	return nil
}

// parseChat reads a request for chat completions. One with parts in the form of the Messages API is translated, and so is another
// one than its provider is sent.
func parseChat(rd *door.Reading, body []byte) error {
	var err error
	if rd.Request, err = wire.ParseChatRequest(body, wire.Limits{}); err != nil {
		return parseInput(rd, body, err)
	}
	sent := rd.Request
	custom, err := lowerCustom(rd)
	if err != nil {
		return err
	}
	c, mixed, err := anthropic.ParseChatRequest(rd.Request)
	if err != nil || !mixed && !custom {
		return err
	}
	if mixed {
		rd.Request = c.Canonical
	}
	native := sent // which is an allocation that other calls need not have
	rd.Native = &alipayai.Native{Form: "mixed", Body: body, Sendable: &native, Unsupported: c.Unsupported}
	return nil
}

// lowerCustom makes functions of custom tools that stand beside messages in the form of the Responses API, and has their calls written
// as their client reads them. It reports whether there are any.
func lowerCustom(rd *door.Reading) (lowered bool, err error) {
	if !rd.Request.FlatTools {
		return false, nil
	}
	body, custom, err := responses.LowerChatCustom(rd.Request.Body)
	if err != nil || custom == nil {
		return false, err
	}
	if rd.Request, err = wire.ParseChatRequest(body, wire.Limits{}); err != nil {
		return false, err
	}
	rd.Own = customCalls(custom.Calls)
	return true, nil
}

// parseInput reads a request for chat completions that was refused. One that has no messages but input is one for the Responses API,
// which Cursor sends here for OpenAI's newer models and expects a chat completion for: the answer stays in that form.
//
// See https://github.com/gabrii/Cursor-Azure-GPT-5/issues/69, https://github.com/Soju06/codex-lb/pull/833,
// https://github.com/BerriAI/litellm/pull/34029.
func parseInput(rd *door.Reading, body []byte, refused error) error {
	e, ok := errors.AsType[*wire.RequestError](refused)
	if !ok || e.Param != "messages" || e.Code != wire.CodeMissingParameter || !hasMember(body, "input") {
		return refused
	}
	c, err := responses.ParseClientRequest(body)
	switch {
	case err != nil:
		return err
	case c.Previous != "":
		return &wire.RequestError{Param: "previous_response_id", Code: wire.CodeInvalidValue, Message: "chat completions go on from no response: send the whole conversation"}
	case c.Continues():
		return &wire.RequestError{Param: "input", Code: wire.CodeInvalidValue, Message: "chat completions keep no items: send those that an item_reference names"}
	}
	rd.Request = c.Canonical
	rd.Native = &alipayai.Native{Form: "mixed", Body: body, Sendable: &c.Sent, Unsupported: c.Unsupported}
	if c.CustomCalls() != nil {
		rd.Own = customCalls(c.CustomCalls)
	}
	return nil
}

// hasMember reports whether an object, which has been read before, has a member of that name.
func hasMember(object []byte, name string) (has bool) {
	_ = translate.Members(object, func(n string, _ jsontext.Value) error {
		has = has || n == name
		return nil
	})
	return has
}

// WriteError implements [door.Dialect].
func (Dialect) WriteError(w http.ResponseWriter, e wire.Error) { e.WriteHTTP(w) }

// AppendErrorEvent implements [door.Dialect].
func (Dialect) AppendErrorEvent(dst []byte, e wire.Error) []byte { return e.AppendEvent(dst) }

// Interface guards
var _ door.Dialect = Dialect{}
