package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func TestChat(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		var resp *http.Response
		answer, err := c.complete(t.Context(), false, ask("你好, Alipay & <co>"), option.WithResponseInto(&resp))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := text(answer), "You said: 你好, Alipay & <co>"; got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
		if answer.Model != modelChat || answer.ID == "" || answer.Usage.TotalTokens == 0 ||
			answer.Usage.TotalTokens != answer.Usage.PromptTokens+answer.Usage.CompletionTokens {
			t.Errorf("model %q, id %q, usage %+v", answer.Model, answer.ID, answer.Usage)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "X-Alipayai-Provider": "alipay", "X-Alipayai-Attempts": "1",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if id := resp.Header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
			t.Errorf("X-Request-Id is %q", id)
		}
	})
}

func TestImages(t *testing.T) {
	g := startGateway(t, options{})
	image := func(url string) openai.ChatCompletionContentPartUnionParam {
		return openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: url, Detail: "low"})
	}
	chat := openai.ChatCompletionNewParams{
		Model: modelChat,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart("Which receipt is newer?"),
			image("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="),
			image("https://images.example.com/receipt.jpg?a=1&b=2"),
		})},
	}
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			answer, err := c.complete(t.Context(), streamed, chat)
			if got, want := text(answer), "You said: Which receipt is newer? (with 2 images)"; err != nil || got != want {
				t.Errorf("%s: answer %q, %v; want %q", form, got, err, want)
			}
			if got := g.take(pathChat); len(got) != 1 || got[0] != c.wire.sent() {
				t.Errorf("%s: the API got %q, the client sent %q", form, got, c.wire.sent())
			}
		}
	})
}

// TestBodyIsForwarded: what the gateway does not know is the upstream's
// business, in the spelling that the client chose.
func TestBodyIsForwarded(t *testing.T) {
	cases := map[string]struct {
		provider string
		opts     []option.RequestOption
		// upstream is what the API gets where it is not what was sent.
		upstream func(sent string) string
	}{
		"unknown fields": {
			opts: []option.RequestOption{
				option.WithJSONSet("alipay_scene", map[string]any{"biz": "信用", "tags": []string{"<b>", "a&b", "\u2028"}}),
				option.WithJSONSet("amount", 1.10),
				option.WithJSONSet("serial", uint64(18446744073709551615)),
				option.WithJSONSet("messages.0.cache_control", map[string]any{"type": "ephemeral"}),
				option.WithJSONSet("nothing", nil),
			},
		},
		"odd spelling": {
			opts: []option.RequestOption{option.WithRequestBody("application/json", []byte(
				"\n{ \"serial\" : 123456789012345678901234567890.10e+2,\t\"messages\":[{\"content\":\"\\u4f60\\ud83d\\ude00\\/\",\"role\":\"user\"} ] ,\r\n"+
					`"x":{"b":1,"a":[1.0,-0,1E9]},"model":"alipay-fin-1"}`+" \n"))},
		},
		"mapped model": {
			provider: "model alipay-fin-1 alipay-fin-mini",
			opts: []option.RequestOption{
				option.WithJSONSet("metadata.model", modelChat),
				option.WithJSONSet("serial", uint64(18446744073709551615)),
			},
			upstream: func(sent string) string {
				return strings.Replace(sent, `"model":"alipay-fin-1"`, `"model":"alipay-fin-mini"`, 1)
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, options{provider: tc.provider})
			g.overEachProtocol(t, func(t *testing.T, c *client) {
				if _, err := c.complete(t.Context(), false, ask("Hello."), tc.opts...); err != nil {
					t.Fatal(err)
				}
				want := c.wire.sent()
				if tc.upstream != nil {
					want = tc.upstream(want)
					if want == c.wire.sent() {
						t.Fatalf("nothing to replace in %s", want)
					}
				}
				if got := g.take(pathChat); len(got) != 1 || got[0] != want {
					t.Errorf("the API got\n%q, want\n%q", got, want)
				}
			})
		})
	}
}
