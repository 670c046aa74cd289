package anthropic

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// chunkWriter writes the events of OpenAI's stream.
type chunkWriter struct {
	created      int64
	includeUsage bool
	head         []byte // of every chunk, up to its choices
}

// delta appends a chunk whose one choice has this delta, a JSON object in pieces.
func (w *chunkWriter) delta(dst []byte, pieces ...string) []byte {
	dst = append(append(append(dst, "data: "...), w.head...), `{"index":0,"delta":`...)
	for _, piece := range pieces {
		dst = append(dst, piece...)
	}
	return w.tail(append(dst, `,"finish_reason":null}]`...))
}

// tail ends a chunk. All but the usage chunk say null where the client asked for usage, as OpenAI has it.
func (w *chunkWriter) tail(dst []byte) []byte {
	if w.includeUsage {
		dst = append(dst, `,"usage":null`...)
	}
	return append(dst, "}\n\n"...)
}

// text appends a piece of text; v is a JSON string.
func (w *chunkWriter) text(dst []byte, field string, v jsontext.Value) []byte {
	return w.delta(dst, `{"`, field, `":`, string(v), "}")
}

// call appends the beginning of a tool call; id and name are JSON strings.
func (w *chunkWriter) call(dst []byte, index int, id, name jsontext.Value) []byte {
	return w.delta(dst, `{"tool_calls":[{"index":`, strconv.Itoa(index), `,"id":`, string(id),
		`,"type":"function","function":{"name":`, string(name), `,"arguments":""}}]}`)
}

// arguments appends a piece of a tool call's arguments; v is a JSON string.
func (w *chunkWriter) arguments(dst []byte, index int, v jsontext.Value) []byte {
	return w.delta(dst, `{"tool_calls":[{"index":`, strconv.Itoa(index), `,"function":{"arguments":`, string(v), "}}]}")
}

// end appends the finish chunk, the usage chunk where it was asked for, and [DONE].
func (w *chunkWriter) end(dst []byte, finishReason string, u usage) []byte {
	dst = append(append(append(dst, "data: "...), w.head...), `{"index":0,"delta":{},"finish_reason":`...)
	dst = w.tail(append(translate.Quote(dst, finishReason), "}]"...))
	if w.includeUsage && u.ok {
		dst = append(append(append(dst, "data: "...), w.head...), `],"usage":`...)
		dst = append(u.append(dst), "}\n\n"...)
	}
	return append(dst, "data: [DONE]\n\n"...)
}
