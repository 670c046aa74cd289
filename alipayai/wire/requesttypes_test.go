package wire

import "testing"

// A field of the wrong type is the client's mistake, by the name of its place; null is as good as nothing.
func TestRequestTypes(t *testing.T) {
	const (
		secret   = "hush"
		messages = `"messages":[{"role":"user","content":"q"}]`
		call     = `"messages":[{"role":"assistant","tool_calls":[{},%]}]`
	)
	fill := func(form, value string) string {
		for i := range form {
			if form[i] == '%' {
				return form[:i] + value + form[i+1:]
			}
		}
		return form
	}
	all := map[byte]string{'"': `"` + secret + `"`, '0': `7`, 't': `true`, '{': `{"` + secret + `":1}`, '[': `[{"` + secret + `":1}]`}
	for param, tt := range map[string]struct {
		body  string // with % for the value
		kinds string // that are taken
	}{
		"max_tokens":                           {`"max_tokens":%,` + messages, "0"},
		"max_completion_tokens":                {messages + `,"max_completion_tokens":%`, "0"},
		"n":                                    {`"n":%,` + messages, "0"}, // servers that read "5" as 5 would give five answers, and charge them
		"temperature":                          {`"temperature":%,` + messages, "0"},
		"top_p":                                {`"top_p":%,` + messages, "0"},
		"user":                                 {`"user":%,` + messages, `"`},
		"safety_identifier":                    {`"safety_identifier":%,` + messages, `"`},
		"parallel_tool_calls":                  {`"parallel_tool_calls":%,` + messages, "t"},
		"stream_options":                       {`"stream_options":%,` + messages, "{"},
		"stop":                                 {`"stop":%,` + messages, `"`},
		"stop[1]":                              {`"stop":["a",%],` + messages, `"`},
		"tools":                                {`"tools":%,` + messages, "["},
		"tools[1]":                             {`"tools":[{},%],` + messages, "{"},
		"tools[0].function":                    {`"tools":[{"type":"function","function":%}],` + messages, "{"},
		"tools[0].function.name":               {`"tools":[{"function":{"name":%}}],` + messages, `"`},
		"tools[0].function.strict":             {`"tools":[{"function":{"strict":%}}],` + messages, "t"},
		"functions":                            {`"functions":%,` + messages, "["},
		"function_call":                        {`"function_call":%,` + messages, `"{`},
		"function_call.name":                   {`"function_call":{"name":%},` + messages, `"`},
		"tool_choice":                          {`"tool_choice":%,` + messages, `"{`},
		"tool_choice.function":                 {`"tool_choice":{"function":%},` + messages, "{"},
		"tool_choice.function.name":            {`"tool_choice":{"function":{"name":%}},` + messages, `"`},
		"response_format":                      {`"response_format":%,` + messages, "{"},
		"response_format.json_schema":          {`"response_format":{"json_schema":%},` + messages, "{"},
		"messages[1]":                          {`"messages":[{},%]`, "{"},
		"messages[1].role":                     {`"messages":[{},{"role":%}]`, `"`},
		"messages[0].content":                  {`"messages":[{"content":%}]`, `"[`},
		"messages[0].refusal":                  {`"messages":[{"refusal":%}]`, `"[`},
		"messages[0].tool_call_id":             {`"messages":[{"tool_call_id":%}]`, `"`},
		"messages[1].content[1]":               {`"messages":[{},{"content":[{},%]}]`, "{"},
		"messages[0].content[0].type":          {`"messages":[{"content":[{"type":%}]}]`, `"`},
		"messages[0].content[0].text":          {`"messages":[{"content":[{"type":"text","text":%}]}]`, `"`},
		"messages[0].content[0].image_url":     {`"messages":[{"content":[{"image_url":%}]}]`, `"{`},
		"messages[0].content[0].image_url.url": {`"messages":[{"content":[{"image_url":{"url":%}}]}]`, `"`},
		"messages[0].tool_calls":               {`"messages":[{"tool_calls":%}]`, "["},
		"messages[0].tool_calls[1]":            {call, "{"},
		"messages[0].tool_calls[1].id":         {fill(call, `{"id":%}`), `"`},
		"messages[0].tool_calls[1].function":   {fill(call, `{"function":%}`), "{"},
		"messages[0].tool_calls[1].function.arguments": {fill(call, `{"function":{"arguments":%}}`), `"`},
		"x":               {`"x":%,` + messages, `"0t{[`},
		"metadata":        {`"metadata":%,` + messages, `"0t{[`},
		"messages[0].x":   {`"messages":[{"x":%}]`, `"0t{[`},
		"thinking.budget": {`"thinking":{"budget_tokens":%},` + messages, `"0t{[`},
	} {
		for kind, value := range all {
			_, err := ParseChatRequest([]byte(`{"model":"m",`+fill(tt.body, value)+`}`), Limits{})
			taken := false
			for i := range tt.kinds {
				taken = taken || tt.kinds[i] == kind
			}
			if taken {
				if err != nil {
					t.Errorf("%s is %s: %v", param, value, err)
				}
				continue
			}
			if param == "stop" && kind == '[' {
				checkRequestError(t, err, CodeInvalidType, "stop[0]", "a string, not object")
				continue
			}
			checkRequestError(t, err, CodeInvalidType, param, "'"+param+"': expected ")
		}
		if param[len(param)-1] != ']' {
			if _, err := ParseChatRequest([]byte(`{"model":"m",`+fill(tt.body, "null")+`}`), Limits{}); err != nil {
				t.Errorf("%s is null: %v", param, err)
			}
		}
	}
}

// What some vendors take and OpenAI refuses is refused with what to write in its place.
func TestRequestTypesNameTheRightForm(t *testing.T) {
	for name, tt := range map[string]struct{ body, param, message string }{
		"arguments of an earlier call": {`"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}]`,
			"messages[0].tool_calls[0].function.arguments", `expected a string that holds JSON, as "{}", not object`},
		"a part that is a string": {`"messages":[{"role":"user","content":["q"]}]`,
			"messages[0].content[0]", `expected an object, as {"type":"text","text":"..."}, not string`},
		"a refusal's part that is a string": {`"messages":[{"role":"assistant","refusal":["q"]}]`,
			"messages[0].refusal[0]", `expected an object, as {"type":"text","text":"..."}, not string`},
		"stop is a number":    {`"stop":1,"messages":[{"role":"user","content":"q"}]`, "stop", "expected a string or an array of strings, not number"},
		"a number among stop": {`"stop":["a",1],"messages":[{"role":"user","content":"q"}]`, "stop[1]", "expected a string, not number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseChatRequest([]byte(`{"model":"m",`+tt.body+`}`), Limits{})
			checkRequestError(t, err, CodeInvalidType, tt.param, "invalid type for '"+tt.param+"': "+tt.message)
		})
	}
}
