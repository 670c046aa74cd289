package e2e

import (
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// TestClaudeTakes: requests that OpenAI's API serves, and that Anthropic's would
// refuse as they stand, get an answer of the simulated Messages API, which
// refuses them too.
func TestClaudeTakes(t *testing.T) {
	count := map[string]any{
		"type": "object", "properties": map[string]any{"days": map[string]any{"type": "integer", "minimum": 1}}, "required": []string{"days"},
		"additionalProperties": false,
	}
	hello := []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello.")}
	cases := map[string]struct {
		chat        openai.ChatCompletionNewParams
		unsupported string
	}{
		"the assistant begins": {
			openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.AssistantMessage("Hi! How can I help?"), openai.UserMessage("Hello."),
			}}, "messages.role",
		},
		"white space at the end": {
			openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage("Hello."), openai.AssistantMessage("Hi,\n"),
			}}, "",
		},
		"a strict tool with a minimum": {
			openai.ChatCompletionNewParams{Messages: hello, Tools: []openai.ChatCompletionToolUnionParam{
				openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
					Name: "get_weather", Strict: openai.Bool(true), Parameters: count,
				}),
			}}, "tools.function.parameters.minimum",
		},
		"an answer with a minimum": {
			openai.ChatCompletionNewParams{Messages: hello, ResponseFormat: answerSchema(count)}, "response_format.json_schema.schema.minimum",
		},
		"an image by http": {
			openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.TextContentPart("Hello."),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "http://images.example.com/a.jpg"}),
				}),
			}}, "messages.content.image_url",
		},
	}
	g := startGateway(t, options{providers: "claude"})
	c := g.client(t, protocols["http1"])
	for name, tc := range cases {
		for form, streamed := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				tc.chat.Model = modelClaude
				var resp *http.Response
				answer, err := c.complete(t.Context(), streamed, tc.chat, option.WithResponseInto(&resp))
				if err != nil {
					t.Fatal(err)
				}
				want := "You said: Hello."
				if tc.unsupported == "messages.content.image_url" {
					want += "[image_url left out]" // which the model reads in its place
				}
				if tc.chat.ResponseFormat.OfJSONSchema != nil {
					want = `{"days":1}` // the least that the schema takes
				}
				if text := answer.Choices[0].Message.Content; text != want {
					t.Errorf("the answer is %q, want %q", text, want)
				}
				if got := resp.Header.Get("X-Alipayai-Unsupported"); got != tc.unsupported {
					t.Errorf("left out %q, want %q", got, tc.unsupported)
				}
			})
		}
	}
}
