package alipaycaddy

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestOtherFormatsOverHTTP2 asks a simulated platform of agents and a simulated Anthropic API, each over TLS: the
// connections are HTTP/2, and what comes back is OpenAI's form.
func TestOtherFormatsOverHTTP2(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	t.Setenv("TEST_API_KEY", sandbox.DemoAPIKey)
	g.vars["rsa"] = g.file("rsa.pem", privatePEM(rsaKey()))
	api := func(name string, config sandbox.Config) *sandbox.Server {
		t.Helper()
		sim, err := sandbox.New(config)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(sim)
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		g.vars[name] = server.URL
		g.vars[name+"_ca"] = g.file(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
		return sim
	}
	agents := api("agents", sandbox.Config{Format: sandbox.NextBuilder, Apps: []sandbox.App{{
		ClientID: "2021000000000001", PublicKey: publicPEM(&rsaKey().PublicKey),
	}}})
	claude := api("claude", sandbox.Config{Format: sandbox.Anthropic})
	g.load(`
alipayai {
	provider agents {
		profile nextbuilder
		base_url ${agents}
		client_id 2021000000000001
		key 1 {file.${rsa}}
		agent sandbox-agent
		transport http {
			tls_trust_pool file ${agents_ca}
		}
	}
	provider claude {
		profile anthropic
		base_url ${claude}/v1
		environment sandbox
		api_key {env.TEST_API_KEY}
		transport http {
			tls_trust_pool file ${claude_ca}
		}
	}
}`, `
http://${gateway} {
	log
	handle_path /agents/* {
		alipayai_proxy agents
	}
	handle_path /claude/* {
		alipayai_proxy claude
	}
}`)
	for name, sim := range map[string]*sandbox.Server{"agents": agents, "claude": claude} {
		for _, stream := range []bool{false, true} {
			a := g.do("POST", "/"+name+chatPath, chatBody("hello there", stream))
			if a.status != 200 || !strings.Contains(a.body, "said") || a.header.Get("X-Alipayai-Provider") != name ||
				stream != strings.HasSuffix(a.body, "data: [DONE]\n\n") {
				t.Errorf("%s, stream %t: %d %s", name, stream, a.status, a.body)
			}
		}
		if stats := sim.Stats(); stats.Protocols["HTTP/2.0"] != 2 || stats.Connections["HTTP/2.0"] != 1 || stats.Requests != 2 {
			t.Errorf("%s: %v on %v", name, stats.Protocols, stats.Connections)
		}
	}
}
