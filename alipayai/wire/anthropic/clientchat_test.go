package anthropic

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestParseChatRequest has requests for chat completions with parts of the Messages API's, and what they are in OpenAI's form alone.
func TestParseChatRequest(t *testing.T) {
	const (
		user   = `{"role":"user","content":"q"}`
		use    = `{"type":"tool_use","id":"a","name":"f","input":{"x": 1}}`
		called = `{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}`
		tool   = `{"name":"f","description":"d","input_schema":{"type":"object"}}`
		offers = `{"type":"function","function":{"name":"f","parameters":{"type":"object"},"description":"d"}}`
		own    = `{"type":"function","function":{"name":"input_schema"}}`
		image  = `{"type":"image_url","image_url":{"url":"https://x/y.png"}}`
	)
	talk := func(messages ...string) string {
		return `{"messages":[` + strings.Join(messages, ",") + `],"model":"m"}`
	}
	says := func(role string, parts ...string) string {
		return `{"role":"` + role + `","content":[` + strings.Join(parts, ",") + `]}`
	}
	gave := func(members string) string { return `{"type":"tool_result","tool_use_id":"a"` + members + `}` }
	for name, tt := range map[string]struct {
		body, want string // empty for nothing to translate
		left       string
		param      string // of an error
	}{
		"none":                   {body: talk(user)},
		"its words in a text":    {body: talk(`{"role":"user","content":"\"tool_use\" input_schema"}`)},
		"its words as parts":     {body: talk(says("user", use), says("assistant", gave("")), `{"role":"user","content":"tool_use"}`)},
		"a call":                 {body: talk(user, says("assistant", use)), want: talk(user, `{"role":"assistant","content":null,"tool_calls":[`+called+`]}`)},
		"a call beside others":   {body: talk(user, `{"role":"assistant","name":"n","content":[{"type":"text","text":"t"},`+use+`],"tool_calls":[`+own+`]}`), want: talk(user, `{"role":"assistant","name":"n","content":[{"type":"text","text":"t"}],"tool_calls":[`+own+`,`+called+`]}`)},
		"a result":               {body: talk(says("user", gave(`,"content":"r"`))), want: talk(`{"role":"tool","tool_call_id":"a","content":"r"}`)},
		"a result of nothing":    {body: talk(says("user", gave(""))), want: talk(`{"role":"tool","tool_call_id":"a","content":""}`)},
		"a result in parts":      {body: talk(says("user", gave(`,"is_error":true,"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]`))), want: talk(`{"role":"tool","tool_call_id":"a","content":"Error: a\nb"}`)},
		"results before words":   {body: talk(says("user", `{"type":"text","text":"t"}`, gave(`,"content":"r"`), image)), want: talk(`{"role":"tool","tool_call_id":"a","content":"r"}`, says("user", `{"type":"text","text":"t"}`, image))},
		"a result that shows":    {body: talk(says("user", gave(`,"content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]`))), want: talk(`{"role":"tool","tool_call_id":"a","content":""}`, says("user", `{"type":"text","text":"Shown by the tool call a:"}`, image))},
		"a mark":                 {body: talk(says("user", gave(`,"content":"r","cache_control":{"type":"ephemeral"}`))), want: talk(`{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral"}}]}`)},
		"a mark on nothing":      {body: talk(says("user", gave(`,"cache_control":{"type":"ephemeral"}`))), want: talk(`{"role":"tool","tool_call_id":"a","content":""}`)},
		"a mark on a tool":       {body: `{"tools":[{"name":"f","input_schema":{},"cache_control":{"type":"ephemeral"}}],"model":"m","messages":[` + user + `]}`, want: `{"messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f","parameters":{}},"cache_control":{"type":"ephemeral"}}],"model":"m"}`},
		"tools":                  {body: `{"model":"m","tools":[` + own + `,` + tool + `],"messages":[` + user + `]}`, want: `{"messages":[` + user + `],"tools":[` + own + `,` + offers + `],"model":"m"}`},
		"a tool of either form":  {body: `{"tools":[{"type":"function","function":{"name":"f"},"input_schema":{}}],"model":"m","messages":[` + user + `]}`},
		"a tool of the vendor's": {body: `{"tools":[{"type":"computer_20250124","name":"computer","input_schema":{}}],"model":"m","messages":[` + user + `]}`},
		"a choice":               {body: `{"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"tools":[` + tool + `],"messages":[` + user + `],"model":"m"}`, want: `{"messages":[` + user + `],"tools":[` + offers + `],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"model":"m"}`},
		"a choice that is said twice": {body: `{"tool_choice":{"type":"any","disable_parallel_tool_use":true},"tools":[` + tool + `],"parallel_tool_calls":true,"messages":[` + user + `],"model":"m"}`,
			want: `{"messages":[` + user + `],"tools":[` + offers + `],"tool_choice":"required","parallel_tool_calls":true,"model":"m"}`},
		"other members":           {body: `{"stream":true,"x":{"y":[1]},"messages":[` + says("assistant", use) + `],"model":"m","stream_options":{"include_usage":true}}`, want: `{"messages":[{"role":"assistant","content":null,"tool_calls":[` + called + `]}],"stream":true,"x":{"y":[1]},"model":"m","stream_options":{"include_usage":true}}`},
		"what has no counterpart": {body: talk(says("user", gave(`,"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]`))), want: talk(`{"role":"tool","tool_call_id":"a","content":"[document left out]"}`), left: "messages.content.document.file"},
		// Parts of other APIs: their sources are at ownParts.
		"texts of Responses":        {body: talk(says("user", `{"type":"input_text","text":"q"}`), says("assistant", `{"type":"output_text","text":"a","annotations":[],"logprobs":[]}`)), want: talk(says("user", `{"type":"text","text":"q"}`), says("assistant", `{"type":"text","text":"a"}`))},
		"texts beside calls":        {body: talk(`{"role":"assistant","name":"n","content":[{"type":"output_text","text":"a"}],"tool_calls":[` + called + `]}`), want: talk(`{"role":"assistant","name":"n","content":[{"type":"text","text":"a"}],"tool_calls":[` + called + `]}`)},
		"texts beside a call":       {body: talk(says("assistant", `{"type":"output_text","text":"a"}`, use)), want: talk(`{"role":"assistant","content":[{"type":"text","text":"a"}],"tool_calls":[` + called + `]}`)},
		"texts beside a result":     {body: talk(says("user", `{"type":"input_text","text":"q"}`, gave(`,"content":"r"`))), want: talk(`{"role":"tool","tool_call_id":"a","content":"r"}`, `{"role":"user","content":[{"type":"text","text":"q"}]}`)},
		"a mark on a text":          {body: talk(says("system", `{"type":"input_text","text":"s","cache_control":{"type":"ephemeral"}}`)), want: talk(says("system", `{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}`))},
		"images of Responses":       {body: talk(says("user", `{"type":"input_image","image_url":"https://x/y.png","detail":"low"}`, `{"type":"input_image","image_url":{"url":"https://x/y.png"}}`)), want: talk(says("user", `{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}`, image))},
		"files of Responses":        {body: talk(says("tool", `{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}`, `{"type":"input_file","file_url":"https://x/a.pdf"}`, `{"type":"input_file","file_id":"i"}`, `{"type":"input_file","file_data":"JVBERi0x"}`)), want: talk(says("tool", `{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}}`, `{"type":"file","file":{"file_data":"https://x/a.pdf"}}`, `{"type":"file","file":{"file_id":"i"}}`, `{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0x"}}`))},
		"blocks of Messages":        {body: talk(says("user", `{"type":"text","text":"t"}`, `{"type":"image","source":{"type":"url","url":"https://x/y.png"},"cache_control":{"type":"ephemeral"}}`, `{"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"d"}}`)), want: talk(says("user", `{"type":"text","text":"t"}`, image[:len(image)-1]+`,"cache_control":{"type":"ephemeral"}}`, `{"type":"text","text":"T"}`, `{"type":"text","text":"d"}`))},
		"a file of Messages":        {body: talk(says("user", `{"type":"image","source":{"type":"file","file_id":"i"}}`)), want: talk(says("user", `{"type":"text","text":"[image left out]"}`)), left: "messages.content.image.file"},
		"an image of MCP":           {body: talk(says("tool", `{"type":"image","data":"AAAA","mimeType":"image/png"}`)), want: talk(says("tool", `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`))},
		"parts of no API":           {body: talk(says("user", `{"type":"image","image":"x"}`, `{"type":"input_image","file_id":"i"}`, `{"type":"input_text"}`, `{"type":"input_file"}`, `{"type":"document","source":"x"}`))},
		"sources of no API":         {body: talk(says("user", `{"type":"image","source":{"url":"https://x/y.png"}}`, `{"type":"image","source":{"bytes":"AA"}}`, `{"type":"document","source":{"type":"s3","uri":"s3://x"}}`, `{"type":"input_image","image_url":""}`))},
		"a file by its id alone":    {body: talk(says("user", `{"type":"input_file","filename":"a.pdf","file_data":"","file_url":"","file_id":"i"}`)), want: talk(says("user", `{"type":"file","file":{"file_id":"i"}}`))},
		"a detail of Responses'":    {body: talk(says("user", `{"type":"input_image","image_url":"https://x/y.png","detail":"original"}`, `{"type":"input_image","image_url":"https://x/y.png","detail":"auto"}`)), want: talk(says("user", image, `{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"auto"}}`)), left: "messages.content.input_image.detail"},
		"a place behind many parts": {body: talk(says("user", `{"type":"search_result","source":"s","title":"t","content":[]}`, `{"type":"tool_result","tool_use_id":5}`)), param: "messages[0].content[1].tool_use_id"},
		"an image without a source": {body: talk(says("user", `{"type":"image","source":{"type":"base64"}}`)), param: "messages[0].content[0].source"},
		// https://github.com/BerriAI/litellm/pull/34029
		"flat tools": {body: `{"tools":[` + own + `,{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":false,"x":1},{"type":"custom","name":"g","format":{"type":"grammar","syntax":"lark","definition":"start"}},{"type":"custom","name":"h","format":{"type":"text"}}],"tool_choice":{"type":"function","name":"f"},"messages":[` + user + `],"model":"m"}`,
			want: `{"messages":[` + user + `],"tools":[` + own + `,{"x":1,"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":false}},{"type":"custom","custom":{"name":"g","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start"}}}},{"type":"custom","custom":{"name":"h","format":{"type":"text"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"model":"m"}`},
		"a flat tool, flat ones allowed": {body: `{"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"function","function":{"name":"g"}}]},"messages":[` + user + `],"model":"m"}`,
			want: `{"messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]}},"model":"m"}`},
		"a flat tool, nested ones allowed": {body: `{"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}},"messages":[` + user + `],"model":"m"}`,
			want: `{"messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}},"model":"m"}`},
		"a flat tool, a nested choice":  {body: `{"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","function":{"name":"f"}},"messages":[` + user + `],"model":"m"}`, want: `{"messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}},"model":"m"}`},
		"nested tools that have a name": {body: `{"tools":[{"type":"function","name":"f","function":{"name":"f"}},{"type":"custom","name":"g","custom":{"name":"g"}},{"type":"web_search","name":"w"},{"type":"function"}],"messages":[` + user + `],"model":"m"}`},
		"a call without a name":         {body: talk(says("assistant", `{"type":"tool_use","id":"a","input":{}}`)), param: "messages[0].content[0]"},
		"a result of no call":           {body: talk(user, says("user", `{"type":"tool_result"}`)), param: "messages[1].content[0].tool_use_id"},
		"a tool without a name":         {body: `{"tools":[{"input_schema":{}}],"model":"m","messages":[` + user + `]}`, param: "tools[0].name"},
		"a choice of none":              {body: `{"tool_choice":{"type":"tool"},"tools":[` + tool + `],"model":"m","messages":[` + user + `]}`, param: "tool_choice.name"},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := wire.ParseChatRequest([]byte(tt.body), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got, mixed, err := ParseChatRequest(sent)
			if tt.param != "" {
				if e, ok := errors.AsType[*wire.RequestError](err); !ok || e.Param != tt.param {
					t.Errorf("error %v, want one of %s", err, tt.param)
				}
				return
			}
			if err != nil || mixed != (tt.want != "") || string(got.Canonical.Body) != tt.want {
				t.Fatalf("%v, %v, got %s\nwant %s", err, mixed, got.Canonical.Body, tt.want)
			}
			if left := strings.Join(got.Unsupported, ","); left != tt.left || !slices.IsSorted(got.Unsupported) {
				t.Errorf("left out are %q, want %q", left, tt.left)
			}
			if mixed && (got.Canonical.Model != sent.Model || got.Canonical.Stream != sent.Stream || string(got.Sent.Body) != tt.body) {
				t.Errorf("canonical %+v of %+v", got.Canonical, got.Sent)
			}
		})
	}
}

// TestSummaries has what stands in the place of a conversation that was summarized.
func TestSummaries(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"a summary": {
			in:  `"messages":[{"role":"user","content":[{"type":"compaction","content":"<s>\"x\"</s>","signature":"c2ln"},{"type":"text","text":"q"}]}]`,
			out: `"messages":[{"role":"user","content":[{"type":"text","text":"Summary of the conversation so far:\n\n<s>\"x\"</s>"},{"type":"text","text":"q"}]}]`,
		},
		"a summary by the model": {
			in:  `"messages":[{"role":"assistant","content":[{"type":"compaction","content":"s"},{"type":"text","text":"a"}]},{"role":"user","content":"q"}]`,
			out: `"messages":[{"role":"user","content":"Summary of the conversation so far:\n\ns"},{"role":"assistant","content":"a"},{"role":"user","content":"q"}]`,
		},
		"a summary that failed": {
			in:  `"messages":[{"role":"user","content":"p"},{"role":"assistant","content":[{"type":"compaction","content":null}]},{"role":"user","content":[{"type":"compaction","content":null},{"type":"text","text":"q"}]}]`,
			out: `"messages":[{"role":"user","content":"p"},{"role":"user","content":"q"}]`,
		},
		"a summary that failed, and nothing else": {
			in:  `"messages":[{"role":"user","content":[{"type":"compaction","content":null}]}]`,
			out: `"messages":[{"role":"user","content":"[compaction left out]"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseClientRequest([]byte(`{"model":"m","max_tokens":9,`+c.in+`}`), false)
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"model":"m","max_tokens":9,` + c.out + `}`; !same(t, string(r.Canonical.Body), want) || len(r.Unsupported) > 0 {
				t.Errorf("%s %v\nwant %s", r.Canonical.Body, r.Unsupported, want)
			}
		})
	}
}

// TestPartsAreSeen has moderators and matchers find each text of parts in other APIs' forms, as sent and as translated, and their images
// count, whichever of the two a rule looks at.
func TestPartsAreSeen(t *testing.T) {
	const encoded = "dGhlIHNlY3JldCBpcyBoZXJl" // the secret is here
	for part, images := range map[string]int{
		`{"type":"input_text","text":"the secret is here"}`:                                                                                                                        0,
		`{"type":"output_text","text":"the secret is here"}`:                                                                                                                       0,
		`{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"the secret is here"}]}`:                                                                0,
		`{"type":"search_result","source":"the secret is here","title":"t","content":[]}`:                                                                                          0,
		`{"type":"document","title":"the secret is here","source":{"type":"url","url":"https://x/a.pdf"}}`:                                                                         0,
		`{"type":"document","context":"the secret is here","source":{"type":"text","data":"d"}}`:                                                                                   0,
		`{"type":"document","source":{"type":"text","data":"the secret is here"}}`:                                                                                                 0,
		`{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"` + encoded + `"}}`:                                                                        0,
		`{"type":"document","source":{"type":"content","content":[{"type":"text","text":"the secret is here"},{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}}`: 1,
		`{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,` + encoded + `"}`:                                                                            0,
		`{"type":"input_file","filename":"the secret is here","file_url":"https://x/a.pdf"}`:                                                                                       0,
		`{"type":"input_text","text":"the secret is here"},{"type":"input_image","image_url":"https://x/y.png"},{"type":"image","data":"AAAA","mimeType":"image/png"}`:             2,
		`{"type":"search_result","source":"s","title":"t","content":"the secret is here"}`:                                                                                         0,
	} {
		for _, role := range []string{"user", "tool", "system", "assistant"} {
			sent, err := wire.ParseChatRequest([]byte(`{"model":"m","messages":[{"role":"`+role+`","content":[`+part+`]}]}`), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			c, mixed, err := ParseChatRequest(sent)
			if err != nil || !mixed || c.Canonical.Images != images || c.Canonical.HasImages != (images > 0) {
				t.Errorf("%s: %t, %d images (%v)", part, mixed, c.Canonical.Images, err)
			}
			for _, r := range []wire.Request{sent, c.Canonical} {
				if !slices.ContainsFunc(r.Texts(), func(text wire.Text) bool { return text.Role == role && strings.Contains(text.Value, "the secret") }) {
					t.Errorf("%s is not seen in %s", part, r.Body)
				}
			}
		}
	}
}
