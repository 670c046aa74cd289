// Package asked asks models for the gateway itself, on a tenant's behalf: for the verdict of a moderator, or for what a call
// is about. Such a call has no client. It goes through a gateway of its own, and so by its provider's cap, breaker and
// budget.
package asked

import (
	"bytes"
	"context"
	"fmt"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// Models are those that a gateway has.
type Models struct{ Gateway *alipayai.Gateway }

type regionsKey struct{}

// WithRegions gives the context of what is asked for a call that may be in those regions alone; nil for anywhere. Where
// a provider has several addresses, [Models] asks it at those.
func WithRegions(ctx context.Context, regions residency.Regions) context.Context {
	if regions == nil {
		return ctx
	}
	return context.WithValue(ctx, regionsKey{}, regions)
}

// Ask gives the answer to a request of POST /v1/chat/completions, or of POST /v1/moderations, both in OpenAI's form. Its
// errors are those of [alipayai.Gateway.Do], and of a request that cannot be read.
func (m Models) Ask(ctx context.Context, tenant string, body []byte, moderations bool) ([]byte, error) {
	if moderations {
		return m.ask(ctx, tenant, upstream.EndpointModerations, body, wire.ParseEmbeddingsRequest) // both have model and input
	}
	return m.ask(ctx, tenant, upstream.EndpointChat, body, wire.ParseChatRequest)
}

// Embed gives the answer to a request of POST /v1/embeddings, both in OpenAI's form. Its errors are those of Ask.
func (m Models) Embed(ctx context.Context, tenant string, body []byte) ([]byte, error) {
	return m.ask(ctx, tenant, upstream.EndpointEmbeddings, body, wire.ParseEmbeddingsRequest)
}

func (m Models) ask(ctx context.Context, tenant string, endpoint upstream.Endpoint, body []byte, parse func([]byte, wire.Limits) (wire.Request, error)) ([]byte, error) {
	request, err := parse(body, wire.Limits{})
	if err != nil {
		return nil, fmt.Errorf("asking a model: %w", err)
	}
	regions, _ := ctx.Value(regionsKey{}).(residency.Regions)
	a, err := m.Gateway.Do(ctx, &alipayai.Call{Endpoint: endpoint, Tenant: tenant, Regions: regions, Format: openai.Format{}, Request: request})
	if err != nil {
		return nil, err
	}
	answer := bytes.Clone(a.Body())
	a.Close(true)
	return answer, nil
}
