package messages

import (
	"net/http"
	"strconv"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// headerEstimated marks a number of tokens that no provider has counted.
const headerEstimated = "X-Alipayai-Estimated"

// estimate answers POST /v1/messages/count_tokens where the provider that would serve the message does not count.
func estimate(g *alipayai.Gateway, w http.ResponseWriter, _ *http.Request, _ string, rd *door.Reading) (bool, *failure.Failure) {
	tokens, ok := g.EstimateTokens(rd.Request)
	if !ok {
		return false, nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(headerEstimated, "true")
	id := alipayai.NewRequestID()
	h.Set("X-Request-Id", id)
	h.Set(headerRequestID, id)
	_, _ = w.Write(append(strconv.AppendInt([]byte(`{"input_tokens":`), tokens, 10), '}'))
	return true, nil
}

func reachable(_ *alipayai.Gateway, w http.ResponseWriter, _ *http.Request, _ string, _ *door.Reading) (bool, *failure.Failure) {
	w.WriteHeader(http.StatusOK)
	return true, nil
}
