package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// The parts of an answer, and of a chunk, that lack nothing.
const (
	fullHead   = `"id":"c","object":"chat.completion.chunk","created":7,"model":"m",`
	fullChoice = `{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}`
)

// decoded gives what a client gets of the chunks of one stream.
func decoded(t *testing.T, chunks ...string) (got []string) {
	t.Helper()
	d := Format{}.DecodeStream(wire.Ask{ID: "7", UpstreamModel: "up", Request: wire.Request{IncludeUsage: true}})
	for _, chunk := range chunks {
		reader := wire.NewEventReader(strings.NewReader("data: "+chunk+"\n\n"), 0)
		ev, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := d.Decode(nil, ev)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(string(out), "data: "), "\n\n"))
		reader.Release()
	}
	return got
}

// TestChunkHeads has streams whose later chunks lack what the first begins with.
func TestChunkHeads(t *testing.T) {
	const first = `{` + fullHead + `"choices":[` + fullChoice + `]}`
	const usage = `"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}`
	for name, tt := range map[string]struct{ first, sent, want string }{
		"https://github.com/anomalyco/opencode/issues/39061": {first, `{"choices":[],"cost":"0"}`, `{` + fullHead + `"choices":[],"cost":"0"}`},
		"https://github.com/anomalyco/opencode/issues/42918": {first, `{"id":"","object":"chat.completion.chunk","created":9,"model":null,"choices":[]}`, `{"id":"c","object":"chat.completion.chunk","created":9,"model":"m","choices":[]}`},
		"usage":            {first, `{` + usage + `}`, `{` + fullHead + `"choices":[],` + usage + `}`},
		"with a choice":    {first, `{"choices":[{"index":0,"delta":{"content":"y"}}]}`, `{` + fullHead + `"choices":[{"index":0,"delta":{"content":"y"}}]}`},
		"of other values":  {first, `{"id":"d", "object":"chat.completion.chunk","created":9,"model":"n","choices":[]}`, ""},
		"what is no chunk": {first, `{"event":{"type":"status"}}`, ""},
		"https://github.com/anthropics/anthropic-sdk-typescript/issues/734": {first, `{"type": "ping"}`, ": ping"},
		"a heartbeat that counts nothing":                                   {first, `{"type":"ping","usage":{}}`, ": ping"},
		"a heartbeat that counts":                                           {first, `{"type":"ping",` + usage + `}`, `{` + fullHead + `"choices":[],"type":"ping",` + usage + `}`},
		"a heartbeat with a time":                                           {first, `{"type":"keepalive","timestamp":1}`, ": ping"},
		"an object without members":                                         {first, `{}`, ": ping"},
		"whose head is not first":                                           {`{"choices":[` + fullChoice + `],` + strings.TrimSuffix(fullHead, ",") + `}`, `{"choices":[]}`, `{` + fullHead + `"choices":[]}`},
		"whose head does not fit":                                           {`{"id":"c","object":"chat.completion.chunk","model":"` + strings.Repeat("m", 222) + `","created":7,"choices":[` + fullChoice + `]}`, `{"created":7,"choices":[]}`, `{"id":"c","object":"chat.completion.chunk","model":"up","created":7,"choices":[]}`},
		"choices that are null":                                             {first, `{` + fullHead + `"choices":null}`, `{` + fullHead + `"choices":[]}`},
		"no choices, and no numbers":                                        {first, `{` + fullHead + `"system_fingerprint":"f"}`, `{"choices":[],` + fullHead + `"system_fingerprint":"f"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.sent
			}
			if got := decoded(t, tt.first, tt.sent); got[0] != tt.first || got[1] != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestLooseChunks has chunks of vendors' as they were reported, each the first of its stream. An empty want is what was sent.
func TestLooseChunks(t *testing.T) {
	for name, tt := range map[string]struct{ sent, want string }{
		"https://github.com/huggingface/text-generation-inference/pull/1648": {
			`{"id":"","object":"text_completion","created":7,"model":"m","choices":[` + fullChoice + `]}`,
			`{"id":"chatcmpl-7","object":"chat.completion.chunk","created":7,"model":"m","choices":[` + fullChoice + `]}`,
		},
		"https://github.com/ollama/ollama/issues/4357": {
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":" Hello"},"finish_reason":""}]}`,
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":" Hello"},"finish_reason":null}]}`,
		},
		"https://github.com/songquanpeng/one-api/blob/main/relay/adaptor/ali/main.go": {
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":" Hello"},"finish_reason":"null"}]}`,
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":" Hello"},"finish_reason":null}]}`,
		},
		"https://github.com/BoundaryML/baml/pull/1746": {
			`{"id":"c","object":"chat.completion.chunk","created":1744857525.254391,"model":"m","choices":[` + fullChoice + `]}`,
			`{"id":"c","object":"chat.completion.chunk","created":1744857525,"model":"m","choices":[` + fullChoice + `]}`,
		},
		"a time that is a text, and an id that is a number": {
			`{"id":12,"object":"chat.completion.chunk","created":"1744857525","model":"m","choices":[` + fullChoice + `]}`,
			`{"id":"12","object":"chat.completion.chunk","created":1744857525,"model":"m","choices":[` + fullChoice + `]}`,
		},
		"https://github.com/OpenRouterTeam/ai-sdk-provider/issues/79": {
			`{` + fullHead + `"choices":[{"delta":{"role":"assistant","content":"x"}},{"index":null,"delta":{"role":"assistant","content":"y"}},{"index":"2","delta":{"role":"assistant"}}]}`,
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}},{"index":1,"delta":{"role":"assistant","content":"y"}},{"index":2,"delta":{"role":"assistant"}}]}`,
		},
		"https://github.com/BerriAI/litellm/issues/3276": {
			`{` + fullHead + `"choices":[` + fullChoice + `],"usage":{}}`, `{` + fullHead + `"choices":[` + fullChoice + `],"usage":null}`,
		},
		"https://github.com/MiniMax-AI/MiniMax-M2.5/issues/2": {
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"","reasoning_content":""}}],"usage":{"total_tokens":5,"total_characters":0}}`,
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":""}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":5,"total_characters":0}}`,
		},
		"usage of nulls": {
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":null,"total_tokens":null,"prompt_tokens_details":null}}`,
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3,"prompt_tokens_details":null}}`,
		},
		"usage of texts": {
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":"3","completion_tokens":"4"}}`,
			`{` + fullHead + `"choices":[],"usage":{"total_tokens":7,"prompt_tokens":3,"completion_tokens":4}}`,
		},
		"usage by other names": {
			`{` + fullHead + `"choices":[],"usage":{"input_tokens":3,"output_tokens":4}}`,
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"input_tokens":3,"output_tokens":4}}`,
		},
		"https://github.com/pydantic/pydantic-ai/issues/4895": {
			`{` + fullHead + `"choices":[` + fullChoice + `],"service_tier":"standard"}`, `{` + fullHead + `"choices":[` + fullChoice + `],"service_tier":"default"}`,
		},
		"usage of nothing but nulls": {
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}}`, `{` + fullHead + `"choices":[],"usage":null}`,
		},
		"usage in other digits": {
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":3.0,"completion_tokens":4e0,"total_tokens":7}}`,
			`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`,
		},
		"a time and an index in other digits": {
			`{"id":"c","object":"chat.completion.chunk","created":1744857525.0,"model":"m","choices":[{"index":1.0,"delta":{"role":"assistant"}}]}`,
			`{"id":"c","object":"chat.completion.chunk","created":1744857525,"model":"m","choices":[{"index":1,"delta":{"role":"assistant"}}]}`,
		},
		"an index that is a text, of a choice that comes alone": {
			`{` + fullHead + `"choices":[{"index":"1","delta":{"role":"assistant","content":"x"}}]}`,
			`{` + fullHead + `"choices":[{"index":1,"delta":{"role":"assistant","content":"x"}}]}`,
		},
		"a delta that the second choice lacks": {
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}},{"index":1,"finish_reason":"stop"}]}`,
			`{` + fullHead + `"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}},{"delta":{"role":"assistant"},"index":1,"finish_reason":"stop"}]}`,
		},
		// What OpenAI's own have, or Azure's, and what is told in no other way.
		"all there":             {`{` + fullHead + `"choices":[` + fullChoice + `],"usage":null,"service_tier":"flex"}`, ""},
		"an unknown tier":       {`{` + fullHead + `"choices":[` + fullChoice + `],"service_tier":"x"}`, ""},
		"the first of Azure's":  {`{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}`, `{"choices":[],"created":0,"id":"","model":"","object":"chat.completion.chunk","prompt_filter_results":[]}`},
		"the usage alone":       {`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"completion_tokens_details":{"reasoning_tokens":null}}}`, ""},
		"of the older form":     {`{"choices":[{"text":"x"}]}`, ""},
		"a usage that is none":  {`{` + fullHead + `"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":7.5,"total_tokens":99999999999999999999}}`, ""},
		"a time in thousandths": {`{"id":"c","object":"chat.completion.chunk","created":1744857525254,"model":"m","choices":[` + fullChoice + `]}`, ""},
		// https://docs.perplexity.ai/docs/sonar/pro-search/stream-mode.md: clients go by the object.
		"a stage of Perplexity's":       {strings.Replace(`{`+fullHead+`"choices":[`+fullChoice+`]}`, "chat.completion.chunk", "chat.reasoning", 1), ""},
		"a stage's end of Perplexity's": {strings.Replace(`{`+fullHead+`"choices":[`+fullChoice+`]}`, "chat.completion.chunk", "chat.reasoning.done", 1), ""},
		"the end of Perplexity's": {
			`{"model":"m","object":"chat.completion.done","created":7,"choices":[` + fullChoice + `]}`,
			`{"id":"chatcmpl-7","model":"m","object":"chat.completion.done","created":7,"choices":[` + fullChoice + `]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.sent
			}
			if got := decoded(t, tt.sent)[0]; got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestLaterRoles has a delta with an empty role behind the first.
func TestLaterRoles(t *testing.T) {
	empty := strings.Replace(fullChoice, `"assistant"`, `""`, 1)
	got := decoded(t, `{`+fullHead+`"choices":[`+fullChoice+`]}`, `{`+fullHead+`"choices":[`+empty+`]}`)
	if want := `{` + fullHead + `"choices":[` + strings.Replace(empty, `""`, `null`, 1) + `]}`; got[1] != want {
		t.Errorf("got %s\nwant %s", got[1], want)
	}
}

// TestLooseAnswers has whole answers of vendors' as they were reported.
func TestLooseAnswers(t *testing.T) {
	const full = `"id":"c","object":"chat.completion","created":7,"model":"m",`
	const choice = `{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}`
	for name, tt := range map[string]struct{ sent, want string }{
		"all there": {`{` + full + `"choices":[` + choice + `],"usage":null}`, ""},
		"https://github.com/guardrails-ai/guardrails/issues/1415": {
			`{"created":7,"choices":[{"message":{"content":"x"}}],"guardrails":{"reask":null}}`,
			`{"id":"chatcmpl-7","object":"chat.completion","model":"up","created":7,"choices":[{"index":0,"message":{"role":"assistant","content":"x"}}],"guardrails":{"reask":null}}`,
		},
		"https://github.com/spiceai/spiceai/issues/5418": {
			`{"id":"c","object":"chat.completion","created":1744857525.254391,"model":"m","choices":[` + choice + `]}`,
			`{"id":"c","object":"chat.completion","created":1744857525,"model":"m","choices":[` + choice + `]}`,
		},
		"https://github.com/langgenius/dify/issues/14101": {
			`{"id":"c","object":"chat.completions","created":7,"model":"m","choices":[` + choice + `]}`, `{` + full + `"choices":[` + choice + `]}`,
		},
		"https://github.com/pydantic/pydantic-ai/issues/2499": {
			`{` + full + `"choices":[` + choice + `],"service_tier":"on_demand"}`, `{` + full + `"choices":[` + choice + `],"service_tier":"default"}`,
		},
		"an empty finish reason": {
			`{` + full + `"choices":[` + strings.Replace(choice, "stop", "", 1) + `]}`, `{` + full + `"choices":[` + strings.Replace(choice, `"stop"`, "null", 1) + `]}`,
		},
		"a message that is null": {
			`{"choices":[{"index":0,"message":null,"finish_reason":"stop"}],` + strings.TrimSuffix(full, ",") + `}`,
			`{"choices":[{"index":0,"message":{"role":"assistant"},"finish_reason":"stop"}],` + strings.TrimSuffix(full, ",") + `}`,
		},
		"a message that is a text": {
			`{"choices":[{"message":"tea","finish_reason":"stop"}],` + strings.TrimSuffix(full, ",") + `}`,
			`{"choices":[{"index":0,"message":"tea","finish_reason":"stop"}],` + strings.TrimSuffix(full, ",") + `}`,
		},
		"a call with an object, and nothing else": {
			`{` + full + `"choices":[{"message":{"tool_calls":[{"id":3,"function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"tool_calls"}]}`,
			`{` + full + `"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"type":"function","id":"` + (&callCompleter{id: "7"}).callID("0", 0) + `","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.sent
			}
			read, err := wire.ParseBody([]byte(tt.sent), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := CompleteAnswer([]byte(tt.sent), &read, wire.Ask{ID: "7", UpstreamModel: "up"}); string(got) != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// strictly reads a chat completion, or a chunk of one, as a client does that has types for all of it.
func strictly(data, object string) error {
	type words struct{ Role string }
	var a struct {
		ID, Object, Model *string
		Created           *int64
		Choices           *[]struct {
			Index          *int64
			Message, Delta *words
			FinishReason   *string `json:"finish_reason"`
		}
		Usage *struct {
			Prompt     *int64 `json:"prompt_tokens"`
			Completion *int64 `json:"completion_tokens"`
			Total      *int64 `json:"total_tokens"`
		}
		ServiceTier *string `json:"service_tier"`
	}
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		return err
	}
	switch {
	case a.ID == nil || a.Object == nil || a.Model == nil || a.Created == nil || a.Choices == nil:
		return fmt.Errorf("a member is missing")
	case *a.Object != object:
		return fmt.Errorf("it is a %s", *a.Object)
	case a.Usage != nil && (a.Usage.Prompt == nil || a.Usage.Completion == nil || a.Usage.Total == nil):
		return fmt.Errorf("a number is missing")
	case a.ServiceTier != nil && !slices.Contains([]string{"auto", "default", "flex", "scale", "priority"}, *a.ServiceTier):
		return fmt.Errorf("tier %s", *a.ServiceTier)
	}
	for _, c := range *a.Choices {
		switch {
		case c.Index == nil || c.Message == nil && c.Delta == nil:
			return fmt.Errorf("a choice lacks a member")
		case c.Message != nil && c.Message.Role != "assistant" || c.Delta != nil && c.Delta.Role != "assistant":
			return fmt.Errorf("the role is none")
		case c.FinishReason != nil && *c.FinishReason == "":
			return fmt.Errorf("the finish reason is empty")
		}
	}
	return nil
}

// Whatever members are left out, or of whichever other type, clients that have types for them read what they get.
func TestTypedClientsReadLooseAnswers(t *testing.T) {
	odd := []string{"", `null`, `""`, `7`, `7.5`, `"7"`, `"x"`} // an empty one is left out
	for _, kind := range []struct{ words, object string }{{"delta", "chat.completion.chunk"}, {"message", "chat.completion"}} {
		members := map[string]string{
			"id": `"c"`, "object": `"` + kind.object + `"`, "created": "7", "model": `"m"`, "index": "0", "role": `"assistant"`, "finish_reason": `"stop"`,
			"prompt_tokens": "1", "completion_tokens": "2", "total_tokens": "3", "service_tier": `"default"`,
		}
		write := func(changed map[string]string) string {
			list := func(names ...string) string {
				var written []string
				for _, name := range names {
					v, ok := changed[name]
					if !ok {
						v = members[name]
					}
					if v != "" {
						written = append(written, `"`+name+`":`+v)
					}
				}
				return strings.Join(written, ",")
			}
			text := strings.NewReplacer(",,", ",", "{,", "{").Replace(`{` + list("id", "object", "created", "model") + `,"choices":[{` + list("index", "finish_reason") + `,"` + kind.words + `":{` + list("role") + `}}],"usage":{` +
				list("prompt_tokens", "completion_tokens", "total_tokens") + `},` + list("service_tier") + `}`)
			return strings.ReplaceAll(text, ",}", "}")
		}
		fits := func(name, v string) bool { // others have a meaning that is not the gateway's to change
			switch name {
			case "role":
				return v == "" || v == "null" || v == `""`
			case "finish_reason":
				return v == "" || v == "null" || v == `""` || v == `"x"`
			case "service_tier":
				return v == "" || v == "null"
			case "prompt_tokens", "completion_tokens", "total_tokens":
				return v != "7.5" && v != `"x"`
			}
			return true
		}
		for one := range members {
			for other := range members {
				for _, v := range odd {
					for _, w := range odd {
						if !fits(one, v) || !fits(other, w) {
							continue
						}
						sent := write(map[string]string{one: v, other: w})
						var got string
						if kind.words == "delta" {
							got = decoded(t, sent)[0]
						} else {
							read, err := wire.ParseBody([]byte(sent), wire.Limits{})
							if err != nil {
								t.Fatalf("%v: %s", err, sent)
							}
							got = string(CompleteAnswer([]byte(sent), &read, wire.Ask{ID: "7", UpstreamModel: "up"}))
						}
						if err := strictly(got, kind.object); err != nil {
							t.Errorf("%v\nsent %s\n got %s", err, sent, got)
						}
						if strictly(sent, kind.object) == nil && !strings.Contains(sent, `""`) && got != sent {
							t.Errorf("changed %s\nto %s", sent, got)
						}
					}
				}
			}
		}
	}
}

// What is completed is still the answer that it was, and lacks nothing more.
func FuzzCompletedAnswers(f *testing.F) {
	for _, body := range []string{
		`{"choices":[{"message":{"content":"x"},"finish_reason":""}],"usage":{"total_tokens":3}}`,
		`{"id":7,"created":"1.5","choices":[{"index":"1","message":{"role":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]}}],"service_tier":"standard"}`,
		`{"object":"x","choices":[{"delta":{"role":""},"finish_reason":""},{"delta":null}],"usage":{}}`, `{"choices":null,"model":"m"}`,
		` { "choices" : [ {} , null, {"text":""} ], "choices2":1}`, `{"usage":{"prompt_tokens":"1"}}`, `{}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		read, err := wire.ParseBody(body, wire.Limits{})
		if err != nil || read.Failure != nil {
			return
		}
		ask := wire.Ask{ID: "7", UpstreamModel: "up"}
		whole := CompleteAnswer(body, &read, ask)
		again, err := wire.ParseBody(whole, wire.Limits{})
		if err != nil || again.HasChoices != read.HasChoices || again.Content != read.Content {
			t.Fatalf("%v\nof %s\ncame %s", err, body, whole)
		}
		if twice := CompleteAnswer(whole, &again, ask); string(twice) != string(whole) {
			t.Errorf("of %s\nfirst %s\nthen %s", body, whole, twice)
		}
		if bytes.ContainsAny(body, "\r\n") {
			return // which parts events
		}
		event := wire.Event{Data: body, Raw: slices.Concat([]byte("data: "), body, []byte("\n\n"))}
		got, chunk, err := Format{}.DecodeStream(ask).Decode(nil, event)
		if err != nil || chunk.Failure != nil || len(got) == 0 {
			return
		}
		if got[0] == ':' { // an event that says nothing
			if chunk.HasChoices || chunk.Content {
				t.Fatalf("of %s\ncame %s", body, got)
			}
			return
		}
		data := bytes.TrimSuffix(bytes.TrimPrefix(got, []byte("data: ")), []byte("\n\n"))
		streamed, err := wire.ParseChunk(data)
		if err != nil || streamed.HasChoices != chunk.HasChoices || streamed.Content != chunk.Content {
			t.Fatalf("%v\nof %s\ncame %s", err, body, got)
		}
	})
}
