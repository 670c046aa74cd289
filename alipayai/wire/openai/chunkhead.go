package openai

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// chunkHead is what the first chunk of a stream begins with: each of OpenAI's has the same id, object, created and model, and clients
// that have types for them refuse a stream with a chunk that lacks one, as some servers' last does, which says what the answer costs:
// https://github.com/anomalyco/opencode/issues/39061, https://github.com/anomalyco/opencode/issues/42918,
// https://github.com/openvinotoolkit/model_server/issues/3553.
type chunkHead struct {
	text []byte
	room [256]byte
}

// headMembers are the members of a head.
var headMembers = []string{"id", "object", "created", "model"}

// keep keeps the head of a chunk, if it is the first.
func (h *chunkHead) keep(chunk []byte) {
	if h.text == nil {
		h.text = append(h.room[:0], chunk[:min(len(chunk), len(h.room))]...)
	}
}

// complete gives a chunk without a choice with what its head lacks of that of the first.
func (h *chunkHead) complete(chunk []byte) []byte {
	e, first := edits{body: chunk}, edits{body: h.text}
	defer e.release()
	defer first.release()
	members := e.members(span{0, len(chunk)})
	if !slices.ContainsFunc(members, func(m member) bool { return m.name == "choices" }) || !translates(chunk) {
		return chunk
	}
	var more []byte
	for _, m := range first.members(span{0, len(h.text)}) {
		value := first.text(m.value)
		cut := m.value.end == len(h.text) // within the value, or behind it
		if cut || !slices.Contains(headMembers, m.name) || !says(value) {
			continue
		}
		at := slices.IndexFunc(members, func(of member) bool { return of.name == m.name })
		switch {
		case at < 0:
			more = append(append(append(append(more, quote(m.name)...), ':'), value...), ',')
		case !says(e.text(members[at].value)):
			e.replace(members[at].value, slices.Clone(value))
		}
	}
	if len(more) > 0 {
		e.insert(members[0].key.start, more)
	}
	return e.apply()
}

// says reports whether a value is there, and neither null nor an empty string.
func says(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' && string(v) != `""` }
