package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
)

// What each vendor is known to refuse, and a request that it takes.
func TestDialectsJudge(t *testing.T) {
	const (
		head = `{"model":"m","messages":[{"role":"user","content":"hi"}`
		call = `,{"role":"assistant","content":null,"tool_calls":[{"id":"abcdef123","type":"function","function":{"name":"f","arguments":"{}"}}]}`
		tool = `,{"role":"tool","tool_call_id":"abcdef123","content":"1"}`
	)
	toolOf := func(name string) string {
		return `{"type":"function","function":{"name":"` + name + `","parameters":{}}}`
	}
	for name, tt := range map[string]struct {
		dialect Dialect
		body    string
		status  int // 0: taken
		says    string
	}{
		"mistral":                   {Mistral, head + call + tool + `],"random_seed":7}`, 0, ""},
		"mistral: field":            {Mistral, head + `],"seed":7}`, 422, `"loc":["body","seed"]`},
		"mistral: member":           {Mistral, head + `,{"role":"assistant","content":"a","reasoning_content":"b"},{"role":"user","content":"c"}]}`, 422, "reasoning_content"},
		"mistral: id":               {Mistral, strings.ReplaceAll(head+call+tool+`]}`, "abcdef123", "call_1"), 400, "length of 9"},
		"mistral: last":             {Mistral, head + `,{"role":"assistant","content":"a"}]}`, 400, "Expected last role"},
		"mistral: last, prefix":     {Mistral, head + `,{"role":"assistant","content":"a","prefix":true}]}`, 0, ""},
		"mistral: user after tool":  {Mistral, head + call + tool + `,{"role":"user","content":"a"}]}`, 400, "Unexpected role 'user' after role 'tool'"},
		"mistral: no result":        {Mistral, head + call + `,{"role":"user","content":"a"}]}`, 400, "Not the same number"},
		"mistral: empty":            {Mistral, head + `,{"role":"assistant","content":""},{"role":"user","content":"a"}]}`, 400, "either content or tool_calls"},
		"mistral: tool choice":      {Mistral, head + `],"tool_choice":"required"}`, 422, "tool_choice"},
		"deepseek":                  {DeepSeek, head + `],"n":1,"response_format":{"type":"text"}}`, 0, ""},
		"deepseek: developer":       {DeepSeek, `{"messages":[{"role":"developer","content":"a"}]}`, 422, "unknown variant `developer`"},
		"deepseek: choices":         {DeepSeek, head + `],"n":2}`, 400, "Invalid n value"},
		"deepseek: schema":          {DeepSeek, head + `],"response_format":{"type":"json_schema"}}`, 400, "response_format"},
		"deepseek: object":          {DeepSeek, head + `],"response_format":{"type":"json_object"}}`, 400, "word 'json'"},
		"deepseek: object, called":  {DeepSeek, strings.Replace(head, `"hi"`, `"as JSON"`, 1) + `],"response_format":{"type":"json_object"}}`, 0, ""},
		"deepseek: forced":          {DeepSeek, head + `],"tools":[` + toolOf("f") + `],"tool_choice":"required"}`, 400, "does not support this tool_choice"},
		"deepseek: name":            {DeepSeek, head + `],"tools":[` + toolOf("a.b") + `]}`, 400, "tools[0].function.name"},
		"openai: object":            {Strict, head + `],"response_format":{"type":"json_object"}}`, 400, "word 'json'"},
		"openai: name":              {Strict, head + `],"tool_choice":{"type":"function","function":{"name":"a.b"}}}`, 400, "tool_choice.function.name"},
		"mistral: name":             {Mistral, head + strings.Replace(call, `"f"`, `"a.b"`, 1) + tool + `]}`, 400, "Function name was a.b"},
		"qwen: search":              {Qwen, head + `],"tools":[` + toolOf("search") + `]}`, 400, "not allowed to be [search]"},
		"qwen: object":              {Qwen, head + `],"response_format":{"type":"json_object"}}`, 400, "word 'json'"},
		"qwen: forced":              {Qwen, head + `],"enable_thinking":true,"stream":true,"tool_choice":{"type":"function","function":{"name":"f"}}}`, 400, "in thinking mode"},
		"google: name":              {Google, head + `],"tools":[` + toolOf("7up") + `]}`, 400, "Invalid function name"},
		"google: dots":              {Google, head + `],"tools":[` + toolOf("a.b:c") + `]}`, 0, ""},
		"glm: name":                 {GLM, head + `],"tools":[` + toolOf("a.b") + `]}`, 400, `"1214"`},
		"glm: required":             {GLM, head + `],"tool_choice":"required"}`, 400, "must be auto"},
		"glm: none":                 {GLM, head + `],"tool_choice":"none"}`, 400, "must be auto"},
		"glm: a function":           {GLM, head + `],"tool_choice":{"type":"function","function":{"name":"f"}}}`, 400, "must be auto"},
		"glm: auto":                 {GLM, head + `],"tool_choice":"auto"}`, 0, ""},
		"deepseek: image":           {DeepSeek, `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 422, "image_url"},
		"deepseek: thinks":          {DeepSeek, strings.Replace(head, `{`, `{"tools":[{}],`, 1) + call + tool + `]}`, 400, "must be passed back"},
		"deepseek: thinks not":      {DeepSeek, head + `,{"role":"assistant","content":"a","reasoning_content":"b"}]}`, 400, "must not be"},
		"qwen":                      {Qwen, head + call + tool + `],"n":2}`, 0, ""},
		"qwen: developer":           {Qwen, `{"messages":[{"role":"developer","content":"a"}]}`, 400, "developer is not one of"},
		"qwen: thinking":            {Qwen, head + `],"enable_thinking":true}`, 400, "enable_thinking"},
		"qwen: thinking, streaming": {Qwen, head + `],"enable_thinking":true,"stream":true}`, 0, ""},
		"qwen: choices, tools":      {Qwen, head + `],"n":2,"tools":[{}]}`, 400, "n parameter"},
		"qwen: arguments":           {Qwen, strings.Replace(head+call+tool+`]}`, `"{}"`, `"{\"a"`, 1), 400, "must be in JSON format"},
		"openai":                    {Strict, head + call + tool + `],"max_completion_tokens":7}`, 0, ""},
		"openai: max_tokens":        {Strict, head + `],"max_tokens":7}`, 400, "max_completion_tokens"},
		"openai: of others":         {Strict, head + `],"enable_thinking":false}`, 400, "enable_thinking"},
		"openai: id":                {Strict, strings.ReplaceAll(head+call+tool+`]}`, "abcdef123", strings.Repeat("x", 41)), 400, "maximum length 40"},
		"legacy":                    {Legacy, head + call + tool + `],"max_tokens":7}`, 0, ""},
		"legacy: developer":         {Legacy, `{"messages":[{"role":"developer","content":"a"}]}`, 400, "Unexpected message role"},
		"legacy: system later":      {Legacy, head + `,{"role":"system","content":"a"}]}`, 400, "at the beginning"},
		"legacy: limit":             {Legacy, head + `],"max_completion_tokens":7}`, 400, "max_completion_tokens"},
		"google":                    {Google, head + strings.Replace(call, `{"id"`, `{"extra_content":{"google":{"thought_signature":"x"}},"id"`, 1) + tool + `],"n":1}`, 0, ""},
		"google: field":             {Google, head + `],"top_k":1}`, 400, `Unknown name \"top_k\"`},
		"google: signature":         {Google, head + call + tool + `]}`, 400, "thought_signature"},
		"google: developer":         {Google, `{"messages":[{"role":"developer","content":"a"}]}`, 400, "valid role"},
		"glm":                       {GLM, head + call + tool + `],"thinking":{"type":"disabled"}}`, 0, ""},
		"glm: developer":            {GLM, head + `,{"role":"developer","content":"a"}]}`, 400, `"1214"`},
		"moonshot":                  {Moonshot, head + call + tool + `],"temperature":1,"tools":[` + toolOf("f") + `]}`, 0, ""},
		"moonshot: temperature":     {Moonshot, head + `],"temperature":1.1}`, 400, "between 0 and 1"},
		"moonshot: anyOf":           {Moonshot, head + `],"tools":[` + strings.Replace(toolOf("f"), "{}", `{"type":"object","properties":{"p":{"type":"string","anyOf":[{"type":"string"}]}}}`, 1) + `]}`, 400, "properties.p': when using anyOf"},
		"moonshot: anyOf's own":     {Moonshot, head + `],"tools":[` + strings.Replace(toolOf("f"), "{}", `{"type":"object","properties":{"p":{"anyOf":[{"type":"string"}]}}}`, 1) + `]}`, 0, ""},
		"moonshot: true":            {Moonshot, head + `],"tools":[` + strings.Replace(toolOf("f"), "{}", `{"type":"object","properties":{"p":true}}`, 1) + `]}`, 400, "property schema for 'p' must be an object"},
		"moonshot: a tuple":         {Moonshot, head + `],"tools":[` + strings.Replace(toolOf("f"), "{}", `{"type":"object","properties":{"p":{"type":"array","items":[{}]}}}`, 1) + `]}`, 400, "items must be an object"},
		"moonshot: required":        {Moonshot, head + `],"tools":[` + strings.Replace(toolOf("f"), "{}", `{"anyOf":[{"type":"object","required":["a"]}]}`, 1) + `]}`, 400, "'properties' keyword is missing"},
		"glm: no user":              {GLM, `{"messages":[{"role":"system","content":"a"}]}`, 400, `"1214"`},
		"glm: limit":                {GLM, head + `],"max_completion_tokens":7}`, 400, `"1210"`},
		"none":                      {"", head + `],"max_completion_tokens":7,"seed":1}`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := tt.dialect.judge([]byte(tt.body))
			if wrong == nil {
				if tt.status != 0 {
					t.Error("takes it")
				}
				return
			}
			body, _ := json.Marshal(wrong.body)
			if wrong.status != tt.status || !strings.Contains(string(body), tt.says) {
				t.Errorf("%d %s", wrong.status, body)
			}
		})
	}
}
