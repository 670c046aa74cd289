package alipaycaddy

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalStore reads `store memory` or `store redis`; see parseApp.
func (a *App) unmarshalStore(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	switch {
	case len(given) == 1 && given[0] == "memory":
		return block(d, nil, func(option string) error { return unrecognized(d, "store memory", option) })
	case len(given) == 0 || given[0] != "redis":
		return d.Err("write store memory, or store redis <address>")
	}
	a.Redis = &Redis{Addresses: given[1:]}
	return block(d, nil, a.Redis.unmarshalOption(d))
}

func (r *Redis) unmarshalOption(d *caddyfile.Dispenser) func(string) error {
	return func(option string) error {
		switch option {
		case "address":
			if len(r.Addresses) > 0 {
				return d.Err("the addresses of redis are given twice")
			}
			return list(d, &r.Addresses)
		case "master_name":
			return text(d, &r.MasterName)
		case "cluster":
			return enable(d, &r.Cluster)
		case "username":
			return text(d, &r.Username)
		case "password":
			return text(d, &r.Password)
		case "sentinel_username":
			return text(d, &r.SentinelUsername)
		case "sentinel_password":
			return text(d, &r.SentinelPassword)
		case "tls":
			return enable(d, &r.TLS)
		case "db":
			var value string
			if err := text(d, &value); err != nil {
				return err
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return d.Errf("db %q is not a number from 0", value)
			}
			r.DB = n
			return nil
		case "replicas":
			return number(d, &r.Replicas)
		case "tenant_bytes":
			return size(d, &r.TenantBytes)
		}
		return unrecognized(d, "store redis", option,
			"address", "master_name", "cluster", "username", "password", "sentinel_username",
			"sentinel_password", "tls", "db", "replicas", "tenant_bytes")
	}
}
