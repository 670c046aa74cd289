package alipayai_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// documentedCodes gives the classes of codes as the table of README.md has them.
func documentedCodes(t *testing.T) map[string]failure.Class {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Failure codes\n")
	_, table, found := strings.Cut(section, "| action | codes |\n|---|---|\n")
	if !found {
		t.Fatal("README.md has no table of codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	word := regexp.MustCompile("`([^`]+)`")
	codes := make(map[string]failure.Class)
	var class failure.Class
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if name := word.FindStringSubmatch(cells[1]); name != nil {
			class = failure.Class(name[1])
		}
		for _, code := range word.FindAllStringSubmatch(cells[2], -1) {
			if code[1] != "Payment-Needed" && !strings.Contains(code[1], "*") {
				codes[code[1]] = class
			}
		}
	}
	if len(codes) < 30 {
		t.Fatalf("only %d codes are documented", len(codes))
	}
	return codes
}

// wantClass makes a call that meets the fault and holds that its first attempt was of that class.
func wantClass(t *testing.T, r *rig, fault sandbox.Fault, body string, want failure.Class) {
	t.Helper()
	r.set(fault)
	r.provider.Hold = new(upstream.Hold) // nor is one call held for another's
	r.seen.mu.Lock()
	before := len(r.seen.classes)
	r.seen.mu.Unlock()
	r.post(chatPath, body)
	r.outcome()
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if len(r.seen.classes) == before || r.seen.classes[before] != want {
		t.Errorf("%+v: class %v, want %s", fault, r.seen.classes[before:], want)
	}
}

// TestFailuresEndInTheirClass has the simulator answer each code that is documented, in each shape and place.
func TestFailuresEndInTheirClass(t *testing.T) {
	r := newRig(t, sandbox.Config{}, money) // each failure is met once
	for code, class := range documentedCodes(t) {
		for _, shape := range []sandbox.Shape{sandbox.ShapeAlipay, sandbox.ShapeOpenAI, sandbox.ShapeOpenRouter, sandbox.ShapeChoice, sandbox.ShapeGlobal, sandbox.ShapeAnthropic} {
			for body, kind := range map[string]sandbox.Kind{chatBody("hello"): sandbox.SystemError200, streamBody("hello"): sandbox.SystemErrorFirst} {
				wantClass(t, r, sandbox.Fault{Kind: kind, Code: code, Shape: shape, Times: 1}, body, class)
			}
		}
	}
}

// TestStatusesEndInTheirClass has statuses: of the answer, and in place of a code in a 200.
func TestStatusesEndInTheirClass(t *testing.T) {
	r := newRig(t, sandbox.Config{}, money) // each failure is met once
	for status := 400; status < 600; status++ {
		want := failure.Fail
		switch {
		case status == http.StatusUnauthorized:
			want = failure.RefreshToken
		case status == http.StatusPaymentRequired:
			want = failure.AccountExhausted
		case status == http.StatusTooManyRequests:
			want = failure.Throttle
		case status == http.StatusRequestTimeout, status >= 500:
			want = failure.Retry
		}
		code := strconv.Itoa(status)
		for _, shape := range []sandbox.Shape{sandbox.ShapeOpenRouter, sandbox.ShapeChoice, sandbox.ShapeVLLM, sandbox.ShapeGoogle} {
			wantClass(t, r, sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: code, Shape: shape, Times: 1}, streamBody("hello"), want)
		}
		for _, shape := range []sandbox.Shape{sandbox.ShapeText, sandbox.ShapeFastAPI, sandbox.ShapeOllama} {
			wantClass(t, r, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: status, Shape: shape, Code: "X", Times: 1}, chatBody("hello"), want)
		}
	}
}

// refusedBodies are what each vendor's validator refuses, without the model, as a client sends it to the provider that it
// chose; the client gets the words.
var refusedBodies = map[string]map[string]struct {
	body   string
	status int
	words  string
}{
	"mistral": {
		"a field":      {`"seed":7,"messages":[{"role":"user","content":"hi"}]`, 422, "body.seed: Extra inputs are not permitted"},
		"a member":     {`"messages":[{"role":"user","content":"hi","name":"li"}]`, 422, "name: Extra inputs are not permitted"},
		"tool choice":  {`"tool_choice":"required","messages":[{"role":"user","content":"hi"}]`, 422, "Input should be 'auto', 'none' or 'any'"},
		"last message": {`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a"}]`, 400, "Expected last role User or Tool"},
	},
	"deepseek": {
		"a role":   {`"messages":[{"role":"developer","content":"hi"},{"role":"user","content":"hi"}]`, 422, "unknown variant `developer`"},
		"choices":  {`"n":2,"messages":[{"role":"user","content":"hi"}]`, 400, "Invalid n value"},
		"a schema": {`"response_format":{"type":"json_schema"},"messages":[{"role":"user","content":"hi"}]`, 400, "response_format type is unavailable"},
		"an image": {`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a"}}]}]`, 422, "expected `text`"},
	},
	"qwen": {
		"thinking": {`"enable_thinking":true,"messages":[{"role":"user","content":"hi"}]`, 400, "enable_thinking must be set to false"},
		"a role":   {`"messages":[{"role":"developer","content":"hi"}]`, 400, "developer is not one of"},
	},
	"openai": {
		"a field": {`"top_k":1,"messages":[{"role":"user","content":"hi"}]`, 400, "Unknown parameter: 'top_k'"},
		"a limit": {`"max_tokens":1,"messages":[{"role":"user","content":"hi"}]`, 400, "Use 'max_completion_tokens' instead"},
	},
	"ollama": {
		"a role":       {`"messages":[{"role":"developer","content":"hi"}]`, 400, "Unexpected message role"},
		"system later": {`"messages":[{"role":"user","content":"hi"},{"role":"system","content":"a"}]`, 400, "must be at the beginning"},
	},
	"google": {
		"a field": {`"top_k":1,"messages":[{"role":"user","content":"hi"}]`, 400, `Unknown name "top_k"`},
		"a role":  {`"messages":[{"role":"developer","content":"hi"}]`, 400, "valid role"},
	},
	"glm": {
		"no user": {`"messages":[{"role":"system","content":"hi"}]`, 400, "messages parameter is illegal"},
		"a limit": {`"max_completion_tokens":1,"messages":[{"role":"user","content":"hi"}]`, 400, "Invalid API parameter"},
	},
}

// TestRefusalsEndInTheirClass holds that what a vendor's validator refuses is one of "all others" in README.md's table: the
// client gets it, with the vendor's words and status, and no other provider is asked.
func TestRefusalsEndInTheirClass(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(text), "\n| `"+string(failure.Fail)+"` | all others |\n") {
		t.Fatalf("README.md has no row for all others (%v)", err)
	}
	codes := documentedCodes(t)
	for name, cfg := range strictly {
		if cases := refusedBodies[name]; cfg.Dialect != "" && len(cases) < 2 {
			t.Errorf("%d refusals of %s", len(cases), name)
		}
		for what, test := range refusedBodies[name] {
			t.Run(name+", "+what, func(t *testing.T) {
				l := newLadderOf(t, []*simulated{newStrict(t, "first", name), newStrict(t, "second", "alipay")})
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
			})
		}
	}
}
