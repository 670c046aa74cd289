package upstream

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A request that somebody else has composed goes to the address that its URL names, however it writes the host, with that
// one's Host, and is measured by that one's region.
func TestComposedRequestsNameTheirAddress(t *testing.T) {
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for name, test := range map[string]struct {
		to, host, region string
	}{
		"the first":                 {"https://one.example/x", "one.example", "sg"},
		"the first, with its port":  {"https://one.example:443/x", "one.example", "sg"},
		"the second":                {"https://two.example/x", "two.example", "cn"},
		"the second, with its port": {"https://two.example:443/x", "two.example", "cn"},
		"the second, in capitals":   {"https://TWO.example:443/x", "two.example", "cn"},
		"the third, with its port":  {"http://[::1]:80/x", "[::1]", "us"},
		"the third, without":        {"http://[::1]/x", "[::1]", "us"},
	} {
		t.Run(name, func(t *testing.T) {
			var host string
			p := &Provider{
				Name: "p", Profile: known(t, "openai"), BaseURL: parse("https://one.example"), Region: "sg",
				Addresses: []*Address{{URL: parse("https://two.example"), Region: "cn"}, {URL: parse("http://[::1]"), Region: "us"}},
				Clock:     new(Clock),
				Transport: transport(func(req *http.Request) (*http.Response, error) {
					host = req.Host
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
				}),
			}
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
			for _, region := range []string{"sg", "cn", "us"} {
				host = ""
				client, err := http.NewRequestWithContext(t.Context(), http.MethodPost, test.to, nil)
				if err != nil {
					t.Fatal(err)
				}
				x, f := p.Send(t.Context(), &Request{
					Client: client, Tenant: "acme", Regions: residency.Regions{region}, Share: Share{Priority: limiter.Low},
					Deadline: time.Now().Add(time.Minute), Caller: prober{},
				})
				if region != test.region {
					if f == nil || f.Code != "residency_unavailable" || host != "" {
						t.Errorf("in %s: %v, sent to %q", region, f, host)
					}
					continue
				}
				if f != nil || host != test.host {
					t.Errorf("in %s: %v, sent to %q", region, f, host)
					continue
				}
				_ = x.Response.Body.Close()
				x.End()
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }
