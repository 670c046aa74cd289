package e2e

import (
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// keepsResponses is what clients need that go on from a response.
const keepsResponses = "store_responses 1h"

// OpenAI's Go SDK against each format of provider.
func TestResponsesWithGoSDK(t *testing.T) {
	for name, o := range map[string]struct{ providers, model string }{"alipay": {"", modelChat}, "claude": {"claude", modelClaude}} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, options{providers: o.providers, proxy: keepsResponses})
			c := g.client(t, protocols["http1"])
			params := responses.ResponseNewParams{
				Model: o.model, Instructions: openai.String("Be brief."),
				Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("What does get_weather say?")},
				Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{
					Name: "get_weather", Parameters: map[string]any{"type": "object", "properties": map[string]any{}, "additionalProperties": false}, Strict: openai.Bool(true),
				}}},
			}
			asked, err := c.Responses.New(t.Context(), params)
			if err != nil || len(asked.Output) != 1 || asked.Output[0].Type != "function_call" || asked.Status != responses.ResponseStatusCompleted {
				t.Fatalf("want one call, got %+v (%v)", asked, err)
			}
			params.PreviousResponseID = openai.String(asked.ID)
			output := responses.ResponseInputItemParamOfFunctionCallOutput("22 °C")
			output.OfFunctionCallOutput.CallID = openai.String(asked.Output[0].CallID)
			params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{output}}
			said, err := c.Responses.New(t.Context(), params)
			if err != nil || said.OutputText() != "The tool said: 22 °C" || said.PreviousResponseID != asked.ID || said.Usage.OutputTokens == 0 {
				t.Fatalf("answer %+v (%v)", said, err)
			}
			stream := c.Responses.NewStreaming(t.Context(), params)
			text, last := "", responses.Response{}
			for n := int64(0); stream.Next(); n++ {
				event := stream.Current()
				if event.SequenceNumber != n {
					t.Errorf("event %d has number %d", n, event.SequenceNumber)
				}
				switch event := event.AsAny().(type) {
				case responses.ResponseTextDeltaEvent:
					text += event.Delta
				case responses.ResponseCompletedEvent:
					last = event.Response
				}
			}
			if stream.Err() != nil || text != "The tool said: 22 °C" || last.OutputText() != text {
				t.Errorf("streamed %q, at the end %q (%v)", text, last.OutputText(), stream.Err())
			}
			if again, err := c.Responses.Get(t.Context(), said.ID, responses.ResponseGetParams{}); err != nil || again.OutputText() != said.OutputText() {
				t.Errorf("kept is %+v (%v)", again, err)
			}
			if err := c.Responses.Delete(t.Context(), said.ID); err != nil {
				t.Error(err)
			}
		})
	}
}
