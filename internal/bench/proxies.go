package main

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the modules of a Caddy as it is downloaded

	_ "github.com/caddy-alipayai/gateway/caddy" // the plugin
)

// serveCaddy runs the stock proxy or the gateway before the upstream, in this
// process, and returns its address when it listens.
func serveCaddy(role, upstream, idle string) (string, error) {
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile(role, addr, upstream, idle)), nil)
	if err != nil {
		return "", err
	}
	return addr, caddy.Load(config, true)
}

// caddyfile is the configuration of either role. All but the global block's
// provider and the site's one directive is the same: metrics on, no access log.
// idle, unless empty, is the number of idle connections that the stock proxy keeps.
func caddyfile(role, addr, upstream, idle string) string {
	app, directive := "", "reverse_proxy "+upstream
	if failing, ok := failoverSites[role]; ok {
		return failing.caddyfile(addr, upstream)
	}
	if idle != "" {
		directive += " {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host " + idle + "\n\t\t}\n\t}"
	}
	if role == roleGateway {
		app, directive = fmt.Sprintf(`
	alipayai {
		insecure_literals
		provider alipay {
			profile alipay
			base_url http://%[1]s
			client_id BENCH01
			key 1 bench-hmac-key-0001
			token http://%[1]s%[2]s bench-secret
			limit 100000 1s
		}
	}`, upstream, tokenPath), "alipayai_proxy alipay"
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	metrics
	log {
		level ERROR
	}%s
}
http://%s {
	bind 127.0.0.1
	%s
}
`, app, addr, directive)
}
