package alipaycaddy

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseApp reads the global option. Syntax:
//
//	alipayai {
//		insecure_literals
//		encryption_key <key>
//		store     memory
//		store     redis [<addresses...>] {
//			address     <addresses...>
//			master_name <name>
//			cluster
//			username    <name>
//			password    <password>
//			tls
//			db          <number>
//			replicas    <number>
//			tenant_bytes <bytes>
//		}
//		evidence {
//			recipient <age public key>
//			dir       <path>
//			ttl       <duration>
//			max_bytes <size>
//		}
//		alert     slack|webhook|shoutrrr <url>
//		alert     pagerduty <routing_key> [<url>]
//		alert_system_errors <per_minute>
//		provider <name> {
//			...
//		}
//	}
//
// recipient, alert and provider may be repeated.
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

// UnmarshalCaddyfile reads the global option; see parseApp for its syntax.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, []string{"provider", "alert"}, func(option string) error {
		switch option {
		case "insecure_literals":
			return enable(d, &a.InsecureLiterals)
		case "encryption_key":
			return text(d, &a.EncryptionKey)
		case "store":
			return a.unmarshalStore(d)
		case "evidence":
			a.Evidence = new(Evidence)
			return a.Evidence.unmarshal(d)
		case "alert":
			return a.unmarshalAlert(d)
		case "alert_system_errors":
			return number(d, &a.AlertSystemErrors)
		case "provider":
			var name string
			if err := text(d, &name); err != nil {
				return err
			}
			if err := checkProviderName(name); err != nil {
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
		return d.Errf("unrecognized option %q of alipayai; use provider, store, encryption_key, evidence, alert, alert_system_errors or insecure_literals", option)
	})
}

// unmarshal reads an `evidence` block; see parseApp.
func (e *Evidence) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, []string{"recipient"}, func(option string) error {
		switch option {
		case "recipient":
			var recipient string
			if err := text(d, &recipient); err != nil {
				return err
			}
			e.Recipients = append(e.Recipients, recipient)
			return nil
		case "dir":
			return text(d, &e.Dir)
		case "ttl":
			return duration(d, &e.TTL)
		case "max_bytes":
			return size(d, &e.MaxBytes)
		}
		return unrecognized(d, "evidence", option, "recipient", "dir", "ttl", "max_bytes")
	})
}

// unmarshalAlert reads one `alert`; see parseApp.
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
		return d.Err("write alert slack|webhook|shoutrrr <url>, or alert pagerduty <routing_key> [<url>]")
	}
	a.Alerts = append(a.Alerts, &c)
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
