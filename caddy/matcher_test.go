package alipaycaddy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// matched runs a site that says whether the request matched, and the placeholders of its call.
func (g *rig) matched(matcher string) {
	g.t.Helper()
	g.load("", `http://${gateway} {
	@it `+matcher+`
	respond @it "yes"
	respond "no"
}`)
}

func TestMatcherConditions(t *testing.T) {
	const user = `{"role":"user","content":%q}`
	call := func(members string, messages ...string) string {
		return `{"model":"alipay-fin-1",` + members + `"messages":[` + strings.Join(messages, ",") + `]}`
	}
	says := func(text string) string { return fmt.Sprintf(user, text) }
	hello := call("", says("hello there"))
	for name, c := range map[string]struct {
		matcher, body, path string
		want                bool
	}{
		"any call":             {"alipayai", hello, "", true},
		"another path":         {"alipayai", hello, "/v1/images", false},
		"no JSON":              {"alipayai", "{", "", false},
		"endpoint":             {"alipayai endpoint chat embeddings", hello, "", true},
		"other endpoint":       {"alipayai endpoint embeddings", hello, "", false},
		"embeddings":           {"alipayai endpoint embeddings", `{"model":"m","input":"x"}`, "/v1/embeddings", true},
		"model":                {"alipayai model alipay-fin-1", hello, "", true},
		"model pattern":        {"alipayai model gpt-* alipay-*", hello, "", true},
		"other model":          {"alipayai model gpt-*", hello, "", false},
		"stream":               {"alipayai stream", call(`"stream":true,`, says("x")), "", true},
		"no stream":            {"alipayai stream", hello, "", false},
		"stream false":         {"alipayai stream false", hello, "", true},
		"tools":                {"alipayai tools", call(`"tools":[{"type":"function"}],`, says("x")), "", true},
		"images":               {"alipayai images", call("", `{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}`), "", true},
		"messages":             {"alipayai messages > 1", call("", says("a"), says("b")), "", true},
		"too few messages":     {"alipayai messages > 1", hello, "", false},
		"code points":          {"alipayai characters 4", call("", says("余额宝𠮷")), "", true},
		"all characters":       {"alipayai characters 3-3", call("", says("a"), says("bc")), "", true},
		"last characters":      {"alipayai last_characters < 3", call("", says("a long one"), says("bc"), `{"role":"assistant","content":"a longer one"}`), "", true},
		"last in parts":        {"alipayai last_characters 2", call("", `{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`), "", true},
		"han":                  {"alipayai language han", call("", says("请用 Python 写一个函数")), "", true},
		"latin":                {"alipayai language latin", hello, "", true},
		"kana":                 {"alipayai language kana", call("", says("口座の残高を教えて")), "", true},
		"not han":              {"alipayai language han", hello, "", false},
		"financial":            {"alipayai intent financial", call("", says("I lost my credit card, please block it")), "", true},
		"trivial":              {"alipayai intent trivial", hello, "", true},
		"not trivial":          {"alipayai intent financial other", hello, "", false},
		"the last user's":      {"alipayai intent trivial", call("", says("I lost my credit card"), says("hello there")), "", true},
		"all conditions":       {"alipayai {\n\t\tintent trivial\n\t\tcharacters < 5\n\t}", hello, "", false},
		"lines of a set":       {"{\n\t\talipayai intent trivial\n\t\talipayai characters < 50\n\t}", hello, "", true},
		"one of a set fails":   {"{\n\t\talipayai intent trivial\n\t\talipayai characters < 5\n\t}", hello, "", false},
		"not":                  {"not alipayai intent financial", hello, "", true},
		"not, unreadable":      {"not alipayai intent financial", "{", "", true},
		"call and not":         {"{\n\t\talipayai\n\t\tnot alipayai intent financial\n\t}", "{", "", false},
		"expression":           {"`alipayai({'intent': ['trivial', 'other'], 'characters': '< 50', 'stream': 'false'})`", hello, "", true},
		"expression, no":       {"`alipayai({'intent': 'financial'}) || {http.alipayai.characters} > 100`", hello, "", false},
		"expression, any":      {"`alipayai({}) && {http.alipayai.characters} == 11 && {http.alipayai.model}.startsWith('alipay')`", hello, "", true},
		"expression, negation": {"`!alipayai({'model': 'gpt-*'})`", hello, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.matched(c.matcher)
			if c.path == "" {
				c.path = chatPath
			}
			if got := g.do("POST", c.path, c.body).body == "yes"; got != c.want {
				t.Errorf("%s matched: %v, want %v", c.body, got, c.want)
			}
		})
	}
}
