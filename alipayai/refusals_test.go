package alipayai_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// refusedBodies are what each vendor's validator refuses, without the model: one for each of its checks, with the status
// and the words that the client gets.
var refusedBodies = map[string][]struct {
	body   string
	status int
	words  string
}{
	"mistral": {
		{`"seed":7,` + hiMessages, 422, "body.seed: Extra inputs are not permitted"},
		{`"messages":[{"role":"user","content":"hi","name":"li"}]`, 422, "name: Extra inputs are not permitted"},
		{`"stream":null,` + hiMessages, 422, "Input should not be null"},
		{`"messages":[{"role":"user"}]`, 422, "Field required"},
		{`"messages":[{"role":"developer","content":"hi"}]`, 422, "Input tag does not match any of the expected tags"},
		{`"messages":[{"role":"user","content":[{"type":"video"}]}]`, 422, "Input tag does not match any of the expected tags"},
		{`"presence_penalty":"high",` + hiMessages, 422, "Input should be a valid number"},
		{`"tools":[` + named("a.b") + `],` + hiMessages, 400, "Function name was a.b but must be a-z, A-Z, 0-9"},
		{`"temperature":-1,` + hiMessages, 422, "Input should be greater than or equal to 0"},
		{`"temperature":1.6,` + hiMessages, 422, "Input should be less than or equal to 1.5"},
		{`"prediction":{"type":"content","content":1},` + hiMessages, 422, "Input should be a valid string"},
		{`"service_tier":"priority",` + hiMessages, 422, "Input should be one of"},
		{`"tool_choice":"required",` + hiMessages, 422, "Input should be 'auto', 'none' or 'any'"},
		{`"messages":[{"role":"tool","content":"x","tool_call_id":"abcdefghi"}]`, 400, "Unexpected role 'tool' after role"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":""},{"role":"user","content":"hi"}]`, 400, "Assistant message must have either content or tool_calls, but not none."},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a","prefix":true},{"role":"user","content":"hi"}]`, 400, "Assistant message with prefix True must be last message"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a"}]`, 400, "Expected last role User or Tool"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("abcdefghi", "{}") + `,{"role":"user","content":"hi"}]`, 400, "Not the same number of function calls and responses"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","prefix":true,"tool_calls":[{"id":"abcdefghi","type":"function","function":{"name":"f","arguments":"{}"}}]}]`, 400, "Not the same number of function calls and responses"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("abcdefghi", "{") + `,` + resultOf("abcdefghi") + `]`, 400, "Invalid arguments of a function call"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("call_1", "{}") + `,` + resultOf("call_1") + `]`, 400, "Tool call id was call_1 but must be"},
	},
	"deepseek": {
		{`"tools":[` + named("a.b") + `],` + hiMessages, 400, "Invalid 'tools[0].function.name': string does not match pattern."},
		{`"thinking":{"type":"enabled"},"tool_choice":"required","tools":[` + weather + `],` + hiMessages, 400, "Thinking mode does not support this tool_choice"},
		{`"messages":[{"role":"developer","content":"hi"},{"role":"user","content":"hi"}]`, 422, "unknown variant `developer`"},
		{`"n":2,` + hiMessages, 400, "Invalid n value"},
		{`"response_format":{"type":"json_schema"},` + hiMessages, 400, "This response_format type is unavailable now"},
		{`"response_format":{"type":"json_object"},` + hiMessages, 400, "Prompt must contain the word 'json' in some form"},
		{`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a"}}]}]`, 422, "expected `text`"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null},{"role":"user","content":"hi"}]`, 400, "Invalid assistant message: content or tool_calls must be set"},
		{`"thinking":{"type":"enabled"},"tools":[` + weather + `],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a"},{"role":"user","content":"hi"}]`, 400, "reasoning_content` in the thinking mode must be passed back"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a","reasoning_content":"hm"},{"role":"user","content":"hi"}]`, 400, "reasoning_content` field must not be in the history"},
		{`"temperature":2.5,` + hiMessages, 400, "Invalid temperature value, the valid range of temperature is [0, 2]"},
		{`"top_p":0,` + hiMessages, 400, "Invalid top_p value, the valid range of top_p is (0, 1.0]"},
		{`"max_tokens":0,` + hiMessages, 400, "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]"},
		{`"top_logprobs":2,` + hiMessages, 400, "logprobs must be set to true if top_logprobs is used."},
		{`"logprobs":true,"top_logprobs":21,` + hiMessages, 400, "the valid range of top_logprobs is [0, 20]."},
		{`"messages":[{"role":"user","content":"hi"},` + resultOf("c") + `]`, 400, "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("c", "{}") + `,{"role":"user","content":"hi"}]`, 400, "(insufficient tool messages following tool_calls message)"},
	},
	"qwen": {
		{`"tools":[` + named("a.b") + `],` + hiMessages, 400, "'a.b' does not match"},
		{`"tools":[` + named("search") + `],` + hiMessages, 400, "Tool names are not allowed to be [search]"},
		{`"enable_thinking":true,"stream":true,"tool_choice":{"type":"function","function":{"name":"get_weather"}},"tools":[` + weather + `],` + hiMessages, 400, "The tool_choice parameter does not support being set to required or object in thinking mode"},
		{`"enable_thinking":true,` + hiMessages, 400, "parameter.enable_thinking must be set to false"},
		{`"n":2,"tools":[` + weather + `],` + hiMessages, 400, "The n parameter must be 1 when tools are used"},
		{`"messages":[{"role":"developer","content":"hi"}]`, 400, "developer is not one of"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":""},{"role":"user","content":"hi"}]`, 400, "The content field is a required field"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("c", "{") + `,` + resultOf("c") + `]`, 400, `"function.arguments" parameter of the code model must be in JSON format.`},
		{`"temperature":2,` + hiMessages, 400, "Temperature should be in [0.0, 2.0)"},
		{`"top_p":0,` + hiMessages, 400, "Range of top_p should be (0.0, 1.0]"},
		{`"presence_penalty":3,` + hiMessages, 400, "Presence_penalty should be in [-2.0, 2.0]"},
		{`"repetition_penalty":0,` + hiMessages, 400, "Repetition_penalty should be greater than 0.0"},
		{`"top_k":-1,` + hiMessages, 400, "Parameter top_k be greater than or equal to 0"},
		{`"n":5,` + hiMessages, 400, "Range of n should be [1, 4]"},
		{`"max_tokens":0,` + hiMessages, 400, "Range of max_tokens should be [1, 65536]"},
		{`"response_format":{"type":"json_object"},` + hiMessages, 400, "'messages' must contain the word 'json' in some form"},
		{`"response_format":{"type":"json_object"},"stream":true,"enable_thinking":true,"messages":[{"role":"user","content":"json"}]`, 400, "Json mode response is not supported when enable_thinking is true"},
		{`"tool_choice":"required","tools":[` + weather + `],` + hiMessages, 400, `tool_choice is one of the strings that should be ["none", "auto"]`},
		{`"messages":[{"role":"user","content":"hi"},` + resultOf("c") + `]`, 400, `must be a response to a preceeding message with "tool_calls".`}, //nolint:misspell // as Model Studio writes it
	},
	"openai": {
		{`"response_format":{"type":"json_object"},` + hiMessages, 400, "'messages' must contain the word 'json' in some form"},
		{`"tools":[` + named("a.b") + `],` + hiMessages, 400, "Invalid 'tools[0].function.name': string does not match pattern."},
		{`"top_k":1,` + hiMessages, 400, "Unknown parameter: 'top_k'"},
		{`"max_tokens":1,` + hiMessages, 400, "Unsupported parameter: 'max_tokens' is not supported with this model."},
		{`"tool_choice":"any","tools":[` + weather + `],` + hiMessages, 400, "Invalid value: 'any'. Supported values are"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy(strings.Repeat("x", 41), "{}") + `,` + resultOf(strings.Repeat("x", 41)) + `]`, 400, "string too long. Expected a string with maximum length 40"},
		{`"messages":[{"role":"user","content":[{"type":"video_url"}]}]`, 400, "Invalid value: 'video_url'."},
		{`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a","reasoning_content":"hm"},{"role":"user","content":"hi"}]`, 400, "Unknown parameter: 'messages[1].reasoning_content'"},
	},
	"ollama": {
		{`"messages":[{"role":"developer","content":"hi"}]`, 400, "Unexpected message role"},
		{`"messages":[{"role":"user","content":"hi"},{"role":"system","content":"a"}]`, 400, "System message must be at the beginning"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("c", "{") + `,` + resultOf("c") + `]`, 400, "invalid tool call arguments"},
		{`"max_completion_tokens":1,` + hiMessages, 400, "max_completion_tokens: Extra inputs are not permitted"},
	},
	"google": {
		{`"tools":[` + named("7up") + `],` + hiMessages, 400, "Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-)"},
		{`"top_k":1,` + hiMessages, 400, `Unknown name "top_k": Cannot find field.`},
		{`"messages":[{"role":"developer","content":"hi"}]`, 400, "Please use a valid role: system, user, assistant, tool."},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("c", "{}") + `,` + resultOf("c") + `]`, 400, "Function call is missing a thought_signature in functionCall parts."},
	},
	"glm": {
		{`"tools":[` + named("a.b") + `],` + hiMessages, 400, "tools[0].function.name: invalid function name"},
		{`"tool_choice":"required","tools":[` + weather + `],` + hiMessages, 400, "Tool choice must be auto"},
		{`"messages":[{"role":"system","content":"hi"}]`, 400, "The messages parameter is illegal."},
		{`"messages":[{"role":"developer","content":"hi"}]`, 400, "The messages parameter is illegal."},
		{`"max_completion_tokens":1,` + hiMessages, 400, "Invalid API parameter"},
		{`"temperature":1,` + hiMessages, 400, "temperature参数非法。请检查文档。"},
		{`"top_p":0,` + hiMessages, 400, "top_p参数非法。请检查文档。"},
	},
	"moonshot": {
		{`"temperature":1.5,` + hiMessages, 400, "Invalid request: temperature must be between 0 and 1"},
		{flavoured(`{"type":"object","anyOf":[{"type":"object"}]}`), 400, "is not a valid moonshot flavored json schema, details: <At path 'root': when using anyOf, type should be defined in anyOf items instead of the parent schema>"},
		{flavoured(`{"type":"object","properties":{"p":{"type":"string","$ref":"#/$defs/a"}}}`), 400, "'root.properties.p': when using $ref, type should be defined in the referenced schema instead of the parent schema"},
		{flavoured(`{"type":"object","properties":{"p":{"type":"array","items":[{}]}}}`), 400, "'root.properties.p': items must be an object"},
		{flavoured(`{"anyOf":[{"type":"object","required":["a"]}]}`), 400, "'root.anyOf': 'properties' keyword is missing"},
		{flavoured(`{"type":"object","properties":{"p":true}}`), 400, "'root.properties': property schema for 'p' must be an object"},
	},
	"vllm": {
		{`"stream_options":{"include_usage":true},` + hiMessages, 400, "Stream options can only be defined when"},
		{`"stream":true,"prompt_logprobs":1,` + hiMessages, 400, "are not available when"},
		{`"top_logprobs":2,` + hiMessages, 400, "must be set to true."},
		{`"tool_choice":"auto",` + hiMessages, 400, "must be set."},
		{`"tool_choice":"any","tools":[` + weather + `],` + hiMessages, 400, "any! Only named tools"},
		{`"messages":[{"role":"user","content":"hi"},` + calledBy("c", "{") + `,` + resultOf("c") + `]`, 400, "the arguments of a tool call are no object"},
	},
}

// flavoured is a request with a tool of that schema.
func flavoured(schema string) string {
	return `"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}],` + hiMessages
}

const hiMessages = `"messages":[{"role":"user","content":"hi"}]`

func calledBy(id, arguments string) string {
	return `{"role":"assistant","content":"","tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"` + arguments + `"}}]}`
}

func resultOf(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"x"}` }

// TestRefusalsEndInTheirClass holds that what a vendor's validator refuses is one of "all others" in README.md's table: the
// client gets it, with the vendor's words and status, and no other provider is asked. Each check of each validator, as its
// source has them, is met by as many bodies as there are places that say so: a new check needs one.
func TestRefusalsEndInTheirClass(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(text), "\n| `"+string(failure.Fail)+"` | all others |\n") {
		t.Fatalf("README.md has no row for all others (%v)", err)
	}
	codes, checks := documentedCodes(t), validatorChecks(t)
	for name, cfg := range strictly {
		if cfg.Dialect == "" {
			continue
		}
		left := checks[string(cfg.Dialect)]
		if len(left) == 0 {
			t.Errorf("no check of %s is found in its source", name)
		}
		var met []string
		for _, test := range refusedBodies[name] {
			t.Run(name+", "+test.words, func(t *testing.T) {
				first := newStrict(t, "first", name)
				first.provider.Format = openai.Format{} // as a client writes it: no edit keeps it from the validator
				l := newLadderOf(t, []*simulated{first, newStrict(t, "second", "alipay")})
				got := l.post(chatPath, `{"model":"`+serves(name)+`",`+test.body+`}`)
				var said struct {
					Error struct{ Message, Code string }
				}
				if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != test.status || !strings.Contains(said.Error.Message, test.words) {
					t.Errorf("%d %s, want %d with %q", got.status, got.body, test.status, test.words)
				}
				if class, ok := codes[said.Error.Code]; ok {
					t.Errorf("%s is documented as %s", said.Error.Code, class)
				}
				l.outcome()
				l.seen.mu.Lock()
				defer l.seen.mu.Unlock()
				if len(l.seen.classes) != 1 || l.seen.classes[0] != failure.Fail {
					t.Errorf("classes %v", l.seen.classes)
				}
				l.wantCalls(1, 0)
				met = append(met, said.Error.Message)
			})
		}
		for message, places := range left {
			n := 0
			for _, said := range met {
				if message.MatchString(said) {
					n++
				}
			}
			if n < places {
				t.Errorf("%s: %d of refusedBodies meet the check that says %s, which stands at %d places", name, n, message, places)
			}
		}
	}
}

// verbs are those of a format, which stand for anything.
var verbs = regexp.MustCompile(`%[a-z]`)

// validatorChecks reads from the simulator's source what each vendor's validator says of what it refuses, and at how many
// places.
func validatorChecks(t *testing.T) map[string]map[*regexp.Regexp]int {
	t.Helper()
	names, err := filepath.Glob("sandbox/dialect*.go")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	functions, values := make(map[string]*ast.FuncDecl), make(map[string]string)
	vendors := make(map[string]string) // functions by the constants that name them
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name != "check" { // of the configuration
					functions[n.Name.Name] = n
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						values[name.Name] = textOf(n.Values[i])
					}
					if list, ok := valueAt(n, i).(*ast.CompositeLit); ok && name.Name == "vendors" {
						for _, e := range list.Elts {
							pair := e.(*ast.KeyValueExpr)
							if key, ok := pair.Key.(*ast.Ident); ok {
								vendors[key.Name] = pair.Value.(*ast.Ident).Name
							}
						}
					}
				}
			}
			return true
		})
	}
	found := make(map[string]map[*regexp.Regexp]int)
	for constant, function := range vendors {
		texts, seen := make(map[string]int), make(map[string]bool)
		var read func(name string)
		read = func(name string) {
			f := functions[name]
			if f == nil || seen[name] {
				return
			}
			seen[name] = true
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					switch called := call.Fun.(type) {
					case *ast.Ident:
						read(called.Name)
					case *ast.SelectorExpr:
						read(called.Sel.Name)
					}
				}
				if result, ok := n.(*ast.ReturnStmt); ok {
					said := ""
					ast.Inspect(result, func(n ast.Node) bool {
						if _, inner := n.(*ast.FuncLit); inner {
							return false // whose own results are read for themselves
						}
						if e, ok := n.(ast.Expr); ok && len(textOf(e)) > len(said) && strings.Contains(textOf(e), " ") {
							said = textOf(e)
						}
						return true
					})
					if said != "" {
						texts[said]++
					}
				}
				return true
			})
		}
		read(function)
		if function == "mistral" { // whose schemas are of these
			for _, check := range []string{"between", "aString", "oneOf"} {
				read(check)
			}
		}
		checks := make(map[*regexp.Regexp]int)
		for text, places := range texts {
			words := verbs.Split(text, -1)
			for i, w := range words {
				words[i] = regexp.QuoteMeta(w)
			}
			checks[regexp.MustCompile(strings.Join(words, "(?s:.*)"))] = places
		}
		found[values[constant]] = checks
	}
	return found
}

func valueAt(spec *ast.ValueSpec, i int) ast.Expr {
	if i < len(spec.Values) {
		return spec.Values[i]
	}
	return nil
}

// textOf is what a string in the source is; empty for anything else.
func textOf(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return text
	}
	return ""
}
