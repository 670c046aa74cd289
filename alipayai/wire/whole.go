package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// object is a JSON object of which only some members matter. encoding/json's structs would take "Message" for "message".
type object = map[string]json.RawMessage

// MaxChoices is how many choices can be asked for (platform.openai.com/docs/api-reference/chat/create). Of no more an answer's calls are
// remembered, and what stands beside the choices is repeated for each.
const MaxChoices = 128

// AppendStream appends a whole chat completion to dst as the events of a stream, [DONE] included: for a client that asked
// for a stream and reads nothing else, of an upstream that did not stream. Members that it does not know stay as they
// are. It fails with [ErrMalformed] where body is no chat completion, or has more choices than can be asked for.
func AppendStream(dst, body []byte, includeUsage bool) ([]byte, error) {
	var head object
	var choices []object
	if json.Unmarshal(body, &head) != nil || json.Unmarshal(head["choices"], &choices) != nil || len(choices) == 0 || len(choices) > MaxChoices {
		return dst, errNoCompletion
	}
	usage := head["usage"]
	delete(head, "usage")
	head["object"] = json.RawMessage(`"chat.completion.chunk"`)

	var ends []object
	for i, choice := range choices {
		if choice == nil {
			return dst, errNoCompletion
		}
		if choice["index"] == nil {
			choice["index"] = json.RawMessage(strconv.Itoa(i))
		}
		end := object{"index": choice["index"], "delta": json.RawMessage("{}"), "finish_reason": choice["finish_reason"]}
		ends = append(ends, end)
		var err error
		if choice["delta"], err = delta(choice["message"]); err != nil {
			return dst, err
		}
		delete(choice, "message")
		choice["finish_reason"] = nil
		dst = appendChunk(dst, head, choice)
	}
	for _, end := range ends {
		dst = appendChunk(dst, head, end)
	}
	if includeUsage && usage != nil {
		head["usage"] = usage
		dst = appendChunk(dst, head)
	}
	return append(dst, "data: [DONE]\n\n"...), nil
}

var errNoCompletion = fmt.Errorf("%w: not a chat completion", ErrMalformed)

// delta gives a message as the delta that says all of it: its tool calls have an index there.
func delta(message json.RawMessage) (json.RawMessage, error) {
	var members object
	if message == nil || string(message) == "null" {
		return json.RawMessage("{}"), nil
	}
	if json.Unmarshal(message, &members) != nil {
		return nil, errNoCompletion
	}
	if members["tool_calls"] == nil {
		return message, nil
	}
	var calls []object
	if json.Unmarshal(members["tool_calls"], &calls) != nil {
		return nil, errNoCompletion
	}
	for i, call := range calls {
		if call == nil {
			return nil, errNoCompletion
		}
		call["index"] = json.RawMessage(strconv.Itoa(i))
	}
	members["tool_calls"] = marshal(calls)
	return marshal(members), nil
}

// appendChunk appends one event of the choices.
func appendChunk(dst []byte, head object, choices ...object) []byte {
	if choices == nil {
		choices = []object{} // an array all the same
	}
	head["choices"] = marshal(choices)
	return append(append(append(dst, "data: "...), marshal(head)...), "\n\n"...)
}

// marshal gives the JSON of what is made of JSON, which cannot fail.
func marshal(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
