package alipayai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// What a provider has answered, and the client has taken, can be gone on from, however odd it is: a follow-up that is refused
// would be refused for ever, and the client has written nothing wrong.
func TestOddAnswersAreGoneOnFrom(t *testing.T) {
	native := map[string]string{
		"half an emoji":            `{"type":"message","id":"odd_1","role":"assistant","content":[{"type":"output_text","text":"a\ud83d"}]}`,
		"half an emoji in a key":   `{"type":"message","id":"odd_1","role":"assistant","\ud83d":1,"content":[{"type":"output_text","text":"a"}]}`,
		"nested deep":              `{"type":"zz_call","id":"odd_1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"a repeated key":           `{"type":"zz_call","id":"odd_1","a":1,"a":2}`,
		"a repeated key within":    `{"type":"message","id":"odd_1","role":"assistant","content":[{"type":"output_text","text":"a","text":"b"}]}`,
		"a key in another case":    `{"type":"message","id":"odd_1","role":"assistant","Content":"x","content":[{"type":"output_text","text":"a"}]}`,
		"a call without a call_id": `{"type":"function_call","id":"odd_1","name":"f","arguments":"{}"}`,
		"a call of other types":    `{"type":"function_call","id":"odd_1","call_id":5,"name":"f","arguments":{}}`,
		"a call without a name":    `{"type":"function_call","id":"odd_1","call_id":"c1","arguments":"{}"}`,
		"an output without a call": `{"type":"function_call_output","id":"odd_1","call_id":"c9","output":"x"}`,
		"null":                     `null`,
		"a text":                   `"odd_1"`,
		"no type":                  `{"id":"odd_1"}`,
		"nothing":                  `{}`,
		"a message of a tool":      `{"type":"message","id":"odd_1","role":"tool","content":[]}`,
		"a message without a role": `{"type":"message","id":"odd_1","content":[{"type":"output_text","text":"a"}]}`,
		"a message of nothing":     `{"type":"message","id":"odd_1","role":"assistant"}`,
		"a text of another type":   `{"type":"message","id":"odd_1","role":"assistant","content":[{"type":"output_text","text":5}]}`,
		"a part of another type":   `{"type":"message","id":"odd_1","role":"assistant","content":[null]}`,
		"a large number":           `{"type":"zz_call","id":"odd_1","x":1e999}`,
		"a reasoning of nothing":   `{"type":"reasoning","id":"odd_1","encrypted_content":"x","summary":[{"text":5}]}`,
	}
	const after = `,{"type":"message","id":"msg_of_theirs","role":"assistant","content":[{"type":"output_text","text":"found"}]}`
	for name, item := range native {
		for form, stream := range map[string]bool{"whole": false, "stream": true} {
			t.Run("native/"+name+"/"+form, func(t *testing.T) {
				response := `{"id":"resp_of_theirs","object":"response","status":"completed","model":"m","output":[` + item + after + `],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`
				theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: response}
				if stream {
					theirs.kind = "text/event-stream"
					begun, _, _ := strings.Cut(nativeStream, "event: response.completed")
					theirs.answer = begun + "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":" + response + "}\n\n"
				}
				r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), keeping)
				r.goesOnFrom(t, stream, "resp_of_theirs", "odd_1", "msg_of_theirs", strings.Contains(item, `"id"`), func() string { return theirs.bodies[len(theirs.bodies)-1] })
			})
		}
	}
	for name, message := range map[string]string{
		"half an emoji":              `"content":"a\ud83d"`,
		"half an emoji, backwards":   `"content":"\ude00a"`,
		"half an emoji of a thought": `"content":"a","reasoning_content":"\ud83d"`,
		"half an emoji of a refusal": `"refusal":"\ud83d"`,
	} {
		for form, stream := range map[string]bool{"whole": false, "stream": true} {
			t.Run("translated/"+name+"/"+form, func(t *testing.T) {
				theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: `{"model":"m","choices":[{"index":0,"message":{` + message + `},"finish_reason":"length"}]}`}
				if stream {
					theirs.kind = "text/event-stream"
					theirs.answer = "data: {\"choices\":[{\"index\":0,\"delta\":{" + message + "},\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n"
				}
				r := startRig(t, theirs, plainProvider, first(anyModel), keeping)
				r.goesOnFrom(t, stream, "", "", "", true, func() string { return theirs.bodies[len(theirs.bodies)-1] })
			})
		}
	}
}

// goesOnFrom asks, and then goes on from the answer by its id and by those of its items. Empty ids are those of the answer.
func (r *rig) goesOnFrom(t *testing.T, stream bool, response, odd, plain string, named bool, sent func() string) {
	t.Helper()
	begin := fmt.Sprintf(`{"model":"m","stream":%t,"input":`, stream)
	if response != "" {
		if got := r.post(responsesPath, begin+`"one"}`); got.status != http.StatusOK || got.err != nil {
			t.Fatalf("the answer itself: %d %s (%v)", got.status, got.body, got.err)
		}
	} else {
		one, got := r.ask(begin + `"one"}`)
		if got.status != http.StatusOK || got.err != nil {
			t.Fatalf("the answer itself: %d %s (%v)", got.status, got.body, got.err)
		}
		response = one.ID
		odd, plain = one.Output[0].ID, one.Output[len(one.Output)-1].ID
	}
	if !named {
		odd = plain
	}
	for name, body := range map[string]string{
		"previous_response_id": begin + `"two","previous_response_id":"` + response + `"}`,
		"item_reference":       begin + `[{"type":"item_reference","id":"` + odd + `"},{"type":"item_reference","id":"` + plain + `"},{"role":"user","content":"two"}]}`,
	} {
		if got := r.post(responsesPath, body); got.status != http.StatusOK || got.err != nil {
			t.Errorf("by %s: %d %s (%v)", name, got.status, got.body, got.err)
			continue
		}
		body := sent()
		if !json.Valid([]byte(body)) || !utf8.ValidString(body) || strings.Contains(body, `\ud83d`) || strings.Contains(body, `\ude00`) || !strings.Contains(body, `"two"`) {
			t.Errorf("by %s it is sent %s", name, body)
		}
		if plain == "msg_of_theirs" && !strings.Contains(body, `"found"`) {
			t.Errorf("by %s what can be read is missing: %s", name, body)
		}
	}
}
