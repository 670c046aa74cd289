package alipaycaddy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
)

// Pack puts short calls of one tenant and one end user, which differ in their one text
// alone, together into one request. Inputs to embed go together for a whole tenant.
type Pack struct {
	// How long a call waits for others, up to `1s`. It passes while the call waits for a
	// provider's `limit` as well. Default: `30ms`
	MaxWait caddy.Duration `json:"max_wait,omitempty"`

	// The most calls of a request; for embeddings, the most inputs. Default: `20`
	MaxCalls int `json:"max_calls,omitempty"`

	// The most characters of their texts together. A call of more than half of them is not
	// packed. Default: `4000`
	MaxCharacters int `json:"max_characters,omitempty"`

	// Packs the calls of a tenant's different end users, and those that name none. One
	// user's text may then change the answer that another one gets. Default: false
	AcrossUsers bool `json:"across_users,omitempty"`

	// A header field that names the end user, as `user` in the body does. Default: none.
	UserHeader string `json:"user_header,omitempty"`

	// The part of packed chat calls with temperature 0 that are also asked alone, to compare
	// the answers, from 0 to 1; none if negative. Default: `0.02`
	Verify float64 `json:"verify,omitempty"`

	// The part of a tenant's compared answers that must be the same, and of its packs that must
	// not be in vain, from 0 to 1. Below it the tenant's calls are not packed for an hour.
	// Default: `0.9`
	Agreement float64 `json:"agreement,omitempty"`
}

// provisionPacks says how calls are put together; nil where they are not.
func (h *Proxy) provisionPacks(app *App, site string, o observer) (*alipayai.Packs, error) {
	c := h.Pack
	if c == nil {
		return nil, nil
	}
	if c.UserHeader != "" && !httpguts.ValidHeaderFieldName(c.UserHeader) {
		return nil, fmt.Errorf("pack: user_header %q is no name of a header field", c.UserHeader)
	}
	agreements := acquireFor[pack.Agreements](&h.acquired, "packing", h.Providers...)
	app.packing[site] = agreements
	return &alipayai.Packs{
		MaxWait: time.Duration(c.MaxWait), MaxCalls: c.MaxCalls, MaxCharacters: c.MaxCharacters,
		AcrossUsers: c.AcrossUsers, UserHeader: http.CanonicalHeaderKey(c.UserHeader),
		Verify: c.Verify, Agreement: c.Agreement, Agreements: agreements, Observer: o,
		Running: func() func() {
			h.calls.beginOf(ofPacks)
			return func() { h.calls.endOf(ofPacks) }
		},
	}, nil
}

// unmarshalPack reads the block of pack.
func (h *Proxy) unmarshalPack(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	p := new(Pack)
	h.Pack = p
	return block(d, "pack",
		option{form: "max_wait <duration>", read: duration(&p.MaxWait)},
		option{form: "max_calls <number>", read: number(&p.MaxCalls)},
		option{form: "max_characters <number>", read: number(&p.MaxCharacters)},
		option{form: "across_users", read: enable(&p.AcrossUsers)},
		option{form: "user_header <field>", read: text(&p.UserHeader)},
		option{form: "verify <percent>, as verify 2%, or verify off", read: single(&p.Verify, func(d *caddyfile.Dispenser, name, value string, to *float64) error {
			if value == "off" {
				*to = -1
				return nil
			}
			return parsePercent(d, name, value, to)
		})},
		option{form: "agreement <percent>, as agreement 90%", read: single(&p.Agreement, parsePercent)},
	)
}

// parsePercent reads a percentage above 0 as a part of 1.
func parsePercent(d *caddyfile.Dispenser, name, value string, to *float64) error {
	number, ok := strings.CutSuffix(value, "%")
	part, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(part > 0) || part > 100 {
		return d.Errf("%s %q is not a percentage from above 0%% to 100%%; write it like 2%%", name, value)
	}
	*to = part / 100
	return nil
}

func (o observer) Packed(provider string, calls int) {
	o.metrics.packed.WithLabelValues(provider).Observe(float64(calls))
}

func (o observer) AskedAlone(provider, reason string) {
	o.metrics.askedAlone.WithLabelValues(provider, reason).Inc()
}

func (o observer) Compared(provider string, agreed bool) {
	result := "same"
	if !agreed {
		result = "different"
	}
	o.metrics.compared.WithLabelValues(provider, result).Inc()
}

func (o observer) PackingStopped(tenant string, agreement float64) {
	o.monitor.PackingStopped(o.site)
	if c := o.logger.Check(zapcore.WarnLevel, "calls are not packed for a while"); c != nil {
		c.Write(zap.String("tenant", tenant), zap.Float64("agreement", agreement), zap.Duration("for", pack.OffFor))
	}
}

// Interface guards
var _ alipayai.PackObserver = observer{}
