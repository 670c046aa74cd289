package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Contracts differ in more ways than an option says. Of each the check names what is to be changed, or says what it has met:
// never that all is well, and no option that is not the right one.
func TestCheckOfOtherContracts(t *testing.T) {
	const models = `{"object":"list","data":[{"id":"m"}]}`
	token := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/oauth2/token" {
			fmt.Fprint(w, aToken)
		}
		return r.URL.Path == "/oauth2/token"
	}
	says := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if token(w, r) {
				return
			}
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tc := range map[string]struct {
		serve  http.HandlerFunc
		step   string
		status Status
		want   string // of what came back, the advice and the suspects
	}{
		"as it should be":            {says(200, models), stepModels, OK, "1 model"},
		"a page of a CDN":            {says(403, "<html><body>Access denied by edge</body></html>", "Content-Type", "text/html", "Server", "edge"), stepModels, Fail, "a page, not an API"},
		"a page with status 200":     {says(200, "<html>maintenance</html>", "Content-Type", "text/html"), stepModels, Fail, "base_url"},
		"an address not allowed":     {says(403, `{"code":"IP_NOT_IN_WHITELIST","message":"ip 192.0.2.7 is not in the white list"}`), stepModels, Fail, "address of this machine"},
		"an address, Open Platform":  {says(403, `{"code":"isv.ip-not-in-whitelist","message":"no"}`), stepModels, Fail, "address of this machine"},
		"plain text":                 {says(401, "signature mismatch", "Content-Type", "text/plain"), stepSignature, Fail, "signature"},
		"plain text of a time":       {says(400, "request timestamp expired", "Content-Type", "text/plain"), stepSignature, Fail, "time"},
		"brotli that was not asked":  {says(200, "\x1f\x8b\x08\x00\x00\x00\x00\x00", "Content-Encoding", "br"), stepModels, Fail, "compress"},
		"a redirect":                 {says(307, "", "Location", "https://elsewhere.example/v1/models"), stepConnection, Fail, "elsewhere.example"},
		"no list of models":          {says(404, `{"code":"NOT_FOUND","message":"no such api"}`), stepModels, Fail, "models <names...>"},
		"a body that is asked for":   {says(411, ""), stepModels, Fail, "411"},
		"a method that is not taken": {says(405, ""), stepModels, Fail, "models <names...>"},
		"a signed answer, otherwise": {says(200, models, "X-Signature", "abc"), stepSignature, Warn, "answers are signed"},
		"a signed answer, broken":    {says(200, models, "Signature", "algorithm=HMAC-SHA256,keyVersion=1,signature=AAAA"), stepSignature, Fail, "signed in another way"},
		"no permission":              {says(403, `{"code":"ACCESS_DENIED","message":"app has no permission"}`), stepModels, Fail, "app"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.serve)
			defer server.Close()
			report := Check(t.Context(), newProvider(t, server.URL, nil), Options{With: func([]string) (*upstream.Provider, error) {
				return newProvider(t, server.URL, func(p *upstream.Provider) { p.Name = "with an option" }), nil
			}})
			s := stepOf(t, report, tc.step)
			said := s.Received + "\n" + s.Advice + "\n" + strings.Join(s.Suspects, "\n")
			if s.Status != tc.status || !strings.Contains(said, tc.want) || report.OK() != (tc.status != Fail) || len(report.Options()) > 0 {
				t.Errorf("step %+v, options %q", s, report.Options())
			}
		})
	}
}
