package alipayai_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// responseResource is what these tests look at of a response of the Responses API.
type responseResource struct {
	ID, Object, Status, Model string
	Store                     bool
	Output                    []struct {
		Type, ID, Name, Arguments string
		Content                   []struct{ Type, Text string }
	}
	Usage *struct {
		Output int `json:"output_tokens"` // 0 of a provider that does not count
	}
	Error *struct{ Code, Message string }
}

// listenResponses reads the events of the Responses API, as strictly as its SDKs do.
func (got reply) listenResponses(t *testing.T) spoken {
	t.Helper()
	s := spoken{ids: make(map[string]bool)}
	n, broken := 0, false
	for event := range strings.SplitSeq(got.body, "\n\n") {
		if event == "" {
			continue
		}
		kind, data, ok := strings.Cut(event, "\ndata: ")
		kind, typed := strings.CutPrefix(kind, "event: ")
		var e struct {
			Type           string
			SequenceNumber int `json:"sequence_number"`
			Delta, Code    string
			Response       *responseResource
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || !typed || e.Type != kind || e.SequenceNumber != n {
			t.Errorf("not an event: %q (%v)", event, err)
		}
		n++
		if s.done || s.failed != "" {
			t.Errorf("an event after the end: %s", event)
		}
		if e.Response != nil {
			s.ids[e.Response.ID] = true
		}
		switch kind {
		case "response.output_text.delta":
			s.content += e.Delta
		case "response.completed":
			s.done, s.finish = true, 1
			if e.Response.Usage == nil || len(e.Response.Output) != 1 || e.Response.Output[0].Content[0].Text != s.content {
				t.Errorf("the end has not what came before it: %s", event)
			}
		case "error":
			broken = e.Code != ""
		case "response.failed":
			if !broken || e.Response.Error == nil {
				t.Errorf("fails without an error: %s", event)
			}
			s.failed = e.Response.Error.Code
		}
	}
	return s
}
