package main

import (
	"bytes"
	"fmt"
)

// A door is a client dialect besides OpenAI's chat completions.
type door struct {
	title, path string
	// head is how a request of it begins, up to the prompt; whole and end are in an answer that is whole.
	head, whole, end string
}

// doorsRate is how many calls a second both of a pair carry: some half of what they could here. In a closed loop the one
// that costs less carries more calls, and the CPU beside it has no time to sleep, so that it saves what waking that takes.
const doorsRate = 5000

var doors = []door{
	{
		"Responses", "/v1/responses", `"instructions":"You answer in one sentence.","input":[{"role":"user","content":"`,
		`"object":"response"`, "event: response.completed\n",
	},
	{
		"Messages", "/v1/messages", `"max_tokens":1000,"system":"You answer in one sentence.","messages":[{"role":"user","content":"`,
		`"type":"message"`, "event: message_stop\n",
	},
}

// calls are those of jsonCalls, or of streamCalls, at the door.
func (d door) calls(clients int, stream bool) workload {
	w := workload{title: d.title, clients: clients, path: d.path}
	head, seen := `{"model":"`+modelName+`","temperature":0.2,`, d.whole
	if stream {
		w.title += ", streams"
		head, seen = head+`"stream":true,`, d.end
	}
	w.body = fill(head+d.head, requestTail, requestSize)
	w.check = func(got []byte) error {
		if !bytes.Contains(got, []byte(seen)) || !bytes.Contains(got, []byte("lorem ipsum")) {
			return fmt.Errorf("%d bytes of answer are not whole, without %s", len(got), seen)
		}
		return nil
	}
	return w
}
