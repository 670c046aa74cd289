package alipaycaddy

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A moderator that must not see a pinned call is found wherever it stands before the directive.
func TestResidencyFindsModerators(t *testing.T) {
	const serve, guard = "alipayai_proxy cn {\nallow_cross_region\n}\n", "alipayai_moderate law\n"
	for name, site := range map[string]string{
		"before it":                     guard + serve,
		"in a handle":                   "handle {\n" + guard + serve + "}\n",
		"in a named route":              "invoke both\n",
		"before an invocation":          guard + "invoke serve\n",
		"in a named route of its own":   "invoke guard\ninvoke serve\n",
		"in a route that invokes twice": "invoke again\n",
		"for errors":                    "error 503\nhandle_errors {\n" + guard + serve + "}\n",
		"before an error":               guard + "error 503\nhandle_errors {\n" + serve + "}\n",
		"for responses":                 "reverse_proxy http://${us} {\n@bad status 5xx\nhandle_response @bad {\n" + guard + serve + "}\n}\n",
		"for intercepted responses":     "intercept {\n@bad status 5xx\nhandle_response @bad {\n" + guard + serve + "}\n}\nrespond 503\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			declared, _ := g.regional(t, map[string]string{"cn": "cn", "us": "us"})
			global := "alipayai {\n" + declared + "moderator law {\nmodel us llama\non_error closed\n}\nregion cn\nresidency shop cn\n}"
			// Of several directives in a named route Caddy keeps the first alone; route is one.
			named := "&(serve) {\n" + serve + "}\n&(guard) {\n" + guard + "}\n&(both) {\nroute {\n" + guard + serve + "}\n}\n&(again) {\nroute {\ninvoke again\ninvoke both\n}\n}\n"
			err := caddy.Load(g.config(global, named+"http://${gateway} {\n"+site+"}\n"), true)
			if err == nil || !strings.Contains(err.Error(), "residency shop: moderator law, which sees the calls of alipayai_proxy cn, has a model that is not in cn (us is in us)") {
				t.Errorf("error %v", err)
			}
		})
	}
}
