package alipaycaddy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// uploadOf is a form with files, of parts with their headers.
func uploadOf(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("--b\r\nContent-Disposition: form-data; " + strings.Replace(part, "|", "\r\n\r\n", 1) + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

// TestTransportSignsForItsOwnMerchantInBodies says in bodies, in each way that a form has, that a call of openapi-v2 is for
// another merchant or app, or is another call. Nothing of that leaves.
func TestTransportSignsForItsOwnMerchantInBodies(t *testing.T) {
	g := newIdentityRig(t)
	const form, upload = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	const file = `name="image"; filename="a.png"|PNG`
	tests := map[string]struct {
		query, contentType, body string
		status                   int
	}{
		"a form":                        {"method=a.b", form, "biz_content=%7B%7D", 200},
		"an upload":                     {"method=a.b", upload, uploadOf(`name="biz_type"|x`, file), 200},
		"merchant in a form":            {"method=a.b", form, "app_auth_token=theirs", 403},
		"merchant, escaped":             {"method=a.b", form, "app%5Fauth%5Ftoken=theirs", 403},
		"merchant, capitals":            {"method=a.b", form, "APP_AUTH_TOKEN=theirs", 403},
		"merchant, dashes":              {"method=a.b", form, "app-auth-token=theirs", 403},
		"merchant, a space":             {"method=a.b", form, "app_auth_token+=theirs", 403},
		"merchant, a zero":              {"method=a.b", form, "app_auth_token%00=theirs", 403},
		"merchant, brackets":            {"method=a.b", form, "app_auth_token[]=theirs", 403},
		"merchant behind a semicolon":   {"method=a.b", form, "x=1;app_auth_token=theirs", 403},
		"merchant in a value":           {"method=a.b&biz=1%26app_auth_token%3Dtheirs", form, "", 200}, // one value, escaped as it is
		"app in a form":                 {"method=a.b", form, "app_id=theirs", 403},
		"app twice":                     {"method=a.b&app_id=" + identityApp, form, "app_id=theirs", 403},
		"target app":                    {"method=a.b", form, "target_app_id=theirs", 403},
		"the form in another type":      {"method=a.b", "text/plain", "app_auth_token=theirs", 403},
		"the form without a type":       {"method=a.b", "", "app_auth_token=theirs", 403},
		"JSON":                          {"method=a.b", "application/json", `{"app_auth_token":"theirs"}`, 403},
		"JSON twice":                    {"method=a.b", "application/json", `{"app_auth_token":"o","app_auth_token":"theirs"}`, 403},
		"merchant in an upload":         {"method=a.b", upload, uploadOf(`name="app_auth_token"|theirs`, file), 403},
		"merchant as a file":            {"method=a.b", upload, uploadOf(`name="app_auth_token"; filename="x"|theirs`, file), 403},
		"merchant, unquoted":            {"method=a.b", upload, uploadOf(`name=app_auth_token|theirs`, file), 403},
		"merchant, a name of two":       {"method=a.b", upload, uploadOf(`name="x"; name="app_auth_token"|theirs`, file), 403},
		"merchant, an extended name":    {"method=a.b", upload, uploadOf(`name="x"; name*=UTF-8''app_auth_token|theirs`, file), 403},
		"merchant, an extended one":     {"method=a.b", upload, uploadOf(`name*=UTF-8''app%5Fauth%5Ftoken|theirs`, file), 403},
		"merchant, capitals, an upload": {"method=a.b", upload, uploadOf(`name="App_Auth_Token"|theirs`, file), 403},
		"merchant, a line in the name":  {"method=a.b", upload, uploadOf("name=\"app_auth_token\\\"\"|theirs", file), 403},
		"merchant, in base64":           {"method=a.b", upload, uploadOf("name=\"app_auth_token\"\r\nContent-Transfer-Encoding: base64|dGhlaXJz", file), 403},
		"merchant after the end":        {"method=a.b", upload, uploadOf(file) + uploadOf(`name="app_auth_token"|theirs`), 403},
		"merchant before the start":     {"method=a.b", upload, "app_auth_token=theirs\r\n" + uploadOf(file), 403},
		"two boundaries":                {"method=a.b", upload + "; boundary=c", uploadOf(`name="app_auth_token"|theirs`, file), 403},
		"another boundary":              {"method=a.b", "multipart/form-data; boundary=c", uploadOf(`name="app_auth_token"|theirs`, file), 403},
		"an upload of another kind":     {"method=a.b", "multipart/mixed; boundary=b", uploadOf(`name="app_auth_token"|theirs`, file), 403},
		"app in an upload":              {"method=a.b", upload, uploadOf(`name="app_id"|theirs`, file), 403},
		"our app in an upload":          {"method=a.b", upload, uploadOf(`name="app_id"|`+identityApp, file), 403},
		"target app in an upload":       {"method=a.b", upload, uploadOf(`name="target_app_id"|theirs`, file), 403},
		"method in an upload":           {"method=a.b", upload, uploadOf(`name="method"|theirs`, file), 403},
		"method in an upload alone":     {"x=1", upload, uploadOf(`name="method"|a.b`, file), 403},
		"sign in an upload":             {"method=a.b", upload, uploadOf(`name="sign"|theirs`, file), 403},
		"two texts of one name":         {"method=a.b", upload, uploadOf(`name="biz"|x`, `name="biz"|theirs`, file), 403},
		"a text and a file of one name": {"method=a.b", upload, uploadOf(`name="biz"|x`, `name="biz"; filename="y"|theirs`), 403},
		"a text of the query, other":    {"method=a.b&biz=x", upload, uploadOf(`name="biz"|theirs`, file), 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn := must(net.Dial("tcp", g.vars["gateway"]))
			defer conn.Close()
			contentType := ""
			if tt.contentType != "" {
				contentType = "Content-Type: " + tt.contentType + "\r\n"
			}
			fmt.Fprintf(conn, "POST /v2/a?%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", tt.query, g.vars["gateway"], contentType, len(tt.body), tt.body)
			a := g.read(http.ReadResponse(bufio.NewReader(conn), nil))
			if a.status != tt.status || tt.status == http.StatusForbidden && a.code() != "not_signed" || strings.Contains(a.body, "theirs") {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			arrived := g.arrived()
			if want := map[int]int{200: 1}[tt.status]; len(arrived) != want {
				t.Errorf("%d requests arrived, want %d: %v", len(arrived), want, arrived)
			}
			for _, r := range arrived {
				if r.body != tt.body || !strings.Contains(r.target, "app_id="+identityApp) || strings.Contains(r.target, "app_auth_token=") {
					t.Errorf("arrived: %v", r)
				}
			}
		})
	}
}
