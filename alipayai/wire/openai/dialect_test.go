package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// ask is the request with that body, for the model "up".
func ask(t testing.TB, body string) wire.Ask {
	t.Helper()
	r, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return wire.Ask{Request: r, UpstreamModel: r.Model, ByGateway: true}
}

func dialect(t testing.TB, name string) *Dialect {
	t.Helper()
	d, err := LookupDialect(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// request is a body with those members after its model and one message.
func request(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + members + `}`
}

// talk is a body with those messages.
func talk(messages ...string) string {
	return `{"model":"m","messages":[` + strings.Join(messages, ",") + `]}`
}

const (
	user   = `{"role":"user","content":"hi"}`
	system = `{"role":"system","content":"be kind"}`
	answer = `{"role":"assistant","content":"hello"}`
	done   = `{"role":"assistant","content":"Done."}`
)

// calls is an assistant's message that calls f once for each id.
func calls(ids ...string) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}`
	}
	return `{"role":"assistant","content":null,"tool_calls":[` + strings.Join(list, ",") + `]}`
}

func result(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"1"}` }

// withArguments is a call with those arguments, as JSON.
func withArguments(arguments string) string {
	return `{"role":"assistant","tool_calls":[{"id":"aaaaaaaaa","type":"function","function":{"name":"f","arguments":` + arguments + `}}]}`
}

func TestEdits(t *testing.T) {
	const (
		tools  = `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","$schema":"x"}}}]`
		format = `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}}`
		image  = `{"type":"image_url","image_url":{"url":"https://x/y.png"}}`
		text   = `{"type":"text","text":"see"}`
	)
	for name, tt := range map[string]struct {
		dialect, body, want string
		left                string // names, with commas
	}{
		// Fields.
		"mistral: nothing to do":   {"mistral", request(`"max_tokens":9,"stop":["x"]`), "", ""},
		"mistral: renamed":         {"mistral", request(`"seed":7, "max_completion_tokens" : 9`), request(`"random_seed":7, "max_tokens" : 9`), ""},
		"mistral: both names":      {"mistral", request(`"max_tokens":5,"max_completion_tokens":9`), request(`"max_tokens":5`), "max_completion_tokens"},
		"mistral: unknown":         {"mistral", request(`"user":"li","logprobs":true,"top_p":0.5,"store":false,"x-own":{}`), request(`"top_p":0.5`), "logprobs,user,x-own"},
		"mistral: usage":           {"mistral", request(`"stream":true,"stream_options":{"include_usage":true}`), request(`"stream":true`), ""},
		"mistral: any tool":        {"mistral", request(tools + `,"tool_choice":"required"`), request(tools + `,"tool_choice":"any"`), ""},
		"mistral: first is left":   {"mistral", `{"user":"u","model":"m","messages":[` + user + `]}`, `{"model":"m","messages":[` + user + `]}`, "user"},
		"mistral: a name's spaces": {"mistral", "{\"model\":\"m\" , \"user\" : \"u\" ,\n\"messages\":[" + user + "]}", "{\"model\":\"m\" ,\n\"messages\":[" + user + "]}", "user"},
		"openai: of others":        {"openai", request(`"enable_thinking":true,"random_seed":7,"top_k":3,"max_tokens":9`), request(`"seed":7,"max_completion_tokens":9`), "enable_thinking,top_k"},
		"alipay: of others":        {"alipay", request(`"thinking":{"type":"enabled"},"seed":7,"max_tokens":9,"own":1`), request(`"seed":7,"max_tokens":9,"own":1`), "thinking"},
		"deepseek: of others":      {"deepseek", request(`"enable_thinking":true,"thinking":{"type":"enabled"},"n":2`), request(`"thinking":{"type":"enabled"}`), "enable_thinking,n"},
		"deepseek: one choice":     {"deepseek", request(`"n":1`), request(""), ""},
		"qwen: choices":            {"qwen", request(`"n":2`), "", ""},
		"qwen: choices, tools":     {"qwen", request(tools + `,"n":2`), request(tools), "n"},
		"qwen: thinking":           {"qwen", request(`"enable_thinking":true`), request(`"enable_thinking":false`), "enable_thinking"},
		"qwen: thinking, stream":   {"qwen", request(`"enable_thinking":true,"stream":true`), "", ""},
		"legacy: fields":           {"legacy", request(`"max_completion_tokens":9,"min_p":0.1`), request(`"max_tokens":9,"min_p":0.1`), ""},
		"legacy: strict":           {"legacy", request(tools), request(strings.Replace(tools, `,"strict":true`, "", 1)), "tools.function.strict"},
		"deepseek: schema": {
			"deepseek", request(format),
			`{"model":"m","messages":[{"role":"system","content":"Answer with one JSON object that fits this JSON schema: {\"type\":\"object\"}"},` + user + `],"response_format":{"type":"json_object"}}`,
			"response_format.json_schema",
		},
		"deepseek: object": {"deepseek", `{"model":"m","messages":[{"role":"user","content":"As json."}],"response_format":{"type":"json_object"}}`, "", ""},
		"qwen: schema":     {"qwen", request(format), "", ""},

		// Roles and the order of messages.
		"mistral: developer":     {"mistral", talk(strings.Replace(system, "system", "developer", 1), user), talk(system, user), ""},
		"deepseek: developer":    {"deepseek", talk(strings.Replace(system, "system", "developer", 1), user), talk(system, user), ""},
		"openai: developer":      {"openai", talk(strings.Replace(system, "system", "developer", 1), user), "", ""},
		"mistral: system later":  {"mistral", talk(system, system, user, answer, system, user), talk(system, system, user, answer, strings.Replace(system, "system", "user", 1), user), ""},
		"deepseek: system later": {"deepseek", talk(user, answer, system, user), "", ""},
		"mistral: last":          {"mistral", talk(user, answer), talk(user, `{"prefix":true,"role":"assistant","content":"hello"}`), ""},
		"mistral: last, prefix":  {"mistral", talk(user, `{"role":"assistant","content":"a","prefix":false}`), talk(user, `{"role":"assistant","content":"a","prefix":true}`), ""},
		"openai: prefix":         {"openai", talk(user, `{"role":"assistant","content":"a","prefix":true}`), talk(user, `{"role":"assistant","content":"a"}`), "messages.prefix"},
		"mistral: after a tool":  {"mistral", talk(user, calls("aaaaaaaaa"), result("aaaaaaaaa"), user), talk(user, calls("aaaaaaaaa"), result("aaaaaaaaa"), done, user), ""},
		"mistral: empty":         {"mistral", talk(user, `{"role":"assistant","content":"","refusal":null}`, user), talk(user, user), ""},
		"mistral: empty is last": {"mistral", talk(user, `{"role":"assistant","content":null}`), talk(user), ""},
		"mistral: all empty":     {"mistral", talk(`{"role":"assistant","content":null}`), talk(`{"role":"assistant","content":null}`), ""},
		"deepseek: only refused": {"deepseek", talk(user, `{"role":"assistant","content":null,"refusal":"no"}`, user), talk(user, user), "messages.refusal"},
		"openai: empty":          {"openai", talk(user, `{"role":"assistant","content":""}`, user), "", ""},
		"mistral: members":       {"mistral", talk(`{"role":"user","name":"li","content":"hi"}`, `{"role":"assistant","content":"a","refusal":null,"annotations":[],"reasoning_content":"hm"}`, user), talk(user, `{"role":"assistant","content":"a"}`, user), "messages.name,messages.reasoning_content"},
		"mistral: unknown role":  {"mistral", talk(`{"role":"critic","name":"li"}`, user), "", ""},
		"openai: reasoning":      {"openai", talk(user, `{"role":"assistant","reasoning_content":"hm","content":"a"}`, user), talk(user, `{"role":"assistant","content":"a"}`, user), "messages.reasoning_content"},
		"deepseek: reasoning":    {"deepseek", talk(user, `{"role":"assistant","reasoning_content":"hm","content":"a"}`, user), talk(user, `{"role":"assistant","content":"a"}`, user), "messages.reasoning_content"},
		"deepseek: thinking":     {"deepseek", `{"model":"m",` + tools + `,"messages":[` + user + `,{"role":"assistant","reasoning_content":"hm","content":"a"},` + user + `,` + answer + `,` + user + `]}`, `{"model":"m",` + tools + `,"messages":[` + user + `,{"role":"assistant","reasoning_content":"hm","content":"a"},` + user + `,{"reasoning_content":"","role":"assistant","content":"hello"},` + user + `]}`, ""},
		// https://github.com/maximhq/bifrost/issues/5325
		"deepseek: another's word for it": {"deepseek", `{"model":"m",` + tools + `,"messages":[` + user + `,{"role":"assistant","content":"a","reasoning":"hm"},` + user + `]}`, `{"model":"m",` + tools + `,"messages":[` + user + `,{"reasoning_content":"hm","role":"assistant","content":"a"},` + user + `]}`, "messages.reasoning"},
		"deepseek: called before":         {"deepseek", talk(user, strings.Replace(calls("a"), `"role"`, `"reasoning_content":"hm","role"`, 1), result("a"), answer, user), talk(user, strings.Replace(calls("a"), `"role"`, `"reasoning_content":"hm","role"`, 1), result("a"), `{"reasoning_content":"",`+answer[1:], user), ""},
		"deepseek: called nothing":        {"deepseek", talk(user, `{"role":"assistant","content":"a","reasoning_content":"hm","tool_calls":[]}`, user), talk(user, `{"role":"assistant","content":"a"}`, user), "messages.reasoning_content"},
		"deepseek: no thinking":           {"deepseek", `{"model":"m","thinking":{"type":"disabled"},` + tools + `,"messages":[` + user + `,{"role":"assistant","reasoning_content":"hm","content":"a"},` + user + `]}`, `{"model":"m","thinking":{"type":"disabled"},` + tools + `,"messages":[` + user + `,{"role":"assistant","content":"a"},` + user + `]}`, "messages.reasoning_content"},
		"deepseek: chat":                  {"deepseek", `{"model":"deepseek-chat",` + tools + `,"messages":[` + user + `,{"role":"assistant","reasoning_content":"hm","content":"a"},` + user + `]}`, `{"model":"deepseek-chat",` + tools + `,"messages":[` + user + `,{"role":"assistant","content":"a"},` + user + `]}`, "messages.reasoning_content"},
		"openai: gemini's extras":         {"openai", talk(user, strings.Replace(calls("a"), `"type":`, `"extra_content":{"s":1},"type":`, 1), result("a")), talk(user, calls("a"), result("a")), "messages.tool_calls.extra_content"},

		// Content.
		"deepseek: image":      {"deepseek", talk(`{"role":"user","content":[` + text + `, ` + image + `]}`), talk(`{"role":"user","content":[` + text + `, {"type":"text","text":"[image_url left out]"}]}`), "messages.content.image_url"},
		"mistral: image":       {"mistral", talk(`{"role":"user","content":[` + text + `,` + image + `]}`), "", ""},
		"deepseek: own type":   {"deepseek", talk(`{"role":"user","content":[{"type":"s3cret"}]}`), talk(`{"role":"user","content":[{"type":"text","text":"[part left out]"}]}`), "messages.content.type"},
		"openai: thoughts":     {"openai", talk(user, `{"role":"assistant","content":[{"type":"thinking","thinking":[]},`+text+`]}`, user), talk(user, `{"role":"assistant","content":[`+text+`]}`, user), "messages.content.thinking"},
		"openai: thought only": {"openai", talk(user, `{"role":"assistant","content":[{"type":"thinking","thinking":[]}]}`, user), talk(user, `{"role":"assistant","content":""}`, user), "messages.content.thinking"},
		"qwen: thought only":   {"qwen", talk(user, `{"role":"assistant","content":[{"type":"thinking","thinking":[]}]}`, user), talk(user, user), "messages.content"},

		// Tool calls.
		"mistral: ids":           {"mistral", talk(user, calls("call_1", "abc123XYZ"), result("call_1"), result("abc123XYZ")), talk(user, calls("OQMW7ZZOJ", "abc123XYZ"), result("OQMW7ZZOJ"), result("abc123XYZ")), ""},
		"openai: long ids":       {"openai", talk(user, calls(strings.Repeat("x", 41)), result(strings.Repeat("x", 41))), talk(user, calls("call_3164596df4fdd018b2c567ec"), result("call_3164596df4fdd018b2c567ec")), ""},
		"qwen: ids":              {"qwen", talk(user, calls("f:0"), result("f:0")), "", ""},
		"mistral: cut arguments": {"mistral", talk(user, withArguments(`"{\"a\": \"lo"`), result("aaaaaaaaa")), talk(user, withArguments(`"{\"INVALID_JSON\":\"{\\\"a\\\": \\\"lo\"}"`), result("aaaaaaaaa")), "messages.tool_calls.function.arguments"},
		"qwen: no arguments":     {"qwen", talk(user, withArguments(`""`), result("aaaaaaaaa")), talk(user, withArguments(`"{}"`), result("aaaaaaaaa")), ""},
		"legacy: null":           {"legacy", talk(user, withArguments(`"null"`), result("aaaaaaaaa")), talk(user, withArguments(`"{}"`), result("aaaaaaaaa")), ""},
		"legacy: spaces":         {"legacy", talk(user, withArguments(`" {\"a\" : 1}\n"`), result("aaaaaaaaa")), "", ""},
		"openai: cut arguments":  {"openai", talk(user, withArguments(`"{\"a\": \"lo"`), result("aaaaaaaaa")), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := ask(t, tt.body)
			encoded, err := Format{dialect(t, tt.dialect)}.EncodeRequest(q)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.body
			}
			if string(encoded.Body) != want {
				t.Errorf("sends\n%s\nwant\n%s", encoded.Body, want)
			}
			if left := strings.Join(encoded.Unsupported, ","); left != tt.left {
				t.Errorf("names %q, want %q", left, tt.left)
			}
			if again := (ask(t, string(encoded.Body))); tt.want != "" {
				twice, _ := Format{dialect(t, tt.dialect)}.EncodeRequest(again)
				if !bytes.Equal(twice.Body, encoded.Body) {
					t.Errorf("sends, when edited again,\n%s\nafter\n%s", twice.Body, encoded.Body)
				}
			}
			// What the client chose goes as it is, but for earlier answers.
			q.ByGateway = false
			chosen, _ := Format{dialect(t, tt.dialect)}.EncodeRequest(q)
			untouched := string(chosen.Body) == tt.body && chosen.Unsupported == nil
			if answers := strings.Contains(tt.body, "assistant"); !untouched && !answers ||
				!reflect.DeepEqual(clientsOwn(t, chosen.Body), clientsOwn(t, []byte(tt.body))) {
				t.Errorf("sends %s, with %v left out, where the client chose", chosen.Body, chosen.Unsupported)
			}
		})
	}
}

// Ids that repeat are told apart, and the results follow theirs.
func TestRepeatedCallIDs(t *testing.T) {
	body := talk(user, calls("f", "f"), result("f"), result("f"), done, user, calls("f"), result("f"))
	encoded, _ := Format{dialect(t, "mistral")}.EncodeRequest(ask(t, body))
	var sent struct {
		Messages []struct {
			ToolCalls  []struct{ ID string } `json:"tool_calls"`
			ToolCallID string                `json:"tool_call_id"`
		}
	}
	if err := json.Unmarshal(encoded.Body, &sent); err != nil {
		t.Fatal(err)
	}
	var called, resolved []string
	for _, m := range sent.Messages {
		for _, c := range m.ToolCalls {
			called = append(called, c.ID)
		}
		if m.ToolCallID != "" {
			resolved = append(resolved, m.ToolCallID)
		}
	}
	if !slices.Equal(called, resolved) || len(slices.Compact(slices.Sorted(slices.Values(called)))) != 3 {
		t.Errorf("calls %q, results %q", called, resolved)
	}
	for _, id := range called {
		if nineCharacters(id) != id {
			t.Errorf("%q", id)
		}
	}
}

// The model is the provider's, with edits around it.
func TestEditsWithModel(t *testing.T) {
	q := ask(t, request(`"seed":7`))
	q.UpstreamModel = "mistral-large-latest"
	encoded, _ := Format{dialect(t, "mistral")}.EncodeRequest(q)
	if want := strings.Replace(request(`"random_seed":7`), `"m"`, `"mistral-large-latest"`, 1); string(encoded.Body) != want {
		t.Errorf("sends %s", encoded.Body)
	}
}

// TestPlain holds which vendors take what every chat API does as it is: FuzzEdits holds that they do.
func TestPlain(t *testing.T) {
	want := map[string]bool{"alipay": true, "google": true, "legacy": true} // others bound temperature or top_p, or rename max_tokens
	for _, name := range DialectNames() {
		if d := dialect(t, name); d != nil && d.plain != want[name] {
			t.Errorf("%s: %v", name, d.plain)
		}
	}
}

func TestLookupDialect(t *testing.T) {
	if d, err := LookupDialect(NoDialect); d != nil || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := LookupDialect("klingon"); err == nil || !strings.Contains(err.Error(), "use one of alipay, deepseek, glm, google, legacy, mistral, moonshot, none, openai, qwen") {
		t.Error(err)
	}
}

// An id is kept as it is up to the length that OpenAI takes, and one in its place is short enough, and the same each time.
func TestIdsOfAtMost40(t *testing.T) {
	for _, n := range []int{0, 1, 39, 40, 41, 400} {
		id := strings.Repeat("x", n)
		got := atMost40(id)
		if kept := n > 0 && n <= 40; (got == id) != kept || got == "" || len(got) > 40 || got != atMost40(id) {
			t.Errorf("%d characters become %q", n, got)
		}
	}
}

// A prompt of a completion is one text, or a list of one; what is no prompt is refused by its name.
func TestPromptsOfCompletions(t *testing.T) {
	for prompt, want := range map[string]string{`"a"`: "a", `["a"]`: "a", `""`: "", `["a","b"]`: "-", `[]`: "-", `[1,2]`: "-", `[[1]]`: "-", `null`: "-", `5`: "-", `{}`: "-"} {
		c, err := ParseCompletion([]byte(`{"model":"m","prompt":` + prompt + `}`))
		if want == "-" {
			if refused, ok := errors.AsType[*wire.RequestError](err); !ok || refused.Param != "prompt" {
				t.Errorf("%s: %v", prompt, err)
			}
		} else if err != nil || !strings.Contains(string(c.Canonical.Body), `"messages":[{"role":"user","content":"`+want+`"}]`) {
			t.Errorf("%s: %v, %s", prompt, err, c.Canonical.Body)
		}
	}
}

// TestOptionsOfNoStream has every dialect leave out what providers take for streams alone, without a word, since a whole answer has its usage.
func TestOptionsOfNoStream(t *testing.T) {
	for name, d := range dialects {
		if d == nil {
			continue
		}
		for members, want := range map[string]bool{`"stream_options":{"include_usage":true}`: false, `"stream":false,"stream_options":null`: false, `"stream":true,"stream_options":{"include_usage":true}`: name != "mistral"} {
			got, err := Format{Dialect: d}.EncodeRequest(ask(t, request(members)))
			if has := bytes.Contains(got.Body, []byte("stream_options")); err != nil || has != want || len(got.Unsupported) > 0 {
				t.Errorf("%s of %s: %s %v %v", name, members, got.Body, got.Unsupported, err)
			}
		}
	}
}

// TestNothingSaid has each dialect of a vendor that refuses them leave out answers and texts that say nothing. Sources are at the dialects.
func TestNothingSaid(t *testing.T) {
	const (
		redacted = `{"type":"redacted_thinking","data":"x"}`
		nothing  = `{"type":"text","text":""}`
		hello    = `{"type":"text","text":"hello"}`
	)
	says := func(role, content string) string { return `{"role":"` + role + `","content":` + content + `}` }
	for name, d := range dialects {
		if d == nil || !d.NoEmpty {
			continue
		}
		for was, becomes := range map[string]string{
			says("assistant", `""`):                                      "",
			says("assistant", `[]`):                                      "",
			says("assistant", `[`+nothing+`]`):                           "",
			says("assistant", `[`+redacted+`,`+nothing+`]`):              "",
			says("assistant", `[`+nothing+`,`+hello+`]`):                 says("assistant", `[`+hello+`]`),
			says("assistant", `[`+redacted+`,`+hello+`]`):                says("assistant", `[`+hello+`]`),
			says("user", `[`+hello+`,`+nothing+`]`):                      says("user", `[`+hello+`]`),
			says("user", `[{"type":"text","text":"\"\""}]`):              says("user", `[{"type":"text","text":"\"\""}]`),
			`{"role":"assistant","content":"","reasoning_content":"hm"}`: "",
		} {
			want := talk(user, becomes, user)
			if becomes == "" {
				want = talk(user, user)
			}
			if got, err := (Format{Dialect: d}).EncodeRequest(ask(t, talk(user, was, user))); err != nil || string(got.Body) != want {
				t.Errorf("%s of %s:\n%s (%v)\nwant %s", name, was, got.Body, err, want)
			}
		}
	}
	for name, becomes := range map[string]string{"moonshot": "", "qwen": "", "deepseek": talk(user), "google": talk(user)} { // what is to be gone on with
		d := dialect(t, name)
		for _, partial := range []string{"true", "false"} {
			was := talk(user, `{"role":"assistant","name":"n","content":"","partial":`+partial+`}`)
			want := becomes
			if want == "" && partial == "true" {
				want = was
			} else if want == "" {
				want = talk(user)
			}
			for _, byGateway := range []bool{true, false} {
				a := ask(t, was)
				a.ByGateway = byGateway
				if got, err := (Format{Dialect: d}).EncodeRequest(a); err != nil || string(got.Body) != want {
					t.Errorf("%s of partial %s: %s (%v)", name, partial, got.Body, err)
				}
			}
		}
	}
	for _, name := range []string{"openai", "legacy"} { // which take an answer of nothing
		got, err := Format{Dialect: dialect(t, name)}.EncodeRequest(ask(t, talk(user, says("assistant", `[`+redacted+`,`+hello+`]`), user)))
		if want := talk(user, says("assistant", `[`+hello+`]`), user); err != nil || string(got.Body) != want || !slices.Equal(got.Unsupported, []string{"messages.content.redacted_thinking"}) {
			t.Errorf("%s: %s %v %v", name, got.Body, got.Unsupported, err)
		}
	}
}
