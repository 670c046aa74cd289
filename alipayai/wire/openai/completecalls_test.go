package openai

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestCompletedStreams has the chunks of streams whose tool calls lack something, as reported. Of each chunk it is the array of
// tool calls.
func TestCompletedStreams(t *testing.T) {
	c := callCompleter{id: "answer"}
	first, second, other := c.callID("0", 0), c.callID("0", 1), c.callID("1", 0)
	for name, tt := range map[string]struct{ sent, want []string }{
		"https://github.com/openai/openai-python/issues/2806": {
			[]string{`{"function":{"arguments":"{\"a\":1}","name":"f"},"id":"a","type":"function"}`},
			[]string{`{"index":0,"function":{"arguments":"{\"a\":1}","name":"f"},"id":"a","type":"function"}`},
		},
		"https://github.com/openai/openai-python/issues/2806, two": {
			[]string{`{"function":{"arguments":"{\"z\":1}","name":"f"},"id":"a","type":"function"}`, `{"function":{"arguments":"{\"z\":1}","name":"f"},"id":"b","type":"function"}`},
			[]string{`{"index":0,"function":{"arguments":"{\"z\":1}","name":"f"},"id":"a","type":"function"}`, `{"index":1,"function":{"arguments":"{\"z\":1}","name":"f"},"id":"b","type":"function"}`},
		},
		"https://github.com/ollama/ollama/issues/7881, two at once": {
			[]string{`{"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/vercel/ai/issues/7238, in pieces": {
			[]string{`{"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"function":{"arguments":"{\"a\""}}`, `{"function":{"arguments":":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"a\""}}`, `{"index":0,"function":{"arguments":":1}"}}`},
		},
		"an index that is null": {
			[]string{`{"index": null,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index": 0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/anomalyco/opencode/pull/47954": {
			[]string{`{"index":0,"function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`, `{"index":1,"function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"id":"` + first + `","type":"function","index":0,"function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`, `{"id":"` + second + `","type":"function","index":1,"function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/binaricat/Netcatty/pull/1007": {
			[]string{`{"index":0,"id":"","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"` + first + `","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"neither": {
			[]string{`{"function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"` + first + `","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"id":"` + second + `","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"a custom tool": {
			[]string{`{"index":0,"type":"custom","custom":{"name":"f","input":"x"}}`},
			[]string{`{"id":"` + first + `","index":0,"type":"custom","custom":{"name":"f","input":"x"}}`},
		},
		"https://github.com/su-kaka/gcli2api/pull/406": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":2}"}}`, `{"id":"c","type":"function","function":{"name":"g","arguments":"{\"z\":1}"},"index":0}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"x\":2}"}}`, `{"id":"c","type":"function","function":{"name":"g","arguments":"{\"z\":1}"},"index":2}`},
		},
		"https://github.com/ollama/ollama/issues/15457, in pieces": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}},{"index":0,"function":{"arguments":":1}"}}`, `{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`, `{"index":1,"id":"c","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}},{"index":0,"function":{"arguments":":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":1}"}}`, `{"index":2,"id":"c","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/AstrBotDevs/AstrBot/pull/9593": {
			[]string{`{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":1}"}}`, `{"index":2,"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/agentgateway/agentgateway/issues/2965": {
			[]string{`{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}},{"index":3,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}`, `{"index":3,"function":{"arguments":"}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}`, `{"index":1,"function":{"arguments":"}"}}`},
		},
		"an index from 1, twice": {
			[]string{`{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":2,"id":"c","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/open-webui/open-webui/issues/27195": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":null}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"indexes in another order": {
			[]string{`{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"function":{"arguments":" "}}`},
			[]string{`{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":0,"function":{"arguments":" "}}`},
		},
		"https://github.com/vercel/ai/issues/6041": {
			[]string{`{"index":0,"id":"a","type":null,"function":{"name":"f","arguments":""}}`, `{"index":0,"type":null,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"type":"function","function":{"arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/sandbaseai/sandbase-harness/pull/220": {
			[]string{`{"index":0,"id":"a","type":"","function":{"name":"f","arguments":""}}`, `{"type":"FUNCTION","index":0,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"type":"function","index":0,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/vllm-project/vllm/issues/16340": {
			[]string{`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"type":"function","index":0,"id":"a","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/anomalyco/opencode/issues/43328": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"id":null,"type":null,"function":{"name":null,"arguments":"{"}}`, `{"id": "","index":0,"function":{"arguments":"}","name":""}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"type":"function","function":{"arguments":"{"}}`, `{"index":0,"function":{"arguments":"}"}}`},
		},
		"https://github.com/NousResearch/hermes-agent/pull/11984": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}`, `{"index":0,"id":"b","type":"function","function":{"name":"None","arguments":"}"}}`, `{"index":0,"id":"a","function":{"name":"f"}}`, `{"id":"a"}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"type":"function","function":{"arguments":"{"}}`, `{"index":0,"type":"function","function":{"arguments":"}"}}`, `{"index":0,"function":{}}`, `{}`},
		},
		"https://github.com/Sliverkiss/workbuddy2api/issues/82, without an index": {
			[]string{`{"id":"a","type":"function","function":{"name":"f","arguments":"{"}}`, `{"id":"a","type":"function","function":{"name":"f","arguments":"}"}}`, `{"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}`, `{"index":0,"type":"function","function":{"arguments":"}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/continuedev/continue/pull/5849, a name in parts": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"edit_ex","arguments":""}}`, `{"index":0,"function":{"name":"isting_file"}}`, `{"index":0,"function":{"name":"edit_existing_file","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"edit_ex","arguments":""}}`, `{"index":0,"function":{"name":"isting_file"}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"an id and a name that come late": {
			[]string{`{"index":0,"id":null,"type":"function","function":{"name":"","arguments":""}}`, `{"index":0,"id":"a","function":{"name":""}}`, `{"index":0,"id":"a","function":{"name":"f"}}`, `{"index":1,"type":"function","function":{"arguments":""}}`, `{"index":1,"function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1,"id":"late"}`},
			[]string{`{"index":0,"id":null,"type":"function","function":{"name":"","arguments":""}}`, `{"index":0,"id":"a","function":{"name":""}}`, `{"index":0,"function":{"name":"f"}}`, `{"index":1,"type":"function","function":{"arguments":""}}`, `{"id":"` + second + `","index":1,"function":{"name":"f","arguments":"{\"z\":1}"}}`, `{"index":1}`},
		},
		"a custom tool's, again": {
			[]string{`{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}`, `{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"y"}}`},
			[]string{`{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}`, `{"index":0,"type":"custom","custom":{"input":"y"}}`},
		},
		"an index twice, and a name that comes behind its id": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","type":"function"}`, `{"index":0,"function":{"name":"g","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"type":"function"}`, `{"id":"` + second + `","type":"function","index":1,"function":{"name":"g","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"an index twice, and no name": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","type":"function","function":{"arguments":"{\"y\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"arguments":"{\"y\":1}"}}`},
		},
		"another id behind the arguments": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","type":"function","function":{"arguments":" "}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"type":"function","function":{"arguments":" "}}`},
		},
		"https://github.com/vllm-project/vllm/pull/31438": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}`, `{"index":0,"function":{"arguments":"1}"}}`, `{"index":0,"function":{"arguments":"{\"x\":1}"}}`, `{"index":0,"function":{"arguments":"\n"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}`, `{"index":0,"function":{"arguments":"1}"}}`, `{"index":0,"function":{"arguments":""}}`, `{"index":0,"function":{"arguments":"\n"}}`},
		},
		"https://github.com/openai/openai-agents-js/pull/712": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}`, `{"index":0,"function":{"arguments":" "}}`, `{"index":0,"function":{"arguments":"{\"x\":"}}`, `{"index":0,"function":{"arguments":"1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":{}}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":" "}}`, `{"index":0,"function":{"arguments":"{\"x\":"}}`, `{"index":0,"function":{"arguments":"1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":""}}`},
		},
		"{} and another call": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}`, `{"index":0,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}, {"index":0,"id":"c","type":"function","function":{"name":"h","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}, {"index":2,"id":"c","type":"function","function":{"name":"h","arguments":"{\"z\":1}"}}`},
		},
		"{} that stands behind another call": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}`, `{"index":1,"function":{"arguments":"{\"z\":1}"}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":1}"}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`},
		},
		"https://github.com/HKUDS/nanobot/pull/3943": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":1,"id":"a","type":"function","function":{"name":"g","arguments":"{"}}`, `{"index":1,"id":"a","function":{"arguments":"}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":1,"id":"` + second + `","type":"function","function":{"name":"g","arguments":"{"}}`, `{"index":1,"function":{"arguments":"}"}}`},
		},
		"https://github.com/agno-agi/agno/pull/8880": {
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":0,"id":"b","type":"function","function":{"name":"g","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":"}}`, `{"index":1,"function":{"arguments":"1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}`, `{"index":1,"function":{"arguments":"{\"z\":"}}`, `{"index":1,"function":{"arguments":"1}"}}`},
		},
		"an index in other digits": {
			[]string{`{"index":0.0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}`, `{"index":0.0,"function":{"arguments":"}"}}`, `{"index":1e0,"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
			[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}`, `{"index":0,"function":{"arguments":"}"}}`, `{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"z\":1}"}}`},
		},
		"code in the place of arguments": {[]string{`{"index":0,"id":"a","type":"function","function":{"name":"python","arguments":"d = {}"}}`, `{"index":0,"function":{"arguments":"\n[1]"}}`, `{"index":0,"function":{"arguments":"; print(d)"}}`}, nil},
		"all there":                      {[]string{`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`, `{"index":0,"function":{"arguments":"{\"z\":1}"}}`}, nil},
		"odd":                            {[]string{`null,{},7,{"function":null},{"index":0}`, `{"index":0,"function":{"name":"null"}}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			chunk := func(calls string) string {
				return "event: x\ndata: {\"id\":\"c\", \"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\\ud83d\",\"tool_calls\":[" + calls + "]},\"finish_reason\":null}]}\n\n"
			}
			if tt.want == nil {
				tt.want = tt.sent
			}
			var stream, want strings.Builder
			for i := range tt.sent {
				stream.WriteString(chunk(tt.sent[i]))
				want.WriteString(chunk(tt.want[i]))
			}
			reader := wire.NewEventReader(strings.NewReader(stream.String()), 0)
			defer reader.Release()
			d := Format{}.DecodeStream(wire.Ask{ID: "answer"})
			var got []byte
			for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
				if got, _, err = d.Decode(got, ev); err != nil {
					t.Fatal(err)
				}
			}
			if string(got) != want.String() {
				t.Errorf("got %s\nwant %s", got, want.String())
			}
		})
	}
	t.Run("choices", func(t *testing.T) {
		const calls = `{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f"}}]}},{"index":1,"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}`
		c := choiceCompleter{callCompleter: callCompleter{id: "answer"}}
		got := string(c.chunk([]byte(calls), new(wire.ChunkReader), new(wire.Chunk)))
		if strings.Count(got, `{"index":0,"id":"call_`) != 2 || !strings.Contains(got, first) || !strings.Contains(got, other) {
			t.Error(got)
		}
	})
}

// TestCompletedAnswers has whole answers: their calls stand in order, and need an id alone.
func TestCompletedAnswers(t *testing.T) {
	first, second := (&callCompleter{id: "answer"}).callID("0", 0), (&callCompleter{id: "answer"}).callID("0", 1)
	for name, tt := range map[string]struct{ calls, want string }{
		"no ids": {`[{"type":"function","function":{"name":"f","arguments":"{}"}}, {"type":"function","function":{"name":"f","arguments":"{}"}}]`, `[{"id":"` + first + `","type":"function","function":{"name":"f","arguments":"{}"}}, {"id":"` + second + `","type":"function","function":{"name":"f","arguments":"{}"}}]`},
		"null":   {`[{"id":null,"type":"function","function":{"name":"f","arguments":"{}"}}]`, `[{"id":"` + first + `","type":"function","function":{"name":"f","arguments":"{}"}}]`},
		"https://github.com/ggml-org/llama.cpp/issues/20198": {`[{"id":"a","type":"function","function":{"name":"f","arguments":{"a": "\"\ud83d"}}}]`, `[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\": \"\\\"\\ud83d\"}"}}]`},
		"null for arguments": {`[{"id":"a","type":"function","function":{"arguments":null,"name":"f"}}]`, `[{"id":"a","type":"function","function":{"arguments":"{}","name":"f"}}]`},
		// No arguments, as many servers write them for a function that takes none.
		"https://github.com/openai/openai-agents-js/issues/664":      {`[{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"f","arguments":" \n"}}]`, `[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]`},
		"https://github.com/simonw/llm/issues/1521":                  {`[{"id":"a","type":"function","function":{"name":"f"}}]`, `[{"id":"a","type":"function","function":{"arguments":"{}","name":"f"}}]`},
		"https://github.com/graniet/llm/issues/67":                   {`[{"id":"a","function":{"name":"f","arguments":"{}"},"index":0}]`, `[{"type":"function","id":"a","function":{"name":"f","arguments":"{}"},"index":0}]`},
		"https://github.com/OpenRouterTeam/ai-sdk-provider/pull/471": {`[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]`, `[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"` + second + `","type":"function","function":{"name":"f","arguments":"{}"}}]`},
		"no input":      {`[{"id":"a","type":"custom","custom":{"name":"f"}}]`, ""},
		"an empty type": {`[{"id":"a","type":"","function":{"arguments":"{}","name":"f"}}]`, `[{"id":"a","type":"function","function":{"arguments":"{}","name":"f"}}]`},
		"an input":      {`[{"id":"a","type":"custom","custom":{"name":"f","input":null}}]`, ""},
		"one of them":   {`[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":"{}"}}]`, `[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"` + second + `","type":"function","function":{"name":"f","arguments":"{}"}}]`},
		"an index that all have, without arguments": {`[{"index":0,"type":"function","function":{"name":"f","arguments":""}},{"index":0,"type":"function","function":{"name":"g","arguments":""}}]`, `[{"id":"` + first + `","index":0,"type":"function","function":{"name":"f","arguments":"{}"}},{"id":"` + second + `","index":0,"type":"function","function":{"name":"g","arguments":"{}"}}]`},
		"all there":    {`[ {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}} ]`, ""},
		"none":         {`[]`, ""},
		"null for all": {`null`, ""},
		"no array":     {`{"id":""}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := func(calls string) string {
				return `{"id":"c","choices":[ {"index":0,"message":{"role":"assistant","content":null,"tool_calls":` + calls + `},"finish_reason":"tool_calls"}]}`
			}
			if tt.want == "" {
				tt.want = tt.calls
			}
			if got := string(completed([]byte(answer(tt.calls)), "", false)); got != answer(tt.want) {
				t.Errorf("got %s\nwant %s", got, answer(tt.want))
			}
		})
	}
	const broken = `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f"}}]}}]`
	if got := completed([]byte(broken), "", false); string(got) != broken {
		t.Errorf("%s of what is no JSON", got)
	}
}

// completed gives a whole answer of that finish reason as [CompleteAnswer] does where nothing is loose but what is in its choices.
func completed(body []byte, finish string, chosen bool) []byte {
	return CompleteAnswer(body, &wire.Answer{FinishReason: finish}, wire.Ask{ID: "answer", Request: wire.Request{ChoosesTool: chosen}})
}
