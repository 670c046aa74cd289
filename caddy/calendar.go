package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// KeyCalendar says when keys of a folder are to be rotated, and when a new one signs.
type KeyCalendar struct {
	// How long a key may be used: since the day in its file's name (`3-2026-11-28.pem`, in UTC) or, where there is
	// none, since the file was written. Default: for ever.
	RotateEvery caddy.Duration `json:"rotate_every,omitempty"`

	// How long before its end operators are alerted, each time. Default: `7d` and `1d`
	Warn []caddy.Duration `json:"warn,omitempty"`

	// How often the upstream is asked, with each version of the key, for its list of models: within the rate cap, behind
	// all clients, by one replica for all. One that the upstream does not take is asked about every ten minutes.
	// Default: never.
	Check caddy.Duration `json:"check,omitempty"`

	// `checked`: a version that is added signs only after the upstream has taken it, and one that the upstream refuses
	// in traffic gives way to the last good one. Needs `check`. Default: the highest version signs at once.
	Activate string `json:"activate,omitempty"`
}

// activateChecked is the value of activate.
const activateChecked = "checked"

// unmarshalKeys reads `keys dir <path>` and its block.
func (p *Provider) unmarshalKeys(d *caddyfile.Dispenser) error {
	var dir string
	if err := args(d, &dir, &p.KeysDir); err != nil || dir != "dir" {
		return errArguments
	}
	c := new(KeyCalendar)
	if err := block(d, "keys dir",
		option{form: "rotate_every <duration>, as rotate_every 30d", read: durationLike(&c.RotateEvery, "30d, a number of days")},
		option{form: "warn <durations...>, as warn 7d 1d", read: func(d *caddyfile.Dispenser) error {
			given := d.RemainingArgs()
			if len(given) == 0 {
				return errArguments
			}
			for _, value := range given {
				before, err := caddy.ParseDuration(value)
				if err != nil || before <= 0 {
					return d.Errf("warn %q is not a positive duration; write it like 7d", value)
				}
				c.Warn = append(c.Warn, caddy.Duration(before))
			}
			return nil
		}},
		option{form: "check <duration>, as check 24h", read: durationLike(&c.Check, "24h")},
		option{form: "activate checked", read: text(&c.Activate)},
	); err != nil {
		return err
	}
	if c.RotateEvery != 0 || c.Warn != nil || c.Check != 0 || c.Activate != "" {
		p.KeyCalendar = c
	}
	return nil
}

// heldKeys are the versions of a provider's key, of whatever kind.
type heldKeys struct {
	list     func() []calendar.Key
	signing  func() int
	signUpTo func(version int)
	// onChange hears that the keys have been read anew; nil before there is one.
	onChange atomic.Pointer[func()]
}

// changed says that the keys have been read anew.
func (h *heldKeys) changed() {
	if f := h.onChange.Load(); f != nil {
		(*f)()
	}
}

// lastRecord is what was known last of a provider's keys, for the configuration that follows.
type lastRecord struct {
	atomic.Pointer[calendar.Record]
}

// beginTime bounds how long a configuration waits at its start for what is known of the keys.
const beginTime = 2 * time.Second

// openCalendar keeps the calendar of the provider's keys, where there is one.
func (u *upstreams) openCalendar(ctx caddy.Context, p *upstream.Provider, c *Provider, keys *keyLoader) error {
	asked := c.KeyCalendar
	if asked == nil {
		if keys.certificateEnds.IsZero() {
			return nil
		}
		asked = new(KeyCalendar)
	}
	if err := asked.check(p, c); err != nil {
		return err
	}
	warnings := calendar.DefaultWarnings()
	if len(asked.Warn) > 0 {
		warnings = warnings[:0]
		for _, before := range asked.Warn {
			warnings = append(warnings, time.Duration(before))
		}
	}
	name := hashAll([]string{"keys", p.BaseURL.Host, p.ClientID, p.Name})
	known := acquireFor[lastRecord](&u.acquired, "keys", string(name[:]))
	watch := &calendarWatch{monitor: u.monitor, provider: p.Name, logger: u.logger.With(zap.String("provider", p.Name))}
	keeper := calendar.NewKeeper(calendar.Config{
		Every: time.Duration(asked.Check), Activate: asked.Activate == activateChecked,
		RotateEvery: time.Duration(asked.RotateEvery), Warnings: warnings, Certificate: keys.certificateEnds,
		Held: keys.held.list, Signing: keys.held.signing, SignUpTo: keys.held.signUpTo,
		Ask: func(ctx context.Context, version int) calendar.Check {
			scheme, err := keys.schemeOf(version)
			if err != nil {
				return calendar.Check{At: time.Now(), Code: failure.CodeSigningFailed}
			}
			return calendar.Ask(ctx, p, scheme, time.Now)
		},
		Store:    u.store.record(ctx.Storage(), "keys", string(name[:])),
		Observer: watch, Now: time.Now,
		Known: known.Load(), Keep: func(r calendar.Record) { known.Store(&r) },
	})
	p.Keys = keeper
	wake := keeper.Wake
	keys.held.onChange.Store(&wake)
	u.keepers[p.Name] = keeper
	u.opens = append(u.opens, func() {
		ctx, cancel := context.WithTimeout(context.Background(), beginTime)
		defer cancel()
		keeper.Begin(ctx)
	})
	u.jobs.add("calendar of provider "+p.Name, keeper.Run)
	return nil
}

// check refuses a calendar that cannot be kept.
func (c *KeyCalendar) check(p *upstream.Provider, of *Provider) error {
	for option, d := range map[string]caddy.Duration{"rotate_every": c.RotateEvery, "check": c.Check} {
		if d < 0 {
			return fmt.Errorf("keys dir: %s must not be negative", option)
		}
	}
	for _, before := range c.Warn {
		if before <= 0 {
			return errors.New("keys dir: warn must be positive; write it like warn 7d 1d")
		}
	}
	switch {
	case of.KeyCalendar != nil && of.KeysDir == "":
		return errors.New("a key's calendar needs keys dir <path>: a key of the configuration has no date")
	case c.Check > 0 && time.Duration(c.Check) < time.Minute:
		return errors.New("keys dir: check must be at least 1m; each asks the upstream with every version of the key")
	case c.Check > 0 && !p.Has(upstream.EndpointModels):
		return fmt.Errorf("keys dir: check asks for the list of models, which profile %s does not have; write path models <path>, of something that is free", p.Profile.Name)
	case c.Activate != "" && c.Activate != activateChecked:
		return fmt.Errorf("keys dir: activate %q is unknown; use checked", c.Activate)
	case c.Activate != "" && c.Check == 0:
		return errors.New("keys dir: activate checked needs check, as check 24h: a key signs after it has been checked")
	case slices.ContainsFunc(c.Warn, func(before caddy.Duration) bool { return c.RotateEvery != 0 && before >= c.RotateEvery }):
		return errors.New("keys dir: warn must be shorter than rotate_every: a key would be warned of from its first day")
	case c.RotateEvery == 0 && c.Warn != nil:
		return errors.New("keys dir: warn needs rotate_every, as rotate_every 30d")
	}
	return nil
}

// calendarWatch tells operators how a provider's keys are.
type calendarWatch struct {
	monitor  *alert.Monitor
	provider string
	logger   *zap.Logger
}

// Due implements calendar.Observer.
func (w *calendarWatch) Due(d calendar.Due) {
	switch d.Level {
	case calendar.Overdue:
		w.monitor.KeyOverdue(w.provider, d.What, d.At)
	case calendar.Expiring:
		w.monitor.KeyExpiring(w.provider, d.What, d.At, d.Warned)
	default:
		w.monitor.KeyFine(w.provider)
	}
}

// Checked implements calendar.Observer.
func (w *calendarWatch) Checked(version int, c calendar.Check) {
	fields := []zap.Field{zap.Int("key", version), zap.Bool("token", c.Token), zap.String("protocol", c.Protocol),
		zap.Duration("latency", c.Latency), zap.Duration("skew", c.Skew)}
	if !c.CertificateEnds.IsZero() {
		fields = append(fields, zap.Time("certificate_ends", c.CertificateEnds))
	}
	if c.Taken {
		w.logger.Info("key is taken", fields...)
		return
	}
	w.logger.Error("key is not taken", append(fields, zap.Bool("refused", c.Refused), zap.String("code", c.Code))...)
}

// Keys implements calendar.Observer.
func (w *calendarWatch) Keys(refused, failing []int) {
	w.monitor.Keys(w.provider, refused, failing)
}

// Signs implements calendar.Observer.
func (w *calendarWatch) Signs(version, before int) {
	w.logger.Warn("another key signs", zap.Int("key", version), zap.Int("before", before))
}

// StoreFailed implements calendar.Observer.
func (w *calendarWatch) StoreFailed(err error) {
	w.logger.Error("the record of keys cannot be shared at present", zap.Error(err))
}

// Interface guards
var _ calendar.Observer = (*calendarWatch)(nil)
