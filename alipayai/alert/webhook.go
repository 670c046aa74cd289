package alert

import (
	"context"
	"time"
)

// Webhook is any address that takes our own JSON by POST; see [WebhookMessage].
// User and password in the address are sent as Basic authentication.
type Webhook struct{ endpoint }

// NewWebhook makes a sink of the address.
func NewWebhook(address string) (*Webhook, error) {
	e, err := newEndpoint("webhook", address)
	if err != nil {
		return nil, err
	}
	return &Webhook{e}, nil
}

// WebhookMessage is the body of a webhook's request. It is answered with any
// status of 2xx; 429 (with Retry-After) and 5xx make it come again.
type WebhookMessage struct {
	Action   Action    `json:"action"`   // trigger or resolve
	Key      string    `json:"key"`      // the same for a trigger and its resolve
	Kind     Kind      `json:"kind"`     // such as breaker_open
	Provider string    `json:"provider"` // the provider's name in the configuration; for all_providers_failing the site
	Severity string    `json:"severity"` // critical, error or warning
	Summary  string    `json:"summary"`  // one line
	Source   string    `json:"source"`   // the gateway
	Time     time.Time `json:"time"`     // RFC 3339, in UTC
	Since    time.Time `json:"since"`    // when it began
	Repeats  int64     `json:"repeats"`  // how often it was reported again until it was over
}

// Send implements [Sink].
func (w *Webhook) Send(ctx context.Context, n Notification) error {
	return w.post(ctx, WebhookMessage{
		Action: n.Action, Key: n.Key(), Kind: n.Kind, Provider: n.Provider, Severity: n.Kind.Severity(),
		Summary: n.Summary, Source: n.Source, Time: n.Time.UTC(), Since: n.Since.UTC(), Repeats: n.Repeats,
	})
}
