package sandbox

import (
	"bytes"
	"encoding/json"
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
