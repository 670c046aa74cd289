package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// With the filter of OPERATIONS.md no log has a tenant's key, in X-Api-Key either: neither that of requests, nor that of errors,
// nor what a handler says of one at debug level.
func TestKeysInNoLog(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	hash := "sha256:03400049a5bbde4c8418cf0c02df262c7ce54e23252b1cb5fc155040893e1ee3"
	const key = "sk-alipayai-F2XXCD374MJ52W7WZWVBPKSACTGALR2IZFUQZN3IH2HY2PI6PA5A"
	global, site, _ := strings.Cut(documented(t, "OPERATIONS.md", "logs"), "ai.example.com")
	text := moved(t, global, map[string]string{
		"{\n\tlog {\n": "{\n\tdefault_bind 127.0.0.1\n\tadmin " + g.vars["admin"] + "\n\tlog {\n\t\tlevel DEBUG\n\t\toutput file " + g.vars["log"] + "\n",
	}) + moved(t, site, map[string]string{
		" {\n\tlog\n":                       "http://" + g.vars["gateway"] + " {\n\tlog\n",
		"file /etc/caddy/tenants":           "key shop " + hash,
		"https://openapi.alipay.com":        "http://127.0.0.1:1",
		" {\n\t\ttransport alipayai alipay": "",
	})
	text = strings.Replace(text, "127.0.0.1:1\n\t}\n", "127.0.0.1:1\n", 1)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := g.loadJSON(config); err != nil {
		t.Fatal(err)
	}
	if a := g.do("POST", "/v1/orders", "{}", "X-Api-Key: "+key); a.status != http.StatusBadGateway {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	g.eventually("both logs of the request", func() bool {
		logs := g.logs()
		return strings.Contains(logs, `"http.log.error"`) && strings.Contains(logs, `"http.log.access"`)
	})
	if logs := g.logs(); strings.Contains(logs, key) {
		t.Errorf("the log has the key: %s", logs)
	}
}
