package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestChat(t *testing.T) {
	g := newRig(t, Config{})
	var got completion
	g.call("POST", pathChat, chatBody("What is a fund? 你好", `,"unknown_field":{"a":[1]}`), 200, &got)
	c := got.Choices[0]
	if got.Object != "chat.completion" || got.Model != "alipay-fin-1" || c.Message.Role != "assistant" || *c.FinishReason != "stop" {
		t.Errorf("got %+v", got)
	}
	if *c.Message.Content != "You said: What is a fund? 你好" {
		t.Errorf("content %q", *c.Message.Content)
	}
	if u := got.Usage; u == nil || u.Prompt == 0 || u.Completion == 0 || u.Total != u.Prompt+u.Completion {
		t.Errorf("usage %+v", got.Usage)
	}
	var again completion
	g.call("POST", pathChat, chatBody("What is a fund? 你好", ""), 200, &again)
	if *again.Choices[0].Message.Content != *c.Message.Content || again.ID == got.ID {
		t.Error("want the same content under another id")
	}
}

func TestAnswersDoNotCross(t *testing.T) {
	g := newRig(t, Config{RequestsPerSecond: -1})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			prompt := fmt.Sprintf("prompt number <%d>", i)
			if got := g.chat(prompt); !strings.HasSuffix(got, prompt) {
				t.Errorf("%q was answered with %q", prompt, got)
			}
		})
	}
	wg.Wait()
}

func TestMarkedAnswers(t *testing.T) {
	g := newRig(t, Config{})
	tests := map[string]struct {
		prompt string
		bytes  int
		prefix string
	}{
		"longer":             {"hello [[bytes:1200]]", 1200, "You said: hello."},
		"shorter":            {"hello [[bytes:5]]", 5, "You s"},
		"within a character": {"你好[[bytes:11]]", 11, "You said: ."},
		"long prompt":        {strings.Repeat("长", 300), len("You said: ") + 256*3 + len("… [sha256 ]") + 64, "You said: 长"},
		"other brackets":     {"see [[wiki:page]] [[a]]", len("You said: see [[wiki:page]] [[a]]"), "You said: see [[wiki:page]]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := g.chat(tc.prompt)
			if len(got) != tc.bytes || !strings.HasPrefix(got, tc.prefix) || !utf8.ValidString(got) {
				t.Errorf("%d bytes, want %d: %q", len(got), tc.bytes, got)
			}
		})
	}
	if g.chat(strings.Repeat("a", 300)) == g.chat(strings.Repeat("a", 299)+"b") {
		t.Error("two long prompts have one answer")
	}
}

func TestImages(t *testing.T) {
	g := newRig(t, Config{})
	part := `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`
	body := func(parts string) []byte {
		return []byte(`{"model":"alipay-fin-mini","messages":[{"role":"user","content":[{"type":"text","text":"look"},` + parts + `]}]}`)
	}
	for parts, want := range map[string]string{part: "(with 1 image)", part + "," + part: "(with 2 images)"} {
		var got completion
		g.call("POST", pathChat, body(parts), 200, &got)
		if text := *got.Choices[0].Message.Content; text != "You said: look "+want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

const weatherTools = `,"tools":[{"type":"function","function":{"name":"get_time"}},{"type":"function","function":{"name":"get_weather",` +
	`"parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"unit":{"enum":["C","F"]},"on":{"type":"boolean"}},` +
	`"required":["city","days","unit","on"]}}}]`

func TestTools(t *testing.T) {
	g := newRig(t, Config{})
	tests := map[string]struct {
		prompt, extra string
		want          string // the function called, "" for words
	}{
		"named in the prompt":   {"call get_weather for Oslo", weatherTools, "get_weather"},
		"use the tool":          {"Use the tool, please", weatherTools, "get_time"},
		"required":              {"hello", weatherTools + `,"tool_choice":"required"`, "get_time"},
		"named in tool_choice":  {"hello", weatherTools + `,"tool_choice":{"type":"function","function":{"name":"get_weather"}}`, "get_weather"},
		"forbidden":             {"call get_weather", weatherTools + `,"tool_choice":"none"`, ""},
		"not asked for":         {"hello", weatherTools + `,"tool_choice":"auto"`, ""},
		"asked for, none given": {"use the tool", "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got completion
			g.call("POST", pathChat, chatBody(tc.prompt, tc.extra), 200, &got)
			c := got.Choices[0]
			if tc.want == "" {
				if len(c.Message.ToolCalls) != 0 || *c.FinishReason != "stop" || c.Message.Content == nil {
					t.Errorf("got %+v", c)
				}
				return
			}
			if len(c.Message.ToolCalls) != 1 || *c.FinishReason != "tool_calls" || c.Message.Content != nil {
				t.Fatalf("got %+v", c)
			}
			call := c.Message.ToolCalls[0]
			if call.Function.Name != tc.want || call.ID == "" || call.Type != "function" {
				t.Errorf("got %+v", call)
			}
			var args map[string]any
			if err := json.Unmarshal([]byte(call.Function.Arguments), &args); err != nil {
				t.Fatal(err)
			}
			if tc.want == "get_weather" && (args["city"] != tc.prompt || args["days"] != 1.0 || args["unit"] != "C" || args["on"] != true) {
				t.Errorf("arguments %v", args)
			}
		})
	}
	t.Run("result", func(t *testing.T) {
		var got completion
		g.call("POST", pathChat, []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"use the tool"},`+
			`{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","tool_call_id":"1","content":"12 degrees"}]`+weatherTools+`}`), 200, &got)
		if text := got.Choices[0].Message.Content; text == nil || *text != "The tool said: 12 degrees" {
			t.Errorf("got %+v", got.Choices[0])
		}
	})
}

func TestRefusals(t *testing.T) {
	g := newRig(t, Config{RequestsPerSecond: -1})
	embed := func(s string) []byte { return []byte(`{"model":"alipay-embed-1",` + s + `}`) }
	tests := map[string]struct {
		method, path string
		body         []byte
		status       int
		code, names  string
	}{
		"no JSON":            {"POST", pathChat, []byte(`{"model"`), 400, codeParam, "body"},
		"two values":         {"POST", pathChat, []byte(`{} {}`), 400, codeParam, "body"},
		"no messages":        {"POST", pathChat, []byte(`{"model":"alipay-fin-1"}`), 400, codeParam, "messages"},
		"no role":            {"POST", pathChat, []byte(`{"model":"alipay-fin-1","messages":[{}]}`), 400, codeParam, "messages[0].role"},
		"content of numbers": {"POST", pathChat, []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":7}]}`), 400, codeParam, "content"},
		"part without type":  {"POST", pathChat, []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":[{}]}]}`), 400, codeParam, "content"},
		"image without url":  {"POST", pathChat, []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`), 400, codeParam, "image_url"},
		"two choices":        {"POST", pathChat, chatBody("x", `,"n":2`), 400, codeParam, "n:"},
		"nameless tool":      {"POST", pathChat, chatBody("x", `,"tools":[{}]`), 400, codeParam, "tools[0]"},
		"unknown model":      {"POST", pathChat, []byte(`{"model":"x","messages":[{"role":"user"}]}`), 404, codeModel, "model"},
		"bad mark":           {"POST", pathChat, chatBody("[[events:0]]", ""), 400, codeParam, "events"},
		"unknown fault":      {"POST", pathChat, chatBody("[[fault:nonsense]]", ""), 400, codeParam, "nonsense"},
		"no input":           {"POST", pathEmbeddings, embed(`"x":1`), 400, codeParam, "input"},
		"empty input":        {"POST", pathEmbeddings, embed(`"input":["a",""]`), 400, codeParam, "input[1]"},
		"no inputs":          {"POST", pathEmbeddings, embed(`"input":[]`), 400, codeParam, "input"},
		"input of objects":   {"POST", pathEmbeddings, embed(`"input":[{}]`), 400, codeParam, "input"},
		"encoding":           {"POST", pathEmbeddings, embed(`"input":"a","encoding_format":"hex"`), 400, codeParam, "encoding_format"},
		"dimensions":         {"POST", pathEmbeddings, embed(`"input":"a","dimensions":0`), 400, codeParam, "dimensions"},
		"embedding model":    {"POST", pathEmbeddings, []byte(`{"model":"x","input":"a"}`), 404, codeModel, "model"},
		"unknown path":       {"POST", "/v1/unknown", nil, 404, codeInvalidAPI, ""},
		"wrong method":       {"POST", pathModels, nil, 405, codeMethod, "GET"},
		"too large":          {"POST", pathChat, make([]byte, maxBody+1), 413, codeParam, "16 MiB"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got apiError
			g.call(tc.method, tc.path, tc.body, tc.status, &got)
			if got.Code != tc.code || !strings.Contains(got.Message, tc.names) {
				t.Errorf("got %+v, want %s naming %q", got, tc.code, tc.names)
			}
		})
	}
	t.Run("media type", func(t *testing.T) {
		req := g.signed("POST", pathChat, chatBody("x", ""))
		req.Header.Set("Content-Type", "text/plain")
		resp, err := g.do(req)
		if err != nil {
			t.Fatal(err)
		}
		g.read(resp, http.StatusUnsupportedMediaType, nil)
	})
}

func TestModels(t *testing.T) {
	for name, tc := range map[string]struct {
		models []string
		want   string
	}{
		"default": {nil, "[alipay-fin-1 alipay-fin-mini alipay-embed-1]"},
		"own":     {[]string{"a", "b"}, "[a b]"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, Config{Models: tc.models})
			var got struct {
				Object string
				Data   []struct{ ID, Object string }
			}
			g.call("GET", pathModels, nil, 200, &got)
			var ids []string
			for _, m := range got.Data {
				ids = append(ids, m.ID)
			}
			if fmt.Sprint(ids) != tc.want || got.Object != "list" || got.Data[0].Object != "model" {
				t.Errorf("got %+v", got)
			}
		})
	}
}
