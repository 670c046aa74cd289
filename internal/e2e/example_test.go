package e2e

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/sashabaranov/go-openai"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// exampleKey is the key of the example's tenant, as its text has it.
const exampleKey = "sk-alipayai-5HTKTRYENNC53RHC3SXUZX6DMXUNYYB6KIDCW5LGJVCUCEUN7LBT"

// startExample runs Caddyfile.example as it is, but for its addresses, and gives its site that has a key.
func startExample(t *testing.T) site {
	t.Helper()
	example, err := os.ReadFile("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	alipay, claude, spending := heldport.Addr(t), heldport.Addr(t), heldport.Addr(t)
	moved := string(example)
	for old, to := range map[string]string{
		"admin 127.0.0.1:2019":        "admin off\npersist_config off\nlog {\nlevel ERROR\nexclude alipayai.evidence\n}",
		"127.0.0.1:8080":              heldport.Addr(t),
		"127.0.0.1:8081":              alipay,
		"127.0.0.1:8082":              claude,
		"127.0.0.1:8083":              heldport.Addr(t),
		"127.0.0.1:8084":              spending,
		"127.0.0.1:8085":              heldport.Addr(t),
		"profile sandbox\n\t\t\t#":    "profile sandbox\nbase_url http://" + alipay + "\n#",
		"profile sandbox_anthropic\n": "profile sandbox_anthropic\nbase_url http://" + claude + "/v1\n",
	} {
		if !strings.Contains(moved, old) {
			t.Errorf("the example does not mention %q", old)
		}
		moved = strings.ReplaceAll(moved, old, to)
	}
	if !strings.Contains(moved, exampleKey) {
		t.Error("the example does not name its key")
	}
	stopCaddy(t)
	loadCaddyfile(t, moved)
	return site{"http://" + spending, exampleKey, modelChat, modelEmbed}
}

// A Go client that is no vendor's own, against the example.
func TestGoOpenAI(t *testing.T) {
	s := startExample(t)
	client := func(key string) *openai.Client {
		config := openai.DefaultConfig(key)
		config.BaseURL = s.Base + "/v1"
		return openai.NewClientWithConfig(config)
	}
	c := client(s.Key)
	chat := openai.ChatCompletionRequest{
		Model:    s.Model,
		Messages: []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: "What does get_weather say?"}},
		Tools: []openai.Tool{{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{
			Name: "get_weather", Parameters: map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		}}},
	}
	for form, streamed := range forms {
		t.Run(form, func(t *testing.T) {
			asked, err := chatWithGoOpenAI(t.Context(), c, chat, streamed)
			if err != nil || len(asked.ToolCalls) != 1 || asked.ToolCalls[0].Function.Name != "get_weather" {
				t.Fatalf("want one call, got %+v (%v)", asked, err)
			}
			on := chat
			on.Messages = append(on.Messages[:1:1], asked, openai.ChatCompletionMessage{
				Role: openai.ChatMessageRoleTool, ToolCallID: asked.ToolCalls[0].ID, Content: "22 °C",
			})
			if answer, err := chatWithGoOpenAI(t.Context(), c, on, streamed); err != nil || answer.Content != "The tool said: 22 °C" {
				t.Errorf("answer %+v (%v)", answer, err)
			}
		})
	}
	models, err := c.ListModels(t.Context())
	if err != nil || len(models.Models) == 0 {
		t.Errorf("models %+v (%v)", models, err)
	}
	vectors, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequestStrings{Input: []string{"a", "b"}, Model: openai.EmbeddingModel(s.Embed)})
	if err != nil || len(vectors.Data) != 2 || len(vectors.Data[0].Embedding) == 0 {
		t.Errorf("%d vectors (%v)", len(vectors.Data), err)
	}
	judged, err := c.Moderations(t.Context(), openai.ModerationRequest{Input: "Hello."})
	if err != nil || len(judged.Results) != 1 || judged.Results[0].Flagged {
		t.Errorf("moderation %+v (%v)", judged, err)
	}
	_, err = client("sk-wrong").ListModels(t.Context())
	refused, ok := errors.AsType[*openai.APIError](err)
	if !ok || refused.HTTPStatusCode != 401 || refused.Code != "invalid_api_key" {
		t.Errorf("a wrong key gets %v", err)
	}
}

// chatWithGoOpenAI gets the message of an answer, in one piece or streamed.
func chatWithGoOpenAI(ctx context.Context, c *openai.Client, chat openai.ChatCompletionRequest, streamed bool) (openai.ChatCompletionMessage, error) {
	if !streamed {
		answer, err := c.CreateChatCompletion(ctx, chat)
		if err != nil {
			return openai.ChatCompletionMessage{}, err
		}
		return answer.Choices[0].Message, nil
	}
	stream, err := c.CreateChatCompletionStream(ctx, chat)
	if err != nil {
		return openai.ChatCompletionMessage{}, err
	}
	defer stream.Close()
	whole := openai.ChatCompletionMessage{Role: openai.ChatMessageRoleAssistant}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		for _, choice := range chunk.Choices {
			whole.Content += choice.Delta.Content
			for _, call := range choice.Delta.ToolCalls {
				if call.ID != "" {
					whole.ToolCalls = append(whole.ToolCalls, call)
					continue
				}
				whole.ToolCalls[len(whole.ToolCalls)-1].Function.Arguments += call.Function.Arguments
			}
		}
	}
}
