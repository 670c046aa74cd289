package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// published is the API of a vendor, written from the vendor's documents alone: it shares nothing with the product, and
// refuses whatever the documents do not have, in the form that they have for failures.
type published struct {
	// serve answers one request; pieces is what to say.
	serve func(w http.ResponseWriter, r *http.Request, body []byte)
	// contract is the vendor's in a Caddyfile.
	contract string
	// wrong are misstatements of it: what is replaced by what.
	wrong map[string][2]string
	// unsupported is what of the call in TestPublishedContracts the vendor has not.
	unsupported string
	// codes are the vendor's of a busy model and of too many requests.
	codes [2]string
	// finish are finish reasons, whole and streamed, by the prompt that leads to them.
	finish map[string]string
}

const (
	publishedKey  = "sk-published-0123456789abcdef"
	publishedText = "Tea, 茶 😀 and \"more\"."
)

// publishedPieces are the text as a vendor streams it.
var publishedPieces = []string{"Tea, ", "茶 😀", " and \"more\"."}

func quoted(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// strict reads a JSON object that may have these members, of which the first need are required.
func strict(body []byte, need int, names ...string) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, err
	}
	for name := range object {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("unknown parameter %s", name)
		}
	}
	for _, name := range names[:need] {
		if object[name] == nil {
			return nil, fmt.Errorf("missing parameter %s", name)
		}
	}
	return object, nil
}

// turns reads messages, whose names are those of role and content, and gives the last text.
func turns(raw json.RawMessage, role, content string, roles ...string) (last string, err error) {
	var messages []map[string]string
	if err := json.Unmarshal(raw, &messages); err != nil || len(messages) == 0 {
		return "", fmt.Errorf("messages: %w", err)
	}
	for _, m := range messages {
		if len(m) != 2 || m[content] == "" || !slices.Contains(roles, m[role]) {
			return "", fmt.Errorf("a message %v", m)
		}
		last = m[content]
	}
	return last, nil
}

// fits compares the members that are there against what they must be.
func fits(object map[string]json.RawMessage, must map[string]func(json.RawMessage) bool) error {
	for name, v := range object {
		if check := must[name]; check != nil && !check(v) {
			return fmt.Errorf("invalid parameter %s", name)
		}
	}
	return nil
}

func read[V any](v json.RawMessage) (value V, ok bool) {
	return value, string(v) != "null" && json.Unmarshal(v, &value) == nil
}

func within(least, most float64) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool { f, ok := read[float64](v); return ok && f >= least && f <= most }
}

func above(least, most float64) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool { f, ok := read[float64](v); return ok && f > least && f <= most }
}

func aText(v json.RawMessage) bool     { _, ok := read[string](v); return ok }
func aBool(v json.RawMessage) bool     { _, ok := read[bool](v); return ok }
func someTexts(v json.RawMessage) bool { _, ok := read[[]string](v); return ok }

func oneOf(words ...string) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool { word, ok := read[string](v); return ok && slices.Contains(words, word) }
}

// inTurns is for conversations in which these roles take turns, after the system's text, from the first to the first.
func inTurns(role, first, second string) func(json.RawMessage) bool {
	return func(v json.RawMessage) bool {
		messages, ok := read[[]map[string]string](v)
		if ok && len(messages) > 0 && messages[0][role] == "system" {
			messages = messages[1:]
		}
		for i, m := range messages {
			ok = ok && m[role] == []string{first, second}[i%2]
		}
		return ok && len(messages)%2 == 1
	}
}

// Contracts that vendors have published, in which neither requests nor answers are OpenAI's, are said in a Caddyfile: whole
// and streamed, with failures in the vendor's words. Where one thing is said otherwise, no call is right.
func TestPublishedContracts(t *testing.T) {
	t.Setenv("TEST_PUBLISHED_KEY", publishedKey)
	const messages = `"messages":[{"role":"system","content":"Be brief."},{"role":"system","content":[{"type":"text","text":"And kind."}]},{"role":"user","content":"%s"}]`
	for name, api := range map[string]*published{"Baidu ERNIE": ernie(), "Alibaba DashScope": qwen(), "Tencent Hunyuan": hunyuan()} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				api.serve(w, r, body)
			}))
			defer server.Close()
			g := newRig(t, sandbox.Config{})
			load := func(contract string) error {
				contract = strings.ReplaceAll(contract, "${vendor}", server.URL)
				defer g.http.CloseIdleConnections()
				return g.reload(fmt.Sprintf("alipayai {\nprovider own {\nbase_url %s\n%s\n}\n}", server.URL, contract), "http://${gateway} {\n\talipayai_proxy own\n}")
			}
			ask := func(prompt, more string) answer {
				body := `{"model":"qwen-plus",` + strings.Replace(messages, "%s", prompt, 1) + `,"max_completion_tokens":99,"temperature":0.5,` + more + `}`
				if name != "Baidu ERNIE" { // whose conversations begin with the system's texts, joined
					body = strings.Replace(body, `{"role":"system","content":"Be brief."},{"role":"system","content":[{"type":"text","text":"And kind."}]},`, `{"role":"system","content":"Be brief."},`, 1)
				}
				resp, err := g.send("gateway", "POST", chatPath, body)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, _ := io.ReadAll(resp.Body) // a stream that is broken off ends in an error
				return answer{status: resp.StatusCode, header: resp.Header, body: string(got)}
			}
			right := func() string {
				whole := ask("hello", `"user":"u","seed":7,"stop":"###"`)
				var got struct {
					Object, Model string
					Choices       []struct {
						Message      struct{ Role, Content string }
						FinishReason string `json:"finish_reason"`
					}
					Usage struct {
						Prompt int `json:"prompt_tokens"`
						Total  int `json:"total_tokens"`
					}
				}
				if err := json.Unmarshal([]byte(whole.body), &got); err != nil || whole.status != 200 || len(got.Choices) != 1 || got.Choices[0].Message.Content != publishedText ||
					got.Choices[0].FinishReason != "stop" || got.Object != "chat.completion" || got.Usage.Prompt != 7 || got.Usage.Total != 12 {
					return fmt.Sprintf("whole: %d %v: %s", whole.status, err, whole.body)
				}
				if u := whole.header.Get("X-Alipayai-Unsupported"); u != api.unsupported {
					return "unsupported: " + u
				}
				streamed := ask("hello", `"stream":true,"stream_options":{"include_usage":true}`)
				if streamed.status != 200 || said(t, streamed.body) != publishedText || !strings.HasSuffix(streamed.body, "\n\ndata: [DONE]\n\n") ||
					!strings.Contains(streamed.body, `"finish_reason":"stop"`) || !strings.Contains(streamed.body, `"total_tokens":12}`) {
					return fmt.Sprintf("streamed: %d: %s", streamed.status, streamed.body)
				}
				if bare := ask("hello", `"stream":true`); strings.Contains(bare.body, `"usage"`) || said(t, bare.body) != publishedText {
					return "streamed without usage: " + bare.body
				}
				return ""
			}
			if err := load(api.contract); err != nil {
				t.Fatal(err)
			}
			if what := right(); what != "" {
				t.Fatal(what)
			}
			for prompt, reason := range api.finish {
				for _, more := range []string{`"top_p":1`, `"stream":true`} {
					if a := ask(prompt, more); a.status != http.StatusOK || !strings.Contains(a.body, `"finish_reason":"`+reason+`"`) {
						t.Errorf("%s: %s", prompt, a.body)
					}
				}
			}
			for _, prompt := range []string{"cut", "breaks"} {
				if a := ask(prompt, `"stream":true`); name != "Baidu ERNIE" || prompt == "cut" {
					if !strings.Contains(a.body, `"error":`) || strings.Contains(a.body, "[DONE]") || said(t, a.body[:strings.LastIndex(a.body, "data: ")]) != strings.Join(publishedPieces[:2], "") {
						t.Errorf("%s: %s", prompt, a.body)
					}
				}
			}
			for what, change := range api.wrong {
				if !strings.Contains(api.contract, change[0]) {
					t.Fatalf("%s: the contract has no %q", what, change[0])
				}
				if load(strings.Replace(api.contract, change[0], change[1], 1)) == nil && right() == "" {
					t.Errorf("%s: right all the same", what)
				}
			}
			if err := load(api.contract); err != nil {
				t.Fatal(err)
			}
			for _, more := range []string{`"top_p":1`, `"stream":true`} {
				if a := ask("busy", more); a.status < 500 || a.code() != api.codes[0] {
					t.Errorf("busy: %d %s", a.status, a.body)
				}
			}
			if a := ask("limit", `"top_p":1`); a.status != http.StatusTooManyRequests || a.code() != api.codes[1] {
				t.Errorf("limit: %d %s", a.status, a.body)
			}
			if logs := g.logs(); strings.Contains(logs, publishedKey) || strings.Contains(logs, "published-access-token") {
				t.Error("the log holds a secret")
			}
		})
	}
}
