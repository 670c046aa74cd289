package openai

import (
	"bytes"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// mended is what a client gets of a chunk that is completed, before and behind the text of its content. The chunks of a stream mostly
// differ in that alone, and what one lacks all of them lack: what was edited into one need not be edited into the next.
type mended struct{ before, behind []byte }

// appendAlike appends the chunk that was read last as the one before it was completed, if it differs from that in the text of its content.
func (m *mended) appendAlike(dst, data []byte, chunks *wire.ChunkReader) ([]byte, bool) {
	start, end, alike := chunks.Content(data)
	if !alike || len(m.before) == 0 {
		return dst, false
	}
	dst = append(append(append(dst, "data: "...), m.before...), data[start:end]...)
	return append(append(dst, m.behind...), "\n\n"...), true
}

// keep keeps what completed has around the content of data, of which it was made by c. Of the first chunk of a choice, of one that says
// how it ends, and where tools are called, the next is completed in another way.
func (m *mended) keep(data, completed []byte, chunks *wire.ChunkReader, read *wire.Chunk, c *choiceCompleter) {
	m.before, m.behind = m.before[:0], m.behind[:0]
	start, end, _ := chunks.Content(data)
	begins, _ := chunks.Begins()
	if end == 0 || begins != 0 || read.FinishReason != "" || len(c.choices) > 0 || bytes.ContainsAny(completed, "\r\n") {
		return
	}
	start, end = start+c.moved, end+c.moved
	m.before, m.behind = append(m.before, completed[:start]...), append(m.behind, completed[end:]...)
}

// moved gives by how much the edits move what stands at a place.
func (e *edits) moved(at int) (by int) {
	for _, one := range e.list {
		if one.end <= at {
			by += len(one.text) - (one.end - one.start)
		}
	}
	return by
}
