package e2e

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claudeoption "github.com/anthropics/anthropic-sdk-go/option"
)

// Clients of several vendors, unchanged but for base URL and key, see the same whichever provider answers.
func TestNodeClients(t *testing.T) {
	const said, city, kinds = `"You said: Hello."`, `{"city":"string"}`, `{"city":"string","degrees":"number"}`
	always := map[string]string{
		"anthropic messages":      `["message",` + said + `,"end_turn",true]`,
		"anthropic stream helper": `[` + said + `,` + said + `,"end_turn",true,true]`,
		"anthropic tools":         `["tool_use","get_weather",` + city + `,"The tool said: 22 °C"]`,
		"anthropic count_tokens":  `[true]`,
		"anthropic parsed output": `[` + kinds + `]`,
		"anthropic models":        `[true,true]`,
		"anthropic errors":        `["BadRequestError",400,"invalid_request_error","string"]`,
		"anthropic wrong key":     `["AuthenticationError",401,"authentication_error"]`,
		"ai text":                 `[` + said + `,"stop"]`,
		"ai stream":               `[` + said + `,"stop"]`,
		"ai tools":                `["The tool said: 22 °C",2]`,
		"ai object":               `[` + kinds + `]`,
		"openai chat":             `[` + said + `]`,
		"openai tools runner":     `["The tool said: 22 °C"]`,
		"openai parsed output":    `[` + kinds + `]`,
		"openai models":           `[true,true]`,
		"openai completions":      `["text_completion",` + said + `,` + said + `]`,
	}
	for name, c := range map[string]struct {
		options      options
		model, embed string
		more         map[string]string
	}{
		"alipay": {options{}, modelChat, modelEmbed, map[string]string{"openai embeddings": `[1]`, "openai moderations": `[false]`}},
		"claude": {options{providers: "claude"}, modelClaude, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, c.options)
			var seen map[string]json.RawMessage
			runNode(t, "clients.mjs", map[string]string{"base": "http://" + g.addr, "key": g.key, "model": c.model, "embed": c.embed}, &seen)
			want := maps.Clone(always)
			maps.Copy(want, c.more)
			for step := range want {
				if string(seen[step]) != want[step] {
					t.Errorf("%s saw %s, want %s", step, seen[step], want[step])
				}
			}
			if len(seen) != len(want) {
				t.Errorf("%d steps, want %d", len(seen), len(want))
			}
		})
	}
}

// Anthropic's Go SDK against each format of provider: its types know all that it gets.
func TestMessagesWithGoSDK(t *testing.T) {
	for name, o := range map[string]struct {
		options options
		model   string
	}{"alipay": {options{}, modelChat}, "claude": {options{providers: "claude"}, modelClaude}} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, o.options)
			c := anthropic.NewClient(claudeoption.WithBaseURL("http://"+g.addr), claudeoption.WithAPIKey(g.key), claudeoption.WithMaxRetries(0))
			for form, streamed := range forms {
				t.Run(form, func(t *testing.T) {
					params := anthropic.MessageNewParams{
						Model: o.model, MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: "Be brief."}},
						Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("What does get_weather say?"))},
						Tools: []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
							Name: "get_weather", InputSchema: anthropic.ToolInputSchemaParam{
								Properties: map[string]any{"city": map[string]any{"type": "string"}}, Required: []string{"city"},
							},
						}}},
					}
					m, err := converse(t, c, streamed, params)
					if err != nil || len(m.Content) != 1 || m.Content[0].Type != "tool_use" || m.StopReason != anthropic.StopReasonToolUse {
						t.Fatalf("want one call, got %+v (%v)", m.Content, err)
					}
					call := m.Content[0].AsToolUse()
					params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "22 °C", false)))
					if m, err = converse(t, c, streamed, params); err != nil || len(m.Content) != 1 || m.Content[0].Text != "The tool said: 22 °C" {
						t.Errorf("answer %+v, %v", m.Content, err)
					}
					if m.Usage.InputTokens == 0 || m.Usage.OutputTokens == 0 {
						t.Errorf("usage %+v", m.Usage)
					}
				})
			}
			n, err := c.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
				Model: o.model, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello."))},
			})
			if err != nil || n.InputTokens == 0 {
				t.Errorf("counted %+v, %v", n, err)
			}
			models, err := c.Models.List(t.Context(), anthropic.ModelListParams{Limit: anthropic.Int(1000)})
			if err != nil || len(models.Data) == 0 {
				t.Fatalf("models %+v, %v", models, err)
			}
			checkKnown(t, reflect.ValueOf(models.Data))
		})
	}
}
