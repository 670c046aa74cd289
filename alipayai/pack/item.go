package pack

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Item is what one call brings into a pack.
type Item struct {
	// Texts are what it asks: one of a chat, one or more inputs to embed.
	Texts []string
	// User is the value of "user": the client's name for its end user.
	User string
	// Fixed says that the same request gets the same answer: its temperature is 0.
	Fixed bool
	// MaxTokens is the most that its answer may have; 0 where it does not say.
	MaxTokens int64

	embeds bool
	// fields are the model and the parameters, in canonical form (RFC 8785), by name.
	fields []field
	// system are the messages before the user's.
	system []message
}

type field struct {
	name  string
	value jsontext.Value
}

type message struct{ role, text string }

// Characters counts those of its texts, in Unicode code points.
func (i *Item) Characters() int {
	n := 0
	for _, text := range i.Texts {
		n += utf8.RuneCountInString(text)
	}
	return n
}

// Chats reports whether the item is of a chat; else its texts are to be embedded.
func (i *Item) Chats() bool { return !i.embeds }

// Remainder is all of the request but its texts, its user and how the answer is to be
// delivered. Items with equal remainders may share a request.
func (i *Item) Remainder() []string {
	parts := []string{strconv.FormatBool(i.embeds), strconv.Itoa(len(i.fields))}
	for _, f := range i.fields {
		parts = append(parts, f.name, string(f.value))
	}
	for _, m := range i.system {
		parts = append(parts, m.role, m.text)
	}
	return parts
}

const (
	// roomTokens bounds the max_tokens of a pack: models refuse more than they can give, and
	// 4,096 is what nearly all of them can.
	roomTokens = 4096
	// formTokens is what an answer takes in a pack beside its text, at most: its id, quotes
	// and the escapes of a short text.
	formTokens = 16
)

// Most is how many items like i fit into one pack by its max_tokens.
func (i *Item) Most() int {
	if i.MaxTokens == 0 {
		return math.MaxInt
	}
	return int(roomTokens / (min(i.MaxTokens, roomTokens) + formTokens))
}

// Added bounds what a pack takes for the item beside what its own request would: bytes of the request, and tokens
// of the answer. Two items have the instruction between them, and each text is quoted once more, with an id.
func (i *Item) Added() (bytes, tokens int64) {
	const form = 128 // an id, response_format, and what stands around the messages
	bytes = int64(len(translate.Quote(nil, Instruction))) + form
	for _, text := range i.Texts {
		bytes += int64(len(translate.Quote(nil, text)))
	}
	return bytes, formTokens
}

// ReadChat reads the body of a chat request that [wire.ParseChatRequest] has accepted.
// ok is false for one that cannot be packed. Only what is known to mean the same for
// each item of a pack may be in it, or what says nothing: tools, schemas, several
// answers, stop sequences, seeds and whatever else there is keep a call on its own.
func ReadChat(body []byte) (item Item, ok bool) {
	user := ""
	ok = members(body, func(name string, v jsontext.Value) bool {
		switch name {
		case "messages":
			return item.messages(v)
		case "model", "temperature", "top_p":
			item.Fixed = item.Fixed || name == "temperature" && isZero(v)
			return item.field(name, v)
		case "max_tokens", "max_completion_tokens":
			return v.Kind() == 'n' || item.limit(v) && item.field(name, v)
		case "user":
			user = translate.Unquote(v)
			return v.Kind() == '"' || v.Kind() == 'n'
		case "stream": // the answer's delivery, not its content
			return true
		case "stream_options":
			return v.Kind() == 'n' || members(v, func(name string, v jsontext.Value) bool {
				return name == "include_usage" || wire.IsDefault("stream_options."+name, v)
			})
		case "reasoning_effort", "verbosity":
			// Their "default" is only that of models without them.
			return v.Kind() == 'n'
		}
		return wire.IsDefault(name, v)
	})
	item.User = user
	item.sort()
	return item, ok && len(item.Texts) == 1
}

// ReadEmbeddings is ReadChat for what [wire.ParseEmbeddingsRequest] has accepted. Tokens
// are no texts.
func ReadEmbeddings(body []byte) (item Item, ok bool) {
	item.embeds = true
	ok = members(body, func(name string, v jsontext.Value) bool {
		switch name {
		case "input":
			if v.Kind() == '"' {
				item.Texts = []string{translate.Unquote(v)}
				return true
			}
			return elements(v, func(v jsontext.Value) bool {
				item.Texts = append(item.Texts, translate.Unquote(v))
				return v.Kind() == '"'
			})
		case "model", "encoding_format", "dimensions":
			return item.field(name, v)
		case "user":
			item.User = translate.Unquote(v)
			return v.Kind() == '"' || v.Kind() == 'n'
		}
		return v.Kind() == 'n'
	})
	item.sort()
	return item, ok && len(item.Texts) > 0 && !slices.Contains(item.Texts, "")
}

// messages reads system messages and then one of the user's, each of text alone.
func (i *Item) messages(v jsontext.Value) bool {
	return elements(v, func(v jsontext.Value) bool {
		role, text, plain := "", "", false
		ok := members(v, func(name string, v jsontext.Value) bool {
			switch name {
			case "role":
				role = translate.Unquote(v)
				return true
			case "content":
				text, plain = translate.Unquote(v), v.Kind() == '"'
				return true
			}
			return false
		})
		switch {
		case !ok || !plain || len(i.Texts) > 0: // nothing may follow the user's
			return false
		case role == "system", role == "developer":
			i.system = append(i.system, message{role, text})
			return true
		}
		i.Texts = []string{text}
		return role == "user" && strings.TrimSpace(text) != ""
	})
}

func (i *Item) field(name string, v jsontext.Value) bool {
	if v.Kind() == 'n' {
		return true
	}
	v = v.Clone()
	err := v.Canonicalize()
	i.fields = append(i.fields, field{name, v})
	return err == nil
}

// limit reads max_tokens, which may be there once.
func (i *Item) limit(v jsontext.Value) bool {
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil || n < 1 || i.MaxTokens != 0 {
		return false
	}
	i.MaxTokens = n
	return true
}

func (i *Item) sort() {
	slices.SortFunc(i.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
}

func isZero(v jsontext.Value) bool {
	n, err := strconv.ParseFloat(string(v), 64)
	return err == nil && n == 0
}

// errStop ends the reading of what cannot be packed.
var errStop = errors.New("it cannot be packed")

func orStop(ok bool) error {
	if !ok {
		return errStop
	}
	return nil
}

// members calls each for every member of the object v, as long as it gives true, and reports whether v is an object and
// each always did.
func members(v jsontext.Value, each func(name string, v jsontext.Value) bool) bool {
	return translate.Members(v, func(name string, v jsontext.Value) error { return orStop(each(name, v)) }) == nil
}

// elements is members for an array.
func elements(v jsontext.Value, each func(v jsontext.Value) bool) bool {
	return translate.Elements(v, func(_ int, v jsontext.Value) error { return orStop(each(v)) }) == nil
}
