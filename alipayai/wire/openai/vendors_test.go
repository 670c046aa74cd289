package openai

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestEditsOfVendors has what vendors refuse of a request that OpenAI, or another of them, takes.
func TestEditsOfVendors(t *testing.T) {
	const (
		function = `{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}`
		custom   = `{"type":"custom","custom":{"name":"c"}}`
		bare     = `{"type":"function","function":{"name":"f"}}`
		mark     = `"cache_control":{"type":"ephemeral"}`
		plain    = `{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}`
		none     = `"parameters":{"type":"object","properties":{}}`
	)
	const (
		picture = `{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}`
		words   = `{"type":"text","text":"see"}`
	)
	pictured := func(id, parts string) string {
		return `{"role":"tool","tool_call_id":"` + id + `","content":[` + parts + `]}`
	}
	result := func(id string, content ...string) string {
		if content == nil {
			return result(id)
		}
		return `{"role":"tool","tool_call_id":"` + id + `","content":"` + content[0] + `"}`
	}
	says := func(parts ...string) string {
		return talk(`{"role":"user","content":[` + strings.Join(parts, ",") + `]}`)
	}
	call := func(members string) string {
		return talk(user, `{"role":"assistant","tool_calls":[{"id":"aaaaaaaaa","type":"function","function":{"name":"f","arguments":"{}"`+members+`]}`, result("aaaaaaaaa"))
	}
	for name, tt := range map[string]struct {
		dialect, body, want string
		left                string // names, with commas
	}{
		"mistral: own fields":             {"mistral", request(`"prompt_cache_key":"k","service_tier":"auto","reasoning_effort":"high"`), "", ""},
		"mistral: an effort":              {"mistral", request(`"reasoning_effort":"low"`), request(`"reasoning_effort":"high"`), ""}, // https://github.com/anomalyco/models.dev/pull/1986
		"mistral: another's tier":         {"mistral", request(`"service_tier":"flex"`), request(`"service_tier":"auto"`), ""},
		"mistral: nulls":                  {"mistral", request(`"stream":null,"top_p":0.5,"tool_choice":null,"response_format":null`), request(`"top_p":0.5`), ""},
		"mistral: warm":                   {"mistral", request(`"temperature":1.8`), request(`"temperature":1.5`), "temperature"},
		"mistral: as warm as may be":      {"mistral", request(`"temperature":1.5`), "", ""},
		"mistral: a negative seed":        {"mistral", request(`"seed":-1`), request(""), "seed"},
		"mistral: no parameters":          {"mistral", request(`"tools":[` + bare + `]`), request(`"tools":[{"type":"function","function":{` + none + `,"name":"f"}}]`), ""},
		"mistral: null parameters":        {"mistral", request(`"tools":[{"type":"function","function":{"name":"f","parameters":null}}]`), request(`"tools":[{"type":"function","function":{"name":"f",` + none + `}}]`), ""},
		"mistral: required of a function": {"mistral", request(`"tools":[{"type":"function","function":{"name":"f","parameters":{},"required":["a"]}}]`), request(`"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`), "tools.function.required"},
		"mistral: other tools":            {"mistral", request(`"tools":[` + custom + `,` + function + `]`), request(`"tools":[` + function + `]`), "tools.custom"},
		"mistral: other tools alone":      {"mistral", request(`"tools":[` + custom + `],"tool_choice":"required"`), request(""), "tool_choice,tools.custom"},
		"mistral: another choice":         {"mistral", request(`"tools":[` + function + `],"tool_choice":{"type":"allowed_tools","allowed_tools":{}}`), request(`"tools":[` + function + `]`), "tool_choice"},
		"mistral: a function's choice":    {"mistral", request(`"tools":[` + function + `],"tool_choice":{"type":"function","function":{"name":"f"}}`), "", ""},
		"mistral: marked text":            {"mistral", says(`{"type":"text","text":"a",` + mark + `}`), says(`{"type":"text","text":"a"}`), "messages.content.cache_control"},
		"mistral: a marked message":       {"mistral", talk(`{"role":"user","content":"a",` + mark + `}`), talk(`{"role":"user","content":"a"}`), "messages.cache_control"},
		"mistral: an image's member":      {"mistral", says(`{"type":"image_url","image_url":{"url":"u","detail":"low","x":1}}`), says(`{"type":"image_url","image_url":{"url":"u","detail":"low"}}`), "messages.content.image_url.x"},
		"mistral: audio":                  {"mistral", says(`{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}`), says(`{"type":"input_audio","input_audio":"AA"}`), "messages.content.input_audio.format"},
		"mistral: a file":                 {"mistral", says(`{"type":"file","file":{"file_id":"f"}}`), says(`{"type":"text","text":"[file left out]"}`), "messages.content.file"},
		"mistral: a call's index":         {"mistral", call(`},"index":0}`), "", ""},
		"mistral: a call's members":       {"mistral", call(`,"parsed_arguments":{}},"status":"x"}`), call(`}}`), "messages.tool_calls.function.parsed_arguments,messages.tool_calls.status"},
		"mistral: a schema's members":     {"mistral", request(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"x-y":1},"x":1}}`), request(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"x-y":1}}}`), "response_format.json_schema.x"},
		"legacy: no parameters":           {"legacy", request(`"tools":[` + bare + `]`), request(`"tools":[{"type":"function","function":{` + none + `,"name":"f"}}]`), ""},
		"legacy: other tools":             {"legacy", request(`"tools":[` + function + `,` + custom + `,{"type":"web_search"}]`), request(`"tools":[` + function + `]`), "tools.custom,tools.type"},
		"google: other fields":            {"google", request(`"verbosity":"low","safety_identifier":"u","service_tier":"flex","top_p":0.5`), request(`"top_p":0.5`), "safety_identifier,service_tier,verbosity"},
		"openai: other fields":            {"openai", request(`"mock_response":"x","verbosity":"low","web_search_options":{}`), request(`"verbosity":"low","web_search_options":{}`), "mock_response"},
		"openai: marked text":             {"openai", says(`{"type":"text","text":"a",` + mark + `}`), says(`{"type":"text","text":"a"}`), "messages.content.cache_control"},
		"openai: an image's address":      {"openai", says(`{"type":"image_url","image_url":"https://x/y.png"}`), says(`{"type":"image_url","image_url":{"url":"https://x/y.png"}}`), ""}, // https://github.com/xenodium/chatgpt-shell/issues/327
		"mistral: an image's address":     {"mistral", says(`{"type":"image_url","image_url":"https://x/y.png"}`), "", ""},
		"qwen: an image's address":        {"qwen", says(`{"type":"image_url","image_url":"u"}`), says(`{"type":"image_url","image_url":{"url":"u"}}`), ""},
		// https://github.com/QwenLM/qwen-code/issues/3616
		"openai: a result's picture": {
			"openai", talk(user, calls("a", "b"), pictured("a", words+","+picture), result("b"), user),
			talk(user, calls("a", "b"), pictured("a", words), result("b"), `{"role":"user","content":[{"type":"text","text":"Shown by the tool call a:"},`+picture+`]}`, user), "",
		},
		"openai: pictures alone, last": {
			"openai", talk(user, calls("a", "b"), pictured("a", picture), pictured("b", picture+","+`{"type":"video_url","video_url":{}}`)),
			talk(user, calls("a", "b"), result("a", ""), result("b", ""), `{"role":"user","content":[{"type":"text","text":"Shown by the tool call a:"},`+picture+`,{"type":"text","text":"Shown by the tool call b:"},`+picture+`,{"type":"text","text":"[video_url left out]"}]}`), "messages.content.video_url",
		},
		"openai: a result's texts":        {"openai", talk(user, calls("a"), pictured("a", words+","+words)), "", ""},
		"legacy: a result's picture":      {"legacy", talk(user, calls("a"), pictured("a", picture)), "", ""},
		"google: more words to stop":      {"google", request(`"stop":["a","b","c","d","e","f"]`), request(`"stop":["a","b","c","d","e"]`), "stop"},
		"google: efforts":                 {"google", request(`"reasoning_effort":"xhigh"`), request(`"reasoning_effort":"high"`), ""},
		"glm: one word to stop":           {"glm", request(`"stop":["a","b"]`), request(`"stop":["a"]`), "stop"},
		"legacy: efforts":                 {"legacy", request(`"reasoning_effort":"minimal"`), request(`"reasoning_effort":"low"`), ""},
		"openai: metadata":                {"openai", request(`"metadata":{"a":"b"}`), request(""), "metadata"}, // https://github.com/tmc/langchaingo/issues/1484
		"openai: metadata that is stored": {"openai", request(`"metadata":{"a":"b"},"store":true`), "", ""},
		"openai: metadata, not stored":    {"openai", request(`"store":false,"metadata":{"a":"b"}`), request(`"store":false`), "metadata"},
		"qwen: thinking of JSON":          {"qwen", request(`"stream":true,"enable_thinking":true,"response_format":{"type":"json_schema","json_schema":{"name":"a"}}`), request(`"stream":true,"enable_thinking":false,"response_format":{"type":"json_schema","json_schema":{"name":"a"}}`), "enable_thinking"}, // https://github.com/presenton/presenton/issues/184
		"openai: Mistral's choice":        {"openai", request(`"tools":[` + plain + `],"tool_choice":"any"`), request(`"tools":[` + plain + `],"tool_choice":"required"`), ""},
		// https://github.com/BerriAI/litellm/pull/40485, https://github.com/vercel/ai/pull/21037
		"openai: another's patterns": {"openai", request(`"tools":[` + strings.Replace(function, `{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string","pattern":"^(?!_)[^\\p{Cc}]$"},"b":{"pattern":"^b$"}}}`, 1) + `],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"items":{"pattern":"(?=@)"}}}}`),
			request(`"tools":[` + strings.Replace(function, `{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string","description":"{pattern: \"^(?!_)[^\\\\p{Cc}]$\"}"},"b":{"pattern":"^b$"}}}`, 1) + `],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"items":{"description":"{pattern: \"(?=@)\"}"}}}}`),
			"response_format.json_schema.schema.pattern,tools.function.parameters.pattern"},
		"qwen: another's patterns":  {"qwen", request(`"tools":[` + strings.Replace(function, `{"type":"object"}`, `{"type":"object","properties":{"a":{"pattern":"(?=@)"}}}`, 1) + `]`), "", ""},
		"openai: another's tools":   {"openai", request(`"tools":[` + custom + `]`), "", ""},
		"qwen: a marked tool":       {"qwen", request(`"tools":[{"type":"function","function":{"name":"f","parameters":{}},` + mark + `}]`), request(`"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`), "tools.cache_control"},
		"deepseek: a marked result": {"deepseek", talk(user, calls("a"), `{"role":"tool","tool_call_id":"a",`+mark+`,"content":"1"}`), talk(user, `{"reasoning_content":"",`+calls("a")[1:], result("a")), "messages.cache_control"},
		"moonshot: a type beside anyOf": {
			"moonshot", request(`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","anyOf":[{"type":"object"}]}}}]`),
			request(`"tools":[{"type":"function","function":{"name":"f","parameters":{"anyOf":[{"type":"object"}]}}}]`), "tools.function.strict",
		},
		"moonshot: what anyOf adds": {
			"moonshot", request(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{},"anyOf":[{"required":["a"]}]}}}]`),
			request(`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{},"description":"{anyOf: [{\"required\":[\"a\"]}]}"}}}]`), "tools.function.parameters.anyOf",
		},
		"moonshot: a temperature":          {"moonshot", request(`"temperature":1.5,"max_tokens":5`), request(`"temperature":1,"max_completion_tokens":5`), "temperature"},
		"openai: OpenRouter's effort":      {"openai", request(`"reasoning":{"effort":"xhigh"}`), request(`"reasoning_effort":"xhigh"`), ""},
		"openai: OpenRouter's reasoning":   {"openai", request(`"reasoning": {"max_tokens":9,"effort" : "low","exclude":false},"seed":7`), request(`"reasoning_effort": "low","seed":7`), "reasoning.max_tokens"},
		"google: OpenRouter's effort":      {"google", request(`"reasoning":{"effort":"max"}`), request(`"reasoning_effort":"high"`), ""},
		"legacy: OpenRouter's and its own": {"legacy", request(`"reasoning":{"effort":"low"},"reasoning_effort":"high"`), request(`"reasoning_effort":"high"`), "reasoning"},
		"qwen: OpenRouter's, no effort":    {"qwen", request(`"reasoning":{"enabled":true}`), request(""), "reasoning"},
		"mistral: OpenRouter's effort":     {"mistral", request(`"reasoning":{"effort":"low"}`), request(`"reasoning_effort":"high"`), ""},
		"none: OpenRouter's effort":        {"none", request(`"reasoning":{"effort":"low"}`), "", ""},
		"glm: OpenRouter's fields":         {"glm", request(`"session_id":"s","trace":{},"image_config":{}`), request(""), "image_config,session_id,trace"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.body
			}
			got, err := Format{Dialect: dialect(t, tt.dialect)}.EncodeRequest(ask(t, tt.body))
			if err != nil || string(got.Body) != want || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
				t.Errorf("%v\n got %s %v\nwant %s %s", err, got.Body, got.Unsupported, want, tt.left)
			}
		})
	}
}

// A client's name for prompts that begin alike goes to those who know it, whoever has chosen the provider.
func TestCacheKeys(t *testing.T) {
	taken := []string{"mistral", "openai"}
	for _, name := range DialectNames() {
		for _, byGateway := range []bool{true, false} {
			a := ask(t, `{"model":"m","messages":[{"role":"user","content":"q"}],"stream":true}`)
			a.CacheKey, a.ByGateway, a.CountUsage = jsontext.Value(`"k\u0041"`), byGateway, true
			got, err := Format{Dialect: dialect(t, name)}.EncodeRequest(a)
			if err != nil || !jsontext.Value(got.Body).IsValid() {
				t.Fatalf("%s: %s, %v", name, got.Body, err)
			}
			if has := strings.Contains(string(got.Body), `"prompt_cache_key":"k\u0041"`); has != slices.Contains(taken, name) || len(got.Unsupported) > 0 && has {
				t.Errorf("%s, by the gateway %t: %s, without %q", name, byGateway, got.Body, got.Unsupported)
			}
		}
	}
}
