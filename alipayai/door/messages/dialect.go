package messages

import (
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
)

// Header fields of the API: a version, and beta features, which come with members of the body that only they permit.
const (
	headerVersion = "Anthropic-Version"
	headerBeta    = "Anthropic-Beta"
	// headerRequestID is by what its clients name a call in reports.
	headerRequestID = "Request-Id"
)

// form names the API's requests.
const form = "messages"

// fields go to providers that speak the API.
var fields = []string{headerVersion, headerBeta}

// Dialect is that of the Messages API.
type Dialect struct{}

// Routes implements [door.Dialect].
func (Dialect) Routes() []door.Route {
	return []door.Route{
		{Method: http.MethodPost, Path: "/messages", Endpoint: upstream.EndpointChat, Begin: begin, IDField: headerRequestID},
		{Method: http.MethodPost, Path: "/messages/count_tokens", Endpoint: upstream.EndpointCountTokens, Serve: estimate, Lacking: estimateAnyway, IDField: headerRequestID},
		{Method: http.MethodGet, Path: "/models", Header: headerVersion, Endpoint: upstream.EndpointModels, Begin: listModels, IDField: headerRequestID},
		{Method: http.MethodGet, Path: "/models/", Header: headerVersion, Endpoint: upstream.EndpointModels, Begin: listModels, IDField: headerRequestID},
		{Method: http.MethodGet, Path: "/models/{id}", Header: headerVersion, Endpoint: upstream.EndpointModels, Begin: oneModel, IDField: headerRequestID},
		// Claude Code asks whether there is anybody.
		{Method: http.MethodHead, Path: "/", Serve: reachable},
	}
}

// Claims implements [door.Dialect].
func (Dialect) Claims(r *http.Request) bool { return len(r.Header[headerVersion]) > 0 }

// Parse implements [door.Dialect].
func (Dialect) Parse(rd *door.Reading, body []byte) *failure.Failure {
	c, err := anthropic.ParseClientRequest(body, rd.Endpoint == upstream.EndpointCountTokens)
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	rd.Request = c.Canonical
	sendable := c.Sendable // by itself: it is kept longer than the rest
	rd.Native = &alipayai.Native{
		Form: form, Format: format, Endpoint: rd.Endpoint, Body: body, Sendable: &sendable, Fields: fields,
		User: c.User, Unsupported: c.Unsupported,
	}
	rd.Own = anthropic.ClientWriter{Thinks: c.Thinks, Stops: c.Stops}
	return nil
}

var format = new(anthropic.Format)

// estimate answers POST /v1/messages/count_tokens where the provider that would serve the message does not count.
func estimate(g *alipayai.Gateway, w http.ResponseWriter, _ *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	return door.Estimate(g, w, tenant, rd, beforeTokens, headerRequestID), nil
}

// estimateAnyway does it where that provider has the API, but not all of it: clients would count zero, or nothing
// (https://github.com/Wei-Shaw/sub2api/pull/657, https://github.com/Wei-Shaw/claude-relay-service/issues/731).
func estimateAnyway(g *alipayai.Gateway, w http.ResponseWriter, tenant string, rd *door.Reading) {
	door.EstimateAnyway(g, w, tenant, rd, beforeTokens, headerRequestID)
}

const beforeTokens = `{"input_tokens":`

func reachable(_ *alipayai.Gateway, w http.ResponseWriter, _ *http.Request, _ string, _ *door.Reading) (bool, *failure.Failure) {
	w.WriteHeader(http.StatusOK)
	return true, nil
}

func begin(_ *http.Request, c *alipayai.Call, rd *door.Reading) (door.Writer, *failure.Failure) {
	message, _ := rd.Own.(anthropic.ClientWriter)
	message.Model = c.Request.Model
	return &writer{message}, nil
}

// writer writes an answer.
type writer struct{ message anthropic.ClientWriter }

// EstimateBy implements [door.Estimator].
func (w *writer) EstimateBy(tokens func() int64) { w.message.Prompt = tokens }

// Whole implements [door.Writer].
func (w *writer) Whole(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := w.message.Whole(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Events implements [door.Writer].
func (w *writer) Events(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := w.message.Events(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Broken implements [door.Writer].
func (w *writer) Broken(dst []byte, e wire.Error) []byte { return anthropic.AppendErrorEvent(dst, e) }

// WriteError implements [door.Dialect].
func (Dialect) WriteError(w http.ResponseWriter, e wire.Error) { anthropic.WriteError(w, e) }

// AppendErrorEvent implements [door.Dialect].
func (Dialect) AppendErrorEvent(dst []byte, e wire.Error) []byte {
	return anthropic.AppendErrorEvent(dst, e)
}

// Interface guards
var (
	_ door.Dialect   = Dialect{}
	_ door.Estimator = (*writer)(nil)
)
