package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the modules of a Caddy as it is downloaded

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	_ "github.com/caddy-alipayai/gateway/caddy" // the plugin
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// A tenant is one of the two that call.
type tenant struct{ name, key, hash string }

func newTenants() (both [2]tenant) {
	for i, name := range [...]string{"acme", "zeta"} {
		key, hash := tenants.NewKey()
		both[i] = tenant{name, key, hash.String()}
	}
	return both
}

// listenPlaceholder stands for the address that a gateway finds for itself.
const listenPlaceholder = "LISTEN"

// serveGateway runs a Caddyfile in this process, on a port that is its own until
// the process ends.
func serveGateway(caddyfile string) (addr string, err error) {
	port, _, err := heldport.Hold()
	if err != nil {
		return "", err
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	text := strings.ReplaceAll(caddyfile, listenPlaceholder, addr)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		return "", err
	}
	return addr, caddy.Load(config, true)
}

// caddyfile is the configuration of every gateway. The cap is the default of
// profile alipay, unless a guard is given.
func caddyfile(s settings, tenants [2]tenant, redis, upstream string) string {
	limit := ""
	if s.guard > 0 {
		limit = fmt.Sprintf("limit %d 1s %s", perSecond, s.guard)
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	log {
		level ERROR
	}
	alipayai {
		insecure_literals
		encryption_key %[13]s
		store redis %[1]s {
			replicas %[2]d
		}
		provider alipay {
			profile alipay
			base_url http://%[3]s
			client_id %[4]s
			environment sandbox
			key 1 %[5]s
			token http://%[3]s/oauth2/token %[6]s
			%[7]s
		}
	}
}
http://%[8]s {
	bind 127.0.0.1
	alipayai_auth {
		key %[9]s %[10]s
		key %[11]s %[12]s
	}
	alipayai_proxy alipay
}
`, redis, s.gateways, upstream, sandbox.DemoClientID, sandbox.DemoKeys()[1], sandbox.DemoOAuthSecret, limit,
		listenPlaceholder, tenants[0].name, tenants[0].hash, tenants[1].name, tenants[1].hash,
		strings.Repeat("0f", 32))
}
