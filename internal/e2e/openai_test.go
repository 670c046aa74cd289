package e2e

import (
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

func TestStreamedChat(t *testing.T) {
	g := startGateway(t, sandbox.Config{})
	client := g.client(t)
	stream := client.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
		Model:    "alipay-fin-1",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")},
	})
	var chat openai.ChatCompletionAccumulator
	chunks := 0
	for stream.Next() {
		chunks++
		if !chat.AddChunk(stream.Current()) {
			t.Fatalf("chunk %d does not belong to the answer", chunks)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if chunks < 2 || len(chat.Choices) != 1 || chat.Choices[0].Message.Content == "" || chat.Choices[0].FinishReason != "stop" {
		t.Errorf("%d chunks make %+v", chunks, chat.Choices)
	}
}
