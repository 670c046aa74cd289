package nextbuilder

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// finishReason is that of every whole answer: the end event gives none.
const finishReason = "stop"

// head is what an answer, or each chunk of one, begins with in OpenAI's form.
type head struct {
	id, model string
	created   int64 // Unix seconds
}

func (h head) append(dst []byte, object string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, h.id)
	dst = append(dst, `,"object":"`+object+`","created":`...)
	dst = strconv.AppendInt(dst, h.created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendString(dst, h.model)
	return append(dst, `,"choices":[`...)
}

func (h head) appendRole(dst []byte) []byte {
	return h.appendChoice(dst, `{"role":"assistant","content":""}`, "null")
}

func (h head) appendFinish(dst []byte) []byte {
	return h.appendChoice(dst, "{}", `"`+finishReason+`"`)
}

// appendChoice appends a chunk, with its delta and its finish reason in JSON.
func (h head) appendChoice(dst []byte, delta, finish string) []byte {
	dst = h.append(append(dst, "data: "...), "chat.completion.chunk")
	dst = append(dst, `{"index":0,"delta":`+delta+`,"finish_reason":`+finish...)
	return append(dst, "}]}\n\n"...)
}

// appendDelta appends a chunk with words in the member of that name.
func (h head) appendDelta(dst []byte, member, words string) []byte {
	dst = h.append(append(dst, "data: "...), "chat.completion.chunk")
	dst = append(dst, `{"index":0,"delta":{"`+member+`":`...)
	dst = appendString(dst, words)
	return append(dst, "},\"finish_reason\":null}]}\n\n"...)
}

// appendUsage appends the chunk without choices that stream_options.include_usage asks for.
func (h head) appendUsage(dst []byte, u wire.Usage) []byte {
	dst = h.append(append(dst, "data: "...), "chat.completion.chunk")
	dst = appendTokens(append(dst, `],"usage":`...), u)
	return append(dst, "}\n\n"...)
}

// appendAnswer appends a whole answer, without a choice when nothing was said.
func (h head) appendAnswer(dst []byte, thinking, text string, u wire.Usage) []byte {
	dst = h.append(dst, "chat.completion")
	if thinking != "" || text != "" {
		dst = append(dst, `{"index":0,"message":{"role":"assistant","content":`...)
		dst = appendString(dst, text)
		if thinking != "" {
			dst = appendString(append(dst, `,"reasoning_content":`...), thinking)
		}
		dst = append(dst, `,"refusal":null},"logprobs":null,"finish_reason":"`+finishReason+`"}`...)
	}
	dst = append(dst, ']')
	if u.OK {
		dst = appendTokens(append(dst, `,"usage":`...), u)
	}
	return append(dst, '}')
}

func appendTokens(dst []byte, u wire.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `{"prompt_tokens":`...), u.Prompt, 10)
	dst = strconv.AppendInt(append(dst, `,"completion_tokens":`...), u.Completion, 10)
	dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), u.Total, 10)
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that invalid UTF-8 was replaced
	return dst
}
