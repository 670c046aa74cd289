package e2e

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestClaudeRequests: what arrives at Anthropic's API is what Anthropic's own
// SDK would send for the same conversation, and has nothing in it that the SDK
// does not know.
func TestClaudeRequests(t *testing.T) {
	const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	hello := []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello.")}
	asHello := []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello."))}
	weather := []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "get_weather", Description: openai.String("Weather of a city <now>."), Strict: openai.Bool(true),
		Parameters: openai.FunctionParameters{
			"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"},
			"additionalProperties": false,
		},
	})}
	asWeather := []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "get_weather", Description: anthropic.String("Weather of a city <now>."), Strict: anthropic.Bool(true),
		InputSchema: anthropic.ToolInputSchemaParam{
			Properties: map[string]any{"city": map[string]any{"type": "string"}}, Required: []string{"city"},
			ExtraFields: map[string]any{"additionalProperties": false},
		},
	}}}
	city := map[string]any{
		"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []any{"city"},
		"additionalProperties": false,
	}
	called := func(id, city string) openai.ChatCompletionMessageToolCallUnionParam {
		return openai.ChatCompletionMessageToolCallUnionParam{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
			ID:       id,
			Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "get_weather", Arguments: `{"city":"` + city + `","days":1.50}`},
		}}
	}
	asCalled := func(id, city string) anthropic.ContentBlockParamUnion {
		return anthropic.NewToolUseBlock(id, map[string]any{"city": city, "days": 1.5}, "get_weather")
	}
	asResult := func(id, text string) anthropic.ContentBlockParamUnion {
		return anthropic.ContentBlockParamUnion{OfToolResult: &anthropic.ToolResultBlockParam{
			ToolUseID: id,
			Content:   []anthropic.ToolResultBlockParamContentUnion{{OfText: &anthropic.TextBlockParam{Text: text}}},
		}}
	}

	cases := map[string]struct {
		chat openai.ChatCompletionNewParams
		want anthropic.MessageNewParams
		// unsupported is what was left out, as the answer's header says.
		unsupported string
	}{
		"a prompt": {
			chat: openai.ChatCompletionNewParams{Messages: hello},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello},
		},
		"system and developer messages": {
			chat: openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.SystemMessage("Be brief."), openai.UserMessage("Hello."), openai.AssistantMessage("Hi!"),
				openai.DeveloperMessage("Be 友好 & <kind>."), openai.UserMessage("And you?"), openai.UserMessage("Say."),
			}},
			want: anthropic.MessageNewParams{
				MaxTokens: 8192,
				System:    []anthropic.TextBlockParam{{Text: "Be brief."}, {Text: "Be 友好 & <kind>."}},
				Messages: []anthropic.MessageParam{
					asHello[0], anthropic.NewAssistantMessage(anthropic.NewTextBlock("Hi!")),
					anthropic.NewUserMessage(anthropic.NewTextBlock("And you?"), anthropic.NewTextBlock("Say.")),
				},
			},
		},
		"images": {
			chat: openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
					openai.TextContentPart("Which is newer?"),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + pixel}),
					openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://images.example.com/a.jpg?a=1&b=2"}),
				}),
			}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(
				anthropic.NewTextBlock("Which is newer?"),
				anthropic.NewImageBlockBase64("image/png", pixel),
				anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: "https://images.example.com/a.jpg?a=1&b=2"}),
			)}},
		},
		"tools, calls and results": {
			chat: openai.ChatCompletionNewParams{Tools: weather, Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage("Hello."),
				{OfAssistant: &openai.ChatCompletionAssistantMessageParam{
					Content:   openai.ChatCompletionAssistantMessageParamContentUnion{OfString: openai.String("Let me see.")},
					ToolCalls: []openai.ChatCompletionMessageToolCallUnionParam{called("call_1", "杭州"), called("call_2", "Oslo")},
				}},
				openai.ToolMessage("22 °C", "call_1"), openai.ToolMessage("4 °C", "call_2"), openai.UserMessage("So?"),
			}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Tools: asWeather, Messages: []anthropic.MessageParam{
				asHello[0],
				anthropic.NewAssistantMessage(anthropic.NewTextBlock("Let me see."), asCalled("call_1", "杭州"), asCalled("call_2", "Oslo")),
				anthropic.NewUserMessage(asResult("call_1", "22 °C"), asResult("call_2", "4 °C"), anthropic.NewTextBlock("So?")),
			}},
		},
		"a tool without parameters": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: []openai.ChatCompletionToolUnionParam{
				openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_time"}),
			}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: []anthropic.ToolUnionParam{
				{OfTool: &anthropic.ToolParam{Name: "get_time", InputSchema: anthropic.ToolInputSchemaParam{Type: "object"}}},
			}},
		},
		"tool_choice auto": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: weather,
				ToolChoice: openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("auto")}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: asWeather},
		},
		"tool_choice none": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: weather,
				ToolChoice: openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: asWeather,
				ToolChoice: anthropic.ToolChoiceUnionParam{OfNone: &anthropic.ToolChoiceNoneParam{}}},
		},
		"tool_choice required, one at a time": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: weather, ParallelToolCalls: openai.Bool(false),
				ToolChoice: openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: asWeather,
				ToolChoice: anthropic.ToolChoiceUnionParam{OfAny: &anthropic.ToolChoiceAnyParam{DisableParallelToolUse: anthropic.Bool(true)}}},
		},
		"tool_choice of a function": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: weather, ParallelToolCalls: openai.Bool(true),
				ToolChoice: openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "get_weather"})},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: asWeather,
				ToolChoice: anthropic.ToolChoiceParamOfTool("get_weather")},
		},
		"one tool at a time": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Tools: weather, ParallelToolCalls: openai.Bool(false)},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, Tools: asWeather,
				ToolChoice: anthropic.ToolChoiceUnionParam{OfAuto: &anthropic.ToolChoiceAutoParam{DisableParallelToolUse: anthropic.Bool(true)}}},
		},
		"sampling and limits": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Temperature: openai.Float(0.25), MaxCompletionTokens: openai.Int(77),
				Stop: openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"END", "终"}}},
			want: anthropic.MessageNewParams{MaxTokens: 77, Messages: asHello, Temperature: anthropic.Float(0.25), StopSequences: []string{"END", "终"}},
		},
		"one stop, the older limit, top_p": {
			chat: openai.ChatCompletionNewParams{Messages: hello, TopP: openai.Float(0.5), MaxTokens: openai.Int(9),
				Stop: openai.ChatCompletionNewParamsStopUnion{OfString: openai.String("END")}},
			want: anthropic.MessageNewParams{MaxTokens: 9, Messages: asHello, TopP: anthropic.Float(0.5), StopSequences: []string{"END"}},
		},
		"the assistant begins": {
			chat: openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.AssistantMessage("Hi! How can I help?"), openai.UserMessage("Hello."),
			}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: []anthropic.MessageParam{
				anthropic.NewUserMessage(anthropic.NewTextBlock(".")),
				anthropic.NewAssistantMessage(anthropic.NewTextBlock("Hi! How can I help?")), asHello[0],
			}},
			unsupported: "messages.role",
		},
		"the assistant is to go on": {
			chat: openai.ChatCompletionNewParams{Messages: []openai.ChatCompletionMessageParamUnion{
				openai.UserMessage("Hello."), openai.AssistantMessage("Hi, "),
			}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: []anthropic.MessageParam{
				asHello[0], anthropic.NewAssistantMessage(anthropic.NewTextBlock("Hi,")),
			}},
		},
		"a schema of the answer": {
			chat: openai.ChatCompletionNewParams{Messages: hello, ResponseFormat: answerSchema(city)},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello,
				OutputConfig: anthropic.OutputConfigParam{Format: anthropic.JSONOutputFormatParam{Schema: city}}},
		},
		"any JSON": {
			chat: openai.ChatCompletionNewParams{Messages: hello, ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
				OfJSONObject: &shared.ResponseFormatJSONObjectParam{}}},
			want: anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello, System: []anthropic.TextBlockParam{
				{Text: "Answer with one JSON object that has neither words nor a code fence around it."}}},
			unsupported: "response_format",
		},
		"what Anthropic's API does not have": {
			chat: openai.ChatCompletionNewParams{Messages: hello, Seed: openai.Int(7), PresencePenalty: openai.Float(0.5), N: openai.Int(1),
				Temperature: openai.Float(1.5)},
			want:        anthropic.MessageNewParams{MaxTokens: 8192, Messages: asHello},
			unsupported: "presence_penalty, seed, temperature",
		},
	}
	server := startClaudeServer(t, (&claudeAnswer{message: anthropic.Message{ID: "msg_1", StopReason: anthropic.StopReasonEndTurn},
		content: []any{anthropic.TextBlock{Text: "Hi."}}}).write)
	g := startGateway(t, options{providers: "claude", claudeURL: server.URL})
	c := g.client(t, protocols["http1"])
	for name, tc := range cases {
		for form, streamed := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				tc.chat.Model = modelClaude
				var resp *http.Response
				if _, err := c.complete(t.Context(), streamed, tc.chat, option.WithResponseInto(&resp)); err != nil {
					t.Fatal(err)
				}
				if got := resp.Header.Get("X-Alipayai-Unsupported"); got != tc.unsupported {
					t.Errorf("left out %q, want %q", got, tc.unsupported)
				}
				headers, bodies := server.take()
				if len(bodies) != 1 {
					t.Fatalf("the API was asked %d times, want once", len(bodies))
				}
				if key, version := headers[0].Get("X-Api-Key"), headers[0].Get("Anthropic-Version"); key != sandbox.DemoAPIKey || version != "2023-06-01" {
					t.Errorf("X-Api-Key is %q, Anthropic-Version %q", key, version)
				}
				got := meaning(t, bodies[0])
				if was, _ := got["stream"].(bool); was != streamed {
					t.Errorf("stream is %v, want %v", got["stream"], streamed)
				}
				delete(got, "stream") // the SDK adds it to a request by the method that is called

				tc.want.Model = modelClaude
				if want := meaning(t, encode(t, tc.want)); !reflect.DeepEqual(got, want) {
					t.Errorf("the API got\n%v, the SDK would send\n%v", got, want)
				}
				var decoded anthropic.MessageNewParams
				if err := json.Unmarshal(bodies[0], &decoded); err != nil {
					t.Fatal(err)
				}
				if again := meaning(t, encode(t, decoded)); !reflect.DeepEqual(got, again) {
					t.Errorf("the API got\n%v, of which the SDK understands\n%v", got, again)
				}
			})
		}
	}
}

// answerSchema asks for an answer by a schema.
func answerSchema(schema map[string]any) openai.ChatCompletionNewParamsResponseFormatUnion {
	return openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "answer", Strict: openai.Bool(true), Schema: schema},
	}}
}

// TestClaudeUser: who the user is stays with the gateway.
func TestClaudeUser(t *testing.T) {
	server := startClaudeServer(t, (&claudeAnswer{message: anthropic.Message{ID: "msg_1", StopReason: anthropic.StopReasonEndTurn}}).write)
	g := startGateway(t, options{providers: "claude", claudeURL: server.URL})
	c := g.client(t, protocols["http1"])
	chat := ask("Hello.")
	chat.SafetyIdentifier = openai.String("zhang.san@example.com")
	if _, err := c.complete(t.Context(), false, chat); err != nil {
		t.Fatal(err)
	}
	_, bodies := server.take()
	var params anthropic.MessageNewParams
	if err := json.Unmarshal(bodies[0], &params); err != nil {
		t.Fatal(err)
	}
	if id := params.Metadata.UserID.Value; len(id) != 64 || strings.Contains(string(bodies[0]), "zhang") {
		t.Errorf("the API got %s", bodies[0])
	}
}

// meaning is a JSON object without its spelling.
func meaning(t *testing.T, body []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(body, &object); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return object
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
