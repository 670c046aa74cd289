package alipaycaddy

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A Connection field that names Authorization has reverse_proxy remove what says which app an SDK has signed for.
func TestHiddenFieldsAreRefused(t *testing.T) {
	for options, refused := range map[string]bool{
		"Authorization": true, "close, authorization ": true, "Agent-Token": true, "App-Auth-Token": true, "Target_App_Id": true,
		"close": false, "keep-alive, X-Other": false, "": false,
	} {
		t.Run(options, func(t *testing.T) {
			client, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/v3/pay", http.NoBody)
			client.Header.Set("Connection", options)
			client = caddyhttp.PrepareRequest(client, caddy.NewReplacer(), nil, nil)
			if got := refuseHidden(client); (got != nil) != refused {
				t.Errorf("got %v, want refused %t", got, refused)
			}
		})
	}
}
