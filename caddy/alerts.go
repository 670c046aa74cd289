package alipaycaddy

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Alert is where operators are notified that something is wrong, and that it is
// over: breakers that open, too many system errors, calls that no provider
// answers, access tokens that cannot be had, a lost store, and throttling.
type Alert struct {
	// `slack`, `pagerduty`, `webhook` or `shoutrrr`. Required.
	Type string `json:"type,omitempty"`

	// The address: Slack's incoming webhook, one that takes this gateway's own
	// JSON, or that of any service as shoutrrr writes it. By placeholder, since
	// such addresses are secrets, unless it is one of this machine or
	// PagerDuty's. Required but for `pagerduty`, where it is
	// `https://events.pagerduty.com/v2/enqueue` by default.
	URL string `json:"url,omitempty" placeholder:"whole"`

	// The integration key of PagerDuty's Events API v2. By placeholder.
	// Required for `pagerduty`.
	RoutingKey string `json:"routing_key,omitempty" placeholder:"whole"`
}

// alertState is the pooled memory of what is wrong.
type alertState struct {
	once sync.Once
	*alert.State
	watchers watchers
}

// openAlerts makes the alerter with its sinks, and gives what is known to be wrong.
func openAlerts(s *setting, m *metrics, sinks []*Alert) (*alert.Alerter, *alertState, error) {
	kept := acquireFor[alertState](&s.acquired, "alerts")
	kept.once.Do(func() { kept.State = alert.NewState() })
	host, err := os.Hostname()
	if err != nil {
		host = "caddy"
	}
	options := alert.Options{Source: host, Logger: s.logger.Named("alert"), Credentials: live, Observe: m.alerted}
	for i, c := range sinks {
		sink, err := c.sink(s.secrets)
		if err != nil {
			return nil, nil, fmt.Errorf("alert %d: %w", i+1, err)
		}
		options.Sinks = append(options.Sinks, sink)
	}
	return alert.New(kept.State, options), kept, nil
}

// sink makes what the alert is sent to.
func (c *Alert) sink(s secrets) (alert.Sink, error) {
	if c.RoutingKey != "" && c.Type != "pagerduty" {
		return nil, errors.New("routing_key goes with pagerduty")
	}
	switch c.Type {
	case "slack":
		return addressed(c, s, alert.NewSlack)
	case "webhook":
		return addressed(c, s, alert.NewWebhook)
	case "shoutrrr":
		return addressed(c, s, alert.NewShoutrrr)
	case "pagerduty":
		return c.pagerDuty(s)
	}
	return nil, fmt.Errorf("type %q is unknown; use slack, pagerduty, webhook or shoutrrr", c.Type)
}

// addressed makes a sink of the address alone, which is a secret unless it
// leads nowhere but here.
func addressed[S alert.Sink](c *Alert, s secrets, sink func(address string) (S, error)) (alert.Sink, error) {
	address := c.URL
	if address != "" && !hasPlaceholder(address) && !strings.Contains(address, "://") {
		return nil, fmt.Errorf("%s url has no scheme; begin it with http://, https:// or the service as shoutrrr has it, or use {env.NAME}", c.Type)
	}
	if u, err := url.Parse(address); err != nil || u.User != nil || !upstream.IsLoopback(u.Hostname()) {
		if address, err = s.resolve(c.Type+" url", address); err != nil {
			return nil, err
		}
	}
	return sink(address)
}

// pagerDuty makes a sink of the routing key, which is the secret here.
func (c *Alert) pagerDuty(s secrets) (alert.Sink, error) {
	key, err := s.resolve("pagerduty routing_key", c.RoutingKey)
	if err != nil {
		return nil, err
	}
	address := c.URL
	if address != "" {
		if address, err = s.public("pagerduty url", address); err != nil {
			return nil, err
		}
	}
	return alert.NewPagerDuty(key, address)
}
