package alipaycaddy

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/intent"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// seenCall is a request as matchers and placeholders see it: what was read of it, and what was found out about that, each
// thing when it is first asked for. It belongs to the request's goroutine.
type seenCall struct {
	*door.Reading
	app *App
	// request is the one that was read; what is asked of others ends with it.
	request *http.Request

	all    found[[]wire.Text]
	texts  found[texts]
	script found[string]
	intent found[intent.Guess]

	room door.Reading // what Reading points to, mostly
}

// found is a value that is found out once.
type found[T any] struct {
	value T
	known bool
}

func (f *found[T]) get(find func() T) T {
	if !f.known {
		f.value, f.known = find(), true
	}
	return f.value
}

// texts are what matchers look at of all the texts of a call.
type texts struct {
	last                       string // the text of the last user message, or of what is to be embedded
	characters, lastCharacters int    // code points
}

// seenKey is the variable of a request that holds its seenCall.
const seenKey = "alipayai_call"

// see gives the request as a call. Its body stays to be read by others.
func (a *App) see(r *http.Request) *seenCall {
	limit := cmp.Or(a.maxBody, alipayai.DefaultMaxBody)
	if seenBefore(r) != nil {
		return a.seen(r, dialects.Peek(r, limit, time.Now))
	}
	c := new(seenCall)
	c.Reading = dialects.PeekInto(&c.room, r, limit, time.Now)
	return a.show(r, c, true)
}

// seenBefore gives the call that r was seen as; nil where it was not.
func seenBefore(r *http.Request) *seenCall {
	c, _ := caddyhttp.GetVar(r.Context(), seenKey).(*seenCall)
	return c
}

// seen gives the call that was read of r, the same one for the same reading, and sets the request's placeholders.
func (a *App) seen(r *http.Request, reading *door.Reading) *seenCall {
	before := seenBefore(r)
	if before != nil && before.Reading == reading && !a.complete(r, reading) {
		return before
	}
	return a.show(r, &seenCall{Reading: reading}, before == nil)
}

// complete completes a reading that goes on from what the site keeps, and reports whether it did.
func (a *App) complete(r *http.Request, reading *door.Reading) bool {
	return reading.Continues && reading.Continue(r, a.conversations, tenantOf(r))
}

// show makes c the call that r is seen as. first says that it was not seen before.
func (a *App) show(r *http.Request, c *seenCall, first bool) *seenCall {
	c.app, c.request = a, r
	a.complete(r, c.Reading)
	caddyhttp.SetVar(r.Context(), seenKey, c)
	if !first {
		return c
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(func(key string) (any, bool) { return placeholder(r, key) })
	}
	return c
}

// String keeps what a call holds out of {http.vars.*}.
func (c *seenCall) String() string { return "" }

// hasRequest reports whether the call was read and has a body.
func (c *seenCall) hasRequest() bool { return c.Failure == nil && c.Request.Body != nil }

// findAll gives all texts of the call.
func (c *seenCall) findAll() []wire.Text {
	return c.all.get(func() []wire.Text {
		if !c.hasRequest() {
			return nil
		}
		return c.Request.Texts()
	})
}

// sentTexts gives all texts of the body as it was sent, some of which the canonical form may not carry, and all of what the
// call goes on from, in each form in which a provider may be sent it.
func (c *seenCall) sentTexts() []wire.Text {
	switch {
	case !c.hasRequest() || c.Native == nil:
		return c.findAll()
	case c.Continues:
		return slices.Concat(wire.Request{Body: c.Native.Body}.Texts(), c.Native.Sendable.Texts(), c.findAll())
	}
	return wire.Request{Body: c.Native.Body}.Texts()
}

// findTexts gives what matchers look at of the call's texts.
func (c *seenCall) findTexts() texts {
	return c.texts.get(func() (t texts) {
		all, last := c.findAll(), -1
		for _, text := range all {
			t.characters += utf8.RuneCountInString(text.Value)
			if isPrompt(text) {
				last = text.Message
			}
		}
		for _, text := range all {
			if !isPrompt(text) || text.Message != last {
				continue
			}
			if t.last != "" {
				t.last += "\n"
			}
			t.last += text.Value
			t.lastCharacters += utf8.RuneCountInString(text.Value)
		}
		return t
	})
}

// findScript gives the script of the last user message.
func (c *seenCall) findScript() string {
	return c.script.get(func() string { return intent.Script(c.findTexts().last) })
}

// findIntent gives what the last user message is about; no intent where there is none, or it is not certain enough.
func (c *seenCall) findIntent() intent.Guess {
	return c.intent.get(func() intent.Guess {
		if c.findTexts().last == "" {
			return intent.Guess{}
		}
		return c.app.intents.guess(c.request.Context(), tenantOf(c.request), c.findTexts().last)
	})
}

// isPrompt reports whether a text is what a user wrote, or is to be embedded.
func isPrompt(t wire.Text) bool {
	return t.Kind == wire.TextContent && (t.Role == "user" || t.Message < 0)
}

// placeholderPrefix begins the placeholders of a call.
const placeholderPrefix = "http.alipayai."

// placeholder gives a placeholder of the request's call. They are empty, false and 0 where the request makes none.
func placeholder(r *http.Request, key string) (any, bool) {
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok {
		return nil, false
	}
	c, ok := caddyhttp.GetVar(r.Context(), seenKey).(*seenCall)
	if !ok {
		return nil, false
	}
	switch name {
	case "endpoint":
		return string(c.Endpoint), true
	case "model":
		return c.Request.Model, true
	case "stream":
		return c.Request.Stream, true
	case "tools":
		return c.Request.HasTools, true
	case "images":
		return c.Request.HasImages, true
	case "messages":
		return c.Request.Messages, true
	case "characters":
		return c.findTexts().characters, true
	case "last_characters":
		return c.findTexts().lastCharacters, true
	case "language":
		return c.findScript(), true
	case "intent":
		return c.findIntent().Intent, true
	case "confidence":
		return c.findIntent().Confidence, true
	}
	return nil, false
}
