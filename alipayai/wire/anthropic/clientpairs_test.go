package anthropic

import (
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/growth"
)

// Each call has one result at once after it, and there are no others: who speaks chat completions refuses the request else.
func TestClientPairs(t *testing.T) {
	use := func(ids ...string) string {
		blocks := make([]string, len(ids))
		for i, id := range ids {
			blocks[i] = `{"type":"tool_use","id":"` + id + `","name":"f","input":{}}`
		}
		return `{"role":"assistant","content":[` + strings.Join(blocks, ",") + `]}`
	}
	called := func(ids ...string) string {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}`
		}
		return `{"role":"assistant","content":null,"tool_calls":[` + strings.Join(list, ",") + `]}`
	}
	result := func(id string) string { return `{"type":"tool_result","tool_use_id":"` + id + `","content":"r"}` }
	user := func(blocks ...string) string { return `{"role":"user","content":[` + strings.Join(blocks, ",") + `]}` }
	gave := func(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"r"}` }
	none := func(id string) string {
		return `{"role":"tool","tool_call_id":"` + id + `","content":"Error: No result."}`
	}
	const (
		q    = `{"role":"user","content":"q"}`
		text = `{"type":"text","text":"t"}`
		said = `{"role":"user","content":"t"}`
		a    = `{"role":"assistant","content":"a"}`
		s    = `{"role":"system","content":"s"}`
		lost = `{"role":"user","content":"[tool_result left out]"}`
		left = "messages.content.tool_use_id"
	)
	of := func(messages ...string) string { return strings.Join(messages, ",") }
	for name, tt := range map[string]struct{ in, out, unsupported string }{
		"in order":                 {of(q, use("a", "b"), user(result("a"), result("b"), text), a), of(q, called("a", "b"), gave("a"), gave("b"), said, a), "messages.prefill"},
		"in two messages":          {of(q, use("a", "b"), user(result("b")), user(result("a"), text)), of(q, called("a", "b"), gave("b"), gave("a"), said), ""},
		"a word before":            {of(q, use("a"), user(text), user(result("a"))), of(q, called("a"), gave("a"), said), ""},
		"a system's before":        {of(q, use("a"), s, user(result("a"), text)), of(q, called("a"), gave("a"), s, said), ""},
		"words of the model after": {of(q, use("a"), a, user(result("a"))), of(q, called("a"), gave("a"), a), ""},
		"no result":                {of(q, use("a"), said, a), of(q, called("a"), none("a"), said, a), "messages.prefill"},
		"none of one":              {of(q, use("a", "b"), user(result("b"), text), a), of(q, called("a", "b"), gave("b"), none("a"), said, a), "messages.prefill"},
		"none at the end":          {of(q, use("a"), said), of(q, called("a"), none("a"), said), ""},
		"of no call":               {of(user(result("x"), text), a, q), of(`{"role":"user","content":[{"type":"text","text":"r"},{"type":"text","text":"t"}]}`, a, q), left},
		"of no call, alone":        {of(q, a, user(result("x"))), of(q, a, `{"role":"user","content":"r"}`), left},
		"a second one":             {of(q, use("a"), user(result("a"), result("a"), text)), of(q, called("a"), gave("a"), said), left},
		"a second one, later":      {of(q, use("a"), user(result("a")), a, user(result("a"), text)), of(q, called("a"), gave("a"), a, said), left},
		"one too late":             {of(q, use("a"), said, a, user(result("a"))), of(q, called("a"), none("a"), said, a, `{"role":"user","content":"r"}`), left},
		"a second one, alone":      {of(q, use("a"), user(result("a")), a, user(result("a"))), of(q, called("a"), gave("a"), a, lost), left},
		"of no call, and empty":    {of(user(`{"type":"tool_result","tool_use_id":"x"}`), a, q), of(lost, a, q), left},
		"of no call, in the end":   {of(q, a, user(`{"type":"tool_result","tool_use_id":"x","content":[]}`, text)), of(q, a, said), left},
		"ids that repeat":          {of(q, use("a"), user(result("a")), use("a"), user(result("a"))), of(q, called("a"), gave("a"), called("a"), gave("a")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseClientRequest([]byte(`{"model":"m","max_tokens":9,"messages":[`+tt.in+`]}`), false)
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"model":"m","max_tokens":9,"messages":[` + tt.out + `]}`; !same(t, string(got.Canonical.Body), want) {
				t.Errorf("is\n%s\nwant\n%s", got.Canonical.Body, want)
			}
			if names := strings.Join(got.Unsupported, ", "); names != tt.unsupported {
				t.Errorf("names %q, want %q", names, tt.unsupported)
			}
			if name != "ids that repeat" && string(got.Sendable.Body) != string(got.Sent.Body) {
				t.Errorf("Anthropic gets %s", got.Sendable.Body) // and says itself what is wrong, in words that its clients know
			}
		})
	}
}

// A conversation takes as long to read as it is, however its results are ordered: ten times the calls take ten times as long, and would
// a hundred times if each result were looked for among them all.
func TestClientPairsOfManyCalls(t *testing.T) {
	of := func(calls int) []byte {
		uses, results := make([]string, calls), make([]string, calls)
		for i := range calls {
			id := strconv.Itoa(100_000 + i)
			uses[i] = `{"type":"tool_use","id":"` + id + `","name":"f","input":{}}`
			results[calls-1-i] = `{"type":"tool_result","tool_use_id":"` + id + `"}`
		}
		return []byte(`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[` + strings.Join(uses, ",") + `]},{"role":"user","content":[` + strings.Join(results, ",") + `]}]}`)
	}
	growth.Linear(t, 40, 0, of(4_000), of(40_000), func(body []byte) {
		if _, err := ParseClientRequest(body, false); err != nil {
			t.Fatal(err)
		}
	})
}
