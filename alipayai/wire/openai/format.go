// Package openai is OpenAI's own form, which is the canonical one: whoever speaks
// it gets and gives the bytes as they are.
//
// "OpenAI-compatible" is not one form, though. Where the gateway chose who is asked,
// the conversation was written for another: then the rules of the vendor's [Dialect]
// are applied as edits in place. What a client asks of a provider that it chose goes
// as it is, since it may know more of it than a table does. But it did not choose who
// gave the answers in the history: where another provider stood in, they have what
// this one's vendor refuses, such as an id of another form. That alone is edited then.
package openai

import (
	"bytes"
	"slices"
	"sync"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Format is OpenAI's chat completions API. Its zero value is ready.
type Format struct {
	// Dialect is how the provider takes it; nil for as it comes.
	Dialect *Dialect
}

// Name implements wire.Format.
func (Format) Name() string { return wire.OpenAI }

// EncodeRequest implements wire.Format: the request's own bytes, with the
// provider's model in them, and the dialect's edits.
func (f Format) EncodeRequest(ask wire.Ask) (wire.Encoded, error) {
	functions := false
	if f.Dialect != nil && f.Dialect.NoFunctions && ask.ByGateway {
		var err error
		if ask, functions, err = translate.Tools(ask); err != nil {
			return wire.Encoded{}, err
		}
	}
	thinks := f.Dialect != nil && f.Dialect.Thinking != nil && ask.Thinking.Type != ""
	if thinks {
		ask.Request = ask.WithMember(f.Dialect.Thinking(ask.Thinking))
	}
	if f.Dialect != nil && f.Dialect.CacheKey && ask.CacheKey != nil {
		// Without it a long conversation is sent now here, now there, and finds its cache by chance:
		// https://github.com/diegosouzapw/OmniRoute/issues/517, https://github.com/juspay/neurolink/pull/1766.
		ask.Request = ask.WithMember(`"prompt_cache_key":` + string(ask.CacheKey))
	}
	if ask.CountUsage {
		ask.Request = ask.WithUsage()
	}
	switch {
	case f.Dialect == nil:
		return wire.Encoded{Body: ask.WithModel(ask.UpstreamModel)}, nil
	case ask.ByGateway:
		encoded := f.Dialect.edit(ask)
		encoded.Functions, encoded.Thinks = functions, thinks
		return encoded, nil
	default:
		return f.Dialect.editAnswers(ask), nil
	}
}

// DecodeAnswer implements wire.Format.
func (Format) DecodeAnswer(body []byte, _ wire.Ask) ([]byte, wire.Answer, error) {
	a, err := wire.ParseBody(body, wire.Limits{})
	return body, a, err
}

// DecodeStream implements wire.Format.
func (Format) DecodeStream(ask wire.Ask) wire.StreamDecoder {
	s := streams.Get().(*stream)
	s.withoutUsage = !ask.IncludeUsage
	s.choices.begin(ask)
	return s
}

// streams are those that were recycled.
var streams = sync.Pool{New: func() any { return new(stream) }}

// Recycle implements wire.Passing.
func (s *stream) Recycle() {
	*s = stream{} // what it has kept of the answer does not wait there
	streams.Put(s)
}

// stream passes events on as they came, but for the chunk of usage that the client
// has not asked for, whoever has (it would look for a choice in it), and with what
// choices and tool calls lack.
type stream struct {
	chunks       wire.ChunkReader
	choices      choiceCompleter
	mended       mended
	withoutUsage bool
	// hasIDs says that an event before has had an id.
	hasIDs bool
	// changed says that the last event did not pass on as it came.
	changed bool
}

// Decode implements wire.StreamDecoder.
func (s *stream) Decode(dst []byte, event wire.Event) ([]byte, wire.Chunk, error) {
	chunk, err := s.chunks.Read(event)
	if err != nil && s.chunks.Finished() && !bytes.HasPrefix(bytes.TrimSpace(event.Data), []byte("{")) {
		// Behind an answer that is whole, what is no chunk is another word for its end, as [ALL DONE] and "[DONE" are
		// (https://github.com/acheong08/ChatGPT-to-API/issues/14, https://github.com/open-webui/pipelines/issues/297).
		return dst, wire.Chunk{}, nil
	}
	chunk.Unfinished = chunk.Done && s.chunks.Unfinished()
	s.hasIDs = s.hasIDs || event.HasID
	ownUsage := s.withoutUsage && !chunk.HasChoices && (chunk.Usage.OK || chunk.Usage.Implausible)
	switch {
	case err != nil || chunk.Failure != nil || ownUsage || event.IsVoid():
	case event.Data == nil && s.hasIDs:
		// After an id, OpenAI's SDK for Python takes each blank line for the end of an event, and reads a chunk in it: of a comment, the
		// line alone passes (https://github.com/openai/openai-python/issues/2722, https://github.com/theopenco/llmgateway/pull/2334).
		dst = event.AppendComments(dst)
	case !chunk.HasChoices && chunk.Loose && isHeartbeat(event):
		if dst = append(dst, ": ping\n"...); !s.hasIDs {
			dst = append(dst, '\n')
		}
	default:
		dst = s.append(dst, event, &chunk)
	}
	return dst, chunk, err
}

// Alike implements wire.Passing: what has content is not the chunk of usage, and no tool call.
func (s *stream) Alike(unread []byte) wire.Alike {
	if s.changed {
		return wire.Alike{}
	}
	return s.chunks.Alike(unread)
}

// append appends an event, of which chunk was read.
func (s *stream) append(dst []byte, event wire.Event, chunk *wire.Chunk) []byte {
	data := event.Data
	if chunk.Done {
		dst = s.rest(dst)
	}
	if chunk.HasChoices {
		if out, alike := s.mended.appendAlike(dst, data, &s.chunks); alike {
			return out
		}
		s.choices.head.keep(data)
		data = s.choices.chunk(data, &s.chunks, chunk)
	} else if chunk.Loose {
		data = s.choices.head.bare(data, s.choices.id)
	}
	if s.changed = !bytes.Equal(data, event.Data); !s.changed {
		s.mended.before = s.mended.before[:0]
		return append(dst, event.Raw...)
	}
	s.mended.keep(event.Data, data, &s.chunks, chunk, &s.choices)
	if len(event.Type) > 0 {
		dst = append(append(append(dst, "event: "...), event.Type...), '\n')
	}
	return appendData(dst, data)
}

// appendData appends the data of an event, and its end.
func appendData(dst, data []byte) []byte {
	for line := range bytes.Lines(data) {
		dst = append(append(append(dst, "data: "...), bytes.TrimRight(line, "\r\n")...), '\n')
	}
	return append(dst, '\n')
}

// End implements wire.StreamDecoder: an answer is whole when all of its choices have
// finished.
func (s *stream) End(dst []byte) ([]byte, wire.Chunk, bool) {
	if !s.chunks.Finished() {
		return dst, wire.Chunk{}, false
	}
	return append(s.rest(dst), "data: [DONE]\n\n"...), wire.Chunk{Done: true}, true
}

// rest appends the chunk that calls lack at the end, if they do.
func (s *stream) rest(dst []byte) []byte {
	choices := s.choices.atEnd()
	if choices == nil {
		return dst
	}
	return appendData(dst, s.choices.head.bare(slices.Concat([]byte(`{"choices":[`), choices, []byte("]}")), s.choices.id))
}

// Interface guards
var (
	_ wire.Format  = Format{}
	_ wire.Passing = (*stream)(nil)
)
