package alipaycaddy

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	warmpool "github.com/caddy-alipayai/gateway/alipayai/outgoing/pool"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Pool keeps connections to a provider ready, so that calls find them made: with TCP, TLS
// and HTTP/2 or 1.1. There are as many as the calls under way need, and those that the
// present rate lets expect, and some to spare; fewer, slowly, when less is asked for.
// It goes with the transport `http`, and serves the gateway's calls.
type Pool struct {
	// How many connections there are at least to each of the provider's addresses, whatever is
	// asked for. Required.
	Min int `json:"min,omitempty"`

	// How many connections there are at most to each of them. Calls that find all in use wait
	// for one. Required.
	Max int `json:"max,omitempty"`

	// After how long the upstream closes a connection that is not used: each is replaced
	// before. Default: what the upstream says in `Keep-Alive`, what is learned from
	// connections that it has closed, and `1m` before
	Idle caddy.Duration `json:"idle,omitempty"`
}

// maxPool bounds a pool: each connection is a descriptor here and at the upstream.
const maxPool = 1000

func (c *Pool) check() error {
	switch {
	case c.Min < 1 || c.Min > c.Max || c.Max > maxPool:
		return fmt.Errorf("pool %d %d: write the fewest and the most connections, such as pool 10 30, at most %d", c.Min, c.Max, maxPool)
	case c.Idle != 0 && (time.Duration(c.Idle) < warmpool.MinIdle || time.Duration(c.Idle) > warmpool.MaxIdle):
		return fmt.Errorf("pool's idle is %v; write a time from %v to %v, after which the upstream closes unused connections",
			time.Duration(c.Idle), warmpool.MinIdle, warmpool.MaxIdle)
	}
	return nil
}

// openPool has p's requests go by connections that are ready, from Start on: those to each of its addresses, since calls go to
// another one just when there is no time to make any. They outlive the configuration where the provider, the address and
// the transport are the same, its certificates included.
func (u *upstreams) openPool(p *upstream.Provider, c *Provider) error {
	if c.Pool == nil {
		return nil
	}
	if err := c.Pool.check(); err != nil {
		return err
	}
	transport, ok := p.Transport.(*outgoing.Transport)
	if !ok {
		return errors.New("pool goes with transport http, and with the versions 1.1, 2 and h2c of HTTP")
	}
	urls := []*url.URL{p.BaseURL}
	for _, address := range p.Addresses {
		urls = append(urls, address.URL)
	}
	for _, at := range urls {
		// It is given back after warm is closed: the last comes first.
		kept := acquireFor[outgoing.Kept](&u.acquired, "pool", p.Name, at.Scheme, at.Host, c.transportKey)
		logger := u.logger.With(zap.String("provider", p.Name), zap.String("address", at.Host))
		warm, err := transport.Keep(at, outgoing.Keeping{
			Kept: kept, Min: c.Pool.Min, Max: c.Pool.Max, Idle: time.Duration(c.Pool.Idle),
			Failing: func(err error) {
				logger.Warn("the provider takes no connections that are to be ready; it is tried again", zap.Error(err))
			},
		})
		if err != nil {
			return fmt.Errorf("pool %w", err)
		}
		u.opens = append(u.opens, warm.Open)
		u.acquired.add(warm.Close)
		u.pools[p.Name] = append(u.pools[p.Name], warm)
	}
	return nil
}

// unmarshalPool reads `pool <min> <max>` and its block.
func (p *Provider) unmarshalPool(d *caddyfile.Dispenser) error {
	p.Pool = new(Pool)
	given := d.RemainingArgs()
	if len(given) != 2 {
		return errArguments
	}
	if err := parseNumber(d, "pool's minimum", given[0], &p.Pool.Min); err != nil {
		return err
	}
	if err := parseNumber(d, "pool's maximum", given[1], &p.Pool.Max); err != nil {
		return err
	}
	return block(d, "pool",
		option{form: "idle <duration>, as idle 60s", read: duration(&p.Pool.Idle)},
	)
}

// poolCollector reads the pools.
type poolCollector struct{ pools map[string][]*outgoing.Warm }

var (
	poolConnections = prometheus.NewDesc("caddy_alipayai_pool_connections",
		"Connections of the provider's pool, by state: idle, active or dialing.", []string{"provider", "state"}, nil)
	poolWaiting = prometheus.NewDesc("caddy_alipayai_pool_waiting",
		"Requests that wait for a connection of the provider's pool.", []string{"provider"}, nil)
	poolIdleLimit = prometheus.NewDesc("caddy_alipayai_pool_idle_limit_seconds",
		"After how long the upstream is taken to close a connection that is not used.", []string{"provider"}, nil)
	poolDials = prometheus.NewDesc("caddy_alipayai_pool_dials_total",
		"Connections that were made for the provider's pool, by result: ok or failed.", []string{"provider", "result"}, nil)
	poolWaits = prometheus.NewDesc("caddy_alipayai_pool_waits_total",
		"Requests that found no connection ready.", []string{"provider"}, nil)
	poolClosed = prometheus.NewDesc("caddy_alipayai_pool_closed_total",
		"Connections of the provider's pool that have ended, by reason: replaced, surplus, upstream (which has closed it unused) or request (which has ended it).",
		[]string{"provider", "reason"}, nil)
)

// Describe implements prometheus.Collector.
func (poolCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolConnections, poolWaiting, poolIdleLimit, poolDials, poolWaits, poolClosed} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(to chan<- prometheus.Metric) {
	for name, warms := range c.pools {
		var sum warmpool.Stats
		for _, w := range warms {
			sum = sum.Plus(w.Stats())
		}
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{name}, labels...)...)
		}
		counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append([]string{name}, labels...)...)
		}
		gauge(poolConnections, float64(sum.Idle), "idle")
		gauge(poolConnections, float64(sum.Active), "active")
		gauge(poolConnections, float64(sum.Dialing), "dialing")
		gauge(poolWaiting, float64(sum.Waiting))
		gauge(poolIdleLimit, sum.Limit.Seconds())
		counter(poolDials, sum.Dialed, "ok")
		counter(poolDials, sum.Failed, "failed")
		counter(poolWaits, sum.Waited)
		counter(poolClosed, sum.Replaced, "replaced")
		counter(poolClosed, sum.Shrunk, "surplus")
		counter(poolClosed, sum.Closed, "upstream")
		counter(poolClosed, sum.Broken, "request")
	}
}
