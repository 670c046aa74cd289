package alipayai_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
	"github.com/caddy-alipayai/gateway/internal/growth"
	"github.com/caddy-alipayai/gateway/internal/race"
)

// manyOf is a text with many elements, of which % is the number. Between two @ in after is another element, of which there are as
// many.
type manyOf struct{ before, element, between, after string }

// text has elements up to a size.
func (r manyOf) text(size int) []byte {
	out, others := []byte(r.before), []byte(nil)
	after := strings.Split(r.after, "@")
	for i := 0; len(out)+len(others) < size; i++ {
		if i > 0 {
			out, others = append(out, r.between...), append(others, r.between...)
		}
		out = append(out, strings.ReplaceAll(r.element, "%", strconv.Itoa(i))...)
		if len(after) > 1 {
			others = append(others, strings.ReplaceAll(after[1], "%", strconv.Itoa(i))...)
		}
	}
	out = append(out, after[0]...)
	if len(after) > 1 {
		out = append(append(out, others...), after[2]...)
	}
	return out
}

// The smaller of two texts, in bytes, and how many times as large the other is.
const times = 8

var smaller = func() int {
	if race.Enabled {
		return 8 << 10 // which takes as long as a larger one without the detector
	}
	return 24 << 10
}()

// linear holds that what is done with a text takes in proportion to its size: with one that is 8 times as large at most 24 times
// as long, where what is quadratic takes up to 64 times. It is given the two texts, or what was made of them before. Up to four
// nanoseconds a byte nothing is held.
func linear[T any](t *testing.T, small, large T, do func(T)) {
	t.Helper()
	growth.Linear(t, 3*times, 4*time.Duration(smaller)*time.Nanosecond, small, large, do)
}

const (
	chatStart     = `{"model":"m","messages":[{"role":"user","content":"q"}]`
	messagesStart = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"}]`
	inputStart    = `{"model":"m","input":"q"`
	schemaStart   = `{"type":"object","additionalProperties":false,`
)

var requestsOfMany = map[string]map[string]manyOf{
	"chat": {
		"tools":         {chatStart + `,"tools":[`, `{"type":"function","function":{"name":"t%","strict":true}}`, ",", `]}`},
		"odd tools":     {chatStart + `,"tools":[`, `{"type":"function","function":{"name":"t.%"}}`, ",", `]}`},
		"allowed tools": {chatStart + `,"tools":[{"type":"function","function":{"name":"t"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[`, `{"type":"function","function":{"name":"t%"}}`, ",", `]}}}`},
		"properties":    {chatStart + `,"tools":[{"type":"function","function":{"name":"t","strict":true,"parameters":` + schemaStart + `"properties":{`, `"p%":{"type":"string"}`, ",", `}}}}]}`},
		"required":      {chatStart + `,"tools":[{"type":"function","function":{"name":"t","strict":true,"parameters":` + schemaStart + `"properties":{},"required":[`, `"p%"`, ",", `]}}}]}`},
		"enum":          {chatStart + `,"tools":[{"type":"function","function":{"name":"t","strict":true,"parameters":` + schemaStart + `"properties":{"p":{"enum":[`, `"v%"`, ",", `]}}}}}]}`},
		"schemas":       {chatStart + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"anyOf":[`, schemaStart + `"properties":{"p%":{"type":"string","minLength":1}}}`, ",", `]}}}}`},
		"definitions":   {chatStart + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":` + schemaStart + `"properties":{},"$defs":{`, `"d%":{"type":"string"}`, ",", `}}}}}`},
		"messages":      {`{"model":"m","messages":[`, `{"role":"user","content":"q%"},{"role":"assistant","content":"a"}`, ",", `,{"role":"user","content":"q"}]}`},
		"empty answers": {`{"model":"m","messages":[`, `{"role":"assistant","content":""}`, ",", `,{"role":"user","content":"q"}]}`},
		"parts":         {`{"model":"m","messages":[{"role":"user","content":[`, `{"type":"text","text":"q%"}`, ",", `]}]}`},
		"images":        {`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"q"},`, `{"type":"image_url","image_url":{"url":"https://a.example/%"}}`, ",", `]}]}`},
		"calls":         {`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[`, `{"id":"c%","type":"function","function":{"name":"t","arguments":"{}"}}`, ",", `]},{"role":"user","content":"q"}]}`},
		"same calls":    {`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[`, `{"id":"c","type":"function","function":{"name":"t.%","arguments":"{}"}}`, ",", `]},{"role":"user","content":"q"}]}`},
		"results":       {`{"model":"m","messages":[{"role":"user","content":"q"},`, `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"t","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r%"}`, ",", `,{"role":"user","content":"q"}]}`},
		"stop words":    {chatStart + `,"stop":[`, `"s%"`, ",", `]}`},
		"metadata":      {chatStart + `,"metadata":{`, `"k%":"v"`, ",", `}}`},
		"members":       {chatStart + `,`, `"k%":1`, ",", `}`},
	},
	"messages": {
		"tools":               {messagesStart + `,"tools":[`, `{"name":"t%","strict":true,"input_schema":{"type":"object"}}`, ",", `]}`},
		"properties":          {messagesStart + `,"tools":[{"name":"t","strict":true,"input_schema":` + schemaStart + `"properties":{`, `"p%":{"type":"string"}`, ",", `}}}]}`},
		"required":            {messagesStart + `,"tools":[{"name":"t","strict":true,"input_schema":` + schemaStart + `"required":[`, `"p%"`, ",", `]}}]}`},
		"required properties": {messagesStart + `,"tools":[{"name":"t","strict":true,"input_schema":` + schemaStart + `"properties":{`, `"p%":{"type":"string"}`, ",", `},"required":[@"p%"@]}}]}`},
		"schemas":             {messagesStart + `,"output_config":{"format":{"type":"json_schema","schema":{"anyOf":[`, schemaStart + `"properties":{"p%":{"type":"string"}}}`, ",", `]}}}}`},
		"messages":            {`{"model":"m","max_tokens":9,"messages":[`, `{"role":"user","content":"q%"},{"role":"assistant","content":"a"}`, ",", `,{"role":"user","content":"q"}]}`},
		"parts":               {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[`, `{"type":"text","text":"q%"}`, ",", `]}]}`},
		"calls":               {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[`, `{"type":"tool_use","id":"c","name":"t%","input":{}}`, ",", `]},{"role":"user","content":"q"}]}`},
		"results":             {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},`, `{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"t","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r%"}]}`, ",", `]}`},
		"stop words":          {messagesStart + `,"stop_sequences":[`, `"s%"`, ",", `]}`},
		"metadata":            {messagesStart + `,"metadata":{`, `"k%":"v"`, ",", `}}`},
		"system":              {messagesStart + `,"system":[`, `{"type":"text","text":"s%"}`, ",", `]}`},
	},
	"responses": {
		"tools":          {inputStart + `,"tools":[`, `{"type":"function","name":"t%"}`, ",", `]}`},
		"custom tools":   {inputStart + `,"tools":[`, `{"type":"custom","name":"t%"}`, ",", `]}`},
		"namespaces":     {inputStart + `,"tools":[`, `{"type":"namespace","name":"n%","tools":[{"type":"function","name":"t"}]}`, ",", `]}`},
		"allowed tools":  {inputStart + `,"tools":[`, `{"type":"function","name":"t%"}`, ",", `],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[@{"type":"namespace","name":""}@]}}`},
		"more tools":     {`{"model":"m","input":[{"type":"message","role":"user","content":"q"},`, `{"type":"additional_tools","tools":[{"type":"function","name":"t%"}]}`, ",", `]}`},
		"messages":       {`{"model":"m","input":[`, `{"type":"message","role":"user","content":"q%"},{"type":"message","role":"assistant","content":"a"}`, ",", `]}`},
		"parts":          {`{"model":"m","input":[{"type":"message","role":"user","content":[`, `{"type":"input_text","text":"q%"}`, ",", `]}]}`},
		"calls, results": {`{"model":"m","input":[{"type":"message","role":"user","content":"q"},`, `{"type":"function_call","call_id":"c%","name":"t","arguments":"{}"},{"type":"function_call_output","call_id":"c%","output":"r"}`, ",", `]}`},
		"reasoning":      {`{"model":"m","input":[{"type":"message","role":"user","content":"q"},`, `{"type":"reasoning","summary":[{"type":"summary_text","text":"t%"}]}`, ",", `]}`},
		"metadata":       {inputStart + `,"metadata":{`, `"k%":"v"`, ",", `}}`},
		"include":        {inputStart + `,"include":[`, `"i%"`, ",", `]}`},
	},
}

// A request of as many elements as may be takes a time in proportion to its size, at each door, to each form of a provider's.
func TestRequestsTakeTimeByTheirSize(t *testing.T) {
	formats := map[string]wire.Format{"anthropic": new(anthropic.Format), "nextbuilder": nextbuilder.Format{}}
	for _, name := range []string{"openai", "qwen", "legacy"} { // with most rules between them
		d, err := openai.LookupDialect(name)
		if err != nil {
			t.Fatal(err)
		}
		formats["openai, "+name] = openai.Format{Dialect: d}
	}
	doors := map[string]func(body []byte) (wire.Request, error){
		"chat": func(body []byte) (wire.Request, error) { return wire.ParseChatRequest(body, wire.Limits{}) },
		"messages": func(body []byte) (wire.Request, error) {
			r, err := anthropic.ParseClientRequest(body, false)
			return r.Canonical, err
		},
		"responses": func(body []byte) (wire.Request, error) {
			r, err := responses.ParseClientRequest(body)
			if err != nil {
				return wire.Request{}, err
			}
			return r.Canonical, r.Continue(nil, nil)
		},
	}
	rules := rulesOf(t)
	judge := new(toolcheck.Checker)
	for door, kinds := range requestsOfMany {
		for kind, r := range kinds {
			small, large := r.text(smaller), r.text(times*smaller)
			read := func(body []byte) wire.Request {
				request, err := doors[door](body)
				if err != nil {
					t.Fatalf("%s: %s: %v", door, kind, err)
				}
				return request
			}
			ofSmall, ofLarge := read(small), read(large)
			t.Run(door+": "+kind, func(t *testing.T) {
				linear(t, small, large, func(body []byte) { _, _ = doors[door](body) })
				linear(t, ofSmall, ofLarge, func(r wire.Request) {
					rules.CheckTexts(r.Texts())
					judge.Judge(r.Body, []toolcheck.Call{{Name: "t0", Arguments: "{}"}})
				})
			})
			for name, format := range formats {
				t.Run(door+": "+kind+" to "+name, func(t *testing.T) {
					linear(t, ofSmall, ofLarge, func(r wire.Request) {
						_, _ = format.EncodeRequest(wire.Ask{Request: r, UpstreamModel: "m2", ByGateway: true, ID: "call"})
					})
				})
			}
		}
	}
}

func rulesOf(t *testing.T) *moderate.Rules {
	t.Helper()
	rules := new(moderate.Rules)
	if err := rules.AddWords("p", "forbidden"); err != nil {
		t.Fatal(err)
	}
	if err := rules.Compile(); err != nil {
		t.Fatal(err)
	}
	return rules
}

var answersOfMany = map[string]map[string]manyOf{
	"openai": {
		"calls":    {`{"choices":[{"message":{"tool_calls":[`, `{"id":"c%","type":"function","function":{"name":"t.%","arguments":"{}"}}`, ",", `]},"finish_reason":"tool_calls"}]}`},
		"parts":    {`{"choices":[{"message":{"content":[`, `{"type":"text","text":"a%"}`, ",", `]},"finish_reason":"stop"}]}`},
		"logprobs": {`{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":[`, `{"token":"a%","logprob":0}`, ",", `]}}]}`},
		"names":    {`{"choices":[{"finish_reason":"stop","message":{"content":"a","` + strings.Repeat("k", smaller/8) + `":[`, `"a"`, ",", `]}}]}`},
	},
	"anthropic": {
		"texts": {`{"type":"message","content":[`, `{"type":"text","text":"a%"}`, ",", `],"stop_reason":"end_turn"}`},
		"calls": {`{"type":"message","content":[`, `{"type":"tool_use","id":"c%","name":"t","input":{}}`, ",", `],"stop_reason":"tool_use"}`},
	},
	"responses": {
		"texts": {`{"id":"resp_1","status":"completed","output":[{"type":"message","content":[`, `{"type":"output_text","text":"a%"}`, ",", `]}]}`},
		"items": {`{"id":"resp_1","status":"completed","output":[`, `{"type":"reasoning","summary":[{"text":"a%"}]}`, ",", `]}`},
		"calls": {`{"id":"resp_1","status":"completed","output":[`, `{"type":"function_call","call_id":"c%","name":"t","arguments":"{}"}`, ",", `]}`},
	},
}

var streamsOfMany = map[string]manyOf{
	"empty data":  {"data: ", "data: \n", "", `data: {"choices":[]}` + "\n\n"},
	"lines":       {`data: {"choices":[{"delta":{"content":"a"}}],` + "\n", `data: "k%":1,` + "\n", "", `data: "end":1}` + "\n\n"},
	"chunks":      {"", `data: {"choices":[{"delta":{"content":"a%"}}]}` + "\n\n", "", "data: [DONE]\n\n"},
	"mixed":       {"", `data: {"choices":[{"delta":{"content":"a%"}}]}` + "\n\n" + `data: {"choices":[{"delta":{"reasoning_content":"r"}}]}` + "\n\n", "", "data: [DONE]\n\n"},
	"arguments":   {`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"t","arguments":"{"}}]}}]}` + "\n\n", `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%"}}]}}]}` + "\n\n", "", "data: [DONE]\n\n"},
	"calls":       {"", `data: {"choices":[{"delta":{"tool_calls":[{"index":%,"id":"c%","function":{"name":"t.%","arguments":"{}"}}]}}]}` + "\n\n", "", "data: [DONE]\n\n"},
	"many pieces": {`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"t","arguments":"{"}},`, `{"index":0,"function":{"arguments":"%"}}`, ",", `]}}]}` + "\n\ndata: [DONE]\n\n"},
}

// So does an answer, whole or in a stream, from each form of a provider's to each of a client's.
func TestAnswersTakeTimeByTheirSize(t *testing.T) {
	formats := map[string]wire.Format{"openai": openai.Format{}, "anthropic": new(anthropic.Format), "responses": responses.Format{}}
	names := make(wire.ToolNames)
	for i := range 1 << 10 {
		names[fmt.Sprintf("t_%d", i)] = fmt.Sprintf("t.%d", i)
	}
	asked, err := responses.ParseClientRequest([]byte(inputStart + `}`))
	if err != nil {
		t.Fatal(err)
	}
	rules := rulesOf(t)
	for from, kinds := range answersOfMany {
		for kind, r := range kinds {
			small, large := r.text(smaller), r.text(times*smaller)
			decode := func(body []byte) []byte {
				answer, _, err := formats[from].DecodeAnswer(body, wire.Ask{})
				if err != nil {
					t.Fatalf("%s: %s: %v", from, kind, err)
				}
				return answer
			}
			t.Run(from+": "+kind, func(t *testing.T) {
				linear(t, small, large, func(body []byte) { _, _, _ = formats[from].DecodeAnswer(body, wire.Ask{}) })
			})
			ofSmall, ofLarge := decode(small), decode(large)
			for name, do := range map[string]func(answer []byte){
				"chat":      func(a []byte) { openai.OwnToolNames(a, names) },
				"messages":  func(a []byte) { _, err = (&anthropic.ClientWriter{}).Whole(nil, a) },
				"responses": func(a []byte) { _, err = (&responses.ClientWriter{Request: asked}).Whole(nil, a) },
				"stream":    func(a []byte) { _, err = wire.AppendStream(nil, a, true) },
				"rules":     func(a []byte) { rules.CheckAnswer(a) },
				"tools":     func(a []byte) { toolcheck.CallsOf(a) },
			} {
				t.Run(from+": "+kind+" to "+name, func(t *testing.T) { linear(t, ofSmall, ofLarge, do) })
			}
		}
	}
	for kind, r := range streamsOfMany {
		small, large := r.text(smaller), r.text(times*smaller)
		for name, do := range map[string]func(events []byte){
			"chat": func(events []byte) {
				decodeAll(openai.Calls{Names: names, Functions: true}.Decoder(openai.Format{}.DecodeStream(wire.Ask{})), events)
			},
			"messages":  func(events []byte) { _, _ = (&anthropic.ClientWriter{}).Events(nil, events) },
			"responses": func(events []byte) { _, _ = (&responses.ClientWriter{Request: asked}).Events(nil, events) },
			"rules":     func(events []byte) { rules.CheckStream(events) },
			"tools":     func(events []byte) { c := new(toolcheck.Collector); c.Add(events); c.Calls() },
		} {
			t.Run("stream: "+kind+" to "+name, func(t *testing.T) { linear(t, small, large, do) })
		}
	}
}

func decodeAll(d wire.StreamDecoder, events []byte) {
	reader := wire.NewEventReader(bytes.NewReader(events), len(events)+1)
	defer reader.Release()
	var out []byte
	for {
		event, err := reader.Next()
		if err != nil {
			return
		}
		if out, _, err = d.Decode(out, event); err != nil {
			return
		}
	}
}
