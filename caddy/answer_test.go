package alipaycaddy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// tokenOptions are options of the token of a provider of profile alipay.
func tokenOptions(options ...string) string {
	return provider("profile alipay", "base_url https://api.example.com", "client_id app", "key 1 {env.TEST_HMAC_KEY}",
		"token https://auth.example.com/token {env.TEST_SECRET} {\n"+strings.Join(options, "\n")+"\n}")
}

func TestAnswerOptionsRefused(t *testing.T) {
	answer := func(option string) string { return hmacProvider("answer {\n" + option + "\n}") }
	tokenAnswer := func(option string) string { return tokenOptions("answer {\n" + option + "\n}") }
	for name, tt := range map[string]struct {
		global string
		want   []string
	}{
		"a path":                   {answer("inside a..b"), []string{`answer: inside "a..b" has an empty name`, "data.code"}},
		"a unit":                   {answer("retry_after wait minutes"), []string{"answer: retry_after", "use s or ms"}},
		"a stream's path":          {answer("stream {\nname a..b\n}"), []string{`answer: stream: name "a..b" has an empty name`, "data.event"}},
		"a stream's form":          {answer("stream {\nform xml\n}"), []string{`answer: stream: form "xml" is unknown`, "sse or json"}},
		"names of JSON values":     {answer("stream {\nform json\nevents delta\n}"), []string{"answer: stream: events are chosen by names", "name <path>"}},
		"another format":           {provider("profile anthropic", "api_key {env.TEST_SECRET}", "answer {\ninside data\n}"), []string{"answer goes with OpenAI's format", "anthropic"}},
		"a path of a token":        {tokenAnswer("access_token .token"), []string{`token answer: access_token ".token" has an empty name`}},
		"a unit of a token":        {tokenAnswer("expires ttl hours"), []string{"token answer: expires", "s, ms, date, unix or unix_ms"}},
		"an unknown field":         {tokenOptions("field audience aud"), []string{"token field audience is unknown", "grant_type"}},
		"a field of no request":    {tokenOptions("field client_secret appSecret"), []string{"token field client_secret", "auth form or auth json"}},
		"one name for two":         {tokenOptions("auth json", "field client_id id", "field scope id"), []string{"token fields", "have one name, id"}},
		"the name of another":      {tokenOptions("auth json", "field client_id scope"), []string{"token fields", "have one name, scope"}},
		"a param that is a field":  {tokenOptions("param scope ai"), []string{"token param scope is the request's scope already"}},
		"a secret param":           {tokenOptions("param api_secret " + aSecret), []string{"token param api_secret", "literal"}},
		"a param that is not set":  {tokenOptions("param audience {env.TEST_UNSET}"), []string{"token param audience", "not set"}},
		"a param of a field's new": {tokenOptions("auth json", "field client_id appId", "param appId x"), []string{"token param appId is the request's client_id already"}},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, tt.global, "", tt.want) })
	}
}

// A contract of one's own is said in a Caddyfile alone: an API whose token requests, tokens, answers, streams and errors all
// have names of their own serves OpenAI's clients.
func TestContractOfOnesOwn(t *testing.T) {
	api, err := sandbox.New(sandbox.Config{Variants: []sandbox.Variant{sandbox.VariantEnvelope, sandbox.VariantErrorNames, sandbox.VariantTokenAnswer, sandbox.VariantTokenJSON}})
	if err != nil {
		t.Fatal(err)
	}
	renamed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			body := string(must(io.ReadAll(r.Body)))
			for _, name := range []string{`"appId":`, `"appSecret":`, `"audience":"ai"`} {
				if !strings.Contains(body, name) {
					t.Errorf("the token request %s has no %s", strings.ReplaceAll(body, sandbox.DemoOAuthSecret, "…"), name)
				}
			}
			body = strings.NewReplacer(`"appId"`, `"client_id"`, `"appSecret"`, `"client_secret"`).Replace(body)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		api.ServeHTTP(w, r)
	}))
	defer renamed.Close()
	t.Setenv("TEST_CONTRACT_SECRET", sandbox.DemoOAuthSecret)
	g := newRig(t, sandbox.Config{})
	g.load(fmt.Sprintf(`alipayai {
	provider own {
		profile sandbox
		base_url %[1]s
		token %[1]s/oauth2/token {env.TEST_CONTRACT_SECRET} {
			auth json
			field client_id appId
			field client_secret appSecret
			param audience ai
			answer {
				access_token data.token
				expires data.ttl ms
				success code A00000
			}
		}
		answer {
			inside response
			success code A00000
			code errNo
			message errText
			request_id traceId
			retry_after retryMs ms
		}
	}
}`, renamed.URL), "http://${gateway} {\n\talipayai_proxy own\n}")
	for _, stream := range []bool{false, true} {
		a := g.do("POST", chatPath, chatBody("hello", stream))
		if a.status != http.StatusOK || !strings.Contains(a.body, "hello") || strings.Contains(a.body, "A00000") {
			t.Errorf("%d: %s", a.status, a.body)
		}
	}
	if err := api.SetFaults(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusBadRequest, Code: "PARAM_ILLEGAL", Times: 1}); err != nil {
		t.Fatal(err)
	}
	a := g.do("POST", chatPath, chatBody("hello", false))
	if a.status != http.StatusBadRequest || a.code() != "PARAM_ILLEGAL" {
		t.Errorf("%d: %s", a.status, a.body)
	}
	if logs := g.logs(); !strings.Contains(logs, `"upstream_request_id":"req_`) {
		t.Errorf("the log does not name the upstream's id: %s", logs)
	}
}
