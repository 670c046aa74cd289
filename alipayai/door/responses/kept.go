package responses

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
)

// record is a response as it is kept, with all that it goes on from: one question to the store gives a conversation, and a
// response that is deleted, or whose time has come, takes none that goes on from it along.
type record struct {
	// Items are those of the conversation before the response's output, and Own how many of the last are the request's own.
	Items []json.RawMessage `json:"items"`
	Own   int               `json:"own"`
	// Response is the resource.
	Response json.RawMessage `json:"response"`
}

// The status that a record is kept with.
const (
	statusDone       = http.StatusOK
	statusInProgress = http.StatusAccepted
	statusDeleted    = http.StatusGone
)

// inProgressTTL bounds for how long a stream counts as going on whose end is not seen, as when a replica dies.
const inProgressTTL = 15 * time.Minute

func keyOf(owner door.Owner, id string) replay.Key { return key("responses", owner, id) }

// key names something of an owner's.
func key(kind string, owner door.Owner, id string) replay.Key {
	if owner.User != "" {
		return replay.NewKey(kind, owner.Tenant, id, owner.User)
	}
	return replay.NewKey(kind, owner.Tenant, id)
}

func unavailable(cause error) *failure.Failure {
	f := failure.Unavailable(failure.CodeResponseStoreUnavailable, "what is kept of conversations cannot be reached now")
	f.Cause = cause
	return f
}

// load gives the response of that id, without "resp_", which is kept for an owner; false where there is none.
func load(ctx context.Context, kept *door.Conversations, owner door.Owner, id string) (r record, found bool, f *failure.Failure) {
	answer, found, err := kept.Cache.Get(ctx, owner.Tenant, keyOf(owner, id))
	switch {
	case errors.Is(err, replay.ErrUnreadable), err == nil && (!found || answer.Status == statusDeleted):
		return r, false, nil
	case err != nil:
		return r, false, unavailable(err)
	case answer.Status == statusInProgress:
		f = failure.InvalidRequest(http.StatusConflict, failure.CodeResponseInProgress, "the response is still being written: repeat this when it has ended")
		f.RetryAfter = time.Second
		return r, false, f
	}
	if err := json.Unmarshal(answer.Body, &r); err != nil || r.Own < 0 || r.Own > len(r.Items) {
		return r, false, nil
	}
	return r, true, nil
}

// maxAsked bounds what the store is asked for one request, about once for each response whose items it refers to, and the items of
// a provider's response that point to it.
const maxAsked = 1 << 10

// recall gives the items that a request goes on from, and those that it refers to.
func recall(ctx context.Context, kept *door.Conversations, owner door.Owner, c *responses.ClientRequest) (
	history []jsontext.Value, item func(string) (jsontext.Value, bool), f *failure.Failure,
) {
	records := make(map[string]record)
	asked := 0
	get := func(id string) (record, bool, *failure.Failure) {
		if r, ok := records[id]; ok {
			return r, true, nil
		}
		if asked++; asked > maxAsked {
			f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "input refers to items of more than 1024 responses: send the items themselves, or previous_response_id")
			f.Param = "input"
			return record{}, false, f
		}
		r, found, f := load(ctx, kept, owner, id)
		if found {
			records[id] = r
		}
		return r, found, f
	}
	if c.Previous != "" {
		r, found, f := get(strings.TrimPrefix(c.Previous, "resp_"))
		if f == nil && !found {
			f = failure.InvalidRequest(http.StatusBadRequest, failure.CodePreviousResponseNotFound, "the previous response is not kept here, or no longer: send the whole conversation as input")
		}
		if f != nil {
			f.Param = "previous_response_id"
			return nil, nil, f
		}
		history = r.conversation()
	}
	items := make(map[string]jsontext.Value)
	looked, collected := make(map[string]bool), make(map[string]bool)
	for _, id := range c.References {
		if looked[id] {
			continue
		}
		looked[id] = true
		of, ok := responses.ResponseOf(id, idDigits)
		var r record
		var found bool
		if ok {
			r, found, f = get(of)
		}
		if !found && f == nil {
			of, r, found, f = pointed(ctx, kept, owner, id, get)
		}
		if f != nil {
			return nil, nil, f
		}
		if found && !collected[of] {
			collected[of] = true
			r.collect(of, items)
		}
	}
	return history, func(id string) (jsontext.Value, bool) { v, ok := items[id]; return v, ok }, nil
}

// pointed gives the response that an item of a provider's own points to.
func pointed(ctx context.Context, kept *door.Conversations, owner door.Owner, item string, get func(string) (record, bool, *failure.Failure)) (string, record, bool, *failure.Failure) {
	pointer, found, err := kept.Cache.Get(ctx, owner.Tenant, pointerOf(owner, item))
	switch {
	case err != nil && !errors.Is(err, replay.ErrUnreadable):
		return "", record{}, false, unavailable(err)
	case !found:
		return "", record{}, false, nil
	}
	r, found, f := get(string(pointer.Body))
	return string(pointer.Body), r, found, f
}

// output gives the items of the response.
func (r *record) output() []json.RawMessage {
	var response struct{ Output []json.RawMessage }
	if json.Unmarshal(r.Response, &response) != nil {
		return nil
	}
	return response.Output
}

// conversation gives all items up to the response's end.
func (r *record) conversation() (all []jsontext.Value) {
	for _, list := range [][]json.RawMessage{r.Items, r.output()} {
		for _, v := range list {
			all = append(all, jsontext.Value(v))
		}
	}
	return all
}

// collect puts the response's items under their ids.
func (r *record) collect(id string, to map[string]jsontext.Value) {
	for _, list := range [][]json.RawMessage{r.input(id), r.output()} {
		for _, v := range list {
			var named struct{ ID string }
			if json.Unmarshal(v, &named) == nil && named.ID != "" {
				to[named.ID] = jsontext.Value(v)
			}
		}
	}
}

// keeper keeps one response.
type keeper struct {
	// ctx does not end with the client's.
	ctx     context.Context
	kept    *door.Conversations
	owner   door.Owner
	id      string
	request *responses.ClientRequest
	// again says that the call may be a repeated one, whose response has the same id and may have been deleted since.
	again bool

	// begun says that a stream in a provider's own words has shown its id, and announced that this is kept.
	begun, announced, done bool
	// items are those of that stream that have come to their end.
	items []placed
}

// placed is an item with its place in the output.
type placed struct {
	place int
	item  json.RawMessage
}

func (k *keeper) put(status int, body []byte, ttl time.Duration, also ...replay.Entry) bool {
	if k.again {
		before, found, err := k.kept.Cache.Get(k.ctx, k.owner.Tenant, keyOf(k.owner, k.id))
		if err == nil && found && before.Status == statusDeleted {
			return true // the answer is as it was given, and stays deleted
		}
	}
	err := k.kept.Cache.Put(k.ctx, k.owner.Tenant, keyOf(k.owner, k.id), replay.Answer{Status: status, Body: body}, ttl, also...)
	return err == nil
}

// announce keeps that the response is being written: its id is known to the client before its end.
func (k *keeper) announce() bool {
	k.announced = k.put(statusInProgress, nil, min(k.kept.TTL, inProgressTTL))
	return k.announced
}

// keep keeps a whole response.
func (k *keeper) keep(response, _ []byte) bool { return k.keepWith(response) }

// keepWith keeps a whole response, and what points to it.
func (k *keeper) keepWith(response []byte, pointers ...replay.Entry) bool {
	r := record{Response: response, Own: len(k.request.Input)}
	for _, list := range [][]jsontext.Value{k.request.History(), k.request.Input} {
		for _, v := range list {
			r.Items = append(r.Items, json.RawMessage(v))
		}
	}
	body, err := json.Marshal(r)
	k.done = err == nil && k.put(statusDone, body, k.kept.TTL, pointers...)
	return k.done
}

// watch reads a response in a provider's own words, and keeps it once it has ended, under the provider's id. Its items have ids
// that do not say whose they are, so each points to the response, from the same write on.
func (k *keeper) watch(passing []byte) {
	seen, ok := responses.See(passing)
	if !ok || k.done {
		return
	}
	k.id = strings.TrimPrefix(seen.ID, "resp_")
	if !seen.Ended {
		k.begun = true
		return
	}
	response, output := bytes.Clone(passing), seen.Output
	if len(output) == 0 && len(k.items) > 0 {
		response, output = k.withItems(response)
	}
	var pointers []replay.Entry
	for _, v := range output[:min(len(output), maxAsked)] {
		var named struct{ ID string }
		if json.Unmarshal(v, &named) == nil && named.ID != "" {
			pointers = append(pointers, replay.Entry{Key: pointerOf(k.owner, named.ID), Answer: replay.Answer{Status: statusDone, Body: []byte(k.id)}})
		}
	}
	k.keepWith(response, pointers...)
}

// withItems gives the response with the items of its stream for its output, and those. That of Codex's own backend ends without
// any: https://github.com/commontoolsinc/labs/pull/5092.
func (k *keeper) withItems(response []byte) (whole []byte, output []json.RawMessage) {
	slices.SortStableFunc(k.items, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	for _, i := range k.items {
		output = append(output, i.item)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(response, &members) != nil {
		return response, nil
	}
	var err error
	if members["output"], err = json.Marshal(output); err != nil {
		return response, nil
	}
	if whole, err = json.Marshal(members); err != nil {
		return response, nil
	}
	return whole, output
}

// watched announces a response that has begun in what was watched, and has not ended in it.
func (k *keeper) watched() {
	if k.begun && !k.announced && !k.done {
		k.begun = false
		k.announce()
	}
}

func pointerOf(owner door.Owner, item string) replay.Key {
	return key("item of a response", owner, item)
}

// end forgets a response that has not come to its end.
func (k *keeper) end() {
	if k.announced && !k.done {
		k.put(statusDeleted, nil, time.Second)
	}
}
