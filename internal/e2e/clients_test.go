package e2e

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claudeoption "github.com/anthropics/anthropic-sdk-go/option"
)

// scripts are the clients for Node, each with what its steps see of whichever provider answers.
var scripts = map[string]map[string]string{
	"clients.mjs": {
		"anthropic messages":      `["message",` + said + `,"end_turn",true]`,
		"anthropic stream helper": `[` + said + `,` + said + `,"end_turn",true,true]`,
		"anthropic tools":         `["tool_use","get_weather",` + city + `,` + told + `]`,
		"anthropic count_tokens":  `[true]`,
		"anthropic parsed output": `[` + weather + `]`,
		"anthropic models":        `[true,true]`,
		"anthropic errors":        `["BadRequestError",400,"invalid_request_error","string"]`,
		"anthropic wrong key":     `["AuthenticationError",401,"authentication_error"]`,
		"ai text":                 `[` + said + `,"stop"]`,
		"ai stream":               `[` + said + `,"stop"]`,
		"ai tools":                `[` + told + `,2]`,
		"ai object":               `[` + weather + `]`,
		"openai chat":             `[` + said + `]`,
		"openai tools runner":     `[` + told + `]`,
		"openai parsed output":    `[` + weather + `]`,
		"openai models":           `[true,true]`,
		"openai completions":      `["text_completion",` + said + `,` + said + `]`,
		"openai embeddings":       `[1]`,
		"openai moderations":      `[false]`,
	},
	"responses.mjs": {
		"openai create":                         `["response","completed",` + said + `,true]`,
		"openai stream helper":                  `[` + said + `,` + said + `,"response.created","response.completed",true]`,
		"openai tools, by previous_response_id": `[` + told + `,` + told + `]`,
		"openai tools, by items":                `["get_weather",` + city + `,` + told + `]`,
		"openai parsed output":                  `[` + weather + `]`,
		"openai kept responses":                 `[` + said + `,["Hello."],"NotFoundError"]`,
		"openai errors":                         `["BadRequestError",400,"max_output_tokens","invalid_value"]`,
		"agents loop":                           `[` + told + `,2]`,
		"agents stream":                         `[` + told + `,` + told + `]`,
		"agents handoff":                        `["forecaster","string",2]`,
		"agents, by previousResponseId":         `[` + said + `,"You said: And again."]`,
		"ai text":                               `[` + said + `,"stop"]`,
		"ai stream":                             `[` + said + `,"stop",true]`,
		"ai tools":                              `[` + told + `,2]`,
		"ai tools, streamed":                    `[` + told + `,2]`,
		"ai object":                             `[` + weather + `]`,
		"langchain, responses":                  `["get_weather",` + told + `,` + said + `,true]`,
		"langchain, chat":                       `["get_weather",` + told + `,` + said + `,true]`,
		"langchain, structured":                 `[` + weather + `]`,
	},
	"more.mjs": {
		"langchain anthropic":             `["get_weather",` + city + `,` + told + `,true]`,
		"langchain anthropic, streaming":  `["get_weather",` + city + `,` + told + `,true]`,
		"langchain anthropic, stream":     `[` + said + `,true]`,
		"langchain anthropic, structured": `[` + weather + `]`,
		"langchain anthropic, errors":     `[401,"authentication_error"]`,
		"compatible text":                 `[` + said + `,"stop",true]`,
		"compatible stream":               `[` + said + `,"stop",true]`,
		"compatible tools":                `[` + told + `,2]`,
		"compatible tools, streamed":      `[` + told + `,2]`,
		"compatible object":               `[` + weather + `]`,
		"compatible errors":               `[401,"invalid_api_key"]`,
		"compatible embedding":            `[true]`,
	},
}

// What the simulators say, and of what kinds the values of objects are.
const said, told, city, weather = `"You said: Hello."`, `"The tool said: 22 °C"`, `{"city":"string"}`, `{"city":"string","degrees":"number"}`

// embeds are the steps that a gateway sees where no provider has embeddings.
var embeds = []string{"openai embeddings", "openai moderations", "compatible embedding"}

// site is where clients are pointed: all that they are told.
type site struct {
	Base  string `json:"base"`
	Key   string `json:"key"`
	Model string `json:"model"`
	Embed string `json:"embed"` // the model; empty where the providers have none
}

// Clients of several vendors, unchanged but for base URL and key, see the same whichever provider answers; and at the
// example as it is.
func TestNodeClients(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) site{
		"alipay": func(t *testing.T) site {
			t.Helper()
			g := startGateway(t, options{proxy: keepsResponses})
			return site{"http://" + g.addr, g.key, modelChat, modelEmbed}
		},
		"claude": func(t *testing.T) site {
			t.Helper()
			g := startGateway(t, options{providers: "claude", proxy: keepsResponses})
			return site{"http://" + g.addr, g.key, modelClaude, ""}
		},
		"the example": startExample,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for script, want := range scripts {
				t.Run(script, func(t *testing.T) {
					t.Parallel()
					var seen map[string]json.RawMessage
					runNode(t, script, s, &seen)
					for step := range want {
						if s.Embed == "" && slices.Contains(embeds, step) {
							continue
						}
						if string(seen[step]) != want[step] {
							t.Errorf("%s saw %s, want %s", step, seen[step], want[step])
						}
					}
					for step := range seen {
						if want[step] == "" {
							t.Errorf("%s is not in the table", step)
						}
					}
				})
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
