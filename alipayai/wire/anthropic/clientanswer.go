package anthropic

import (
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ErrNoAnswer is an answer in OpenAI's form that has no choice, of which no message can be made.
var ErrNoAnswer = errors.New("an answer without a choice")

// ClientWriter writes one answer in OpenAI's form as a message of the Messages API. It belongs to one goroutine.
//
// reasoning_content becomes a thinking block without a signature, for clients that asked for thinking; content a text
// block, with the URLs that it cites, and so does a refusal; tool calls become tool_use blocks, with {} for empty arguments. The finish reasons stop,
// length, tool_calls and content_filter become end_turn, max_tokens, tool_use and refusal; stop with tool calls is
// tool_use as well, and stop at a stop sequence that the server names is stop_sequence. Of the usage, input_tokens are those that came from no cache.
type ClientWriter struct {
	// Model stands for the model's name where the answer has none.
	Model string
	// Thinks says that the client reads thinking.
	Thinks bool
	// Stops are the request's stop_sequences, as strings in JSON with commas between them.
	Stops []byte
	// Prompt estimates how many tokens the prompt has, with which a stream begins, before the provider has counted them: clients show
	// by that how full the context is (https://github.com/router-for-me/CLIProxyAPI/issues/1700,
	// https://github.com/vercel/ai/issues/17326). Nil for no estimate.
	Prompt func() int64

	stream *clientStream // nil for an answer that is whole
}

// Whole appends the message of a whole answer.
func (w *ClientWriter) Whole(dst, canonical []byte) ([]byte, error) {
	var c translate.Chunk
	if err := c.ReadWhole(canonical); err != nil {
		return dst, err
	}
	if !c.Choice {
		return dst, ErrNoAnswer
	}
	out := appendHead(slices.Grow(dst, len(canonical)+256), &c, w.Model)
	content := len(out)
	if w.Thinks && len(c.Reasoning) > len(`""`) {
		out = append(append(append(out, `{"type":"thinking","thinking":`...), c.Reasoning...), `,"signature":""},`...)
	}
	if len(c.Content) > len(`""`) {
		out = appendCitations(append(append(out, textBlock...), c.Content...), c.Annotations)
		out = append(out, "},"...)
	}
	if len(c.Refusal) > len(`""`) {
		out = append(append(append(out, textBlock...), c.Refusal...), "},"...)
	}
	for i, call := range c.Calls {
		input, _ := wire.ArgumentsObject(translate.Unquote(call.Arguments))
		out = append(append(out, `{"type":"tool_use","id":`...), call.IDOr(i)...)
		out = append(append(append(out, `,"name":`...), nameOr(call.Name)...), `,"input":`...)
		out = append(append(out, input...), "},"...)
	}
	if len(out) > content {
		out = out[:len(out)-1]
	}
	out = append(out, `],"stop_reason":`...)
	out = w.appendStop(out, c.Finish, c.Stopped, len(c.Calls) > 0, len(c.Refusal) > len(`""`))
	out = append(out, `,"usage":`...)
	return append(appendClientUsage(out, c.Usage), '}'), nil
}

// appendHead writes a message up to its content.
func appendHead(dst []byte, c *translate.Chunk, model string) []byte {
	id := strings.TrimPrefix(strings.TrimPrefix(string(translate.Characters(c.ID)), "chatcmpl-"), "msg_")
	if id == "" {
		id = rand.Text()
	}
	dst = append(append(dst, `{"id":"msg_`...), id...)
	dst = append(dst, `","type":"message","role":"assistant","model":`...)
	if len(translate.Characters(c.Model)) > 0 {
		dst = append(dst, c.Model...)
	} else {
		dst = translate.Quote(dst, model)
	}
	return append(dst, `,"content":[`...)
}

// refusalDetails are the API's own for a refusal of which no more is known (platform.claude.com/docs/en/api/messages): clients ask them
// for why, as https://github.com/earendil-works/pi/pull/5666.
const refusalDetails = `,"stop_details":{"type":"refusal","category":null,"explanation":null}`

// appendStop writes the word for a finish reason, and what goes with it.
func (w *ClientWriter) appendStop(dst []byte, finish string, stopped jsontext.Value, calls, refused bool) []byte {
	if !calls && !refused && finish == "stop" && w.isStop(stopped) {
		return append(append(dst, `"stop_sequence","stop_sequence":`...), stopped...)
	}
	dst = append(appendStopReason(dst, finish, calls, refused), `,"stop_sequence":null`...)
	if isRefusal(finish, refused) {
		dst = append(dst, refusalDetails...)
	}
	return dst
}

func isRefusal(finish string, refused bool) bool { return refused || finish == "content_filter" }

// isStop reports whether a text is one of the request's stop sequences.
func (w *ClientWriter) isStop(text jsontext.Value) (is bool) {
	if text == nil || len(w.Stops) == 0 {
		return false
	}
	_ = translate.Elements(slices.Concat([]byte{'['}, w.Stops, []byte{']'}), func(_ int, v jsontext.Value) error {
		is = is || translate.Unquote(v) == translate.Unquote(text)
		return nil
	})
	return is
}

func appendStopReason(dst []byte, finish string, calls, refused bool) []byte {
	switch {
	case isRefusal(finish, refused):
		return append(dst, `"refusal"`...)
	case finish == "length":
		return append(dst, `"max_tokens"`...)
	case calls:
		return append(dst, `"tool_use"`...)
	}
	// An answer that has ended has a stop_reason, and one that the API has: clients fail at others, as at a provider's own word
	// (https://github.com/open-gsd/gsd-pi/pull/2042). Without a tool_use, a client would wait for what never comes:
	// https://github.com/jasonxu114514/opencode2api/pull/27.
	return append(dst, `"end_turn"`...)
}

// appendClientUsage writes what the call took.
func appendClientUsage(dst []byte, u wire.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `{"input_tokens":`...), max(u.Prompt-u.Cached-u.Written, 0), 10)
	dst = strconv.AppendInt(append(dst, `,"cache_creation_input_tokens":`...), u.Written, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_read_input_tokens":`...), u.Cached, 10)
	dst = strconv.AppendInt(append(dst, `,"output_tokens":`...), u.Completion, 10)
	if u.Reasoning > 0 { // the AI SDK reads it: usage.outputTokenDetails.reasoningTokens
		dst = strconv.AppendInt(append(dst, `,"output_tokens_details":{"thinking_tokens":`...), min(u.Reasoning, u.Completion), 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func nameOr(v jsontext.Value) []byte {
	if v.Kind() == '"' {
		return v
	}
	return []byte(`""`)
}
