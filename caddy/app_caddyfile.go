package alipaycaddy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseApp reads the global option into the app.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // so that the error says where
		return nil, d.Err("the alipayai global option is already given; put all providers into one")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "alipayai", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option. Syntax:
//
//	alipayai {
//		insecure_literals
//		encryption_key <key>
//		store     memory
//		store     redis [<addresses...>] { ... }
//		evidence { ... }
//		alert     slack|webhook|shoutrrr <url>
//		alert     pagerduty <routing_key> [<url>]
//		alert_system_errors <per_minute>
//		intents   [<folder>] { ... }
//		prices file <path>
//		region    <region>
//		residency <tenant>|* <regions...>
//		rate      <from> <to> <number>
//		ledger    [<path>] | off { ... }
//		provider <name> { ... }
//		moderator <name> { ... }
//		suite <name> { ... }
//	}
//
// alert, residency, rate, provider, moderator and suite may be repeated. What stands in the blocks is in README.md, and in the
// forms beside what reads it.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Err("write alipayai { ... }")
	}
	return block(d, "alipayai",
		option{form: "provider <name> { ... }", read: a.unmarshalProvider, repeats: true},
		option{form: "moderator <name> { ... }", read: a.unmarshalModerator, repeats: true},
		option{form: "suite <name> { ... }", read: a.unmarshalSuite, repeats: true},
		option{form: "store memory, or store redis <address>", read: a.unmarshalStore},
		option{form: "encryption_key <key>", read: text(&a.EncryptionKey)},
		option{form: "evidence { ... }", read: a.unmarshalEvidence},
		option{form: "alert slack|webhook|shoutrrr <url>, or alert pagerduty <routing_key> [<url>]", read: a.unmarshalAlert, repeats: true},
		option{form: "alert_system_errors <per_minute>", read: number(&a.AlertSystemErrors)},
		option{form: "intents [<folder>]", read: a.unmarshalIntents},
		option{form: "prices file <path>", read: a.unmarshalPrices},
		option{form: "rate <from> <to> <number>, as rate USD CNY 7.2", read: a.unmarshalRate, repeats: true},
		option{form: "ledger [<path>] { ... }, or ledger off", read: a.unmarshalLedger},
		option{form: "region <region>, as region cn", read: text(&a.Region)},
		option{form: "residency <tenant>|* <regions...>, as residency shop cn", read: unmarshalResidency(&a.Residency), repeats: true},
		option{form: "insecure_literals", read: enable(&a.InsecureLiterals)},
	)
}

// unmarshalProvider reads one `provider`.
func (a *App) unmarshalProvider(d *caddyfile.Dispenser) error {
	var name string
	if err := args(d, &name); err != nil {
		return err
	}
	if err := checkName("provider", name); err != nil {
		return d.WrapErr(err)
	}
	if _, ok := a.Providers[name]; ok {
		return d.Errf("provider %s is declared twice", name)
	}
	p := new(Provider)
	if err := p.unmarshalBlock(d); err != nil {
		return err
	}
	if a.Providers == nil {
		a.Providers = make(map[string]*Provider)
	}
	a.Providers[name] = p
	return nil
}

// unmarshalStore reads `store memory` or `store redis`.
func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	switch {
	case len(given) == 1 && given[0] == "memory":
		return block(d, "store memory")
	case len(given) == 0 || given[0] != "redis":
		return errArguments
	}
	a.Redis = &Redis{Addresses: given[1:]}
	return a.Redis.unmarshalBlock(d)
}

// unmarshalEvidence reads an `evidence` block.
func (a *App) unmarshalEvidence(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	e := new(Evidence)
	a.Evidence = e
	return block(d, "evidence",
		option{form: "recipient <age public key>", repeats: true, read: func(d *caddyfile.Dispenser) error {
			var recipient string
			if err := args(d, &recipient); err != nil {
				return err
			}
			e.Recipients = append(e.Recipients, recipient)
			return nil
		}},
		option{form: "dir <path>", read: text(&e.Dir)},
		option{form: "ttl <duration>", read: duration(&e.TTL)},
		option{form: "max_bytes <size>", read: size(&e.MaxBytes)},
	)
}

// unmarshalAlert reads one `alert`.
func (a *App) unmarshalAlert(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	var c Alert
	switch {
	case len(given) == 2 && given[0] == "pagerduty":
		c = Alert{Type: given[0], RoutingKey: given[1]}
	case len(given) == 3 && given[0] == "pagerduty":
		c = Alert{Type: given[0], RoutingKey: given[1], URL: given[2]}
	case len(given) == 2:
		c = Alert{Type: given[0], URL: given[1]}
	default:
		return errArguments
	}
	a.Alerts = append(a.Alerts, &c)
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
