package failure

import (
	"net/http"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// noEndpoint is what servers say, whole and in lower case, of a path at which they have nothing: Go's, FastAPI's, nginx's, Kong's,
// APISIX's, ingress-nginx's and Azure's. What a request names and a vendor has not, as a model, is another 404.
var noEndpoint = map[string]bool{
	"404 page not found":                  true,
	"404 not found":                       true,
	"404 route not found":                 true,
	"not found":                           true,
	"page not found":                      true,
	"resource not found":                  true,
	"default backend - 404":               true,
	"no route matched with those values":  true,
	"no route matched with those values.": true,
	// OpenRouter's, where the provider behind it has nothing: https://github.com/tashfeenahmed/freellmapi/issues/66.
	"provider returned error": true,
}

// notHere is what servers say, in lower case, of something that another may do, be it the same model: OpenRouter where none of those
// behind it does (https://github.com/Routstr/routstr-core/issues/554), and Ollama and vLLM of a model or a server that has no tools
// (https://github.com/ollama/ollama/blob/main/server/images.go, vllm/entrypoints/openai/serving_chat.py).
var notHere = []string{
	"no endpoints found that support", "no allowed providers are available", "does not support tools", "requires --enable-auto-tool-choice",
}

// refusesNothing reports whether a refusal is of nothing that the client has asked for: the API has not such an endpoint, or
// what stands before it has answered, with a page or without a word. Another provider may have what this one has not. Gateways
// that gave such a 404 to clients: https://github.com/langwatch/langwatch/pull/5358, https://github.com/mozilla-ai/otari/pull/173.
func refusesNothing(status int, code string, f *wire.Failure) bool {
	if status < http.StatusBadRequest || status >= http.StatusInternalServerError || status == http.StatusConflict {
		return false
	}
	message := strings.ToLower(strings.TrimSpace(f.Message))
	for _, words := range notHere {
		if strings.Contains(message, words) {
			return true
		}
	}
	switch {
	case status == http.StatusMethodNotAllowed, f.NotOfAPI: // calls are all sent with the method of their endpoint
		return true
	case status != http.StatusNotFound:
		return false
	}
	return code == CodeUnknownURL || (code == "" || statusNumber(code) != 0) && noEndpoint[message] ||
		strings.HasPrefix(message, "invalid url (") || strings.HasPrefix(message, "unknown request url") ||
		strings.HasPrefix(message, "could not route to ") // Cloudflare's: https://github.com/anomalyco/opencode/issues/23773
}

// LacksEndpoint reports whether a provider has said that it has nothing at the request's path, or has answered with something
// else than it should have there. Its word for a model that it does not have is another one.
func (f *Failure) LacksEndpoint() bool {
	if f.Code == CodeMalformed {
		return true
	}
	switch f.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return f.FromUpstream && f.Code != "not_found_error" && f.Code != CodeModelNotFound
	}
	return false
}
