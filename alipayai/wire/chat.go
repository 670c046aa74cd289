package wire

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// turns are whose messages a conversation has, one after the other.
type turns struct {
	n    int
	last string // whose the last one is, as add has it
	odd  bool   // one of them is more than a text, or a system's comes after another's
}

// add adds a message: by is the role of one with nothing but a text, "user", "assistant" or "system", and empty for any other.
func (t *turns) add(by string) {
	t.odd = t.odd || by == "" || by == "system" && t.n > 0 && t.last != "system"
	t.last = by
	t.n++
}

// plain reports whether they are as those of a [Request] which is Plain.
func (t *turns) plain() bool { return !t.odd && t.last == "user" }

// ChatMembers are those of a request in chat completions' form beside its model and messages.
type ChatMembers struct {
	// MaxTokens is a whole number from 1; nil for none.
	MaxTokens jsontext.Value
	// Stream asks for a stream, with the usage at its end.
	Stream bool

	odd  bool   // another is none of PlainMembers
	more []byte // the others, each with a comma before it
}

// Member adds another member.
func (c *ChatMembers) Member(name string, v []byte) {
	if c.more == nil {
		c.more = make([]byte, 0, 64+len(v))
	}
	c.more = append(append(append(append(c.more, `,"`...), name...), `":`...), v...)
	c.odd = c.odd || !slices.Contains(PlainMembers, name)
}

// Chat writes a request in chat completions' form of one in another form, which has been read strictly.
type Chat struct {
	ChatMembers
	// Model is what the request names.
	Model string
	// Messages are those that were added, with commas between them. It may be given room before.
	Messages []byte

	lead  string // the role of the message before the others, which has a text: characters of a JSON string
	text  []byte
	turns turns
}

// Lead puts a message before the others: a text, which is not empty, as characters of a JSON string.
func (c *Chat) Lead(role string, text []byte) { c.lead, c.text = role, text }

// Text adds a message that is nothing but a text, as characters of a JSON string, by "user", "assistant" or "system".
func (c *Chat) Text(by string, text []byte) {
	c.comma()
	c.Messages = appendText(c.Messages, by, text)
	if len(text) == 0 {
		by = ""
	}
	c.turns.add(by)
}

func appendText(dst []byte, by string, text []byte) []byte {
	dst = append(append(append(dst, `{"role":"`...), by...), `","content":"`...)
	return append(append(dst, text...), `"}`...)
}

// User adds a message of the user's: a text, or an array of parts.
func (c *Chat) User(content jsontext.Value) {
	if content.Kind() == '"' {
		c.Text("user", content[1:len(content)-1])
	} else {
		c.Message(`{"role":"user","content":`, content, "}")
	}
}

// Message adds another message, in pieces.
func (c *Chat) Message(before string, middle []byte, after string) {
	c.comma()
	c.Messages = append(append(append(c.Messages, before...), middle...), after...)
	c.turns.add("")
}

// Join adds the messages that were added to another.
func (c *Chat) Join(other *Chat) {
	if len(other.Messages) == 0 {
		return
	}
	c.comma()
	c.Messages = append(c.Messages, other.Messages...)
	c.turns.n += other.turns.n
	c.turns.odd = true // it is not looked at whether they follow each other so
}

func (c *Chat) comma() {
	if len(c.Messages) > 0 {
		c.Messages = append(c.Messages, ',')
	}
}

// Request gives what was written. others appends further members, of about size bytes, each with a comma before it. Every error
// is a [*RequestError]: of what a form takes and chat completions do not.
func (c *Chat) Request(size int, others func(dst []byte) []byte) (Request, error) {
	r := Request{Model: c.Model, Stream: c.Stream, IncludeUsage: c.Stream, Messages: c.turns.n}
	fixed := 96 // the names and signs around them
	if c.Stream {
		fixed += 64
	}
	b := make([]byte, 0, len(c.Messages)+len(c.Model)+len(c.text)+len(c.MaxTokens)+len(c.more)+size+fixed)
	b = append(b, `{"model":`...)
	r.modelStart = len(b)
	b, _ = jsontext.AppendQuote(b, c.Model)
	r.modelEnd = len(b)
	b = append(b, `,"messages":[`...)
	if c.lead != "" {
		b = appendText(b, c.lead, c.text)
		if r.Messages++; len(c.Messages) > 0 {
			b = append(b, ',')
		}
	}
	b = append(append(b, c.Messages...), ']')
	if c.MaxTokens != nil {
		b = append(append(b, `,"max_tokens":`...), c.MaxTokens...)
		r.MaxTokens = wholeNumber(c.MaxTokens)
	}
	if c.Stream {
		b = append(b, `,"stream":true,"stream_options":`...)
		r.optionsStart = len(b)
		b = append(b, `{"include_usage":`...)
		r.usageStart = len(b)
		b = append(b, "true"...)
		r.usageEnd = len(b)
		b = append(b, '}')
		r.optionsEnd = len(b)
	}
	known := len(b)
	b = others(b)
	r.Plain = !c.odd && len(b) == known && (c.turns.plain() && c.lead != "user" || c.turns.n == 0 && c.lead == "user")
	r.Body = append(append(b, c.more...), '}')
	if !r.Plain {
		return ParseChatRequest(r.Body, Limits{})
	}
	return r, nil // there is nothing in it that is not known
}
