package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// The variants of what answers look like.
const (
	// VariantEnvelope puts each success, and each event of a stream, into
	// {"code":"A00000","traceId":"…","response":{…}}.
	VariantEnvelope Variant = "envelope"
	// VariantErrorNames answers errors, with their status, as
	// {"errNo":"…","errText":"…","traceId":"…","retryMs":…}.
	VariantErrorNames Variant = "error_names"
	// VariantLines streams JSON values, one on each line, of which the last has "is_end":true.
	VariantLines Variant = "lines"
	// VariantNamedEvents names the events of streams by their member "type": delta, failed and end, with others between.
	VariantNamedEvents Variant = "named_events"
	// VariantWrapped wants {"biz_content":"<the call, as JSON in a string>"}, and nothing else around it.
	VariantWrapped Variant = "wrapped"
	// VariantTokenAnswer answers a token as
	// {"code":"A00000","data":{"token":"…","ttl":<milliseconds>}}.
	VariantTokenAnswer Variant = "token_answer"
)

// variantSuccess is the code of a success in an envelope.
const variantSuccess = "A00000"

// variantRetry is how long errors say that they last.
const variantRetry = 500 * time.Millisecond

// enveloped puts a success into its envelope, where the variant has one; calls for
// tokens have none.
func (c *call) enveloped(body []byte) []byte {
	if a := c.shape(); a != nil {
		return mustJSON(a.success(body))
	}
	if ep, known := c.srv.format.endpoint(c.r.URL.Path); !c.srv.has(VariantEnvelope) || known && ep.token {
		return body
	}
	return mustJSON(map[string]any{"code": variantSuccess, "traceId": c.id(), "response": json.RawMessage(body)})
}

// envelopeEvents puts the events of a stream into their envelopes, but for the one
// that ends it.
func (c *call) envelopeEvents(events [][]byte) [][]byte {
	if !c.srv.has(VariantEnvelope) {
		return events
	}
	out := make([][]byte, len(events))
	for i, event := range events {
		out[i] = event
		if data, ok := bytes.CutPrefix(event, []byte("data: {")); ok {
			out[i] = append(append([]byte("data: "), c.enveloped(append([]byte("{"), bytes.TrimSpace(data)...))...), "\n\n"...)
		}
	}
	return out
}

// namedError writes an error as VariantErrorNames does.
func (c *call) namedError(code, message string) []byte {
	return mustJSON(map[string]any{"errNo": code, "errText": message, "traceId": c.id(), "retryMs": variantRetry.Milliseconds()})
}

// namedToken writes a token as VariantTokenAnswer does.
func (s *Server) namedToken(answer map[string]any) map[string]any {
	data := map[string]any{"token": answer["access_token"], "ttl": s.cfg.TokenLife.Milliseconds()}
	if refresh, ok := answer["refresh_token"]; ok {
		data["refresh"] = refresh
	}
	return map[string]any{"code": variantSuccess, "data": data}
}

// variantShape is how answers of a variant look; nil for another variant.
func (s *Server) variantShape() *AnswerShape {
	switch {
	case s.has(VariantLines):
		return &AnswerShape{Stream: &StreamShape{Lines: true, Last: []string{"is_end"}, LastValue: "true"}}
	case s.has(VariantNamedEvents):
		return &AnswerShape{Stream: &StreamShape{Name: []string{"type"}, Event: "delta", Error: "failed", End: "end"}}
	}
	return nil
}

// opener takes what is around a request off it; nil where there is nothing.
func (c *call) opener() Opener {
	if c.app.request != nil || !c.srv.has(VariantWrapped) {
		return c.app.request
	}
	return func(_ *http.Request, body []byte, _ time.Time) ([]byte, error) {
		var around map[string]string
		if json.Unmarshal(body, &around) != nil || len(around) != 1 || around["biz_content"] == "" {
			return nil, errors.New("want biz_content, and nothing else")
		}
		return []byte(around["biz_content"]), nil
	}
}
