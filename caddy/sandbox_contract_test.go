package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestSandboxContract has the gateway and the simulator agree on a layout, with and without a Client-Id, over real
// sockets: both verify the other. Where they differ, the simulator answers 401, and the gateway refuses what the
// simulator signs otherwise.
func TestSandboxContract(t *testing.T) {
	const layout = `signature {
		content "{method}\n{uri}\n{time}.{nonce}.{header.Content-Type}\n{body}"
		header X-Sig "v1={signature}"
		header X-At "{time} {nonce}"
		answer {
			content "{path}\n{time}.{nonce}.{body}"
			header X-Sig "t={time},n={nonce},v1={signature}"
		}
		encoding HEX
		time s
	}`
	named := strings.Replace(layout, "answer {", "header Client-Id {client_id}\nanswer {", 1)
	for name, c := range map[string]struct {
		provider, app string
		status        int
		code          string // of the simulator
	}{
		"agreed":               {layout, layout, http.StatusOK, "OK"},
		"agreed, with the id":  {named, named, http.StatusOK, "OK"},
		"another encoding":     {layout, strings.Replace(layout, "HEX", "hex", 1), http.StatusBadGateway, "INVALID_SIGNATURE"},
		"another unit":         {layout, strings.Replace(layout, "time s", "time ms", 1), http.StatusBadGateway, "INVALID_SIGNATURE"},
		"another content":      {layout, strings.Replace(layout, `{method}\n{uri}`, `{uri}\n{method}`, 1), http.StatusBadGateway, "INVALID_SIGNATURE"},
		"the API's own":        {layout, "", http.StatusBadGateway, "INVALID_CLIENT"},
		"of the API, to a own": {"", layout, http.StatusBadGateway, "INVALID_SIGNATURE"},
		"answers otherwise":    {layout, strings.Replace(layout, "{path}\\n", "", 1), http.StatusBadGateway, "OK"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			t.Setenv("TEST_HMAC_KEY", hmacKey)
			t.Setenv("TEST_SECRET", oauthSecret)
			g.vars["ours"], g.vars["theirs"] = c.provider, c.app
			g.load(`
alipayai {
	provider alipay {
		profile alipay
		base_url http://${gone}
		client_id app
		key 2 {env.TEST_HMAC_KEY}
		verify_response require
		token http://${gone}/oauth2/token {env.TEST_SECRET}
		${ours}
	}
}`, `
http://${gateway} {
	alipayai_proxy alipay
}
http://${gone} {
	alipayai_sandbox {
		app app {
			key 2 {env.TEST_HMAC_KEY}
			oauth_secret {env.TEST_SECRET}
			${theirs}
		}
	}
}`)
			if got := g.do("POST", chatPath, chatBody("hi", false)); got.status != c.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			var stats sandbox.Stats
			if err := json.Unmarshal([]byte(g.read(g.send("gone", "GET", "/_sandbox/stats", "")).body), &stats); err != nil {
				t.Fatal(err)
			}
			if stats.Codes[c.code] == 0 || c.status == http.StatusOK && len(stats.Codes) != 1 {
				t.Errorf("the simulator counts %v, want %s", stats.Codes, c.code)
			}
		})
	}
}

// TestSandboxContractRefused loads simulators whose layout cannot be.
func TestSandboxContractRefused(t *testing.T) {
	for name, c := range map[string]struct{ format, signature, want string }{
		"ambiguous":    {"openai", `content "{uri}{body}"`, "app app: signature: content: two different messages"},
		"encoding":     {"openai", "content {body}\nencoding octal", `encoding "octal" is unknown; use hex, HEX`},
		"key encoding": {"openai", "content {body}\nkey_encoding octal", `key_encoding "octal" is unknown`},
		"no key":       {"anthropic", "content {body}", "app app: signature is for apps with a key, of format openai"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			credentials := "key 1 a-key-of-the-test-1\noauth_secret a-secret-of-the-test-1"
			if c.format == "anthropic" {
				credentials = "api_key a-key-of-the-test-1"
			}
			g.vars["format"], g.vars["app"] = c.format, credentials+"\nsignature {\nheader X-Sig {signature}\n"+c.signature+"\n}"
			err := g.provision(`
alipayai {
	insecure_literals
}`, `
http://${gateway} {
	alipayai_sandbox {
		format ${format}
		app app {
			${app}
		}
	}
}`)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
