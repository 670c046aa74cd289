package responses

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ClientRequest is what a client of the Responses API has sent.
type ClientRequest struct {
	// Sent is the body as it came.
	Sent wire.Request
	// Canonical is the request in chat completions' form. That of one which Continues is not all of it, until Continue.
	Canonical wire.Request
	// Unsupported names, sorted, what Canonical does not carry: see [wire.Encoded.Unsupported].
	Unsupported []string
	// Previous is the response that it goes on from, and References are the items that stand for others; empty for none.
	Previous   string
	References []string
	// Store says that the response is to be kept, and StoreAsked that the client has said so.
	Store, StoreAsked bool
	// Input are the items of its own, as objects. They are parts of Sent, mostly.
	Input []jsontext.Value

	history []jsontext.Value
	items   []placedItem // Input, as read
	c       client
}

// History are the items before the request's own, which Continue has been given.
func (r *ClientRequest) History() []jsontext.Value { return r.history }

// ParseClientRequest reads the body of POST /v1/responses. Every error is a [*wire.RequestError].
//
// What becomes of it in chat completions' form:
//
//	instructions             the first system message
//	input, messages          messages; developer is system
//	input_text, output_text  texts
//	input_image, input_file  image_url, file; those by id, and files by URL, are left out and named
//	function_call            tool_calls; those that follow each other are of one message, with the text before them
//	function_call_output     a message of role tool; its images are in a user's message after it, since tools give text
//	custom tools             functions with one text, input; a grammar is told in their description
//	namespace                functions with the name of the namespace before theirs
//	reasoning                reasoning_content, which goes to vendors that want it back
//	other tools and items    are left out and named
//	allowed_tools            the tools that are offered, and no others
//	text.format              response_format
//	max_output_tokens        max_tokens
//	reasoning.effort         reasoning_effort
//
// What says nothing of the answer, as metadata and hints for caches, is only repeated in the response.
func ParseClientRequest(body []byte) (*ClientRequest, error) {
	r := &ClientRequest{Store: true}
	sent, err := translate.Request(body, r.field)
	if err != nil {
		return nil, err
	}
	r.Sent = sent
	switch {
	case sent.Model == "":
		return nil, translate.Missing("model", "a non-empty string")
	case r.c.input == nil && r.c.instructions == nil && r.Previous == "":
		return nil, translate.Missing("input", "a string or an array of items")
	}
	if err := r.readInput(); err != nil {
		return nil, translate.RequestError(err)
	}
	if err := r.c.readTools(); err != nil {
		return nil, translate.RequestError(err)
	}
	if err := r.build(nil, nil); err != nil {
		return nil, translate.RequestError(err)
	}
	return r, nil
}

// Continues reports whether the request goes on from what is kept elsewhere.
func (r *ClientRequest) Continues() bool { return r.Previous != "" || len(r.References) > 0 }

// Continue completes a request that Continues: history are the items before its own, and item gives those that are
// referred to. Every error is a [*wire.RequestError].
func (r *ClientRequest) Continue(history []jsontext.Value, item func(id string) (jsontext.Value, bool)) error {
	if item == nil {
		item = func(string) (jsontext.Value, bool) { return nil, false }
	}
	input, err := r.resolved(item)
	if err == nil {
		r.Input, r.history = input, history
		r.items, err = readItems(input, func(i int) string { return path("input", i) })
	}
	if err == nil {
		err = r.build(history, item)
	}
	if err != nil {
		return translate.RequestError(err)
	}
	return nil
}

// resolved gives the items of the request's own, with those that are referred to in their places.
func (r *ClientRequest) resolved(item func(id string) (jsontext.Value, bool)) ([]jsontext.Value, error) {
	if len(r.References) == 0 {
		return r.Input, nil
	}
	input := make([]jsontext.Value, 0, len(r.Input))
	for i, v := range r.Input {
		if id, ok := reference(v); ok {
			if v, ok = item(id); !ok {
				return nil, &wire.RequestError{Param: path("input", i), Code: wire.CodeInvalidValue,
					Message: "the item that an item_reference names is not kept here: send the item itself, or store: false, by which clients do"}
			}
		}
		input = append(input, v)
	}
	return input, nil
}

// Sendable gives the request for a provider that has the API: as it came, but for what is not the provider's to read.
func (r *ClientRequest) Sendable() (wire.Request, error) {
	for i := range r.items {
		if r.items[i].unreadable() {
			return r.Expanded()
		}
	}
	return r.Sent, nil
}

// unreadable reports whether an item is what the gateway has written of another provider's reasoning. A provider that has the
// API looks for such an item by its id, where it has no encrypted content, and refuses a request with one that it does not have.
func (it *item) unreadable() bool {
	return it.kind == "reasoning" && it.encrypted == nil && (isOwn(it.id) || it.id == "" && it.content == nil)
}

// Expanded gives the request as it stands alone, for who does not keep what it goes on from: with the items of its
// history before its own, without previous_response_id, and without what Sendable leaves out.
func (r *ClientRequest) Expanded() (wire.Request, error) {
	out := []byte{'{'}
	err := translate.Members(r.Sent.Body, func(name string, v jsontext.Value) error {
		if name != "input" && name != "previous_response_id" {
			out = append(append(append(translate.Quote(out, name), ':'), v...), ',')
		}
		return nil
	})
	if err != nil {
		return wire.Request{}, translate.RequestError(err)
	}
	out = append(out, `"input":[`...)
	for _, v := range slices.Concat(r.history, r.Input) {
		if it, err := readItem("input", v); err == nil && it.unreadable() {
			continue
		}
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return wire.ParseRequest(append(out, "]}"...), wire.Limits{})
}

// build makes Canonical of the items of history and the request's own. The ones that others stand for are missing where
// item is nil.
func (r *ClientRequest) build(history []jsontext.Value, item func(id string) (jsontext.Value, bool)) error {
	c := &r.c
	room := translate.Scratch()
	conversation := conversation{client: c, open: item == nil && r.Continues(), messages: *room}
	defer func() { translate.Release(room, conversation.messages) }()
	items := r.items
	if len(history) > 0 {
		before, err := readItems(history, func(int) string { return "previous_response_id" })
		if err != nil {
			return err
		}
		items = append(before, items...)
	}
	if err := conversation.read(items); err != nil {
		return err
	}
	body, err := conversation.body(r.Sent.Model)
	if err != nil {
		return err
	}
	if r.Canonical, err = wire.ParseChatRequest(body, wire.Limits{}); err != nil {
		return err
	}
	r.Canonical.HostedTools = c.hosted
	r.Unsupported = c.left.Names()
	return nil
}

// body writes the request in chat completions' form.
func (v *conversation) body(model string) ([]byte, error) {
	c := v.client
	b := make([]byte, 0, len(v.messages)+len(model)+len(c.instructions)+c.offered.size()+len(c.fields)+256)
	b = append(translate.Quote(append(b, `{"model":`...), model), `,"messages":[`...)
	switch {
	case len(translate.Characters(c.instructions)) == 0 && len(v.messages) == 0 && !v.open:
		return nil, translate.Invalid("input", "an item with something in it, or instructions")
	case len(translate.Characters(c.instructions)) == 0:
	case !v.spoken && !v.open:
		// Probes have an empty input. Most upstreams want a user's message, and these are the only words there are.
		b = append(append(append(b, `{"role":"user","content":`...), c.instructions...), '}')
	default:
		b = append(append(append(b, `{"role":"system","content":`...), c.instructions...), '}')
	}
	if b[len(b)-1] != '[' && len(v.messages) > 0 {
		b = append(b, ',')
	}
	b = append(b, v.messages...)
	if b[len(b)-1] == '[' { // what it goes on from is not known yet
		b = append(b, `{"role":"user","content":""}`...)
	}
	b = append(b, ']')
	if c.maxTokens != nil {
		b = append(append(b, `,"max_tokens":`...), c.maxTokens...)
	}
	if c.stream {
		b = append(b, `,"stream":true,"stream_options":{"include_usage":true}`...)
	}
	if c.logprobs {
		b = append(b, `,"logprobs":true`...)
	}
	b = c.offered.append(b, c.serial)
	return append(append(b, c.fields...), '}'), nil
}
