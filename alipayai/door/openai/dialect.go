package openai

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
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
		return err
	}
	c, mixed, err := anthropic.ParseChatRequest(rd.Request)
	if err != nil || !mixed {
		return err
	}
	rd.Request = c.Canonical
	sent := c.Sent // which is an allocation that other calls need not have
	rd.Native = &alipayai.Native{Form: "mixed", Body: body, Sendable: &sent, Unsupported: c.Unsupported}
	return nil
}

// WriteError implements [door.Dialect].
func (Dialect) WriteError(w http.ResponseWriter, e wire.Error) { e.WriteHTTP(w) }

// AppendErrorEvent implements [door.Dialect].
func (Dialect) AppendErrorEvent(dst []byte, e wire.Error) []byte { return e.AppendEvent(dst) }

// Interface guards
var _ door.Dialect = Dialect{}
