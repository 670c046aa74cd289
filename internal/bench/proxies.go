package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // the modules of a Caddy as it is downloaded

	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	_ "github.com/caddy-alipayai/gateway/caddy" // the plugin
)

// socket is what Caddy listens on. It is kept here, since its descriptor would be
// closed with it when it is collected.
var socket *os.File

// serveCaddy runs a proxy before the upstream in this process, and returns its
// address when it listens.
func serveCaddy(role, upstream string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	if socket, err = l.(*net.TCPListener).File(); err != nil {
		return "", err
	}
	text, err := caddyfile(role, l.Addr().String(), fmt.Sprintf("fd/%d", socket.Fd()), upstream)
	if err != nil {
		return "", err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), caddy.Load(config, true)
}

// A site is what the roles' configurations differ in.
type site struct {
	providers []string // that are defined
	options   string   // other options of the app
	auth      string   // directives before the proxy
	proxy     string
}

// clientKey is what the load's clients authenticate with, where a site asks for it.
const clientKey = "bench-client"

// idleTransport is every proxy's way to the upstream. reverse_proxy keeps 32 idle
// connections by default, and so opens new ones all the time where 64 calls are in
// flight; alipayai_proxy keeps 256. All have as many here, so that
// the comparison is one of the proxies and not of this default.
const idleTransport = `transport http {
				keepalive_idle_conns_per_host 256
			}`

// matchers look at what each call is about, how long it is and in which language; moderator holds it against rules.
const (
	matchers  = "@finance alipayai intent financial\n\t@short alipayai {\n\t\tcharacters <20\n\t\tlanguage han\n\t}\n\tvars @finance finance yes\n\trespond @short 418\n\t"
	moderator = "\n\t\tmoderator law {\n\t\t\trules builtin china\n\t\t}"
)

// sites has one for each role that is a proxy.
//
// Keys are kept for five seconds in production: with 24 hours the figures would
// be those of a store that is full of keys, which refuses all others.
var sites = map[string]site{
	roleStock: {proxy: "reverse_proxy %s {\n\t\t\t" + idleTransport + "\n\t}"},
	roleGateway: {
		providers: []string{"alipay"},
		proxy:     "alipayai_proxy alipay",
	},
	roleProduction: {
		providers: []string{"alipay", "broken"},
		options:   "\n\t\talert webhook http://127.0.0.1:9/alerts",
		auth:      "alipayai_auth {\n\t\tkey bench " + tenants.HashKey(clientKey).String() + "\n\t}\n\t",
		proxy: `alipayai_proxy alipay broken {
		breaker       3 5m 60s
		cached_answer 24h
		idempotency   5s
		limit * {
			requests_per_second 1000000
			tokens_per_minute   1000000000
			concurrent          10000
		}
	}`,
	},
	roleMatched: {
		providers: []string{"alipay"},
		auth:      matchers,
		proxy:     "alipayai_proxy alipay",
	},
	roleModerated: {
		providers: []string{"alipay"},
		options:   moderator,
		auth:      matchers + "alipayai_moderate law\n\t",
		proxy:     "alipayai_proxy alipay",
	},
	roleDeclared: {
		providers: []string{"alipay"},
		options:   "\n\t\tintents" + moderator,
		proxy:     "alipayai_proxy alipay",
	},
	roleDirect: {
		providers: []string{"alipay"},
		proxy:     "alipayai_proxy alipay",
	},
	roleOpen: {
		providers: []string{"alipay", "broken"},
		proxy: `alipayai_proxy broken alipay {
		breaker 3 5m 1h
	}`,
	},
}

// caddyfile is the configuration of a role. What no site says is the same for all:
// metrics on, no access log.
func caddyfile(role, addr, bind, upstream string) (string, error) {
	if role == rolePooled {
		return pooledCaddyfile(addr, bind, upstream), nil
	}
	s, ok := sites[role]
	if !ok {
		return "", fmt.Errorf("unknown role %q", role)
	}
	app := ""
	if len(s.providers) > 0 {
		app = "\n\talipayai {\n\t\tinsecure_literals" + s.options
		for _, name := range s.providers {
			app += provider(name, upstream)
		}
		app += "\n\t}"
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	metrics
	log {
		level FATAL
	}%s
}
http://%s {
	bind %s
	%s%s
}
`, app, addr, bind, s.auth, strings.ReplaceAll(s.proxy, "%s", upstream)), nil
}

// provider is the upstream as the gateway knows it; all calls to the one called
// broken are system errors.
func provider(name, upstream string) string {
	base := upstream
	if name == "broken" {
		base += brokenPath
	}
	return fmt.Sprintf(`
		provider %s {
			profile alipay
			base_url http://%s
			client_id %s
			key 1 bench-hmac-key-0001
			token http://%s%s bench-secret
			limit 100000 1s
			%s
		}`, name, base, strings.ToUpper(name), upstream, tokenPath, idleTransport)
}
