package nextbuilder

import "github.com/caddy-alipayai/gateway/alipayai/wire"

// decoder reads a stream as OpenAI's.
type decoder struct {
	head         head
	includeUsage bool
	usage        wire.Usage
	// begun says that the chunk with the role is out, ended that nothing more is to be read.
	begun, ended bool
}

// Decode reads one event. The end without a word before it is no answer: it has no finish reason. After the end, and
// after a failure, nothing is read: the platform sends its end after an error as well.
func (d *decoder) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	if d.ended {
		return dst, wire.Chunk{}, nil
	}
	s, err := read(ev)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	if s.usage.OK || s.usage.Implausible {
		d.usage = s.usage
	}
	if s.failure != nil {
		d.ended = true
		return dst, wire.Chunk{Answer: wire.Answer{Failure: s.failure}}, nil
	}
	chunk := wire.Chunk{Done: s.end}
	if s.words != "" {
		member := "content"
		if s.thinking {
			member = "reasoning_content"
		}
		dst = d.begin(dst)
		dst = d.head.appendDelta(dst, member, s.words)
		chunk.Model, chunk.HasChoices, chunk.Content = d.head.model, true, true
	}
	if s.end {
		d.ended = true
		if d.begun {
			dst = d.head.appendFinish(dst)
			chunk.Model, chunk.HasChoices, chunk.FinishReason = d.head.model, true, finishReason
		}
		if chunk.Usage = d.usage; d.includeUsage && d.usage.OK {
			dst = d.head.appendUsage(dst, d.usage)
		}
		dst = append(dst, "data: [DONE]\n\n"...)
	}
	return dst, chunk, nil
}

// End implements [wire.StreamDecoder]: nothing but the event of that name says that an agent has finished.
func (d *decoder) End(dst []byte) ([]byte, wire.Chunk, bool) { return dst, wire.Chunk{}, false }

// begin appends the chunk with the role, before the first other.
func (d *decoder) begin(dst []byte) []byte {
	if d.begun {
		return dst
	}
	d.begun = true
	return d.head.appendRole(dst)
}
