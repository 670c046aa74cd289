package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What a call should cost is estimated by how long one answer has been of late, in whichever number answers came: several
// choices and the calls of a pack are several, and embeddings are none.
func TestAnswersAreEstimatedOneByOne(t *testing.T) {
	// usage reports ten tokens for each answer of the request, and none for embeddings.
	usage := func(choices int) turn {
		choice := `{"index":%d,"message":{"content":"hi"},"finish_reason":"stop"}`
		var all []string
		for i := range choices {
			all = append(all, fmt.Sprintf(choice, i))
		}
		return says(200, fmt.Sprintf(`{"choices":[%s],"usage":{"prompt_tokens":5,"completion_tokens":%d,"total_tokens":%d}}`,
			strings.Join(all, ","), 10*choices, 5+10*choices))
	}
	embedded := says(200, `{"data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":5,"total_tokens":5}}`)
	for name, test := range map[string]struct {
		turn         turn
		path, body   string
		first        string // what that call is quoted at first
		quoted       string // what it is quoted after it
		quotedOfChat string // of a plain one after it: ten tokens
	}{
		"one":        {usage(1), chats, chatBody("hello"), "0.000256 CNY", "0.00001 CNY", "0.00001 CNY"},
		"choices":    {usage(3), chats, strings.Replace(chatBody("hello"), "{", `{"n":3,`, 1), "0.000768 CNY", "0.00003 CNY", "0.00001 CNY"},
		"embeddings": {embedded, "/v1/embeddings", `{"model":"m","input":"hello"}`, "0 CNY", "0 CNY", "0.000256 CNY"},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{test.turn, test.turn, usage(1)}}, spends(new(lines), answersCost()))
			for i, want := range []string{test.first, test.quoted} {
				got := s.callAt(t.Context(), test.path, test.body)
				if o := s.outcome(); got.status != http.StatusOK || o.Quoted != want {
					t.Errorf("call %d: %d, quoted %q, want %q", i, got.status, o.Quoted, want)
				}
			}
			s.call(chatBody("hello"))
			if o := s.outcome(); o.Quoted != test.quotedOfChat {
				t.Errorf("then a call is quoted %q, want %q", o.Quoted, test.quotedOfChat)
			}
		})
	}
	t.Run("a pack", func(t *testing.T) {
		testwait.Bubble(t, func(t *testing.T) {
			m := &model{before: func(n int, req *http.Request) (*http.Response, error) {
				if n > 1 {
					return usage(1)(req)
				}
				return nil, nil // 53 tokens for two answers
			}}
			p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 2 }, spends(new(lines), answersCost()))
			p.ask(t.Context(), 0, "a")
			p.ask(t.Context(), 0, "b")
			testwait.Pass(time.Second)
			p.call(chatBody("hello"))
			if o := p.outcome(); o.Quoted != "0.000027 CNY" {
				t.Errorf("after a pack a call is quoted %q", o.Quoted)
			}
		})
	})
}

// What reports no usage that can be is charged by its text, not by what is around it, as a whole and as a stream.
func TestAnswersWithoutUsageAreChargedByTheirText(t *testing.T) {
	text := strings.Repeat("abcd", 100)
	around := `"system_fingerprint":"` + strings.Repeat("x", 4000) + `",`
	message := `{` + around + `"choices":[{"index":0,"message":{"role":"assistant","content":"` + text + `"},"finish_reason":"stop"}]%s}`
	chunk := `{` + around + `"choices":[{"index":0,"delta":{"role":"assistant","content":"` + text + `"},"finish_reason":"stop"}]%s}`
	for name, usage := range map[string]string{
		"none":    "",
		"null":    `,"usage":null`,
		"nothing": `,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
		"strings": `,"usage":{"prompt_tokens":"many","completion_tokens":"few"}`,
	} {
		for kind, answered := range map[string]struct {
			turn turn
			body string
		}{
			"whole":  {says(200, fmt.Sprintf(message, usage)), chatBody("hello")},
			"stream": {streams(nil, fmt.Sprintf(chunk, usage), "[DONE]"), streamBody("hello")},
		} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				s := perform(t, [][]turn{{answered.turn}}, spends(new(lines), answersCost()))
				got, o := s.call(answered.body), s.outcome()
				if got.status != http.StatusOK || len(o.Costs) != 1 || o.Costs[0].Completion != 100 {
					t.Errorf("%d, charged %+v, want 100 tokens", got.status, o.Costs)
				}
			})
		}
	}
}

// answersCost is a price of answers alone: a thousand billionths a token.
func answersCost() *price.Price {
	return &price.Price{Currency: "CNY", Rates: price.Rates{Output: 1e9}}
}

// What counts the total alone of something that generates nothing counts its prompt.
func TestEmbeddingsOfWhichTheTotalIsCounted(t *testing.T) {
	l := new(lines)
	embedded := says(200, `{"data":[{"index":0,"embedding":[1]}],"usage":{"total_tokens":10}}`)
	s := perform(t, [][]turn{{embedded}}, spends(l, answersCost()))
	if got := s.callAt(t.Context(), "/v1/embeddings", `{"model":"m","input":"hello"}`); got.status != http.StatusOK {
		t.Fatal(got.status)
	}
	s.outcome()
	if all := l.taken(); len(all) != 1 || all[0].Prompt != 10 || all[0].Completion != 0 {
		t.Errorf("%+v", all)
	}
}
