package responses

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
)

// kept gives the response that a request names.
func kept(r *http.Request, tenant string, rd *door.Reading) (record, string, *failure.Failure) {
	id := strings.TrimPrefix(rd.Param, "resp_")
	if rd.Conversations.Keeps(tenant) {
		found, ok, f := load(r.Context(), rd.Conversations, rd.Conversations.Owner(r, tenant, rd), id)
		if ok || f != nil {
			return found, id, f
		}
	}
	f := failure.InvalidRequest(http.StatusNotFound, "", "no response of that id is kept here, or no longer")
	f.Param = "response_id"
	return record{}, id, f
}

func answer(w http.ResponseWriter, body []byte) (bool, *failure.Failure) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", alipayai.NewRequestID())
	_, _ = w.Write(body) //nolint:gosec // JSON, and called so
	return true, nil
}

// retrieve answers GET /v1/responses/{id}.
func retrieve(_ *alipayai.Gateway, w http.ResponseWriter, r *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	found, _, f := kept(r, tenant, rd)
	if f != nil {
		return false, f
	}
	if r.URL.Query().Get("stream") == "true" {
		f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "streams are not given again: leave stream out")
		f.Param = "stream"
		return false, f
	}
	if f := alipayai.GuardKept(r.Context(), tenant, found.Response); f != nil {
		return false, f
	}
	return answer(w, found.Response)
}

// remove answers DELETE /v1/responses/{id}. Responses that go on from it stay.
func remove(_ *alipayai.Gateway, w http.ResponseWriter, r *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	_, id, f := kept(r, tenant, rd)
	if f != nil {
		return false, f
	}
	// That it was deleted is known as long as it could be kept: a repeated call must not keep it again.
	key := keyOf(rd.Conversations.Owner(r, tenant, rd), id)
	if err := rd.Conversations.Cache.Put(r.Context(), tenant, key, replay.Answer{Status: statusDeleted}, rd.Conversations.TTL); err != nil {
		return false, unavailable(err)
	}
	body, _ := json.Marshal(map[string]any{"id": responses.ResponseID(id), "object": "response", "deleted": true}) // of words alone
	return answer(w, body)
}

// estimate answers POST /v1/responses/input_tokens where the provider that would serve the response does not count.
func estimate(g *alipayai.Gateway, w http.ResponseWriter, _ *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	return door.Estimate(g, w, tenant, rd, beforeTokens), nil
}

// estimateAnyway does it where that provider has the API, but not all of it.
func estimateAnyway(g *alipayai.Gateway, w http.ResponseWriter, tenant string, rd *door.Reading) {
	door.EstimateAnyway(g, w, tenant, rd, beforeTokens)
}

const beforeTokens = `{"object":"response.input_tokens","input_tokens":`

// compacts refuses POST /v1/responses/compact where no provider can answer it: what it gives is for the vendor's own models
// to read.
func compacts(g *alipayai.Gateway, _ http.ResponseWriter, _ *http.Request, _ string, rd *door.Reading) (bool, *failure.Failure) {
	for _, p := range g.Providers {
		if p.Serves(rd.Endpoint, rd.Request.Model) {
			return false, nil
		}
	}
	return false, failure.InvalidRequest(http.StatusNotFound, failure.CodeUnknownURL,
		"no provider of this model compacts conversations (it takes api responses): ask POST /v1/responses for a summary, as Codex does of other vendors than OpenAI")
}

// cancel answers POST /v1/responses/{id}/cancel. There is nothing to cancel: no response is made in the background.
func cancel(_ *alipayai.Gateway, _ http.ResponseWriter, r *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	if _, _, f := kept(r, tenant, rd); f != nil && f.Code != failure.CodeResponseInProgress {
		return false, f
	}
	return false, failure.InvalidRequest(http.StatusBadRequest, "", "only responses of background: true can be cancelled, which this gateway makes at once; end the connection of a stream")
}

// input gives the items of the request's own, each with an id.
func (r *record) input(id string) []json.RawMessage {
	own := slices.Clone(r.Items[len(r.Items)-r.Own:])
	for i, v := range own {
		var item map[string]json.RawMessage
		if json.Unmarshal(v, &item) != nil {
			continue
		}
		if item["id"] == nil {
			item["id"], _ = json.Marshal("msg_" + id + "i" + strconv.Itoa(i))
		}
		if item["type"] == nil {
			item["type"] = json.RawMessage(`"message"`)
		}
		if named, err := json.Marshal(item); err == nil {
			own[i] = named
		}
	}
	return own
}

// inputItems answers GET /v1/responses/{id}/input_items: limit, order and after are those of the API's reference.
func inputItems(_ *alipayai.Gateway, w http.ResponseWriter, r *http.Request, tenant string, rd *door.Reading) (bool, *failure.Failure) {
	found, id, f := kept(r, tenant, rd)
	if f != nil {
		return false, f
	}
	body, f := page(found.input(id), r.URL.Query())
	if f == nil {
		f = alipayai.GuardKept(r.Context(), tenant, body)
	}
	if f != nil {
		return false, f
	}
	return answer(w, body)
}

// page gives a part of a list of items.
func page(items []json.RawMessage, query url.Values) ([]byte, *failure.Failure) {
	const most, usual = 100, 20
	limit := usual
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return nil, invalid("limit", "limit must be a number from 1 to 100")
		}
		limit = n
	}
	switch query.Get("order") {
	case "", "desc":
		slices.Reverse(items)
	case "asc":
	default:
		return nil, invalid("order", "order must be asc or desc")
	}
	ids := make([]string, len(items))
	start := 0
	for i, v := range items {
		var named struct{ ID string }
		_ = json.Unmarshal(v, &named) // which has been done before
		if ids[i] = named.ID; ids[i] != "" && ids[i] == query.Get("after") {
			start = i + 1
		}
	}
	end := min(start+limit, len(items))
	list := struct {
		Object  string            `json:"object"`
		Data    []json.RawMessage `json:"data"`
		FirstID *string           `json:"first_id"`
		LastID  *string           `json:"last_id"`
		HasMore bool              `json:"has_more"`
	}{Object: "list", Data: items[start:end], HasMore: end < len(items)}
	if start < end {
		list.FirstID, list.LastID = &ids[start], &ids[end-1]
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, door.Untranslated(err)
	}
	return body, nil
}

func invalid(param, message string) *failure.Failure {
	f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, message)
	f.Param = param
	return f
}

// codexModels is the list of models with the member that Codex wants beside it: it knows its own of each model.
func codexModels(*http.Request, *alipayai.Call, *door.Reading) (door.Writer, *failure.Failure) {
	return door.WholeWriter(func(canonical []byte) ([]byte, *failure.Failure) {
		var list map[string]json.RawMessage
		if err := json.Unmarshal(canonical, &list); err != nil || list == nil {
			return nil, door.Untranslated(err)
		}
		list["models"] = json.RawMessage("[]")
		body, err := json.Marshal(list)
		if err != nil {
			return nil, door.Untranslated(err)
		}
		return body, nil
	}), nil
}
