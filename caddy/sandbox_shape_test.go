package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A simulator can be the whole of a contract of one's own, and judges the gateway by it: what both sides say alike is served,
// whole and streamed, with its failures in its own words; what the provider says otherwise is refused.
func TestSandboxIsAContractOfOnesOwn(t *testing.T) {
	const contract = `signature {
		content "{method}\n{uri}\n{client_id}\n{time}\n{body_sha512}"
		header Client-Id {client_id}
		header X-Date {time}
		header X-Sign {base64}
		hash sha512
		time digits
		zone +08:00
	}
	request {
		inside data.biz_content string
		field app {client_id}
		field data.nonce {nonce}
		value head.ts {time_ms}
		field head.at {time}
		time local
		zone +08:00
	}
	answer {
		inside data.out
		success head.code 0
		code head.code
		message head.msg
		request_id head.trace
		retry_after head.wait ms
		stream {
			STREAM
		}
	}`
	streams := map[string]string{
		"events":                 "end [END]",
		"named events":           "events delta\nerrors failed\nend done",
		"names in the data":      "name head.type\nevents delta\nerrors failed\nend done",
		"JSON lines":             "form json\nlast head.end true",
		"JSON lines, with words": "form json\nend END",
	}
	load := func(g *rig, provider, app string) {
		g.vars["ours"], g.vars["theirs"] = provider, app
		g.load(`
alipayai {
	provider alipay {
		profile alipay
		environment sandbox
		base_url http://${gone}
		client_id app
		key 2 {env.TEST_HMAC_KEY}
		token http://${gone}/oauth2/token {
			sign
			auth form
		}
		${ours}
	}
}`, `
http://${gateway} {
	alipayai_proxy alipay
}
http://${gone} {
	alipayai_sandbox {
		app app {
			key 2 {env.TEST_HMAC_KEY}
			oauth_secret {env.TEST_SECRET}
			token_sign
			${theirs}
		}
	}
}`)
	}
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			both := strings.Replace(contract, "STREAM", stream, 1)
			load(g, both, both)
			whole, streamed := g.do("POST", chatPath, chatBody("hello there", false)), g.do("POST", chatPath, chatBody("hello there", true))
			if whole.status != http.StatusOK || !strings.Contains(whole.body, "hello there") || strings.Contains(whole.body, "biz_content") {
				t.Errorf("%d: %s", whole.status, whole.body)
			}
			if streamed.status != http.StatusOK || !strings.Contains(said(t, streamed.body), "hello there") || !strings.HasSuffix(streamed.body, "data: [DONE]\n\n") {
				t.Errorf("%d: %s", streamed.status, streamed.body)
			}
			for fault, want := range map[string]string{
				`{"kind":"system_error_first","code":"NO_LUCK","times":1}`:                   "NO_LUCK",
				`{"kind":"http_status","status":400,"code":"PARAM_ILLEGAL","times":1}`:       "PARAM_ILLEGAL",
				`{"kind":"cut","after_events":1,"times":1}`:                                  "",
				`{"kind":"no_end","times":1}`:                                                "[DONE]", // which the gateway adds to a whole answer
				`{"kind":"system_error_midstream","after_events":1,"code":"LATE","times":1}`: "LATE",
			} {
				if a := g.read(g.send("gone", "PUT", "/_sandbox/faults", `{"faults":[`+fault+`]}`)); a.status >= 300 {
					t.Fatal(a.body)
				}
				resp, err := g.send("gateway", "POST", chatPath, chatBody("hello there", true))
				if err != nil {
					t.Fatal(err)
				}
				body := readUntilCut(resp)
				if want == "" && strings.Contains(body, "[DONE]") || !strings.Contains(body, want) {
					t.Errorf("%s: %d: %s", fault, resp.StatusCode, body)
				}
			}
		})
	}
	g := newRig(t, sandbox.Config{})
	both := strings.Replace(contract, "STREAM", streams["named events"], 1)
	for name, change := range map[string][2]string{
		"a field less":                {"field data.nonce {nonce}", ""},
		"a field more":                {"value head.ts", "field head.more x\nvalue head.ts"},
		"a field more, at the top":    {"value head.ts", "field more x\nvalue head.ts"},
		"another field":               {"field app {client_id}", "field app my-{client_id}"},
		"a string for a number":       {"value head.ts", "field head.ts"},
		"another zone":                {"time local\n\t\tzone +08:00", "time local\n\t\tzone +09:00"},
		"another form of the time":    {"time local\n\t\tzone +08:00", "time iso\n\t\tzone +08:00"},
		"a nonce again":               {"field data.nonce {nonce}", "field data.nonce 01234567890123456789"},
		"an object":                   {"biz_content string", "biz_content"},
		"another hash":                {"hash sha512", "hash sha256"},
		"another zone that is signed": {"time digits\n\t\tzone +08:00", "time digits"},
		"another success":             {"success head.code 0", "success head.code 1"},
		"another end":                 {"events delta", "events other"},
	} {
		if !strings.Contains(both, change[0]) {
			t.Fatalf("%s: there is no %q", name, change[0])
		}
		load(g, strings.Replace(both, change[0], change[1], 1), both)
		whole, streamed := g.do("POST", chatPath, chatBody("hello there", false)), g.do("POST", chatPath, chatBody("hello there", true))
		if whole.status == http.StatusOK && streamed.status == http.StatusOK && strings.Contains(said(t, streamed.body), "hello") {
			t.Errorf("%s: served all the same: %s", name, streamed.body)
		}
	}
}

// The gateway and the simulator agree on the names in a token's answer; where they differ, no call is served.
func TestSandboxTokenAnswer(t *testing.T) {
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	const deep = "access_token data.token\nexpires data.ttl ms\nsuccess head.code 0\ncode head.code"
	for name, c := range map[string]struct {
		provider, app string
		status        int
	}{
		"agreed":          {deep, deep, http.StatusOK},
		"a date":          {"access_token t\nexpires until date", "access_token t\nexpires until date", http.StatusOK},
		"another success": {deep, strings.Replace(deep, "head.code 0", "head.code 1", 1), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			if g.vars["ours"] = ""; c.provider != "" {
				g.vars["ours"] = "answer {\n" + c.provider + "\n}"
			}
			g.vars["theirs"] = c.app
			g.load(`
alipayai {
	provider alipay {
		profile alipay
		base_url http://${gone}
		client_id app
		key 2 {env.TEST_HMAC_KEY}
		token http://${gone}/oauth2/token {env.TEST_SECRET} {
			auth form
			${ours}
		}
	}
}`, `
http://${gateway} {
	alipayai_proxy alipay
}
http://${gone} {
	alipayai_sandbox {
		app app {
			key 2 {env.TEST_HMAC_KEY}
			oauth_secret {env.TEST_SECRET}
			token_answer {
				${theirs}
			}
		}
	}
}`)
			if got := g.do("POST", chatPath, chatBody("hi", false)); got.status != c.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// readUntilCut reads what there is of a body.
func readUntilCut(resp *http.Response) string {
	defer resp.Body.Close()
	var b strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buffer)
		if b.Write(buffer[:n]); err != nil {
			return b.String()
		}
	}
}

func TestSandboxShapeRefused(t *testing.T) {
	for name, c := range map[string]struct{ format, option, want string }{
		"a request that says nothing": {"openai", "request {\ntime ms\n}", "app app: request: says nothing"},
		"a path":                      {"openai", "answer {\ninside a..b\n}", `app app: answer: inside "a..b" has an empty name`},
		"a form of streams":           {"openai", "answer {\nstream {\nform xml\n}\n}", `app app: answer: stream: form "xml" is unknown`},
		"another format":              {"anthropic", "answer {\ninside a\n}", "Answer: not used by format anthropic"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			credentials := "key 1 a-key-of-the-test-1\noauth_secret a-secret-of-the-test-1"
			if c.format == "anthropic" {
				credentials = "api_key a-key-of-the-test-1"
			}
			g.vars["format"], g.vars["app"] = c.format, credentials+"\n"+c.option
			err := g.provision("alipayai {\ninsecure_literals\n}", "http://${gateway} {\nalipayai_sandbox {\nformat ${format}\napp app {\n${app}\n}\n}\n}")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
