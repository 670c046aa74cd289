package alipaycaddy

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// aSecret stands where it must never be shown.
const aSecret = "a-secret-of-thirty-characters."

// provider declares one under the name alipay.
func provider(options ...string) string {
	return "alipayai {\nprovider alipay {\n" + strings.Join(options, "\n") + "\n}\n}"
}

// hmacProvider declares one of the profile alipay that is complete but for options.
func hmacProvider(options ...string) string {
	return provider(append([]string{"profile alipay", "base_url https://api.example.com", "client_id app",
		"key 1 {env.TEST_HMAC_KEY}", "token https://auth.example.com/token {env.TEST_SECRET}"}, options...)...)
}

// TestProvisionRefuses loads what the Caddyfile's syntax allows but makes no
// sense. Each error names the provider and the option.
func TestProvisionRefuses(t *testing.T) {
	tests := map[string]struct {
		global, site string
		want         []string
	}{
		"unknown profile": {provider("profile alipy"), "",
			[]string{`provider alipay: profile "alipy" is unknown`, strings.Join(upstream.ProfileNames(), ", ")}},
		"no profile":          {provider("region cn"), "", []string{"provider alipay: profile is missing"}},
		"no base_url":         {provider("profile alipay", "client_id app"), "", []string{"provider alipay: base_url is missing"}},
		"relative base_url":   {hmacProviderAt("api.example.com"), "", []string{"provider alipay: base_url"}},
		"base_url of ftp":     {hmacProviderAt("ftp://api.example.com"), "", []string{"provider alipay: base_url"}},
		"damaged base_url":    {hmacProviderAt("https://api.example.com:port"), "", []string{"provider alipay: base_url"}},
		"base_url with user":  {hmacProviderAt("https://user:" + aSecret + "@api.example.com"), "", []string{"provider alipay: base_url"}},
		"base_url with query": {hmacProviderAt("https://api.example.com?a=1"), "", []string{"provider alipay: base_url"}},
		"base_url of a socket, as reverse_proxy has it": {hmacProviderAt("unix//run/vllm.sock"), "", []string{"provider alipay: base_url is a unix socket", "http://127.0.0.1:8000"}},
		"base_url of a socket, as a host":               {hmacProviderAt("http://unix//run/vllm.sock"), "", []string{"provider alipay: base_url is a unix socket"}},
		"base_url of a socket, h2c":                     {hmacProviderAt("unix+h2c//run/vllm.sock"), "", []string{"provider alipay: base_url is a unix socket"}},
		"base_url of a socket, as a scheme":             {hmacProviderAt("unix:///run/vllm.sock"), "", []string{"provider alipay: base_url is a unix socket"}},
		"base_url of a socket, as Docker's clients":     {hmacProviderAt("http+unix://%2Frun%2Fvllm.sock"), "", []string{"provider alipay: base_url"}},
		"base_url unset":                                {hmacProviderAt("{env.TEST_UNSET}"), "", []string{"provider alipay: base_url", "{env.TEST_UNSET}"}},
		"client_id with dot":                            {otherClientID("client_id a.b"), "", []string{"provider alipay: client_id"}},
		"client_id with control":                        {otherClientID("client_id \"a\tb\""), "", []string{"provider alipay: client_id"}},
		"client_id missing":                             {otherClientID(""), "", []string{"provider alipay: client_id is missing", "write client_id <id>"}},
		"client_id unset":                               {otherClientID("client_id {env.TEST_UNSET}"), "", []string{"provider alipay: client_id", "{env.TEST_UNSET}"}},
		"unknown environment":                           {hmacProvider("environment test"), "", []string{"provider alipay: environment", "sandbox or production"}},
		"unknown path":                                  {hmacProvider("path images /v1/images"), "", []string{"provider alipay: path", "images"}},
		"path without slash":                            {hmacProvider("path chat v1/chat"), "", []string{"provider alipay: path of chat"}},
		"unknown verify_response":                       {hmacProvider("verify_response maybe"), "", []string{"provider alipay: verify_response", "if_present"}},
		"require for a preset":                          {provider("profile ollama", "verify_response require"), "", []string{"provider alipay: verify_response require"}},
		"reserved header":                               {hmacProvider("header authorization x"), "", []string{"provider alipay: header authorization"}},
		"idempotency header":                            {hmacProvider("header idempotency-key x"), "", []string{"provider alipay: header idempotency-key", "the gateway itself"}},
		"merchant as a header":                          {openAPI("key 1 {file.${rsa}}", "header Alipay-App-Auth-Token {env.TEST_SECRET}"), "", []string{"provider alipay: header Alipay-App-Auth-Token"}},
		"merchant for HMAC":                             {hmacProvider("app_auth_token {env.TEST_SECRET}"), "", []string{"provider alipay: app_auth_token", "profile alipay"}},
		"merchant for global":                           {provider("profile global", "client_id 5X", "key 1 {file.${rsa}}", "app_auth_token {env.TEST_SECRET}"), "", []string{"provider alipay: app_auth_token", "profile global"}},
		"header line break":                             {hmacProvider("header X-Team \"a\nX-Admin: b\""), "", []string{"provider alipay: header X-Team"}},
		"header unset":                                  {hmacProvider("header X-Team {env.TEST_UNSET}"), "", []string{"provider alipay: header X-Team", "placeholder"}},
		"option of another kind":                        {provider("profile ollama", "client_id app"), "", []string{"provider alipay: client_id", "profile ollama"}},
		"api_key for a signer":                          {hmacProvider("api_key {env.TEST_SECRET}"), "", []string{"provider alipay: api_key", "profile alipay"}},
		"key for a preset":                              {provider("profile openai", "api_key {env.TEST_SECRET}", "key 1 {env.TEST_HMAC_KEY}"), "", []string{"provider alipay: key", "profile openai"}},
		"token for a preset":                            {provider("profile openai", "api_key {env.TEST_SECRET}", "token https://auth.example.com/token {env.TEST_SECRET}"), "", []string{"provider alipay: token"}},
		"sandbox not on loopback":                       {provider("profile sandbox", "base_url http://192.0.2.1"), "", []string{"provider alipay: base_url", "loopback"}},
		"unknown token auth":                            {provider("profile alipay", "base_url https://api.example.com", "client_id app", "key 1 {env.TEST_HMAC_KEY}", "token https://auth.example.com/token {env.TEST_SECRET} {\nauth digest\n}"), "", []string{"provider alipay: token auth", "basic, form, json or query"}},
		"token header is taken":                         {provider("profile alipay", "base_url https://api.example.com", "client_id app", "key 1 {env.TEST_HMAC_KEY}", "header X-Team a", "token https://auth.example.com/token {env.TEST_SECRET} {\nheader x-team\n}"), "", []string{"provider alipay: token header x-team", "option header"}},
		"sandbox token not local":                       {provider("profile sandbox", "token https://auth.example.com/token {env.TEST_SECRET}"), "", []string{"provider alipay: token url", "loopback"}},

		"no provider for a proxy":    {"", "alipayai_proxy alipay", []string{`provider "alipay" is not declared`}},
		"unknown provider":           {hmacProvider(), "alipayai_proxy other", []string{`provider "other" is not declared`, "alipay"}},
		"provider named twice":       {hmacProvider(), "alipayai_proxy alipay alipay", []string{"provider alipay is named twice"}},
		"equal providers, one twice": {hmacProvider(), "alipayai_proxy alipay|alipay", []string{"provider alipay is named twice"}},
		"equal providers of two regions": {"alipayai {\nprovider a {\nprofile ollama\nregion cn\n}\nprovider b {\nprofile ollama\nregion eu\n}\n}",
			"alipayai_proxy a|b {\nallow_cross_region\n}", []string{"a|b: the two are not equal: a has region cn and b eu"}},
		"equal providers, one app": {"alipayai {\nprovider a {\nprofile alipay\nbase_url https://api.example.com\nclient_id app\nkey 1 {env.TEST_HMAC_KEY}\ntoken https://auth.example.com/token {env.TEST_SECRET}\n}\nprovider b {\nprofile alipay\nbase_url https://api.example.com\nclient_id app\nkey 1 {env.TEST_HMAC_KEY}\ntoken https://auth.example.com/token {env.TEST_SECRET}\n}\n}",
			"alipayai_proxy a|b", []string{"a|b: the two are not equal: both are the app app at api.example.com"}},
		"cheapest without prices": {"alipayai {\nprovider a {\nprofile ollama\n}\nprovider b {\nprofile ollama\n}\n}",
			"alipayai_proxy a|b {\nlb_policy cheapest\n}", []string{"lb_policy cheapest: provider a has no price"}},
		"mixed regions": {"alipayai {\nprovider a {\nprofile ollama\nregion cn\n}\nprovider b {\nprofile ollama\nregion eu\n}\n}",
			"alipayai_proxy a b", []string{"provider", `a (region "cn")`, `b (region "eu")`, "allow_cross_region"}},
		"region and none": {"alipayai {\nprovider a {\nprofile ollama\nregion cn\n}\nprovider b {\nprofile ollama\n}\n}",
			"alipayai_proxy a b", []string{`a (region "cn")`, `b (region "")`}},

		"auth without keys":     {"", "alipayai_auth", []string{"no keys", "key <tenant>"}},
		"auth, empty block":     {"", "alipayai_auth {\n}", []string{"no keys"}},
		"auth, key for hash":    {"", "alipayai_auth {\nkey acme " + aSecret + "\n}", []string{"key of tenant acme", "sha256:"}},
		"auth, short hash":      {"", "alipayai_auth {\nkey acme sha256:11\n}", []string{"key of tenant acme", "64 hexadecimal digits"}},
		"auth, anonymous":       {"", "alipayai_auth {\nkey anonymous " + someHash + "\n}", []string{"tenant", "anonymous"}},
		"auth, one key for two": {"", "alipayai_auth {\nkey a " + someHash + "\nkey b " + someHash + "\n}", []string{"the same key"}},
		"auth, no such file":    {"", "alipayai_auth {\nfile ${dir}/nothing\n}", []string{"file of keys", "nothing"}},
		"auth, damaged file":    {"", "alipayai_auth {\nfile ${damaged}\n}", []string{"file of keys", "line 2"}},

		"signing without paths":    {hmacProvider(), signing("alipay", ""), []string{"paths are missing"}},
		"signing, path":            {hmacProvider(), signing("alipay", "paths v3/*"), []string{"path", `"v3/*"`}},
		"signing, two asterisks":   {hmacProvider(), signing("alipay", "paths /v3/*/x/*"), []string{"path", `"/v3/*/x/*"`}},
		"signing, methods missing": {openAPIV2(), signing("alipay", "paths /gateway.do"), []string{"methods are missing"}},
		"signing, no name":         {openAPIV2(), signing("alipay", "paths /gateway.do\nmethods \"\""), []string{"method", `""`}},
		"signing, wild method":     {openAPIV2(), signing("alipay", "paths /gateway.do\nmethods alipay.*.query"), []string{"method", `"alipay.*.query"`}},
		"signing, methods of v3":   {openAPI("key 1 {file.${rsa}}"), signing("alipay", "paths /*\nmethods a"), []string{"methods are for profile openapi-v2"}},
		"signing by a preset":      {provider("profile ollama"), signing("alipay", "paths /*"), []string{"provider alipay does not sign"}},
		"signing by an unknown":    {hmacProvider(), signing("other", "paths /*"), []string{`provider "other" is not declared`}},

		"sandbox, mode":           {"", "alipayai_sandbox {\nmode test\n}", []string{"Mode", `"test"`}},
		"sandbox, app without":    {"", "alipayai_sandbox {\napp a {\noauth_secret {env.TEST_SECRET}\n}\n}", []string{"app a: key is missing"}},
		"sandbox, literal key":    {"", "alipayai_sandbox {\napp a {\nkey 1 " + aSecret + "\n}\n}", []string{"app a: key 1", "literal"}},
		"sandbox, literal secret": {"", "alipayai_sandbox {\napp a {\nkey 1 {env.TEST_HMAC_KEY}\noauth_secret " + aSecret + "\n}\n}", []string{"app a: oauth_secret", "literal"}},
		"sandbox, no secret":      {"", "alipayai_sandbox {\napp a {\nkey 1 {env.TEST_HMAC_KEY}\n}\n}", []string{"app a: oauth_secret"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			refuses(t, tt.global, tt.site, tt.want)
		})
	}
}

const someHash = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func hmacProviderAt(url string) string {
	return strings.Replace(hmacProvider(), "https://api.example.com", url, 1)
}

func otherClientID(option string) string {
	return strings.Replace(hmacProvider(), "client_id app", option, 1)
}

func signing(provider, options string) string {
	return "reverse_proxy https://api.example.com {\ntransport alipayai " + provider + " {\n" + options + "\n}\n}"
}

// refuses provisions a configuration, which must fail with an error that holds
// each of want and no secret.
func refuses(t *testing.T, global, site string, want []string, secrets ...string) {
	t.Helper()
	g := newSecretRig(t)
	if site != "" {
		site = ":0 {\n" + site + "\n}"
	}
	before := references()
	err := g.provision(global, site)
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	for _, secret := range append(secrets, aSecret, hmacKey, oauthSecret, strings.Repeat("ab", 20), "short-key") {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q holds the secret %q", err, secret)
		}
	}
	if after := references(); len(after) != len(before) {
		t.Errorf("a refused configuration left %v in the pool", after)
	}
}

const (
	hmacKey     = "an-hmac-key-for-tests"
	oauthSecret = "an-oauth-secret-for-tests"
)

// newSecretRig is a rig with secrets to refer to, in the environment and in
// files.
func newSecretRig(t *testing.T) *rig {
	t.Helper()
	g := newRig(t, sandbox.Config{})
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_SHORT_KEY", "short-key")
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("TEST_DEMO_KEY", sandbox.DemoAPIKey)
	t.Setenv("TEST_DEMO_SECRET", sandbox.DemoOAuthSecret)
	t.Setenv("TEST_CONTROL", "a\nb-and-some-more")
	t.Setenv("TEST_QUOTED", `"`+aSecret+`"`)
	t.Setenv("TEST_QUOTED_ONCE", "'"+aSecret+"'")
	t.Setenv("TEST_SCHEME", "bearer "+aSecret)
	for name, content := range map[string]string{
		"rsa": privatePEM(rsaKey()), "rsa_bare": bare(privatePEM(rsaKey())), "rsa_public": publicPEM(&rsaKey().PublicKey), "ec": privatePEM(ecKey()),
		"garbage": "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("ab", 20) + "\n-----END PRIVATE KEY-----\n",
		"damaged": "acme " + someHash + "\nzeta " + aSecret + "\n",
	} {
		g.vars[name] = g.file(name, content)
	}
	for _, name := range []string{"app_expired", "root_bundle", "sm2"} {
		path, err := filepath.Abs("../signer/testdata/certs/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		g.vars[name] = path
	}
	return g
}

// newSilentServer is a server that never answers, and counts who comes.
func newSilentServer(t *testing.T) (addr string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			defer conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-ended
	})
	return listener.Addr().String(), connections
}

// TestValidateIsOffline provisions providers whose servers would hang: nothing
// may be asked of them.
func TestValidateIsOffline(t *testing.T) {
	silent, connections := newSilentServer(t)
	g := newSecretRig(t)
	g.vars["silent"] = silent
	global := "alipayai {\nencryption_key {env.TEST_ENCRYPTION_KEY}\nstore redis ${silent}\n" +
		"alert webhook http://${silent}/\nalert shoutrrr generic://${silent}/?disabletls=yes\n" +
		"evidence {\nrecipient " + must(age.GenerateX25519Identity()).Recipient().String() + "\ndir ${dir}/evidence\n}\n" +
		"provider alipay {\nprofile sandbox\nbase_url http://${silent}\n}\n" +
		"provider far {\nprofile alipay\nbase_url https://nothing.invalid\nclient_id app\nkey 1 {env.TEST_HMAC_KEY}\n" +
		"token https://nothing.invalid/token {env.TEST_SECRET}\n}\n}"
	site := ":0 {\nalipayai_proxy alipay far {\nallow_cross_region\ncached_answer 1h\n}\n" +
		"reverse_proxy /raw/* http://${silent} {\ntransport alipayai alipay {\npaths /raw/*\n}\n}\n}"
	if err := g.provision(global, site); err != nil {
		t.Fatal(err)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections while provisioning", n)
	}
	if _, err := os.Stat(g.vars["dir"] + "/evidence"); !os.IsNotExist(err) {
		t.Errorf("the folder of evidence: %v", err)
	}
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
}
