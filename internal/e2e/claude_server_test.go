package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claudeoption "github.com/anthropics/anthropic-sdk-go/option"
	claudeshared "github.com/anthropics/anthropic-sdk-go/shared"
)

// claudeServer is an API that answers as a test says, and keeps what it was
// sent.
type claudeServer struct {
	*httptest.Server

	mu      sync.Mutex
	respond func(w http.ResponseWriter, streamed bool)
	headers []http.Header
	bodies  [][]byte
}

func startClaudeServer(t *testing.T, respond func(w http.ResponseWriter, streamed bool)) *claudeServer {
	t.Helper()
	s := &claudeServer{respond: respond}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *claudeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request struct {
		Stream bool `json:"stream"`
	}
	if err != nil || json.Unmarshal(body, &request) != nil || r.Method != http.MethodPost || r.URL.Path != pathMessages {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.headers, s.bodies = append(s.headers, r.Header.Clone()), append(s.bodies, body)
	respond := s.respond
	s.mu.Unlock()
	respond(w, request.Stream)
}

// answers changes what the server answers.
func (s *claudeServer) answers(respond func(w http.ResponseWriter, streamed bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = respond
}

// take gives the requests since the last take.
func (s *claudeServer) take() (headers []http.Header, bodies [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	headers, bodies = s.headers, s.bodies
	s.headers, s.bodies = nil, nil
	return headers, bodies
}

// claudeAnswer is an answer made of the types of Anthropic's SDK. Those are for
// reading: where they are unions, or where the API writes null for nothing, the
// types below say the same with concrete blocks and pointers.
type claudeAnswer struct {
	message anthropic.Message
	content []any // the message's blocks
	// breaks is the type of the error that ends a stream after its first content.
	breaks claudeshared.ErrorType
}

type writtenMessage struct {
	anthropic.Message
	Container    *anthropic.Container   `json:"container"`
	Content      []any                  `json:"content"`
	Diagnostics  *anthropic.Diagnostics `json:"diagnostics"`
	StopReason   *anthropic.StopReason  `json:"stop_reason"`
	StopSequence *string                `json:"stop_sequence"`
}

type writtenToolUse struct {
	anthropic.ToolUseBlock
	Caller anthropic.DirectCaller `json:"caller"`
}

type writtenStart struct {
	anthropic.MessageStartEvent
	Message writtenMessage `json:"message"`
}

type writtenBlockStart struct {
	anthropic.ContentBlockStartEvent
	ContentBlock any `json:"content_block"`
}

type writtenDelta struct {
	anthropic.ContentBlockDeltaEvent
	Delta any `json:"delta"`
}

func (a *claudeAnswer) written() writtenMessage {
	m := a.message
	m.Model = modelClaude
	w := writtenMessage{Message: m, Content: a.content, StopReason: &m.StopReason}
	if w.Content == nil {
		w.Content = []any{}
	}
	if m.StopSequence != "" {
		w.StopSequence = &m.StopSequence
	}
	return w
}

// write answers with the message, or with the events that make it up.
func (a *claudeAnswer) write(w http.ResponseWriter, streamed bool) {
	if !streamed {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.written()) // on failure the client will tell
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, event := range a.events() {
		body, err := json.Marshal(event)
		if err != nil {
			panic(err)
		}
		var typed struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(body, &typed); err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", typed.Type, body)
	}
}

func (a *claudeAnswer) events() []any {
	start := a.written()
	start.Content, start.StopReason, start.StopSequence = []any{}, nil, nil
	start.Usage.OutputTokens = 1
	events := []any{writtenStart{Message: start}, map[string]string{"type": "ping"}}
	for i, block := range a.content {
		begin := anthropic.ContentBlockStartEvent{Index: int64(i)}
		empty, deltas := pieces(block)
		events = append(events, writtenBlockStart{begin, empty})
		for _, delta := range deltas {
			events = append(events, writtenDelta{anthropic.ContentBlockDeltaEvent{Index: int64(i)}, delta})
		}
		if a.breaks != "" {
			return append(events, claudeError(a.breaks))
		}
		events = append(events, anthropic.ContentBlockStopEvent{Index: int64(i)})
	}
	usage := a.message.Usage
	return append(events,
		anthropic.MessageDeltaEvent{
			Delta: anthropic.MessageDeltaEventDelta{StopReason: a.message.StopReason, StopSequence: a.message.StopSequence},
			Usage: anthropic.MessageDeltaUsage{
				InputTokens: usage.InputTokens, OutputTokens: usage.OutputTokens,
				CacheCreationInputTokens: usage.CacheCreationInputTokens, CacheReadInputTokens: usage.CacheReadInputTokens,
			},
		},
		anthropic.MessageStopEvent{})
}

// pieces gives a block as its start shows it, and the deltas that fill it.
func pieces(block any) (empty any, deltas []any) {
	switch b := block.(type) {
	case anthropic.TextBlock:
		for _, r := range b.Text {
			deltas = append(deltas, anthropic.TextDelta{Text: string(r)})
		}
		b.Text = ""
		return b, deltas
	case anthropic.ThinkingBlock:
		deltas = []any{anthropic.ThinkingDelta{Thinking: b.Thinking}, anthropic.SignatureDelta{Signature: b.Signature}}
		b.Thinking, b.Signature = "", ""
		return b, deltas
	case writtenToolUse:
		deltas = append(deltas, anthropic.InputJSONDelta{})
		if len(b.Input) > len("{}") {
			for _, r := range string(b.Input) {
				deltas = append(deltas, anthropic.InputJSONDelta{PartialJSON: string(r)})
			}
		}
		b.Input = json.RawMessage("{}")
		return b, deltas
	}
	return block, nil
}

// claudeError is the body of an error.
func claudeError(kind claudeshared.ErrorType) claudeshared.ErrorResponse {
	return claudeshared.ErrorResponse{
		Error: claudeshared.ErrorObjectUnion{Type: string(kind), Message: "made to fail"}, RequestID: "req_of_claude",
	}
}

// newClaude is Anthropic's own SDK, at the address of an API.
func newClaude(address, key string) anthropic.Client {
	return anthropic.NewClient(claudeoption.WithBaseURL(address), claudeoption.WithAPIKey(key), claudeoption.WithMaxRetries(0))
}
