package e2e

import (
	"encoding/json"
	"testing"

	"github.com/openai/openai-go/v3"
)

// TestTools: the model asks for a function, the client runs it and sends the
// result back, the model answers with it.
func TestTools(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			t.Run(form, func(t *testing.T) {
				chat := ask("What does get_weather say of Hangzhou?")
				chat.Tools = []openai.ChatCompletionToolUnionParam{
					function("get_time", "zone", "string"),
					function("get_weather", "city", "string", "days", "integer"),
				}
				answer, err := c.complete(t.Context(), streamed, chat)
				if err != nil {
					t.Fatal(err)
				}
				if len(answer.Choices) != 1 || answer.Choices[0].FinishReason != "tool_calls" || len(answer.Choices[0].Message.ToolCalls) != 1 {
					t.Fatalf("want one tool call, got %+v", answer.Choices)
				}
				call := answer.Choices[0].Message.ToolCalls[0]
				if call.ID == "" || call.Type != "function" || call.Function.Name != "get_weather" {
					t.Errorf("id %q, type %q, name %q", call.ID, call.Type, call.Function.Name)
				}
				var arguments struct {
					City string `json:"city"`
					Days int    `json:"days"`
				}
				if err := json.Unmarshal([]byte(call.Function.Arguments), &arguments); err != nil {
					t.Fatalf("arguments %q: %v", call.Function.Arguments, err)
				}
				if arguments.City != "What does get_weather say of Hangzhou?" || arguments.Days != 1 {
					t.Errorf("arguments %+v", arguments)
				}

				chat.Messages = append(chat.Messages,
					answer.Choices[0].Message.ToParam(),
					openai.ToolMessage("22 °C, clear", call.ID))
				answer, err = c.complete(t.Context(), streamed, chat)
				if got, want := text(answer), "The tool said: 22 °C, clear"; err != nil || got != want {
					t.Errorf("answer %q, %v; want %q", got, err, want)
				}
			})
		}
	})
}

// function describes one whose parameters, given as names and types, are all
// required.
func function(name string, parameters ...string) openai.ChatCompletionToolUnionParam {
	properties := make(map[string]any)
	var required []string
	for i := 0; i < len(parameters); i += 2 {
		properties[parameters[i]] = map[string]any{"type": parameters[i+1]}
		required = append(required, parameters[i])
	}
	return openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name:       name,
		Parameters: openai.FunctionParameters{"type": "object", "properties": properties, "required": required},
	})
}
