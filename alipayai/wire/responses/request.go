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

	before []item // what it goes on from
	items  []item // Input, as read
	c      client
}

// History are the items before the request's own, of those that Continue has been given: without what cannot be sent again.
func (r *ClientRequest) History() []jsontext.Value { return texts(r.before) }

// ParseClientRequest reads the body of POST /v1/responses. Every error is a [*wire.RequestError].
//
// What becomes of it in chat completions' form:
//
//	instructions             the first system message
//	input, messages          messages; developer is system
//	input_text, output_text  texts
//	input_image, input_file  image_url, file; a file's URL is its data, as OpenRouter has it. Those by id are left out and
//	                         named, and a word stands for them
//	function_call            tool_calls; those that follow each other are of one message, with the text before them
//	function_call_output     a message of role tool; its images are in a user's message after it, since tools give text
//	custom tools             functions with one text, input; a grammar is told in their description
//	namespace                functions with the name of the namespace before theirs
//	tool_search by clients   a function; the tools that it has found are offered
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
	if err := r.build(r.Continues()); err != nil {
		return nil, translate.RequestError(err)
	}
	return r, nil
}

// Continues reports whether the request goes on from what is kept elsewhere.
func (r *ClientRequest) Continues() bool { return r.Previous != "" || len(r.References) > 0 }

// Continue completes a request that Continues: history are the items before its own, and find gives those that are
// referred to. They were kept as an answer had them, which may be odd: what of them cannot be sent again is left out, with the
// outputs of such calls. Every error is a [*wire.RequestError].
func (r *ClientRequest) Continue(history []jsontext.Value, find func(id string) (jsontext.Value, bool)) error {
	r.before = make([]item, len(history))
	for i, v := range history {
		r.before[i] = recalled("previous_response_id", v)
	}
	err := r.resolve(find)
	if err == nil {
		err = r.offerAgain()
	}
	if err == nil {
		err = r.build(false)
	}
	if err != nil {
		return translate.RequestError(err)
	}
	r.before, r.items = slices.DeleteFunc(r.before, isLost), slices.DeleteFunc(r.items, isLost)
	r.Input = texts(r.items)
	return nil
}

// resolve puts the items that are referred to in their places.
func (r *ClientRequest) resolve(find func(id string) (jsontext.Value, bool)) error {
	if len(r.References) == 0 {
		return nil
	}
	r.items = slices.Clone(r.items)
	for i := range r.items {
		it := &r.items[i]
		if it.kind != "item_reference" {
			continue
		}
		v, ok := jsontext.Value(nil), false
		if find != nil {
			v, ok = find(it.id)
		}
		if !ok {
			return &wire.RequestError{Param: it.path, Code: wire.CodeInvalidValue,
				Message: "the item that an item_reference names is not kept here: send the item itself, or store: false, by which clients do"}
		}
		*it = recalled(it.path, v)
	}
	return nil
}

// Sendable gives the request for a provider that has the API: as it came, but for what is not the provider's to read, and ids and parts
// that it would refuse.
func (r *ClientRequest) Sendable() (*wire.Request, error) {
	if r.c.repeats {
		return r.Expanded()
	}
	for i := range r.items {
		if it := &r.items[i]; it.unreadable() || it.hasRefusedID() || it.misplaced {
			return r.Expanded()
		}
	}
	return &r.Sent, nil
}

// unreadable reports whether an item is what the gateway has written of another provider's reasoning, or of an image of its. A provider
// that has the API looks for such an item by its id, where it has no encrypted content, and refuses a request with one that it does not have.
// So is reasoning of which nothing is left without its id, and that is refused.
func (it *item) unreadable() bool {
	switch it.kind {
	case "reasoning":
		return it.encrypted == nil && (isOwn(it.id) || !it.hasOwnID() && it.content == nil)
	case imageCall:
		return isOwn(it.id)
	}
	return false
}

// Expanded gives the request as it stands alone, for who does not keep what it goes on from: with the items of its
// history before its own, without previous_response_id, and without what Sendable leaves out.
func (r *ClientRequest) Expanded() (*wire.Request, error) {
	out := []byte{'{'}
	err := translate.Members(r.Sent.Body, func(name string, v jsontext.Value) error {
		if name != "input" && name != "previous_response_id" {
			out = append(append(append(translate.Quote(out, name), ':'), v...), ',')
		}
		return nil
	})
	if err != nil {
		return nil, translate.RequestError(err)
	}
	out = append(out, `"input":[`...)
	ids := r.callIDs()
	for _, items := range [][]item{r.before, r.items} {
		for i := range items {
			if items[i].unreadable() {
				continue
			}
			if out[len(out)-1] != '[' {
				out = append(out, ',')
			}
			out = append(out, items[i].sendable(ids)...)
		}
	}
	expanded, err := wire.ParseRequest(append(out, "]}"...), wire.Limits{})
	return &expanded, err
}

// build makes Canonical of the items of history and the request's own. open says that those are missing which are kept elsewhere.
func (r *ClientRequest) build(open bool) (err error) {
	c := &r.c
	room := translate.Scratch()
	conversation := conversation{client: c, open: open, chat: wire.Chat{ChatMembers: c.chat, Model: r.Sent.Model, Messages: *room}}
	chat := &conversation.chat
	defer func() { translate.Release(room, chat.Messages) }()
	if err := conversation.read(r.before, r.items); err != nil {
		return err
	}
	if r.Canonical, err = conversation.request(); err != nil {
		return err
	}
	r.Canonical.HostedTools, r.Canonical.CacheKey = c.hosted, c.cacheKey
	r.Unsupported = c.left.Names()
	return nil
}

// request writes the request in chat completions' form.
func (v *conversation) request() (wire.Request, error) {
	c, chat := v.client, &v.chat
	said := translate.Characters(c.instructions)
	switch {
	case len(said) == 0 && len(chat.Messages) == 0 && !v.open:
		return wire.Request{}, translate.Invalid("input", "an item with something in it, or instructions")
	case len(said) == 0 && len(chat.Messages) == 0: // what it goes on from is not known yet
		chat.Text("user", nil)
	case len(said) == 0:
	case !v.spoken && !v.open:
		// Probes have an empty input. Most upstreams want a user's message, and these are the only words there are.
		chat.Lead("user", said)
	default:
		chat.Lead("system", said)
	}
	if c.logprobs {
		chat.Member("logprobs", []byte("true"))
	}
	return chat.Request(c.offered.size(), func(dst []byte) []byte { return c.offered.append(dst, c.serial) })
}
