package alipayai

import (
	"strings"
	"testing"
)

func TestCheckEnvironment(t *testing.T) {
	const (
		live   = "https://openapi.alipay.com"
		test   = "https://openapi-sandbox.dl.alipaydev.com"
		global = "https://open-sea-global.alipay.com"
		own    = "https://api.example.com"
	)
	for name, c := range map[string]struct {
		declared      Environment
		profile, base string
		id            string
		want          Environment
		refused       string // what the error names, beside what would be right
	}{
		"derived, production host":         {"", "openapi-v3", live, "2021000000000000", Production, ""},
		"derived, sandbox host":            {"", "openapi-v3", test, "2021000000000000", Sandbox, ""},
		"derived, old sandbox host":        {"", "openapi-v2", "https://openapi.alipaydev.com", "2021000000000000", Sandbox, ""},
		"derived, the user's own host":     {"", "alipay", own, "app", Production, ""},
		"derived, a label says sandbox":    {"", "alipay", "https://api-sandbox.example.com", "app", Sandbox, ""},
		"derived, sandbox as a label":      {"", "alipay", "https://SANDBOX.example.com", "app", Sandbox, ""},
		"derived, not quite a label":       {"", "alipay", "https://sandboxes.example.com", "app", Production, ""},
		"derived, the simulator":           {"", "sandbox", "http://127.0.0.1:8081", "SANDBOX_DEMO", Sandbox, ""},
		"derived, global sandbox id":       {"", "global", global, "SANDBOX_5YBQ", Sandbox, ""},
		"derived, global production id":    {"", "global", global, "5YBQ", Production, ""},
		"derived, mixed":                   {"", "alipay", own, "SANDBOX_5YBQ", "", "SANDBOX_5YBQ"},
		"declared production":              {Production, "openapi-v3", live, "2021000000000000", Production, ""},
		"declared sandbox":                 {Sandbox, "openapi-v3", test, "2021000000000000", Sandbox, ""},
		"declared sandbox, own host":       {Sandbox, "alipay", own, "app", Sandbox, ""},
		"declared sandbox, global id":      {Sandbox, "global", global, "SANDBOX_5YBQ", Sandbox, ""},
		"sandbox on a production host":     {Sandbox, "openapi-v3", live, "2021000000000000", "", "openapi.alipay.com"},
		"sandbox on upper case":            {Sandbox, "openapi-v3", "https://OPENAPI.ALIPAY.COM", "2021000000000000", "", "OPENAPI.ALIPAY.COM"},
		"sandbox on a final dot":           {Sandbox, "openapi-v3", "https://openapi.alipay.com.", "2021000000000000", "", "openapi.alipay.com."},
		"sandbox with a port":              {Sandbox, "openapi-v3", "https://openapi.alipay.com:8443", "2021000000000000", "", "openapi.alipay.com:8443"},
		"sandbox on the apex":              {Sandbox, "alipay", "https://alipay.com", "app", "", "alipay.com"},
		"sandbox, global, production id":   {Sandbox, "global", global, "5YBQ", "", "open-sea-global.alipay.com"},
		"a name that only looks like it":   {Sandbox, "alipay", "https://notalipay.com", "app", Sandbox, ""},
		"production on a sandbox host":     {Production, "openapi-v3", test, "2021000000000000", "", "alipaydev.com"},
		"production on one with a dot":     {Production, "alipay", "https://x.alipaydev.com.", "app", "", "alipaydev.com."},
		"production with a sandbox id":     {Production, "global", global, "SANDBOX_5YBQ", "", "SANDBOX_5YBQ"},
		"production with the simulator":    {Production, "sandbox", "http://127.0.0.1:8081", "SANDBOX_DEMO", "", "127.0.0.1:8081"},
		"an environment that is none":      {"staging", "alipay", own, "app", "", "staging"},
		"an environment in another case":   {"Production", "alipay", own, "app", "", "Production"},
		"an id that only looks like it":    {Production, "alipay", own, "SANDBOXED", Production, ""},
		"an id that says so in lower case": {Production, "alipay", own, "sandbox_1", Production, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CheckEnvironment(c.declared, c.profile, parseURL(t, c.base), c.id)
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
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
