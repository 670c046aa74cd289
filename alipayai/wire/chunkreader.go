package wire

import (
	"bytes"
	"unicode/utf8"
)

// ChunkReader reads the chunks of one stream, as [ParseEvent] does and with the same results, but faster: the chunks of
// a stream mostly differ in one string alone, the content. A chunk that has the bytes of the one before around a content
// that is plain text is valid JSON if that one was, and says the same. The zero ChunkReader is ready for use; it belongs
// to one goroutine.
type ChunkReader struct {
	// before and after are the bytes around the content of the last chunk that was read whole; none: no such chunk.
	before, after []byte
	last          Chunk
	around        int // what its ContentBytes are besides that content
	choices       choiceSet
	begins        uint64 // the choices of which the chunk that was read last is the first
	roleless      bool
	alike         bool      // the chunk that was read last differs from the one before in its content alone
	room          [512]byte // for before and after of ordinary chunks
}

// Finished reports whether each of the choices that have come has its finish reason: there is no more of the answer to
// come than its usage.
func (r *ChunkReader) Finished() bool { return r.choices.allFinished() }

// Unfinished reports whether a choice has come that has no finish reason yet.
func (r *ChunkReader) Unfinished() bool { return r.choices.unfinished() }

// Begins gives the choices of which the chunk that was read last is the first, as bits by their index, of which those from the
// sixty-fourth on share one, and reports whether one of them has no role.
func (r *ChunkReader) Begins() (choices uint64, roleless bool) {
	return r.begins, r.begins != 0 && r.roleless
}

// Content gives where the text of its content stands in data, the chunk that was read last, and whether that alone is other than in the
// chunk before; 0 and 0 where there is none, or it is no plain text.
func (r *ChunkReader) Content(data []byte) (start, end int, alike bool) {
	if len(r.before) == 0 {
		return 0, 0, false
	}
	return len(r.before), len(data) - len(r.after), r.alike
}

// Read reads one event.
func (r *ChunkReader) Read(ev Event) (Chunk, error) {
	r.begins, r.alike = 0, false
	if len(r.before) > 0 && len(ev.Type) == 0 && r.onlyContentDiffers(ev.Data) {
		r.alike = true
		chunk := r.last
		chunk.ContentBytes = r.around + len(ev.Data) - len(r.before) - len(r.after)
		return chunk, nil
	}
	r.before, r.after = r.before[:0], r.after[:0]
	var e envelope
	chunk, err := parseEvent(ev, &e)
	known := r.choices.begun
	r.choices.merge(e.choices)
	r.begins, r.roleless = r.choices.begun&^known, e.loose.roleless
	if err == nil && len(ev.Type) == 0 && chunk.Failure == nil && plainText(ev.Data[e.contentStart:e.contentEnd]) {
		if r.before == nil {
			const half = len(r.room) / 2
			r.before, r.after = r.room[:0:half], r.room[half:half]
		}
		r.before = append(r.before, ev.Data[:e.contentStart]...)
		r.after = append(r.after, ev.Data[e.contentEnd:]...)
		r.last, r.around = chunk, chunk.ContentBytes-(e.contentEnd-e.contentStart)
	}
	return chunk, err
}

// Alike are events that differ from the one before them in the text of their content alone.
type Alike struct {
	// Raw is all of them.
	Raw []byte
	// Events is how many they are, and ContentBytes the sum of what [Chunk] says of each.
	Events, ContentBytes int
}

// Alike gives those that unread, the part of a stream after the event that was read last, begins with. What Read would say of
// them is what it has said of that event, but for how long their content is.
func (r *ChunkReader) Alike(unread []byte) (a Alike) {
	if len(r.before) == 0 || !r.last.Content {
		return a
	}
	for rest := unread; ; {
		data, begins := bytes.CutPrefix(rest, alikeBegins)
		content, headed := bytes.CutPrefix(data, r.before)
		length := bytes.IndexByte(content, '"')
		if !begins || !headed || length < 0 || !plainText(content[:length]) {
			return a
		}
		end, tailed := bytes.CutPrefix(content[length:], r.after)
		next, ends := bytes.CutPrefix(end, alikeEnds)
		if !tailed || !ends {
			return a
		}
		rest = next
		a.Raw = unread[:len(unread)-len(rest)]
		a.Events++
		a.ContentBytes += r.around + length
	}
}

// alikeBegins and alikeEnds are around the data of such an event. Lines that are ended otherwise are read one by one.
var alikeBegins, alikeEnds = []byte("data: "), []byte("\n\n")

// onlyContentDiffers reports whether data is the last chunk with another text for its content.
func (r *ChunkReader) onlyContentDiffers(data []byte) bool {
	around := len(r.before) + len(r.after)
	return len(data) > around &&
		bytes.HasPrefix(data, r.before) && bytes.HasSuffix(data, r.after) &&
		plainText(data[len(r.before):len(data)-len(r.after)])
}

// plainText reports whether b, not empty, stands for itself inside the quotes of a JSON string.
func plainText(b []byte) bool {
	all := byte(0)
	for _, c := range b {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
		all |= c
	}
	return len(b) > 0 && (all < utf8.RuneSelf || utf8.Valid(b))
}
