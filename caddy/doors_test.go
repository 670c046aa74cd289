package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// aDoor is a way into the gateway, with a request that it serves.
type aDoor struct {
	method, path string
	// body has %s where a client's words stand; empty for none.
	body   string
	fields []string
	// claude says that its errors are Anthropic's.
	claude bool
	// call says that what comes is a call of a provider, which the log has.
	call bool
}

const claudeVersion = "Anthropic-Version: 2023-06-01"

// doors are all of them: see TestDoorsAreAll.
var doors = map[string]aDoor{
	"chat":                 {"POST", chatPath, `{"model":"alipay-fin-1","messages":[{"role":"user","content":"%s"}]}`, nil, false, true},
	"chat, streamed":       {"POST", chatPath, `{"model":"alipay-fin-1","stream":true,"messages":[{"role":"user","content":"%s"}]}`, nil, false, true},
	"completions":          {"POST", "/v1/completions", `{"model":"alipay-fin-1","prompt":"%s"}`, nil, false, true},
	"responses":            {"POST", "/v1/responses", `{"model":"alipay-fin-1","input":"%s"}`, nil, false, true},
	"responses, streamed":  {"POST", "/v1/responses", `{"model":"alipay-fin-1","stream":true,"input":"%s"}`, nil, false, true},
	"input_tokens":         {"POST", "/v1/responses/input_tokens", `{"model":"alipay-fin-1","input":"%s"}`, nil, false, false},
	"messages":             {"POST", "/v1/messages?beta=true", `{"model":"alipay-fin-1","max_tokens":99,"messages":[{"role":"user","content":"%s"}]}`, []string{claudeVersion}, true, true},
	"messages, streamed":   {"POST", "/v1/messages", `{"model":"alipay-fin-1","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"%s"}]}`, []string{claudeVersion}, true, true},
	"messages, no version": {"POST", "/v1/messages", `{"model":"alipay-fin-1","max_tokens":99,"messages":[{"role":"user","content":"%s"}]}`, nil, true, true},
	"count_tokens":         {"POST", "/v1/messages/count_tokens?beta=true", `{"model":"alipay-fin-1","messages":[{"role":"user","content":"%s"}]}`, []string{claudeVersion}, true, false},
	"embeddings":           {"POST", "/v1/embeddings", `{"model":"alipay-embed-1","input":"%s"}`, nil, false, true},
	"moderations":          {"POST", "/v1/moderations", `{"input":"%s"}`, nil, false, true},
	"models":               {"GET", "/v1/models", "", nil, false, true},
	"models/":              {"GET", "/v1/models/", "", nil, false, true},
	"one model":            {"GET", "/v1/models/alipay-fin-1", "", nil, false, true},
	"Claude's models":      {"GET", "/v1/models?limit=1000", "", []string{claudeVersion}, true, true},
	"Claude's model":       {"GET", "/v1/models/alipay-fin-1", "", []string{claudeVersion}, true, true},
	"Codex's models":       {"GET", "/v1/models?client_version=1", "", []string{"Originator: codex_cli_rs"}, false, true},
}

// at sends the door's request with these words.
func (d aDoor) at(g *rig, words string, fields ...string) answer {
	g.t.Helper()
	body := d.body
	if body != "" {
		body = fmt.Sprintf(body, words)
	}
	return g.do(d.method, d.path, body, append(append([]string(nil), d.fields...), fields...)...)
}

// refused checks that an answer is an error as the door's clients read it, and names the call. code is OpenAI's, kind Anthropic's.
func (d aDoor) refused(t *testing.T, a answer, status int, code, kind string) {
	t.Helper()
	var body struct {
		Type      string
		RequestID string `json:"request_id"`
		Error     struct {
			Type, Message string
			Code          *string
			Param         json.RawMessage
			RequestID     string `json:"request_id"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != status || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %s (%v), want %d", a.status, a.header.Get("Content-Type"), a.body, err, status)
	}
	e, id := body.Error, a.header.Get("X-Request-Id")
	switch {
	case e.Message == "" || e.Type == "" || id == "":
		t.Errorf("an error without message, type or id: %s", a.body)
	case d.claude && (body.Type != "error" || body.RequestID != id || e.Type != kind):
		t.Errorf("%s, want Anthropic's %s", a.body, kind)
	case !d.claude && (body.Type != "" || e.Code == nil || *e.Code != code || e.Param == nil || e.RequestID != id):
		t.Errorf("%s, want OpenAI's %s", a.body, code)
	}
}

// TestKeysAtEveryDoor has a tenant's key in either field, or in both, at each door; without one, or with a wrong one, the refusal
// is in the door's own form. Nothing is redirected.
func TestKeysAtEveryDoor(t *testing.T) {
	g, acme, zeta, _ := newAuthRig(t)
	g.http.CheckRedirect = func(req *http.Request, _ []*http.Request) error { return fmt.Errorf("redirected to %s", req.URL) }
	for name, d := range doors {
		t.Run(name, func(t *testing.T) {
			for tenant, fields := range map[string][]string{
				"acme": {"Authorization: Bearer " + acme}, "zeta": {"X-Api-Key: " + zeta}, "both": {"Authorization: Bearer " + acme, "X-Api-Key: " + acme},
			} {
				a := d.at(g, "hello", fields...)
				if a.status != http.StatusOK {
					t.Fatalf("%s: %d %s", tenant, a.status, a.body)
				}
				if d.call && tenant != "both" {
					if got := g.outcome(a)["tenant"]; got != tenant {
						t.Errorf("tenant %v, want %s", got, tenant)
					}
				}
			}
			for _, fields := range [][]string{nil, {"Authorization: Bearer sk-wrong"}, {"X-Api-Key: sk-wrong"}, {"X-Api-Key: " + acme, "Authorization: Bearer " + zeta}} {
				d.refused(t, d.at(g, "hello", fields...), http.StatusUnauthorized, "invalid_api_key", "authentication_error")
			}
		})
	}
}

// TestRefusalsAtEveryDoor has each kind of refusal at each door, in the door's own form.
func TestRefusalsAtEveryDoor(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1}) // which all these calls would be too many for
	key, hash := tenants.NewKey()
	limited, limitedHash := tenants.NewKey()
	g.vars["key"], g.vars["limited"] = hash.String(), limitedHash.String()
	g.load(strings.NewReplacer("alipayai {", "alipayai {\nmoderator words {\nwords forbidden\n}", "profile sandbox", "profile sandbox\nlimit off").Replace(oneProvider), `
http://${gateway} {
	log
	handle_errors {
		respond "a second body" 599
	}
	alipayai_auth {
		key acme ${key}
		key limited ${limited}
	}
	@moderated header X-Moderated *
	alipayai_moderate @moderated words
	alipayai_proxy alipay {
		max_body 4096
		deadline 1s
		breaker 1000 5m 60s
		limit limited {
			requests_per_second 0.001
			burst 1
		}
	}
}`)
	acme := "Authorization: Bearer " + key
	// One call is the limit of this tenant's.
	for _, first := range []string{"chat", "models"} { // whose limits are apart
		if a := doors[first].at(g, "hello", "Authorization: Bearer "+limited); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for name, d := range doors {
		t.Run(name, func(t *testing.T) {
			if d.body != "" {
				d.refused(t, d.at(g, strings.Repeat("long ", 1000), acme), http.StatusRequestEntityTooLarge, "request_too_large", "request_too_large")
				d.refused(t, g.do(d.method, d.path, "{", append([]string{acme}, d.fields...)...), http.StatusBadRequest, "invalid_json", "invalid_request_error")
				plain, err := http.NewRequestWithContext(t.Context(), d.method, "http://"+g.vars["gateway"]+d.path, strings.NewReader("hello"))
				if err != nil {
					t.Fatal(err)
				}
				plain.Header.Set("Authorization", "Bearer "+key)
				d.refused(t, g.read(g.http.Do(plain)), http.StatusUnsupportedMediaType, "unsupported_content_type", "invalid_request_error")
			}
			if d.body != "" && d.path != "/v1/moderations" { // which says so in its answer
				d.refused(t, d.at(g, "forbidden", acme, "X-Moderated: 1"), http.StatusForbidden, "moderation_blocked", "permission_error")
			}
			d.refused(t, g.do("PATCH", d.path, "", append([]string{acme}, d.fields...)...), http.StatusMethodNotAllowed, "method_not_allowed", "invalid_request_error")
			if !d.call {
				return
			}
			d.refused(t, d.at(g, "hello", "Authorization: Bearer "+limited), http.StatusTooManyRequests, "tenant_requests", "rate_limit_error")
			for fault, want := range map[string]struct {
				fault      sandbox.Fault
				status     int
				code, kind string
			}{
				"a system error": {sandbox.Fault{Kind: sandbox.SystemError500}, http.StatusInternalServerError, "SYSTEM_ERROR", "api_error"},
				"overload":       {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY"}, http.StatusServiceUnavailable, "BUSY", "overloaded_error"},
				"its refusal":    {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 422, Code: "NO"}, http.StatusUnprocessableEntity, "NO", "invalid_request_error"},
			} {
				t.Run(fault, func(t *testing.T) {
					if err := g.api.SetFaults(want.fault); err != nil {
						t.Fatal(err)
					}
					defer func() {
						if err := g.api.SetFaults(); err != nil {
							t.Error(err)
						}
					}()
					d.refused(t, d.at(g, "hello", acme), want.status, want.code, want.kind)
				})
			}
		})
	}
	// At all doors at once, since each waits for the deadline.
	if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.Latency, Delay: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	late := make(map[string]<-chan answer)
	for name, d := range doors {
		if d.call {
			answers := make(chan answer, 1)
			late[name] = answers
			go func() {
				defer close(answers) // where reading it has failed
				answers <- d.at(g, "hello", acme)
			}()
		}
	}
	for name, answers := range late {
		t.Run(name+"/no answer", func(t *testing.T) {
			doors[name].refused(t, <-answers, http.StatusGatewayTimeout, "upstream_timeout", "timeout_error")
		})
	}
}

// TestPaths has addresses as clients put them together: each is served, or is an error in JSON; none is redirected, and what lacks
// /v1 says so.
func TestPaths(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.http.CheckRedirect = func(req *http.Request, _ []*http.Request) error { return fmt.Errorf("redirected to %s", req.URL) }
	g.load(oneProvider, proxySite)
	body := func(d string) string { return fmt.Sprintf(doors[d].body, "hello") }
	const lacks = "the base URL of OpenAI's clients ends in /v1, that of Anthropic's does not"
	for name, c := range map[string]struct {
		method, path, body string
		fields             []string
		status             int
		says               string
	}{
		"two slashes":                      {"POST", "//v1/chat/completions", body("chat"), nil, 200, "hello"},
		"two slashes after v1":             {"POST", "/v1//chat/completions", body("chat"), nil, 200, "hello"},
		"two slashes, messages":            {"POST", "//v1/messages", body("messages"), nil, 200, "hello"},
		"two slashes after v1, messages":   {"POST", "/v1//messages?beta=true", body("messages"), nil, 200, "hello"},
		"v1 twice, messages":               {"POST", "/v1/v1/messages", body("messages"), nil, 200, "hello"},
		"two slashes, responses":           {"POST", "//v1/responses", body("responses"), nil, 200, "hello"},
		"v1 twice":                         {"POST", "/v1/v1/chat/completions", body("chat"), nil, 200, "hello"},
		"two slashes, models":              {"GET", "//v1/models", "", nil, 200, "alipay-fin-1"},
		"models, a slash":                  {"GET", "/v1/models/", "", nil, 200, "alipay-fin-1"},
		"Claude's models, a slash":         {"GET", "/v1/models/?limit=1000", "", []string{claudeVersion}, 200, `"type":"model"`},
		"chat, a slash":                    {"POST", "/v1/chat/completions/", body("chat"), nil, 404, "unknown_url"},
		"messages, a slash":                {"POST", "/v1/messages/", body("messages"), []string{claudeVersion}, 404, `"type":"not_found_error"`},
		"responses, a slash":               {"POST", "/v1/responses/", body("responses"), nil, 404, "unknown_url"},
		"chat without v1":                  {"POST", "/chat/completions", body("chat"), nil, 404, lacks},
		"responses without v1":             {"POST", "/responses", body("responses"), nil, 404, lacks},
		"models without v1":                {"GET", "/models", "", nil, 404, lacks},
		"messages without v1":              {"POST", "/messages", body("messages"), []string{claudeVersion}, 404, lacks},
		"dots":                             {"POST", "/v1/x/../chat/completions", body("chat"), nil, 200, "hello"},
		"HEAD /":                           {"HEAD", "/", "", nil, 200, ""},
		"HEAD / of Claude Code's":          {"HEAD", "/", "", []string{claudeVersion}, 200, ""},
		"HEAD of models":                   {"HEAD", "/v1/models", "", nil, 200, ""},
		"GET /":                            {"GET", "/", "", nil, 404, "unknown_url"},
		"a favicon":                        {"GET", "/favicon.ico", "", nil, 404, "unknown_url"},
		"HEAD of what is not":              {"HEAD", "/v1/nothing", "", nil, 404, ""},
		"an id that holds a slash":         {"GET", "/v1/models/org%2Fmodel", "", nil, 404, "model_not_found"},
		"a response that is not":           {"GET", "/v1/responses/resp_1", "", nil, 404, "no response of that id"},
		"a file of OpenAI's":               {"GET", "/v1/files", "", nil, 404, "unknown_url"},
		"a batch of Anthropic's":           {"POST", "/v1/messages/batches", "{}", []string{claudeVersion}, 404, `"type":"not_found_error"`},
		"what Bedrock's Claude Code seeks": {"GET", "/inference-profiles?type=SYSTEM_DEFINED", "", nil, 404, "unknown_url"},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do(c.method, c.path, c.body, c.fields...)
			if a.status != c.status || !strings.Contains(a.body, c.says) || a.header.Get("Location") != "" {
				t.Errorf("%d %v %s, want %d %s", a.status, a.header, a.body, c.status, c.says)
			}
			if c.method != "HEAD" && (a.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(a.body))) {
				t.Errorf("not JSON: %s %s", a.header.Get("Content-Type"), a.body)
			}
		})
	}
}

// TestSessionsInTheLog has what Claude Code calls its session and agent in the access log; a value that is no name is not logged.
func TestSessionsInTheLog(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	for name, d := range doors {
		if !strings.HasPrefix(d.path, "/v1/messages") || !d.call {
			continue
		}
		t.Run(name, func(t *testing.T) {
			got := g.outcome(d.at(g, "hello", "X-Claude-Code-Session-Id: 0b5e7d1c-6f0f", "X-Claude-Code-Agent-Id: agent-7"))
			if got["session"] != "0b5e7d1c-6f0f" || got["agent"] != "agent-7" {
				t.Errorf("the access log says %v", got)
			}
			got = g.outcome(d.at(g, "hello", "X-Claude-Code-Session-Id: a\tb", "X-Claude-Code-Agent-Id: "+strings.Repeat("x", 5000)))
			if got["session"] != nil || got["agent"] != nil {
				t.Errorf("the access log says %.300v", got)
			}
		})
	}
}

// TestClaudeCodeFindsModels has the list that Claude Code asks for at its start, with the aliases that it shows, by either key; an
// alias is served at its door.
func TestClaudeCodeFindsModels(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	key, hash := tenants.NewKey()
	g.vars["hash"] = hash.String()
	g.load(strings.Replace(oneProvider, "profile sandbox", "profile sandbox\nmodels alipay-fin-1\nmodel claude-fin alipay-fin-1", 1), `
http://${gateway} {
	log
	alipayai_auth {
		key acme ${hash}
	}
	alipayai_proxy alipay
}`)
	for _, field := range []string{"X-Api-Key: " + key, "Authorization: Bearer " + key} {
		a := g.do("GET", "/v1/models?limit=1000", "", claudeVersion, field)
		var list struct {
			Data []struct {
				Type, ID    string
				DisplayName string `json:"display_name"`
				CreatedAt   string `json:"created_at"`
			}
			HasMore *bool `json:"has_more"`
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK || len(list.Data) != 2 || list.HasMore == nil || *list.HasMore {
			t.Fatalf("%d %s (%v)", a.status, a.body, err)
		}
		alias := list.Data[0]
		if _, err := time.Parse(time.RFC3339, alias.CreatedAt); err != nil || alias.ID != "claude-fin" || alias.Type != "model" || alias.DisplayName == "" {
			t.Errorf("%+v (%v)", alias, err)
		}
		a = g.do("POST", "/v1/messages?beta=true", fmt.Sprintf(strings.Replace(doors["messages"].body, "alipay-fin-1", alias.ID, 1), "hello"), claudeVersion, field)
		if a.status != http.StatusOK || !strings.Contains(a.body, "You said: hello") || g.outcome(a)["upstream_model"] != "alipay-fin-1" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}
