package alipaycaddy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/caddy/command"
)

// A query of the admin API with a name that does not exist is refused at each route, and so is a limit out of all bounds:
// neither is answered as if it were another one.
func TestAdminRefusesQueries(t *testing.T) {
	routes := new(adminAPI).Routes()
	if len(routes) < 6 {
		t.Fatalf("%d routes", len(routes))
	}
	for _, route := range routes {
		for query, says := range map[string]string{
			"tenat=shop": `unknown parameter "tenat"`, "Name=a": `unknown parameter "Name"`, "a;b": "cannot be read", "=": `unknown parameter ""`,
		} {
			err := route.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, route.Pattern+"?"+query, nil))
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s?%s: %v, want %q", route.Pattern, query, err, says)
			}
		}
	}
	for query, says := range map[string]string{
		"tenant=a&tenant=b": "tenant is given twice", "tenat=a": "use by, from, to, tenant, provider, model, limit, format",
	} {
		err := routes[0].Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, command.UsagePath+"?"+query, nil))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", query, err, says)
		}
	}
	for limit, ok := range map[string]bool{
		"1": true, "1000000": true, "1000001": false, "9223372036854775807": false, "9223372036854775808": false, "0": false, "-1": false, "x": false,
	} {
		if _, err := command.ParseUsage(map[string][]string{"limit": {limit}}); (err == nil) != ok {
			t.Errorf("limit %s: %v", limit, err)
		}
	}
}
