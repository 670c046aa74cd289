package responses

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// form names the API's requests.
const form = "responses"

// headerCodex is by what Codex says who it is.
const headerCodex = "Originator"

// Dialect is that of the Responses API.
type Dialect struct{}

// Routes implements [door.Dialect].
func (Dialect) Routes() []door.Route {
	return []door.Route{
		{Method: http.MethodPost, Path: "/responses", Endpoint: upstream.EndpointChat, Begin: begin},
		{Method: http.MethodPost, Path: "/responses/input_tokens", Endpoint: upstream.EndpointInputTokens, Serve: estimate, Lacking: estimateAnyway},
		{Method: http.MethodPost, Path: "/responses/compact", Endpoint: upstream.EndpointCompact, Serve: compacts},
		{Method: http.MethodPost, Path: "/responses/{id}/cancel", Bodiless: true, Serve: cancel},
		{Method: http.MethodGet, Path: "/responses/{id}/input_items", Serve: inputItems},
		{Method: http.MethodGet, Path: "/responses/{id}", Serve: retrieve},
		{Method: http.MethodDelete, Path: "/responses/{id}", Serve: remove},
		{Method: http.MethodGet, Path: "/models", Header: headerCodex, Endpoint: upstream.EndpointModels, Begin: codexModels},
	}
}

// Claims implements [door.Dialect].
func (Dialect) Claims(r *http.Request) bool { return len(r.Header[headerCodex]) > 0 }

// Parse implements [door.Dialect].
func (Dialect) Parse(rd *door.Reading, body []byte) *failure.Failure {
	c, err := responses.ParseClientRequest(body)
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	sendable, err := c.Sendable()
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	rd.Own = c
	rd.Continues = c.Continues()
	rd.Native = &alipayai.Native{Form: form, Format: responses.Format{}, Endpoint: upstream.EndpointResponses, Body: body, Sendable: sendable}
	if rd.Endpoint != upstream.EndpointChat {
		rd.Native.Form, rd.Native.Endpoint = form+" "+string(rd.Endpoint), rd.Endpoint
		if c.Canonical.Stream {
			return invalid("stream", "this is answered as a whole: leave stream out")
		}
	}
	complete(rd, c)
	return nil
}

// complete takes what is known of the request.
func complete(rd *door.Reading, c *responses.ClientRequest) {
	rd.Request = c.Canonical
	rd.Native.Unsupported = c.Unsupported
}

// Continue implements [door.Continuer].
func (Dialect) Continue(ctx context.Context, kept *door.Conversations, owner door.Owner, rd *door.Reading) *failure.Failure {
	c := rd.Own.(*responses.ClientRequest)
	history, item, f := recall(ctx, kept, owner, c)
	if f != nil {
		return f
	}
	if err := c.Continue(history, item); err != nil {
		return failure.UnreadableRequest(err)
	}
	expanded, err := c.Expanded()
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	native := *rd.Native
	native.Sendable = expanded
	rd.Native = &native
	complete(rd, c)
	return nil
}

// WriteError implements [door.Dialect].
func (Dialect) WriteError(w http.ResponseWriter, e wire.Error) { e.WriteHTTP(w) }

// AppendErrorEvent implements [door.Dialect].
func (Dialect) AppendErrorEvent(dst []byte, e wire.Error) []byte {
	return responses.AppendErrorEvent(dst, e)
}

func begin(r *http.Request, c *alipayai.Call, rd *door.Reading) (door.Writer, *failure.Failure) {
	request := rd.Own.(*responses.ClientRequest)
	keeps := request.Store && rd.Conversations.Keeps(c.Tenant)
	if request.StoreAsked && !keeps {
		native := *c.Native
		native.Unsupported = append(slices.Clip(native.Unsupported), "store")
		c.Native = &native
	}
	w := &writer{response: responses.ClientWriter{Request: request, ID: newID(c, rd.Claim), Stored: keeps}}
	if keeps {
		w.keeper = &keeper{
			ctx: context.WithoutCancel(r.Context()), kept: rd.Conversations, owner: rd.Conversations.Owner(r, c.Tenant, rd), id: w.response.ID, request: request,
			again: rd.Claim != "",
		}
		w.response.Keep = w.keeper.keep
	}
	return w, nil
}

// idDigits are those that the ids of responses have.
const idDigits = 48

// newID makes the id of a response. The same request with the same claim has the same: its answer may be given again. All
// others have ids of their own, or one would be kept in the place of another.
func newID(c *alipayai.Call, claim string) string {
	var id [idDigits / 2]byte
	if claim == "" {
		_, _ = rand.Read(id[:]) // never fails
		return string(hex.AppendEncode(make([]byte, 0, idDigits), id[:]))
	}
	sum := sha256.Sum256(replay.AppendPart(replay.AppendPart(nil, claim), c.Native.Body))
	return hex.EncodeToString(sum[:len(id)])
}

// writer writes an answer.
type writer struct {
	response responses.ClientWriter
	// keeper keeps it; nil where it is not kept.
	keeper *keeper
	begun  bool
	// passing is a provider's own stream.
	passing responses.Passing
}

// Whole implements [door.Writer].
func (w *writer) Whole(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := w.response.Whole(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Events implements [door.Writer].
func (w *writer) Events(dst, canonical []byte) ([]byte, *failure.Failure) {
	if !w.begun {
		w.begun = true
		w.response.Stored = w.response.Stored && w.keeper.announce()
	}
	dst, err := w.response.Events(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Watch implements [door.Watcher].
func (w *writer) Watch(passing []byte) {
	w.passing.See(passing)
	if w.keeper == nil {
		return
	}
	if whole := bytes.TrimLeft(passing, " \t\r\n"); bytes.HasPrefix(whole, []byte("{")) { // of a stream's events there may be none yet
		w.keeper.watch(whole)
		return
	}
	_ = translate.EachEvent(passing, func(data []byte) error {
		var e struct {
			Type           string
			Response, Item json.RawMessage
			Place          int `json:"output_index"`
		}
		switch {
		case !bytes.Contains(data, []byte(`"response.`)) || json.Unmarshal(data, &e) != nil:
		case e.Response != nil:
			w.keeper.watch(e.Response)
		case e.Type == "response.output_item.done" && e.Item != nil:
			w.keeper.items = append(w.keeper.items, placed{e.Place, e.Item})
		}
		return nil
	})
	w.keeper.watched()
}

// Broken implements [door.Writer].
func (w *writer) Broken(dst []byte, e wire.Error) []byte { return w.response.Broken(dst, e) }

// BrokenOff implements [door.Watcher].
func (w *writer) BrokenOff(dst []byte, e wire.Error) []byte {
	return w.response.BrokenOff(dst, &w.passing, e)
}

// End implements [door.Ender].
func (w *writer) End() {
	if w.keeper != nil {
		w.keeper.end()
	}
}

// Interface guards
var (
	_ door.Dialect   = Dialect{}
	_ door.Continuer = Dialect{}
	_ door.Ender     = (*writer)(nil)
	_ door.Watcher   = (*writer)(nil)
)
