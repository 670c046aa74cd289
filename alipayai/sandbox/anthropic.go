package sandbox

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	pathMessages    = "/v1/messages"
	pathCountTokens = "/v1/messages/count_tokens"
)

// anthropic is Anthropic's Messages API, after its reference.
type anthropic struct{}

func (anthropic) credentials() (required, optional []string) { return []string{"APIKey"}, nil }

func (anthropic) models() []string {
	return []string{"claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-8"}
}

func (anthropic) endpoint(path string) (endpoint, bool) {
	switch path {
	case pathMessages:
		return endpoint{method: http.MethodPost, serve: (*call).messages}, true
	case pathCountTokens:
		return endpoint{method: http.MethodPost, serve: (*call).countTokens}, true
	case pathModels:
		return endpoint{method: http.MethodGet, serve: (*call).listClaudes}, true
	}
	return endpoint{}, false
}

// caller also gives every answer its id, as the API does.
func (anthropic) caller(c *call) *app {
	c.w.Header().Set("Request-Id", c.id())
	value, ok := single(c.r.Header, "X-Api-Key")
	if !ok {
		return nil
	}
	key := sha256.Sum256([]byte(value))
	for _, a := range c.srv.apps {
		if subtle.ConstantTimeCompare(a.apiKey[:], key[:]) == 1 {
			return a
		}
	}
	return nil
}

// versions are those of the API, as Anthropic-Version names them. The last is what Anthropic's SDK for Node sends from 1.14 on.
var versions = []string{"2023-01-01", "2023-06-01", "2026-10-21"}

func (anthropic) verify(c *call) *refusal {
	if _, ok := single(c.r.Header, "X-Api-Key"); !ok {
		return &refusal{http.StatusUnauthorized, "", "x-api-key header is required"}
	}
	if c.app == nil {
		return &refusal{http.StatusUnauthorized, "", "invalid x-api-key"}
	}
	version, ok := single(c.r.Header, "Anthropic-Version")
	if !ok {
		return &refusal{http.StatusBadRequest, "", "anthropic-version: header is required"}
	}
	if !slices.Contains(versions, version) {
		return &refusal{http.StatusBadRequest, "", "anthropic-version: not a valid version"}
	}
	return nil
}

func (anthropic) callID(r *http.Request, _ []byte) string { return r.Header.Get("Idempotency-Key") }

// statusOverloaded is what Anthropic answers when it has more calls than it can take.
const statusOverloaded = 529

// refusal knows the errors by their status alone: each has its type.
func (anthropic) refusal(status int, _ string) (int, string) {
	switch status {
	case http.StatusUnauthorized:
		return status, "authentication_error"
	case http.StatusPaymentRequired:
		return status, "billing_error"
	case http.StatusForbidden:
		return status, "permission_error"
	case http.StatusNotFound:
		return status, "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return status, "request_too_large"
	case http.StatusTooManyRequests:
		return status, "rate_limit_error"
	case http.StatusGatewayTimeout:
		return status, "timeout_error"
	case statusOverloaded:
		return status, "overloaded_error"
	}
	if status < http.StatusInternalServerError {
		return status, "invalid_request_error"
	}
	return status, "api_error"
}

func (anthropic) shapes() (body, event Shape) { return ShapeAnthropic, ShapeAnthropic }

// messages is POST /v1/messages.
func (c *call) messages() {
	if !c.wantJSON() {
		return
	}
	q, err := parseMessages(c.body, c.betas()...)
	if err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if !c.serves(q.model) {
		c.fail(http.StatusNotFound, codeModel, "model: "+q.model)
		return
	}
	c.converse(q)
}

// betas are the features that the request names.
func (c *call) betas() []string {
	return strings.Split(strings.ReplaceAll(strings.Join(c.r.Header["Anthropic-Beta"], ","), " ", ""), ",")
}

// countTokens is POST /v1/messages/count_tokens, whose request is that of a message without max_tokens.
func (c *call) countTokens() {
	if !c.wantJSON() {
		return
	}
	q, err := parseMessages(bytes.Replace(c.body, []byte("{"), []byte(`{"max_tokens":1,`), 1), c.betas()...)
	switch {
	case err != nil:
		c.fail(http.StatusBadRequest, codeParam, err.Error())
	case !c.serves(q.model):
		c.fail(http.StatusNotFound, codeModel, "model: "+q.model)
	case c.begin("", false):
		n := q.images * tokensPerImage
		for _, text := range q.texts {
			n += countTokens(text)
		}
		c.succeed(map[string]int{"input_tokens": n})
	}
}

// listClaudes is GET /v1/models.
func (c *call) listClaudes() {
	if !c.begin("", false) {
		return
	}
	type model struct {
		Type        string    `json:"type"`
		ID          string    `json:"id"`
		DisplayName string    `json:"display_name"`
		CreatedAt   time.Time `json:"created_at"`
	}
	ids := c.srv.cfg.Models
	list := make([]model, len(ids))
	for i, id := range ids {
		list[i] = model{"model", id, "Sandbox " + id, modelsSince}
	}
	c.succeed(map[string]any{"data": list, "has_more": false, "first_id": ids[0], "last_id": ids[len(ids)-1]})
}
