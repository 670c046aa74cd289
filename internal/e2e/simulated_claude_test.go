package e2e

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claudeshared "github.com/anthropics/anthropic-sdk-go/shared"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// converse makes a call with Anthropic's SDK, in one piece or streamed, and
// holds what comes to what the SDK knows.
func converse(t *testing.T, c anthropic.Client, streamed bool, params anthropic.MessageNewParams) (anthropic.Message, error) {
	t.Helper()
	if !streamed {
		message, err := c.Messages.New(t.Context(), params)
		if err != nil {
			return anthropic.Message{}, err
		}
		checkKnown(t, reflect.ValueOf(*message))
		return *message, nil
	}
	stream := c.Messages.NewStreaming(t.Context(), params)
	defer stream.Close()
	var message anthropic.Message
	ended := false
	for stream.Next() {
		event := stream.Current()
		checkKnown(t, reflect.ValueOf(event))
		if err := message.Accumulate(event); err != nil {
			return message, err
		}
		ended = event.Type == "message_stop"
	}
	if stream.Err() == nil && !ended {
		return message, errors.New("the stream has no end")
	}
	return message, stream.Err()
}

// checkKnown reports the fields of an answer that the SDK's types do not have,
// and the variants of unions that they do not know.
func checkKnown(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			checkKnown(t, v.Index(i))
		}
	case reflect.Struct:
		meta := v.FieldByName("JSON")
		if !meta.IsValid() || !strings.HasPrefix(v.Type().PkgPath(), "github.com/anthropics/") {
			return
		}
		if raw := v.MethodByName("RawJSON"); raw.IsValid() && raw.Call(nil)[0].String() == "" {
			return // not sent
		}
		if variant := v.MethodByName("AsAny"); variant.IsValid() {
			if is := variant.Call(nil)[0]; is.IsNil() {
				t.Errorf("a %s is of no variant that the SDK knows", v.Type())
			} else {
				checkKnown(t, is.Elem())
			}
			return
		}
		if extra := meta.FieldByName("ExtraFields"); extra.IsValid() {
			for _, name := range extra.MapKeys() {
				t.Errorf("a %s has a field %q that the SDK does not know", v.Type(), name)
			}
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "JSON" {
				checkKnown(t, v.Field(i))
			}
		}
	}
}

// TestSimulatedClaude holds the simulator to Anthropic's own SDK.
func TestSimulatedClaude(t *testing.T) {
	s, address := startSimulator(t, sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1})
	t.Cleanup(s.close)
	c := newClaude("http://"+address, sandbox.DemoAPIKey)
	prompt := func(blocks ...anthropic.ContentBlockParamUnion) []anthropic.MessageParam {
		return []anthropic.MessageParam{anthropic.NewUserMessage(blocks...)}
	}
	said := func(text string) []anthropic.MessageParam { return prompt(anthropic.NewTextBlock(text)) }
	cases := map[string]struct {
		params anthropic.MessageNewParams
		want   string
		reason anthropic.StopReason
		stop   string
	}{
		"text":            {anthropic.MessageNewParams{Messages: said("你好, <co>")}, "You said: 你好, <co>", anthropic.StopReasonEndTurn, ""},
		"a limit":         {anthropic.MessageNewParams{Messages: said("one two three"), MaxTokens: 2}, "You said", anthropic.StopReasonMaxTokens, ""},
		"a stop sequence": {anthropic.MessageNewParams{Messages: said("one END two"), StopSequences: []string{" END"}}, "You said: one", anthropic.StopReasonStopSequence, " END"},
		"an image": {
			anthropic.MessageNewParams{Messages: prompt(anthropic.NewTextBlock("Look."), anthropic.NewImageBlockBase64("image/png", "iVBORw0KGgo="))},
			"You said: Look. (with 1 image)", anthropic.StopReasonEndTurn, "",
		},
		"everything else": {
			anthropic.MessageNewParams{
				Messages: said("Hello."), System: []anthropic.TextBlockParam{{Text: "Be brief."}}, Temperature: anthropic.Float(1),
				TopK: anthropic.Int(5), Metadata: anthropic.MetadataParam{UserID: anthropic.String("u")},
				Thinking: anthropic.ThinkingConfigParamOfEnabled(1024), MaxTokens: 4096, ServiceTier: anthropic.MessageNewParamsServiceTierAuto,
			},
			"You said: Hello.", anthropic.StopReasonEndTurn, "",
		},
	}
	for name, tc := range cases {
		for form, streamed := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				tc.params.Model = modelClaude
				if tc.params.MaxTokens == 0 {
					tc.params.MaxTokens = 100
				}
				m, err := converse(t, c, streamed, tc.params)
				if err != nil {
					t.Fatal(err)
				}
				var text, thought string
				for _, block := range m.Content {
					text += block.Text
					thought += block.Thinking
				}
				if text != tc.want || m.StopReason != tc.reason || m.StopSequence != tc.stop {
					t.Errorf("answer %q that ends in %s %q, want %q, %s %q", text, m.StopReason, m.StopSequence, tc.want, tc.reason, tc.stop)
				}
				if thinks := tc.params.Thinking.OfEnabled != nil; thinks != (thought != "") {
					t.Errorf("thought %q", thought)
				}
				if !strings.HasPrefix(m.ID, "msg_") || m.Model != modelClaude || m.Role != "assistant" || m.Usage.InputTokens == 0 || m.Usage.OutputTokens == 0 {
					t.Errorf("id %q, model %q, role %q, usage %+v", m.ID, m.Model, m.Role, m.Usage)
				}
			})
		}
	}
}

// TestSimulatedClaudeTools: the model asks for a tool, gets its result, and
// answers with it.
func TestSimulatedClaudeTools(t *testing.T) {
	s, address := startSimulator(t, sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1})
	t.Cleanup(s.close)
	c := newClaude("http://"+address, sandbox.DemoAPIKey)
	for form, streamed := range forms {
		t.Run(form, func(t *testing.T) {
			params := anthropic.MessageNewParams{
				Model: modelClaude, MaxTokens: 100,
				Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("What does get_weather say?"))},
				Tools: []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
					Name: "get_weather",
					InputSchema: anthropic.ToolInputSchemaParam{
						Properties: map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}},
						Required:   []string{"city", "days"},
					},
				}}},
				ToolChoice: anthropic.ToolChoiceUnionParam{OfAuto: &anthropic.ToolChoiceAutoParam{DisableParallelToolUse: anthropic.Bool(true)}},
			}
			m, err := converse(t, c, streamed, params)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Content) != 1 || m.Content[0].Type != "tool_use" || m.StopReason != anthropic.StopReasonToolUse {
				t.Fatalf("want one call, got %+v", m.Content)
			}
			var input struct {
				City string `json:"city"`
				Days int    `json:"days"`
			}
			call := m.Content[0].AsToolUse()
			if err := json.Unmarshal(call.Input, &input); err != nil || input.City != "What does get_weather say?" || input.Days != 1 {
				t.Errorf("input %s, %v", call.Input, err)
			}
			params.Messages = append(params.Messages, m.ToParam(),
				anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "22 °C", false)))
			m, err = converse(t, c, streamed, params)
			if err != nil || len(m.Content) != 1 || m.Content[0].Text != "The tool said: 22 °C" {
				t.Errorf("answer %+v, %v", m.Content, err)
			}
		})
	}
}

// TestSimulatedClaudeErrors: what is refused has the type that the SDK reads.
func TestSimulatedClaudeErrors(t *testing.T) {
	s, address := startSimulator(t, sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1})
	t.Cleanup(s.close)
	good := anthropic.MessageNewParams{
		Model: modelClaude, MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hello."))},
	}
	unknownModel, noMessages := good, good
	unknownModel.Model, noMessages.Messages = "claude-unknown", []anthropic.MessageParam{}
	cases := map[string]struct {
		key    string
		params anthropic.MessageNewParams
		fault  *sandbox.Fault
		status int
		kind   claudeshared.ErrorType
	}{
		"a wrong key":      {"sk-ant-other", good, nil, 401, claudeshared.ErrorTypeAuthenticationError},
		"an unknown model": {sandbox.DemoAPIKey, unknownModel, nil, 404, claudeshared.ErrorTypeNotFoundError},
		"no messages":      {sandbox.DemoAPIKey, noMessages, nil, 400, claudeshared.ErrorTypeInvalidRequestError},
		"throttled":        {sandbox.DemoAPIKey, good, &sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7}, 429, claudeshared.ErrorTypeRateLimitError},
		"overloaded":       {sandbox.DemoAPIKey, good, &sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 529}, 529, claudeshared.ErrorTypeOverloadedError},
		"unpaid":           {sandbox.DemoAPIKey, good, &sandbox.Fault{Kind: sandbox.PaymentRequired}, 402, claudeshared.ErrorTypeBillingError},
		"a system error":   {sandbox.DemoAPIKey, good, &sandbox.Fault{Kind: sandbox.SystemError500}, 500, claudeshared.ErrorTypeAPIError},
	}
	for name, tc := range cases {
		for form, streamed := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				if tc.fault != nil {
					s.setFaults(t, *tc.fault)
				}
				_, err := converse(t, newClaude("http://"+address, tc.key), streamed, tc.params)
				checkClaudeError(t, err, tc.status, tc.kind)
			})
		}
	}
	t.Run("within a stream", func(t *testing.T) {
		s.setFaults(t, sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2})
		m, err := converse(t, newClaude("http://"+address, sandbox.DemoAPIKey), true, good)
		checkClaudeError(t, err, 200, claudeshared.ErrorTypeAPIError)
		if len(m.Content) != 1 || m.Content[0].Text != "You said: " {
			t.Errorf("what came is %+v", m.Content)
		}
	})
}

func checkClaudeError(t *testing.T, err error, status int, kind claudeshared.ErrorType) {
	t.Helper()
	var refused *anthropic.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error %T %v, want an *anthropic.Error", err, err)
	}
	if refused.StatusCode != status || refused.Type() != kind || refused.RequestID == "" {
		t.Errorf("status %d, type %q, request %q; want %d, %q", refused.StatusCode, refused.Type(), refused.RequestID, status, kind)
	}
	var body claudeshared.ErrorResponse
	if err := json.Unmarshal([]byte(refused.RawJSON()), &body); err != nil {
		t.Fatal(err)
	}
	checkKnown(t, reflect.ValueOf(body))
}

// TestSimulatedClaudeModels: the list is one that the SDK pages through.
func TestSimulatedClaudeModels(t *testing.T) {
	s, address := startSimulator(t, sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1})
	t.Cleanup(s.close)
	c := newClaude("http://"+address, sandbox.DemoAPIKey)
	var ids []string
	pages := c.Models.ListAutoPaging(t.Context(), anthropic.ModelListParams{})
	for pages.Next() {
		m := pages.Current()
		checkKnown(t, reflect.ValueOf(m))
		if m.DisplayName == "" || m.CreatedAt.IsZero() {
			t.Errorf("model %+v", m)
		}
		ids = append(ids, m.ID)
	}
	if err := pages.Err(); err != nil || strings.Join(ids, " ") != "claude-haiku-4-5 claude-sonnet-4-5 claude-opus-4-8" {
		t.Errorf("models %v, %v", ids, err)
	}
}
