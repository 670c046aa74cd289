package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

func TestCheckEnvironment(t *testing.T) {
	const (
		live   = "https://openapi.alipay.com"
		test   = "https://openapi-sandbox.dl.alipaydev.com"
		global = "https://open-sea-global.alipay.com"
		own    = "https://api.example.com"
	)
	for name, c := range map[string]struct {
		declared      upstream.Environment
		profile, base string
		id            string
		want          upstream.Environment
		refused       string // what the error names, beside what would be right
	}{
		"derived, production host":         {"", "openapi-v3", live, "2021000000000000", upstream.Production, ""},
		"derived, sandbox host":            {"", "openapi-v3", test, "2021000000000000", upstream.Sandbox, ""},
		"derived, old sandbox host":        {"", "openapi-v2", "https://openapi.alipaydev.com", "2021000000000000", upstream.Sandbox, ""},
		"derived, the user's own host":     {"", "alipay", own, "app", upstream.Production, ""},
		"derived, a label says sandbox":    {"", "alipay", "https://api-sandbox.example.com", "app", upstream.Sandbox, ""},
		"derived, sandbox as a label":      {"", "alipay", "https://SANDBOX.example.com", "app", upstream.Sandbox, ""},
		"derived, not quite a label":       {"", "alipay", "https://sandboxes.example.com", "app", upstream.Production, ""},
		"derived, the simulator":           {"", "sandbox", "http://127.0.0.1:8081", "SANDBOX_DEMO", upstream.Sandbox, ""},
		"derived, global sandbox id":       {"", "global", global, "SANDBOX_5YBQ", upstream.Sandbox, ""},
		"derived, global production id":    {"", "global", global, "5YBQ", upstream.Production, ""},
		"derived, mixed":                   {"", "alipay", own, "SANDBOX_5YBQ", "", "SANDBOX_5YBQ"},
		"declared production":              {upstream.Production, "openapi-v3", live, "2021000000000000", upstream.Production, ""},
		"declared sandbox":                 {upstream.Sandbox, "openapi-v3", test, "2021000000000000", upstream.Sandbox, ""},
		"declared sandbox, own host":       {upstream.Sandbox, "alipay", own, "app", upstream.Sandbox, ""},
		"declared sandbox, global id":      {upstream.Sandbox, "global", global, "SANDBOX_5YBQ", upstream.Sandbox, ""},
		"sandbox on a production host":     {upstream.Sandbox, "openapi-v3", live, "2021000000000000", "", "openapi.alipay.com"},
		"sandbox on upper case":            {upstream.Sandbox, "openapi-v3", "https://OPENAPI.ALIPAY.COM", "2021000000000000", "", "OPENAPI.ALIPAY.COM"},
		"sandbox on a final dot":           {upstream.Sandbox, "openapi-v3", "https://openapi.alipay.com.", "2021000000000000", "", "openapi.alipay.com."},
		"sandbox with a port":              {upstream.Sandbox, "openapi-v3", "https://openapi.alipay.com:8443", "2021000000000000", "", "openapi.alipay.com:8443"},
		"sandbox on the apex":              {upstream.Sandbox, "alipay", "https://alipay.com", "app", "", "alipay.com"},
		"sandbox, global, production id":   {upstream.Sandbox, "global", global, "5YBQ", "", "open-sea-global.alipay.com"},
		"a name that only looks like it":   {upstream.Sandbox, "alipay", "https://notalipay.com", "app", upstream.Sandbox, ""},
		"production on a sandbox host":     {upstream.Production, "openapi-v3", test, "2021000000000000", "", "alipaydev.com"},
		"production on one with a dot":     {upstream.Production, "alipay", "https://x.alipaydev.com.", "app", "", "alipaydev.com."},
		"production with a sandbox id":     {upstream.Production, "global", global, "SANDBOX_5YBQ", "", "SANDBOX_5YBQ"},
		"production with the simulator":    {upstream.Production, "sandbox", "http://127.0.0.1:8081", "SANDBOX_DEMO", "", "127.0.0.1:8081"},
		"an environment that is none":      {"staging", "alipay", own, "app", "", "staging"},
		"an environment in another case":   {"Production", "alipay", own, "app", "", "Production"},
		"an id that only looks like it":    {upstream.Production, "alipay", own, "SANDBOXED", upstream.Production, ""},
		"an id that says so in lower case": {upstream.Production, "alipay", own, "sandbox_1", upstream.Production, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := upstream.CheckEnvironment(c.declared, c.profile, parseURL(t, c.base), c.id)
			if c.refused == "" {
				if err != nil || got != c.want {
					t.Errorf("%q, want %q (%v)", got, c.want, err)
				}
				return
			}
			if err == nil || got != "" {
				t.Fatalf("%q is accepted", got)
			}
			if text := err.Error(); !strings.Contains(text, c.refused) || !strings.Contains(text, "environment") || !strings.Contains(text, "use ") {
				t.Errorf("the error does not say what is wrong and what would be right: %v", err)
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.8.8.8": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false, "127.0.0.1.example.com": false,
		"127.1": false, "2130706433": false, "example.com": false,
	} {
		if got := upstream.IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
