package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A model that its vendor has no more is the operator's matter where the configuration has named it, or the vendor has had it:
// the next provider is asked. A name that no configuration knows is the client's mistake, which it is shown.
func TestModelsThatAVendorHasNot(t *testing.T) {
	const (
		retired = `{"error":{"message":"The model x has been deprecated, learn more here","type":"invalid_request_error","code":"model_not_found"}}`
		unknown = `{"error":{"message":"The model x does not exist","type":"invalid_request_error","code":"model_not_found"}}`
	)
	listed := func(p *upstream.Provider) { p.Models = []string{"alipay-fin-1"} }
	renamed := func(p *upstream.Provider) { p.Model = "alipay-fin-0" }
	for name, c := range map[string]struct {
		status int
		body   string
		edit   func(*upstream.Provider)
		behind turn // what the second provider does; nil for none
		served string
		code   int
		reason string
	}{
		"retired":                   {404, retired, nil, good, "second", 200, "model_not_found"},
		"gone":                      {410, `{"detail":"Gone"}`, nil, good, "second", 200, "model_not_found"},
		"retired, the only one":     {404, retired, nil, nil, "first", 404, "model_not_found"},
		"retired at each":           {404, retired, nil, says(404, unknown), "second", 404, "model_not_found, model_not_found"},
		"retired, then busy":        {404, retired, nil, says(429, `{"code":"BUSY"}`), "second", 503, "model_not_found, throttled"},
		"unknown, a list names it":  {404, unknown, listed, good, "second", 200, "model_not_found"},
		"unknown, of another name":  {404, unknown, renamed, good, "second", 200, "model_not_found"},
		"unknown at the second one": {503, `{"code":"BUSY"}`, nil, says(404, unknown), "second", 503, "server_error, model_not_found"},
		"unknown, the client's":     {404, unknown, nil, good, "first", 404, ""},
	} {
		for form, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
			t.Run(name+", "+form, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					turns := [][]turn{{says(c.status, c.body)}}
					if c.behind != nil {
						turns = append(turns, []turn{c.behind})
					}
					s := perform(t, turns, first(func(p *upstream.Provider) {
						if c.edit != nil {
							c.edit(p)
						}
					}), func(g *alipayai.Gateway) { g.Answers = nil })
					got := s.call(body)
					if got.status != c.code {
						t.Fatalf("%d %s", got.status, got.body)
					}
					wantHeader(t, got, "X-Alipayai-Provider", c.served, "X-Alipayai-Reason", c.reason)
					if c.code == 404 && !strings.Contains(got.body, "model_not_found") {
						t.Errorf("a client is told %s", got.body)
					}
				})
			})
		}
	}
}
