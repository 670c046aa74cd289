package responses

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// same reports whether two texts are the same JSON.
func same(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Errorf("%v: %s and %s", err, got, want)
		return false
	}
	return reflect.DeepEqual(a, b)
}

// Requests of the Responses API, and what they are in chat completions' form. The model, which every request has, is left
// out here.
func TestClientRequests(t *testing.T) {
	const user = `"messages":[{"role":"user","content":"q"}]`
	const weather = `{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}`
	const asFunction = `{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}`
	for name, c := range map[string]struct {
		in, out     string
		unsupported string
		hosted      bool
	}{
		"text":         {in: `"input":"q"`, out: user},
		"instructions": {in: `"input":"q","instructions":"s"`, out: `"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]`},
		"stream":       {in: `"input":"q","stream":true`, out: `"stream":true,"stream_options":{"include_usage":true},` + user},
		"messages": {
			in:  `"input":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"c","annotations":[],"logprobs":[]}]},{"role":"user","content":"q"}]`,
			out: `"messages":[{"role":"system","content":"d"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":"c"},{"role":"user","content":"q"}]`,
		},
		"a probe":            {in: `"input":[],"instructions":"s","max_output_tokens":1`, out: `"messages":[{"role":"user","content":"s"}],"max_tokens":1`},
		"numbers":            {in: `"input":"q","temperature":1.5,"top_p":0.5,"max_output_tokens":9,"top_logprobs":2`, out: user + `,"temperature":1.5,"top_p":0.5,"max_tokens":9,"logprobs":true,"top_logprobs":2`},
		"logprobs":           {in: `"input":"q","include":["message.output_text.logprobs","reasoning.encrypted_content"]`, out: user + `,"logprobs":true`},
		"effort":             {in: `"input":"q","reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"low"}`, out: user + `,"reasoning_effort":"low","verbosity":"low"`},
		"a floating maximum": {in: `"input":"q","max_output_tokens":16.0`, out: user + `,"max_tokens":16`},
		"hints":              {in: `"input":"q","metadata":{"a":"b"},"prompt_cache_key":"k","service_tier":"auto","store":false,"user":"u","truncation":"disabled"`, out: user + `,"user":"u"`},
		"what is left out":   {in: `"input":"q","truncation":"auto","background":true,"context_management":[{"type":"compaction"}],"wish":1`, out: user, unsupported: "background, context_management, truncation, wish"},
		"nulls":              {in: `"input":"q","instructions":null,"tools":null,"text":null,"reasoning":null,"temperature":null,"previous_response_id":null,"conversation":null`, out: user},
		"a form of answers":  {in: `"input":"q","text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}}`, out: user + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}}`},
		"any JSON":           {in: `"input":"q","text":{"format":{"type":"json_object"},"verbosity":"medium"}`, out: user + `,"response_format":{"type":"json_object"}`},
		"https://github.com/HeyPuter/puter/pull/3815": {
			in:          `"input":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"image_url","image_url":"https://x/z.png"},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JV","file_id":null}},{"type":"file","file":{"file_id":"f"}},{"type":"file"}]}]`,
			out:         `"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"image_url","image_url":{"url":"https://x/z.png"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,JV","filename":"a.pdf"}},{"type":"text","text":"[input_file left out]"},{"type":"text","text":"[part left out]"}]}]`,
			unsupported: "input.content.file, input.content.input_file.file_id",
		},
		"images and files": {
			in:          `"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x/y.png","detail":"high"},{"type":"input_image","image_url":"data:image/png;base64,AA","detail":"auto"},{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JV"},{"type":"input_image","file_id":"f"},{"type":"input_file","file_url":"https://x"},{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}]`,
			out:         `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,JV","filename":"a.pdf"}},{"type":"text","text":"[input_image left out]"},{"type":"file","file":{"file_data":"https://x"}},{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}]`,
			unsupported: "input.content.input_image.file_id",
		},
		"calls of one turn": {
			in:  `"input":[{"role":"user","content":"q"},{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"hm"}]},{"role":"assistant","content":"I look."},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","id":"fc_2","call_id":"c2","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"c1","output":"one"},{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"},{"type":"input_image","image_url":"https://x"}]},{"role":"user","content":"go on"}]`,
			out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"I look.","reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"user","content":[{"type":"text","text":"Shown by the tool call c2:"},{"type":"image_url","image_url":{"url":"https://x"}}]},{"role":"user","content":"go on"}]`,
		},
		"words between a call and its output": {
			in:  `"input":[{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"role":"user","content":"quick"},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},{"type":"function_call_output","call_id":"c1","output":"one"}]`,
			out: `"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"user","content":"quick"},{"role":"assistant","content":"","reasoning_content":"hm"}]`,
		},
		"turns one after the other": {
			in:  `"input":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"q"}]`,
			out: `"messages":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"q"}]`,
		},
		"functions": {in: `"input":"q","tools":[` + weather + `,{"type":"function","name":"g","parameters":null,"strict":null}],"tool_choice":"required","parallel_tool_calls":false`,
			out: user + `,"tools":[` + asFunction + `,{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}],"tool_choice":"required","parallel_tool_calls":false`},
		"one function": {in: `"input":"q","tools":[` + weather + `],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":true`, out: user + `,"tools":[` + asFunction + `],"tool_choice":{"type":"function","function":{"name":"f"}}`},
		"allowed tools": {in: `"input":"q","tools":[` + weather + `,{"type":"function","name":"g","parameters":{}}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]}`,
			out: user + `,"tools":[` + asFunction + `],"tool_choice":"required"`},
		"custom tools": {
			in:  `"tools":[{"type":"custom","name":"patch","description":"Patches.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}],"tool_choice":{"type":"custom","name":"patch"},"input":[{"role":"user","content":"q"},{"type":"custom_tool_call","id":"ctc_1","call_id":"c1","name":"patch","input":"*** \"x\""},{"type":"custom_tool_call_output","call_id":"c1","output":"ok"}]`,
			out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"patch","arguments":"{\"input\":\"*** \\\"x\\\"\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"ok"}],"tools":[{"type":"function","function":{"name":"patch","description":"Patches.\n\nThe input must keep to this grammar (lark):\nstart: x","parameters":{"type":"object","properties":{"input":{"type":"string","description":"The input of the tool, as it is."}},"required":["input"],"additionalProperties":false}}}],"tool_choice":{"type":"function","function":{"name":"patch"}}`,
		},
		"namespaces": {
			in:          `"tools":[{"type":"namespace","name":"mcp__x__","description":"n","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]},{"type":"namespace","name":"crm","description":"n","tools":[{"type":"function","name":"f","parameters":{"type":"object"},"defer_loading":true}]}],"input":[{"type":"function_call","namespace":"crm","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"o"}]`,
			out:         `"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"crm__f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"o"}],"tools":[{"type":"function","function":{"name":"mcp__x__f","parameters":{"type":"object"}}},{"type":"function","function":{"name":"crm__f","parameters":{"type":"object"}}}]`,
			unsupported: "tools.defer_loading",
		},
		"tools of OpenAI's": {in: `"input":"q","tools":[{"type":"web_search"},{"type":"image_generation"},{"type":"tool_search"},{"type":"local_shell"}],"tool_choice":{"type":"web_search"}`, out: user, unsupported: "tool_choice.web_search, tools.image_generation, tools.local_shell, tools.tool_search, tools.web_search"},
		"tools that act":    {in: `"input":"q","tools":[{"type":"mcp","server_label":"x"}]`, out: user, unsupported: "tools.mcp", hosted: true},
		"more tools":        {in: `"input":[{"type":"additional_tools","role":"developer","tools":[` + weather + `]},{"role":"user","content":"q"}],"tools":[` + weather + `]`, out: user + `,"tools":[` + asFunction + `]`},
		"other items": {
			in:  `"input":[{"type":"web_search_call","id":"ws","status":"completed"},{"type":"local_shell_call","call_id":"c","action":{}},{"type":"local_shell_call_output","call_id":"c","output":"x"},{"type":"function_call_output","call_id":"c","output":"x"},{"role":"user","content":"q"}]`,
			out: user, unsupported: "input.local_shell_call, input.local_shell_call_output, input.web_search_call",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseClientRequest([]byte(`{"model":"m",` + c.in + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if !same(t, string(r.Canonical.Body), `{"model":"m",`+c.out+`}`) {
				t.Errorf("\n got %s\nwant %s", r.Canonical.Body, c.out)
			}
			if got := strings.Join(r.Unsupported, ", "); got != c.unsupported {
				t.Errorf("left out are %q, want %q", got, c.unsupported)
			}
			if r.Canonical.HostedTools != c.hosted || r.Continues() {
				t.Errorf("hosted %v, continues %v", r.Canonical.HostedTools, r.Continues())
			}
		})
	}
}

// Requests that are refused, by the parameter that is at fault.
func TestClientRequestErrors(t *testing.T) {
	for name, c := range map[string]struct{ in, param, code string }{
		"no JSON":                  {`{`, "", wire.CodeInvalidJSON},
		"no model":                 {`{"input":"q"}`, "model", wire.CodeMissingParameter},
		"no input":                 {`{"model":"m"}`, "input", wire.CodeMissingParameter},
		"nothing in it":            {`{"model":"m","input":[]}`, "input", wire.CodeInvalidValue},
		"input is a number":        {`{"model":"m","input":1}`, "input", wire.CodeInvalidType},
		"an item is a text":        {`{"model":"m","input":["q"]}`, "input[0]", wire.CodeInvalidType},
		"an item without type":     {`{"model":"m","input":[{"x":1}]}`, "input[0].type", wire.CodeMissingParameter},
		"a role":                   {`{"model":"m","input":[{"role":"tool","content":"x"}]}`, "input[0].role", wire.CodeInvalidValue},
		"no content":               {`{"model":"m","input":[{"role":"user"}]}`, "input[0].content", wire.CodeMissingParameter},
		"a part without type":      {`{"model":"m","input":[{"role":"user","content":[{"text":"x"}]}]}`, "input[0].content[0].type", wire.CodeMissingParameter},
		"an image without URL":     {`{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}`, "input[0].content[0].image_url", wire.CodeMissingParameter},
		"an image without, within": {`{"model":"m","input":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}`, "input[0].content[0].image_url", wire.CodeMissingParameter},
		"an image of a number":     {`{"model":"m","input":[{"role":"user","content":[{"type":"image_url","image_url":7}]}]}`, "input[0].content[0].image_url", wire.CodeInvalidType},
		"a call without id":        {`{"model":"m","input":[{"type":"function_call","id":"fc","name":"f","arguments":"{}"}]}`, "input[0].call_id", wire.CodeMissingParameter},
		"a call without output":    {`{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}`, "input[0]", wire.CodeInvalidValue},
		"an output without call":   {`{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":"x"}]}`, "input[0]", wire.CodeInvalidValue},
		"arguments":                {`{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":{}}]}`, "input[0].arguments", wire.CodeInvalidType},
		"tools":                    {`{"model":"m","input":"q","tools":{}}`, "tools", wire.CodeInvalidType},
		"a tool without name":      {`{"model":"m","input":"q","tools":[{"type":"function"}]}`, "tools[0].name", wire.CodeMissingParameter},
		"an unknown choice":        {`{"model":"m","input":"q","tools":[],"tool_choice":"any"}`, "tool_choice", wire.CodeInvalidValue},
		"a tool that is not":       {`{"model":"m","input":"q","tool_choice":{"type":"function","name":"f"}}`, "tool_choice.name", wire.CodeInvalidValue},
		"too warm":                 {`{"model":"m","input":"q","temperature":3}`, "temperature", wire.CodeInvalidValue},
		"no tokens":                {`{"model":"m","input":"q","max_output_tokens":0}`, "max_output_tokens", wire.CodeInvalidValue},
		"a form without name":      {`{"model":"m","input":"q","text":{"format":{"type":"json_schema","schema":{}}}}`, "text.format.name", wire.CodeMissingParameter},
		"a form that is not":       {`{"model":"m","input":"q","text":{"format":{"type":"xml"}}}`, "text.format.type", wire.CodeInvalidValue},
		"a template":               {`{"model":"m","prompt":{"id":"p"},"input":"q"}`, "prompt", wire.CodeInvalidValue},
		"a conversation":           {`{"model":"m","conversation":"c","input":"q"}`, "conversation", wire.CodeInvalidValue},
		"in capitals":              {`{"model":"m","input":"q","Input":"x"}`, "input", wire.CodeUnknownParameter},
		"streams":                  {`{"model":"m","input":"q","stream":"yes"}`, "stream", wire.CodeInvalidType},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseClientRequest([]byte(c.in))
			refused, ok := errors.AsType[*wire.RequestError](err)
			if !ok || refused.Param != c.param || refused.Code != c.code || refused.Message == "" {
				t.Errorf("%+v (%v)", refused, err)
			}
		})
	}
}

// A request that goes on from another is whole once it has what it goes on from; so it is for a provider.
func TestContinue(t *testing.T) {
	r, err := ParseClientRequest([]byte(`{"model":"m","instructions":"new","previous_response_id":"resp_1","input":[{"id":"msg_1","type":"item_reference"},{"type":"function_call_output","call_id":"c","output":"o"},{"role":"user","content":"q"}]}`))
	if err != nil || !r.Continues() || r.Previous != "resp_1" || !reflect.DeepEqual(r.References, []string{"msg_1"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Canonical.Model != "m" {
		t.Errorf("before it is %s", r.Canonical.Body)
	}
	history := []jsontext.Value{
		jsontext.Value(`{"role":"user","content":"first"}`),
		jsontext.Value(`{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}`),
	}
	referred := func(id string) (jsontext.Value, bool) {
		return jsontext.Value(`{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"said"}]}`), id == "msg_1"
	}
	if err := r.Continue(history, referred); err != nil {
		t.Fatal(err)
	}
	want := `{"model":"m","messages":[{"role":"system","content":"new"},{"role":"user","content":"first"},{"role":"assistant","content":"said","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"o"},{"role":"user","content":"q"}]}`
	if !same(t, string(r.Canonical.Body), want) {
		t.Errorf("\n got %s\nwant %s", r.Canonical.Body, want)
	}
	expanded, err := r.Expanded()
	alone, failed := ParseClientRequest(expanded.Body)
	if err != nil || failed != nil || alone.Continues() || !same(t, string(alone.Canonical.Body), want) {
		t.Errorf("%s: %v, %v", expanded.Body, err, failed)
	}
	for name, in := range map[string]string{
		"an item that is not kept":      `{"model":"m","input":[{"id":"msg_9","type":"item_reference"}]}`,
		"an output of no call before":   `{"model":"m","previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"other","output":"o"}]}`,
		"a call before without outputs": `{"model":"m","previous_response_id":"resp_1","input":"q"}`,
	} {
		r, err := ParseClientRequest([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Continue(history, referred); err == nil {
			t.Errorf("%s: is taken for %s", name, r.Canonical.Body)
		}
	}
}

// What was kept and cannot be sent again is left out, and the output of such a call with it; all other outputs stay, and so does
// what the client has to mend.
func TestContinueWithoutWhatIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		history []string
		want    string // the messages between the question of the history and that of the request; empty for an error
	}{
		"a call without a name": {[]string{`{"type":"function_call","id":"fc_1","call_id":"c","arguments":"{}"}`}, "-"},
		"a call of other types": {[]string{`{"type":["function_call"],"id":"fc_1","call_id":"c"}`}, "-"},
		"another call beside": {[]string{
			`{"type":"function_call","id":"fc_1","call_id":"c","arguments":"{}"}`,
			`{"type":"function_call","id":"fc_2","call_id":"d","name":"f","arguments":"{}"}`, `{"type":"function_call_output","call_id":"d","output":"p"}`,
		}, `{"role":"assistant","content":null,"tool_calls":[{"id":"d","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"d","content":"p"}`},
		"a call": {[]string{`{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}`},
			`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"o"}`},
		"no call": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseClientRequest([]byte(`{"model":"m","previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c","output":"o"},{"role":"user","content":"q"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			history := []jsontext.Value{jsontext.Value(`{"role":"user","content":"first"}`)}
			for _, item := range test.history {
				history = append(history, jsontext.Value(item))
			}
			if err = r.Continue(history, nil); (err == nil) != (test.want != "") {
				t.Fatalf("%v: %s", err, r.Canonical.Body)
			}
			if err != nil {
				return
			}
			between := ""
			if test.want != "-" {
				between = test.want + ","
			}
			want := `{"model":"m","messages":[{"role":"user","content":"first"},` + between + `{"role":"user","content":"q"}]}`
			if !same(t, string(r.Canonical.Body), want) {
				t.Errorf("\n got %s\nwant %s", r.Canonical.Body, want)
			}
		})
	}
}

// What a user says is sent although the output that it waited for is lost.
func TestContinueAfterALostOutput(t *testing.T) {
	r, err := ParseClientRequest([]byte(`{"model":"m","previous_response_id":"resp_1","input":[{"role":"user","content":"q"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	err = r.Continue([]jsontext.Value{
		jsontext.Value(`{"role":"user","content":"first"}`),
		jsontext.Value(`{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}`),
		jsontext.Value(`{"type":"function_call_output","call_id":"c","output":5}`),
	}, nil)
	if err != nil || !strings.HasSuffix(string(r.Canonical.Body), `{"role":"user","content":"q"}]}`) {
		t.Errorf("%v: %s", err, r.Canonical.Body)
	}
}

// What the gateway has written of another provider's answer, and is known by its id alone, does not go to a provider that has the API.
func TestSendableItems(t *testing.T) {
	w := ClientWriter{ID: strings.Repeat("0a", 16)}
	own := func(prefix string) string { return string(w.appendItemID(nil, prefix, 3)) }
	for name, tt := range map[string]struct {
		item string
		left bool
	}{
		"own reasoning":           {`{"type":"reasoning","id":"` + own("rs") + `","summary":[]}`, true},
		"own reasoning, enclosed": {`{"type":"reasoning","id":"` + own("rs") + `","summary":[],"encrypted_content":"x"}`, false},
		"reasoning":               {`{"type":"reasoning","id":"rs_1","summary":[]}`, false},
		"own image":               {`{"type":"image_generation_call","id":"` + own("ig") + `","status":"completed","result":"aGk="}`, true},
		"image":                   {`{"type":"image_generation_call","id":"ig_1","status":"completed","result":"aGk="}`, false},
		"own message":             {`{"type":"message","id":"` + own("msg") + `","role":"assistant","content":[{"type":"output_text","text":"a"}]}`, false},
	} {
		r, err := ParseClientRequest([]byte(`{"model":"m","input":[` + tt.item + `,{"role":"user","content":"q"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		sent, err := r.Sendable()
		if err != nil {
			t.Fatal(err)
		}
		if left := !strings.Contains(string(sent.Body), tt.item); left != tt.left || !strings.Contains(string(sent.Body), `"content":"q"`) {
			t.Errorf("%s: %s", name, sent.Body)
		}
	}
}

// Ids that OpenAI refuses are another provider's, or a client's own: items go without, and calls with another one, which their outputs
// name as well.
func TestRefusedIDs(t *testing.T) {
	const said = `"content":[{"type":"output_text","text":"a"}]}`
	long := strings.Repeat("x", maxID)
	for source, tt := range map[string]struct{ sent, want string }{
		"https://github.com/openai/openai-agents-python/issues/1724": {
			`{"type":"message","id":"__fake_id__","role":"assistant",` + said, `{"type":"message","role":"assistant",` + said,
		},
		"https://github.com/can1357/oh-my-pi/issues/284": {
			`{"type":"reasoning","id":"rs_` + long + `","summary":[],"encrypted_content":"e"}`, `{"type":"reasoning","summary":[],"encrypted_content":"e"}`,
		},
		"https://github.com/warpdotdev/warp/issues/11001": {
			`{"type":"function_call","id":"fc_1","call_id":"_` + long + `","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"_` + long + `","output":"r"}`,
			`{"type":"function_call","id":"fc_1","call_id":"call_0a5d719aa39b6df61f5c8c6b","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_0a5d719aa39b6df61f5c8c6b","output":"r"}`,
		},
		"https://github.com/BerriAI/litellm/pull/41590": {
			`{"type":"custom_tool_call","id":"call_1__thought__` + long + `","call_id":"a","name":"f","input":"i"},{"type":"custom_tool_call_output","call_id":"a","output":"r"}`,
			`{"type":"custom_tool_call","call_id":"a","name":"f","input":"i"},{"type":"custom_tool_call_output","call_id":"a","output":"r"}`,
		},
		"https://github.com/langchain-ai/langchainjs/issues/11044": {
			`{"type":"message","id":"","role":"assistant",` + said + `,{"type":"web_search_call","id":"","status":"completed"}`,
			`{"type":"message","role":"assistant",` + said + `,{"type":"web_search_call","status":"completed"}`,
		},
		"https://github.com/RooCodeInc/Roo-Code/pull/9839": {
			`{"type":"reasoning","id":"rs_033ca40017d1ad93:4","summary":[],"encrypted_content":"e"}`, `{"type":"reasoning","summary":[],"encrypted_content":"e"}`,
		},
		"reasoning that would have no id, nor anything to read": {
			`{"type":"reasoning","id":"gen-1","summary":[{"type":"summary_text","text":"hm"}]},{"type":"message","role":"assistant",` + said,
			`{"type":"message","role":"assistant",` + said,
		},
		"https://github.com/openai/codex/issues/9360": {
			`{"id":"review:rollout:user","role":"assistant",` + said, `{"role":"assistant",` + said,
		},
		"a call that is said twice, of one output": {
			`{"type":"function_call","id":"x","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"r"}`,
			`{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"r"}`,
		},
		"ids of calls that come again, and one like theirs": {
			`{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"r"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"s"},{"type":"function_call","call_id":"a:","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a:","output":"t"}`,
			`{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"r"},{"type":"function_call","call_id":"a:","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a:","output":"s"},{"type":"function_call","call_id":"a::","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a::","output":"t"}`,
		},
		"calls without an id": {
			`{"type":"mcp_call","id":"mcp_1","name":"f","arguments":"{}","server_label":"s","output":"r"}, {"type":"mcp_call","id":"mcp_2","name":"f","arguments":"{}","server_label":"s","output":"s"}`, "",
		},
		"ids that are taken": {
			`{"type":"message","id":"msg_` + long[4:] + `","role":"assistant",` + said + `,{"type":"function_call","id":"fc_1","call_id":"` + long + `","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"` + long + `","output":"r"},{"type":"web_search_call","id":"ws_1"},{"type":"item_reference","id":"of:another"}`, "",
		},
	} {
		t.Run(source, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.sent
			}
			r, err := ParseClientRequest([]byte(`{"model":"m","input":[` + tt.sent + `,{"role":"user","content":"q"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			sent, err := r.Sendable()
			if want := `{"model":"m","input":[` + tt.want + `,{"role":"user","content":"q"}]}`; err != nil || string(sent.Body) != want {
				t.Errorf("%v %s\nwant %s", err, sent.Body, want)
			}
		})
	}
}
