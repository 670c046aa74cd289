package alipaycaddy

import (
	"bufio"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/signer"
)

// identityRig is a rig whose site signs for providers of all profiles that sign, each below a path of its own: /v3
// for no merchant and /v3m for ours, /global for no agent and /globala for ours, and /v2. The upstream verifies each
// request and remembers it.
type identityRig struct {
	*rig
	mu   sync.Mutex
	seen []recorded
}

const identityApp = "2021000000000001"

func newIdentityRig(t *testing.T) *identityRig {
	t.Helper()
	g := &identityRig{rig: newRig(t, sandbox.Config{})}
	ring := must(signer.NewRing(map[int]*rsa.PublicKey{1: &rsaKey().PublicKey}))
	keys := signer.RSAKeys{Keys: must(signer.NewRing(map[int]*rsa.PrivateKey{1: rsaKey()})), RequestKeys: ring}
	v3 := must(signer.NewOpenAPIV3(signer.OpenAPIConfig{AppID: identityApp, RSAKeys: keys}))
	global := must(signer.NewGlobal(signer.GlobalConfig{ClientID: identityApp, RSAKeys: keys}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := signer.Message{Method: r.Method, Target: r.RequestURI, Body: body}
		var err error
		switch {
		case strings.HasPrefix(r.URL.Path, "/v3"):
			err = v3.VerifyRequest(m, r.Header)
		case strings.HasPrefix(r.URL.Path, "/global"):
			err = global.VerifyRequest(m, r.Header)
		}
		if err != nil {
			t.Errorf("%s arrived without its signature: %v", r.RequestURI, err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen = append(g.seen, recorded{r.Method, r.Host, r.RequestURI, r.Proto, string(body), r.Header.Clone()})
	}))
	t.Cleanup(server.Close)
	t.Setenv("TEST_MERCHANT", "our-merchant")
	g.vars["upstream"], g.vars["rsa"] = server.URL, g.file("rsa", privatePEM(rsaKey()))
	rsaProvider := func(name, profile string, options ...string) string {
		return "provider " + name + " {\nprofile " + profile + "\nbase_url ${upstream}\nclient_id " + identityApp +
			"\nkey 1 {file.${rsa}}\n" + strings.Join(options, "\n") + "\n}\n"
	}
	options := strings.Join([]string{
		"alipayai {",
		rsaProvider("v3", "openapi-v3"), rsaProvider("v3m", "openapi-v3", "app_auth_token {env.TEST_MERCHANT}"),
		rsaProvider("global", "global"), rsaProvider("globala", "global", "header Agent-Token {env.TEST_MERCHANT}"),
		rsaProvider("v2", "openapi-v2"),
		"}",
	}, "\n")
	site := "http://${gateway} {\n"
	for _, name := range []string{"v3", "v3m", "global", "globala", "v2"} {
		methods := ""
		if name == "v2" {
			methods = "methods *"
		}
		site += "handle /" + name + "/* {\nreverse_proxy ${upstream} {\ntransport alipayai " + name +
			" {\npaths /" + name + "/*\n" + methods + "\nallow_anonymous\n}\n}\n}\n"
	}
	g.load(options, site+"}")
	return g
}

// arrived gives what reached the upstream since the last time.
func (g *identityRig) arrived() []recorded {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}

// TestTransportSignsForItsOwnMerchant has clients ask for calls of somebody else, or for something else than their
// body and target say, in each way that a request has. What goes out is what was asked for, or nothing. Caddy itself
// removes header fields with underscores and dots.
func TestTransportSignsForItsOwnMerchant(t *testing.T) {
	g := newIdentityRig(t)
	const app = "ALIPAY-SHA256withRSA app_id=" + identityApp
	tests := map[string]struct {
		target string
		lines  string // header lines
		// status is what the client gets: 200 or 403.
		status int
		// want are fields that the upstream gets, with one value each; an empty one is absent.
		want map[string]string
	}{
		"nothing said":            {"/v3/a", "", 200, map[string]string{"Alipay-App-Auth-Token": ""}},
		"nothing said, merchant":  {"/v3m/a", "", 200, map[string]string{"Alipay-App-Auth-Token": "our-merchant"}},
		"the same merchant":       {"/v3m/a", "alipay-app-auth-token: our-merchant", 200, map[string]string{"Alipay-App-Auth-Token": "our-merchant"}},
		"an empty merchant":       {"/v3m/a", "alipay-app-auth-token:", 200, map[string]string{"Alipay-App-Auth-Token": "our-merchant"}},
		"another merchant":        {"/v3m/a", "alipay-app-auth-token: theirs", 403, nil},
		"a merchant, for none":    {"/v3/a", "alipay-app-auth-token: theirs", 403, nil},
		"merchant in capitals":    {"/v3m/a", "ALIPAY-APP-AUTH-TOKEN: theirs", 403, nil},
		"ours and another":        {"/v3m/a", "alipay-app-auth-token: our-merchant\r\nalipay-app-auth-token: theirs", 403, nil},
		"another and ours":        {"/v3m/a", "alipay-app-auth-token: theirs\r\nalipay-app-auth-token: our-merchant", 403, nil},
		"ours twice":              {"/v3m/a", "alipay-app-auth-token: our-merchant\r\nAlipay-App-Auth-Token: our-merchant", 403, nil},
		"ours and another in one": {"/v3m/a", "alipay-app-auth-token: our-merchant,theirs", 403, nil},
		"hidden by Connection":    {"/v3m/a", "alipay-app-auth-token: theirs\r\nConnection: keep-alive, Alipay-App-Auth-Token", 403, nil},
		"hidden, two fields":      {"/v3m/a", "alipay-app-auth-token: theirs\r\nConnection: keep-alive\r\nConnection: alipay-app-auth-token", 403, nil},
		"agent for Alipay":        {"/v3m/a", "agent-token: theirs", 403, nil},
		"of what is not known":    {"/v3m/a", "alipay-sub-merchant: theirs", 403, nil},

		"merchant in a query":          {"/v3m/a?app_auth_token=theirs", "", 403, nil},
		"merchant in a query, none":    {"/v3/a?x=1&app_auth_token=theirs", "", 403, nil},
		"merchant in a query, escaped": {"/v3m/a?app%5fauth_token=theirs", "", 403, nil},
		"merchant in a query, dashes":  {"/v3m/a?Alipay-App-Auth-Token=theirs", "", 403, nil},
		"behind a semicolon":           {"/v3m/a?x=1;app_auth_token=theirs", "", 403, nil},
		"ours and another in a query":  {"/v3m/a?app_auth_token=our-merchant&app_auth_token=theirs", "", 403, nil},
		"our merchant in a query":      {"/v3m/a?app_auth_token=our-merchant", "", 200, map[string]string{"Alipay-App-Auth-Token": "our-merchant"}},
		"a user's token in a query":    {"/v3m/a?auth_token=user", "", 200, map[string]string{"Alipay-App-Auth-Token": "our-merchant"}},
		"agent in a query":             {"/globala/a?agent-token=theirs", "", 403, nil},

		"signed by an SDK":           {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,sign=AAAA", 200, nil},
		"signed, with a certificate": {"/v3/a", "Authorization: " + app + ",app_cert_sn=c,nonce=n,timestamp=1,expired_seconds=120,sign=AAAA\r\nalipay-root-cert-sn: r", 200, map[string]string{"Alipay-Root-Cert-Sn": ""}},
		"for two minutes":            {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=120,sign=AAAA", 200, nil},
		"for an hour":                {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=3600,sign=AAAA", 200, nil},
		"for a day":                  {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=86400,sign=AAAA", 403, nil},
		"for no time":                {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=0,sign=AAAA", 403, nil},
		"for less than no time":      {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=-1,sign=AAAA", 403, nil},
		"for words":                  {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=long,sign=AAAA", 403, nil},
		"for two times":              {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=120,expired_seconds=121,sign=AAAA", 403, nil},
		"for a number of its own":    {"/v3/a", "Authorization: " + app + ",nonce=n,timestamp=1,expired_seconds=+0120,sign=AAAA", 403, nil},
		"signed for another app":     {"/v3/a", "Authorization: ALIPAY-SHA256withRSA app_id=2,nonce=n,timestamp=1,sign=AAAA", 403, nil},
		"other app, lower case":      {"/v3/a", "Authorization: alipay-sha256withrsa app_id=2,nonce=n,timestamp=1,sign=AAAA", 403, nil},
		"two apps":                   {"/v3/a", "Authorization: " + app + ",app_id=2,nonce=n,timestamp=1,sign=AAAA", 403, nil},
		"an unknown part":            {"/v3/a", "Authorization: " + app + ",merchant=2,nonce=n,timestamp=1,sign=AAAA", 403, nil},
		"the client's own bearer":    {"/v3/a", "Authorization: Bearer app_id=2", 200, nil},

		"always sent":          {"/v3/a", "alipay-request-id: id-1\r\nalipay-sdk-version: x", 200, map[string]string{"Alipay-Request-Id": "id-1", "Alipay-Sdk-Version": ""}},
		"two request ids":      {"/v3/a", "alipay-request-id: id-1\r\nalipay-request-id: id-2", 403, nil},
		"encrypted":            {"/v3/a", "alipay-encrypt-type: AES\r\nalipay-encryption-algm: AES", 200, map[string]string{"Alipay-Encrypt-Type": "AES", "Alipay-Encryption-Algm": "AES"}},
		"encrypted, twice":     {"/v3/a", "alipay-encrypt-type: AES\r\nalipay-encrypt-type: SM4", 403, nil},
		"two kinds of content": {"/v3/a", "Content-Type: text/plain\r\nContent-Type: application/json", 403, nil},
		"compressed":           {"/v3/a", "Content-Encoding: gzip", 403, nil},
		"another method":       {"/v3/a", "X-HTTP-Method-Override: DELETE", 403, nil},

		"Antom":                    {"/global/a", "client-id: " + identityApp + "\r\nrequest-time: 1\r\nsignature: algorithm=RSA256,keyVersion=1,signature=AAAA", 200, map[string]string{"Client-Id": identityApp, "Agent-Token": ""}},
		"Antom's Go SDK":           {"/globala/a", "Client-Id: " + identityApp + "\r\nKey-Version: 1\r\nSDK-VERSION: x\r\nagent-token:", 200, map[string]string{"Agent-Token": "our-merchant"}},
		"our agent":                {"/globala/a", "agent-token: our-merchant", 200, map[string]string{"Agent-Token": "our-merchant"}},
		"another agent":            {"/globala/a", "Agent-Token: theirs", 403, nil},
		"an agent, for none":       {"/global/a", "Agent-Token: theirs", 403, nil},
		"another client":           {"/global/a", "Client-Id: theirs", 403, nil},
		"another client, twice":    {"/global/a", "Client-Id: " + identityApp + "\r\nClient-Id: theirs", 403, nil},
		"v2, header of v3":         {"/v2/a?method=a.b", "alipay-app-auth-token: theirs", 403, nil},
		"v2, signed for another":   {"/v2/a?method=a.b", "Authorization: ALIPAY-SHA256withRSA app_id=2,nonce=n,timestamp=1,sign=AAAA", 403, nil},
		"v2, merchant, alias":      {"/v2/a?method=a.b&App.Auth-Token=theirs", "", 403, nil},
		"v2, another app's":        {"/v2/a?method=a.b&target_app_id=2", "", 403, nil},
		"v2, a user's token":       {"/v2/a?method=a.b&auth_token=user", "", 200, nil},
		"v2, method in two halves": {"/v2/a?method=a.b&method=c.d", "", 403, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := g.lines(tt.target, tt.lines)
			if a.status != tt.status || tt.status == http.StatusForbidden && a.code() != "not_signed" {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if strings.Contains(a.body, "theirs") || strings.Contains(a.body, "our-merchant") || a.header.Get("X-Should-Retry") != "" {
				t.Errorf("the answer shows a token, or what never left as unsafe: %v %s", a.header, a.body)
			}
			arrived := g.arrived()
			if want := map[int]int{200: 1}[tt.status]; len(arrived) != want {
				t.Fatalf("%d requests arrived, want %d: %v", len(arrived), want, arrived)
			}
			for _, r := range arrived {
				if all := fmt.Sprint(r); strings.Contains(all, "theirs") {
					t.Errorf("arrived: %s", all)
				}
				for field, want := range tt.want {
					if got := r.header[field]; want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
						t.Errorf("%s: %q, want %q", field, got, want)
					}
				}
				// A client's SDK says how long its signature is good.
				_, asked, _ := strings.Cut(tt.lines, "expired_seconds=")
				asked, _, _ = strings.Cut(asked, ",")
				if auth := r.header.Get("Authorization"); strings.Contains(auth, "expired_seconds") != (asked != "") || asked != "" && !strings.Contains(auth, ",expired_seconds="+asked+",sign=") {
					t.Errorf("Authorization %s", auth)
				}
				if strings.HasPrefix(tt.target, "/v2") {
					continue
				}
				if r.target != tt.target {
					t.Errorf("arrived: %s", r.target)
				}
			}
		})
	}
}

// lines sends a request whose header has these lines as they are spelt.
func (g *identityRig) lines(target, lines string) answer {
	g.t.Helper()
	conn := must(net.Dial("tcp", g.vars["gateway"]))
	defer conn.Close()
	if lines != "" {
		lines += "\r\n"
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, g.vars["gateway"], lines)
	return g.read(http.ReadResponse(bufio.NewReader(conn), nil))
}
