package wire

import (
	"fmt"
	"strings"
)

// CallPlaces tells which of an answer's tool calls each piece in its stream is of. Most providers say so by an index. Some
// have none, or give each call the same; then the next call begins where an id or a name is another's, where a name
// comes after arguments that are a whole object, or again within one chunk. Its zero value is ready.
//
// What it remembers is bounded: of more than [MaxToolCalls] calls it knows the first of those that are too many, and of an id or a name
// how it begins.
type CallPlaces struct {
	calls []placedCall
	byID  map[string]int
	at    map[int]int // the last call of each place
	chunk int         // which the pieces are of
}

// placedCall is what is known of a call.
type placedCall struct {
	id, name string
	named    int // the chunk that has its name; one of several
	end      objectEnd
	// head is how its arguments begin, of length bytes that have come. cumulative says that each piece has all of them once more.
	head       [64]byte
	length     int
	cumulative bool
	before     int // how many bytes of the piece that came last have come before
	// shares says that a call before has the same id.
	shares bool
}

// MaxToolCalls is how many tool calls an answer may have that is translated, whole or a stream: of each of a stream's the
// gateway remembers what tells it from others.
const MaxToolCalls = 1 << 10

// TooManyCalls is the error of an answer that has more.
func TooManyCalls() error {
	return fmt.Errorf("%w: more than %d tool calls", ErrMalformed, MaxToolCalls)
}

// NoPlace is the place of a piece that comes alone and has no index.
const NoPlace = -1

// Chunk begins the pieces of another chunk.
func (p *CallPlaces) Chunk() { p.chunk++ }

// Len is how many calls there are.
func (p *CallPlaces) Len() int { return len(p.calls) }

// SharesID reports whether a call has the id of one before it.
func (p *CallPlaces) SharesID(call int) bool { return p.calls[call].shares }

// Whole reports whether the arguments of a call are a whole object.
func (p *CallPlaces) Whole(call int) bool { return p.calls[call].end.reached() }

// Open reports whether the arguments of a call are an object of which there is more to come.
func (p *CallPlaces) Open(call int) bool { return p.calls[call].end.open() }

// Place gives the number of the call that a piece is of. Its place is the provider's index, or where there is none and the
// piece is one of several, the place among them.
func (p *CallPlaces) Place(place int, id, name, arguments string) (call int) {
	if len(p.calls) > MaxToolCalls {
		return MaxToolCalls
	}
	if IsNoName(name) {
		name = ""
	}
	id, name = placedBy(id), placedBy(name)
	call, known := p.last(place, id)
	if !known && place == NoPlace && len(p.calls) > 0 && p.calls[len(p.calls)-1].goesOn(name, arguments) {
		call, known = len(p.calls)-1, true
	}
	if !known && place != NoPlace && id == "" && name == "" && p.lacksArguments(arguments) {
		call, known = len(p.calls)-1, true
		p.at[place] = call
	}
	if !known || p.calls[call].another(id, name, arguments) || p.calls[call].again(id, name, p.chunk) {
		call = p.begin(place)
	}
	c := &p.calls[call]
	if name != "" {
		c.named = p.chunk
	}
	if c.id == "" && id != "" {
		c.id = id
		if p.byID == nil {
			p.byID = make(map[string]int)
		}
		_, c.shares = p.byID[id]
		p.byID[id] = call
	}
	if c.name == "" {
		c.name = name
	}
	c.before = c.repeated(arguments)
	c.write(arguments[c.before:])
	return call
}

// lacksArguments reports whether a piece has arguments that the last call lacks: what names no call at the index of none is of that one,
// which may have begun at another's (https://github.com/agno-agi/agno/pull/8880 of DeepSeek).
func (p *CallPlaces) lacksArguments(arguments string) bool {
	last := len(p.calls) - 1
	return last >= 0 && p.calls[last].name != "" && !p.Whole(last) && strings.TrimSpace(arguments) != ""
}

// Again is how many bytes of the arguments of the piece that a call had last have come before: see [placedCall.repeated].
func (p *CallPlaces) Again(call int) int { return p.calls[call].before }

// repeated is how many bytes of a piece of arguments have come before. Servers say with each piece all arguments so far
// (https://github.com/NousResearch/hermes-agent/pull/35718 of DeepSeek's at Baidu, https://github.com/decolua/9router/pull/2869,
// https://github.com/anomalyco/opencode/pull/17339 of GLM's), which those that join pieces take for no JSON. A piece that begins as the
// arguments do is one where no object may begin behind them: within a string, its second quote is none of JSON's.
func (c *placedCall) repeated(arguments string) int {
	known := min(c.length, len(c.head))
	if !c.end.open() || len(arguments) < c.length || arguments[:known] != string(c.head[:known]) ||
		!c.cumulative && c.end.takesObject() && !c.end.quoted {
		return 0
	}
	c.cumulative = true
	return c.length
}

func (c *placedCall) write(arguments string) {
	copy(c.head[min(c.length, len(c.head)):], arguments)
	c.length += len(arguments)
	c.end.write(arguments)
}

// maxPlaced is how much of an id or a name tells a call from others, in bytes.
const maxPlaced = 1 << 10

// placedBy gives how an id or a name begins.
func placedBy(word string) string {
	if len(word) > maxPlaced {
		return strings.Clone(word[:maxPlaced])
	}
	return word
}

// IsNoName reports whether a name is what some servers write for none: https://github.com/BerriAI/litellm/issues/12513.
func IsNoName(name string) bool { return name == "null" || name == "None" }

// last gives the call that a piece goes on, unless it is another.
func (p *CallPlaces) last(place int, id string) (call int, known bool) {
	if place != NoPlace {
		call, known = p.at[place]
		return call, known
	}
	if id != "" {
		call, known = p.byID[id]
		return call, known
	}
	return len(p.calls) - 1, len(p.calls) > 0
}

func (p *CallPlaces) begin(place int) (call int) {
	call = len(p.calls)
	p.calls = append(p.calls, placedCall{})
	if p.at == nil {
		p.at = make(map[int]int)
	}
	if place != NoPlace {
		p.at[place] = call
	} else if _, taken := p.at[call]; !taken { // of several pieces later, those of this call stand where it stands
		p.at[call] = call
	}
	return call
}

// another reports whether a piece at the call's place begins a call of its own. Who gives ids to some calls gives them to all, but
// may give a name behind the id. Behind a whole object there is no more of the same call.
func (c *placedCall) another(id, name, arguments string) bool {
	if id != "" && id == c.id {
		return false
	}
	more := strings.TrimSpace(arguments) != ""
	switch {
	case id != "" && c.id != "":
		return name != "" && !c.goesOn(name, arguments) || more && c.end.reached()
	case name == "", c.name == "":
		return false
	case c.end.reached() && name != c.name:
		return true
	case id != c.id:
		return false
	case c.end.reached():
		return more
	}
	return c.end.begun && name != c.name
}

// again reports whether a piece names a call that the chunk has named before: no server writes one call's name twice at once.
func (c *placedCall) again(id, name string, chunk int) bool {
	return name != "" && c.name != "" && c.named == chunk && chunk > 0 && (id == "" || id != c.id)
}

// goesOn reports whether a piece has more of the call's arguments, be its id another: servers have made one for each piece, and named it
// each time (https://github.com/vllm-project/vllm/pull/23522 of gpt-oss, https://github.com/cubist38/mlx-openai-server/pull/216). The
// arguments have begun then, and what comes can stand where they are.
func (c *placedCall) goesOn(name, arguments string) bool {
	return name != "" && name == c.name && c.end.open() && arguments != "" &&
		(c.end.takesObject() || !strings.HasPrefix(strings.TrimLeft(arguments, " \t\r\n"), "{"))
}

// objectEnd follows a text, piece by piece, to the end of the JSON object that it begins with. It counts brackets, and leaves
// to others whether what is in them is JSON. A text that begins with anything else, as the code that a model has written in the place
// of arguments, has no such end.
type objectEnd struct {
	depth           int
	begun, other    bool
	quoted, escaped bool
	last            byte // that is no white space
}

// takesObject reports whether an object may begin here, or a bracket stand in a string.
func (o *objectEnd) takesObject() bool {
	return o.quoted || o.last == ':' || o.last == '[' || o.last == ','
}

// reached reports whether the object has ended, and open whether it has begun and not ended.
func (o *objectEnd) reached() bool { return o.begun && !o.other && o.depth == 0 }
func (o *objectEnd) open() bool    { return o.begun && !o.other && o.depth > 0 }

func (o *objectEnd) write(text string) {
	for _, c := range []byte(text) {
		if c > ' ' {
			o.other = o.other || o.last == 0 && c != '{'
			o.last = c
		}
		switch {
		case o.escaped:
			o.escaped = false
		case o.quoted:
			o.quoted, o.escaped = c != '"', c == '\\'
		case c == '"':
			o.quoted = true
		case c == '{', c == '[':
			o.depth++
			o.begun = true
		case (c == '}' || c == ']') && o.depth > 0:
			o.depth--
		}
	}
}
