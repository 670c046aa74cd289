package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// PagerDutyAddress is where PagerDuty takes events. For accounts of its EU
// region that is https://events.eu.pagerduty.com/v2/enqueue.
const PagerDutyAddress = "https://events.pagerduty.com/v2/enqueue"

// PagerDuty is a service of PagerDuty with an Events API v2 integration.
type PagerDuty struct {
	endpoint
	routingKey string
}

var errRoutingKey = errors.New("alert pagerduty: the routing key must be the 32 letters and digits of an Events API v2 integration")

// NewPagerDuty makes a sink of an integration's routing key; an empty address means
// [PagerDutyAddress].
func NewPagerDuty(routingKey, address string) (*PagerDuty, error) {
	if len(routingKey) != 32 {
		return nil, errRoutingKey
	}
	for _, c := range []byte(routingKey) {
		if ('0' > c || c > '9') && ('a' > c|0x20 || c|0x20 > 'z') {
			return nil, errRoutingKey
		}
	}
	if address == "" {
		address = PagerDutyAddress
	}
	e, err := newEndpoint("pagerduty", address)
	if err != nil {
		return nil, err
	}
	return &PagerDuty{e, routingKey}, nil
}

// pagerDutyEvent is an alert event, by PagerDuty's Events API v2 reference,
// "Send an alert event". A resolve needs no payload.
type pagerDutyEvent struct {
	RoutingKey  string            `json:"routing_key"`
	EventAction Action            `json:"event_action"`
	DedupKey    string            `json:"dedup_key"`
	Client      string            `json:"client,omitempty"`
	Payload     *pagerDutyPayload `json:"payload,omitempty"`
}

// pagerDutyPayload is in PagerDuty's Common Event Format.
type pagerDutyPayload struct {
	Summary       string            `json:"summary"`
	Source        string            `json:"source"`
	Severity      string            `json:"severity"`
	Timestamp     string            `json:"timestamp"`
	Component     string            `json:"component"`
	Group         string            `json:"group"`
	Class         Kind              `json:"class"`
	CustomDetails map[string]string `json:"custom_details"`
}

// The reference's limits, in characters.
const (
	maxPagerDutySummary = 1024
	maxDedupKey         = 255
)

// Send implements [Sink].
func (p *PagerDuty) Send(ctx context.Context, n Notification) error {
	event := pagerDutyEvent{RoutingKey: p.routingKey, EventAction: n.Action, DedupKey: dedupKey(n)}
	if n.Action == Trigger {
		event.Client = "caddy-alipayai"
		event.Payload = &pagerDutyPayload{
			Summary:   atMost(maxPagerDutySummary, n.Summary),
			Source:    n.Source,
			Severity:  n.Kind.Severity(),
			Timestamp: n.Time.UTC().Format(time.RFC3339Nano),
			Component: n.Provider,
			Group:     "alipayai",
			Class:     n.Kind,
			CustomDetails: map[string]string{
				"kind": string(n.Kind), "provider": n.Provider, "since": n.Since.UTC().Format(time.RFC3339),
			},
		}
	}
	return p.post(ctx, event)
}

// dedupKey is the notification's key, or its hash where that is too long.
func dedupKey(n Notification) string {
	key := n.Key()
	if len(key) <= maxDedupKey {
		return key
	}
	hash := sha256.Sum256([]byte(key))
	return "alipayai/" + hex.EncodeToString(hash[:])
}
