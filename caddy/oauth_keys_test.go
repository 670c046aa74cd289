package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// asUser makes the same call for one user or another, whom the header alone names.
func (g *consentRig) asUser(user, prompt string, fields ...string) answer {
	g.t.Helper()
	return g.do("POST", chatPath, chatBody(prompt, false), append(fields, acmeKey, "X-User: "+user)...)
}

// Two users of a tenant share no idempotency key, no cached answer and no pack, though their calls are the same.
func TestUsersShareNothing(t *testing.T) {
	begin := func(t *testing.T, proxy string) *consentRig {
		g := newConsentRig(t, sandbox.Config{})
		g.vars["proxy"] = proxy
		g.start("", "name_header X-User")
		g.consent(acmeKey, "u1", "alice")
		g.consent(acmeKey, "u2", "bob")
		return g
	}
	t.Run("idempotency keys", func(t *testing.T) {
		g := begin(t, "idempotency 1h")
		ids := make(map[string]bool)
		for _, user := range []string{"u1", "u2", "u1", "u2"} {
			a := g.asUser(user, "pay", "Idempotency-Key: k")
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", user, a.status, a.body)
			}
			ids[a.body] = true
		}
		if got := g.seen(); !slices.Equal(got, []string{"alice", "bob"}) || len(ids) != 2 {
			t.Errorf("served as %q, %d answers", got, len(ids))
		}
	})
	t.Run("cached answers", func(t *testing.T) {
		g := begin(t, "cached_answer 1h")
		if a := g.asUser("u1", "hello"); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.SystemError500}); err != nil {
			t.Fatal(err)
		}
		if a := g.asUser("u2", "hello"); a.status != http.StatusBadGateway && a.status != http.StatusInternalServerError {
			t.Errorf("u2 has an answer of u1's: %d %s", a.status, a.body)
		}
		if a := g.asUser("u1", "hello"); a.status != http.StatusOK || a.header.Get("Cache-Status") == "" {
			t.Errorf("u1: %d %s", a.status, a.body)
		}
		if a := g.do("DELETE", "/consent/users/u1", "", acmeKey); a.status != http.StatusNoContent {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := g.asUser("u1", "hello"); a.code() != "authorisation_required" {
			t.Errorf("a cached answer after the consent: %d %s", a.status, a.body)
		}
	})
	t.Run("packs", func(t *testing.T) {
		g := begin(t, "pack {\nmax_wait 500ms\nmax_calls 4\nacross_users\nverify off\n}")
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if a := g.asUser([]string{"u1", "u2"}[i%2], fmt.Sprint("hello ", i)); a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		all.Wait()
		got := g.seen()
		slices.Sort(got)
		if !slices.Equal(slices.Compact(slices.Clone(got)), []string{"alice", "bob"}) || len(got) > 4 {
			t.Errorf("sent as %q", got)
		}
	})
}

var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

// Users that only bodies name have conversations of their own as well. What has no body names none of them.
func TestUsersOfBodiesShareNoConversations(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.vars["proxy"] = "store_responses 1h"
	g.start("", "name_header X-User")
	g.consent(acmeKey, "u1", "alice")
	g.consent(acmeKey, "u2", "bob")
	respond := func(user, members string) answer {
		if user != "" {
			members += `,"user":"` + user + `"`
		}
		return g.do("POST", "/v1/responses", `{"model":"alipay-fin-1",`+members+`}`, acmeKey)
	}
	var kept struct {
		ID     string
		Output []struct{ ID string }
	}
	if a := respond("u1", `"input":"a secret"`); a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &kept) != nil || len(kept.Output) == 0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for use, members := range map[string]string{
		"go on": `"input":"what was it","previous_response_id":"` + kept.ID + `"`,
		"refer": `"input":[{"type":"item_reference","id":"` + kept.Output[0].ID + `"}]`,
	} {
		for user, status := range map[string]int{"u1": http.StatusOK, "u2": http.StatusBadRequest, "": http.StatusBadRequest} {
			if a := respond(user, members); a.status != status {
				t.Errorf("%s, as %q: %d %s", use, user, a.status, a.body)
			}
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a := g.do(method, "/v1/responses/"+kept.ID, "", acmeKey); a.status != http.StatusNotFound {
			t.Errorf("%s without a name: %d %s", method, a.status, a.body)
		}
		if method == "GET" {
			if a := g.do(method, "/v1/responses/"+kept.ID, "", acmeKey, "X-User: u1"); a.status != http.StatusOK {
				t.Errorf("%s with the name: %d %s", method, a.status, a.body)
			}
		}
	}
}

// What is kept of a user's conversation is of use to no other user of the tenant, nor to the tenant without one: to go on
// from, to refer to, to read or to delete. It gets the same answer as what does not exist.
func TestUsersShareNoConversations(t *testing.T) {
	for name, before := range map[string]string{
		"":                 "",
		"looked at before": "@long alipayai {\nlast_characters >1000\n}\nheader @long X-Long yes\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newConsentRig(t, sandbox.Config{})
			g.vars["proxy"] = "store_responses 1h"
			g.load(g.global("", "name_header X-User"), strings.Replace(g.sites(), "\talipayai_oauth", before+"\talipayai_oauth", 1))
			g.consent(acmeKey, "u1", "alice")
			g.consent(acmeKey, "u2", "bob")
			as := func(user, method, path, body string) answer {
				fields := []string{acmeKey}
				if user != "" {
					fields = append(fields, "X-User: "+user)
				}
				return g.do(method, path, body, fields...)
			}
			type response struct {
				ID     string
				Output []struct{ ID string }
			}
			begin := func(user string) (r response) {
				a := as(user, "POST", "/v1/responses", `{"model":"alipay-fin-1","input":"the secret of `+user+`"}`)
				if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != http.StatusOK || len(r.Output) == 0 {
					t.Fatalf("%d %s", a.status, a.body)
				}
				return r
			}
			of, tenants, asked := begin("u1"), begin(""), g.chats()
			unknown := response{ID: "resp_" + strings.Repeat("0", 48), Output: []struct{ ID string }{{"msg_" + strings.Repeat("0", 50)}}}
			uses := map[string]func(user string, r response) answer{
				"go on": func(user string, r response) answer {
					return as(user, "POST", "/v1/responses", `{"model":"alipay-fin-1","input":"what was it","previous_response_id":"`+r.ID+`"}`)
				},
				"go on, named in the body too": func(user string, r response) answer {
					return as(user, "POST", "/v1/responses", `{"model":"alipay-fin-1","user":"u1","input":"what was it","previous_response_id":"`+r.ID+`"}`)
				},
				"refer": func(user string, r response) answer {
					return as(user, "POST", "/v1/responses", `{"model":"alipay-fin-1","input":[{"type":"item_reference","id":"`+r.Output[0].ID+`"}]}`)
				},
				"read":   func(user string, r response) answer { return as(user, "GET", "/v1/responses/"+r.ID, "") },
				"items":  func(user string, r response) answer { return as(user, "GET", "/v1/responses/"+r.ID+"/input_items", "") },
				"delete": func(user string, r response) answer { return as(user, "DELETE", "/v1/responses/"+r.ID, "") },
			}
			plain := func(a answer, r response) string {
				body := requestID.ReplaceAllString(a.body, "")
				return fmt.Sprint(a.status, " ", strings.NewReplacer(r.ID, "ID", r.Output[0].ID, "ITEM").Replace(body))
			}
			for use, do := range uses {
				others := map[string]response{"u2": of}
				if use != "go on, named in the body too" {
					others[""] = of
				}
				for user, r := range others {
					if got, want := plain(do(user, r), r), plain(do(user, unknown), unknown); got != want || strings.HasPrefix(got, "200") {
						t.Errorf("%s, as %q: %s, want %s", use, user, got, want)
					}
				}
				if got := do("u2", tenants); got.status == http.StatusOK {
					t.Errorf("%s: u2 has what is the tenant's: %s", use, got.body)
				}
			}
			if n := g.chats(); n != asked {
				t.Errorf("%d calls reached the upstream", n-asked)
			}
			for _, use := range []string{"go on", "refer", "read", "items", "delete"} {
				if got := uses[use]("u1", of); got.status != http.StatusOK {
					t.Errorf("%s, as its own user: %d %s", use, got.status, got.body)
				}
			}
			if got := uses["go on"]("", tenants); got.status != http.StatusOK {
				t.Errorf("as the tenant: %d %s", got.status, got.body)
			}
		})
	}
}

// How a call names its user, and what becomes of one that does not.
func TestNamedUsers(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "name_header X-User\nrequire")
	g.consent(acmeKey, "u1", "alice")
	g.consent(acmeKey, "u2", "bob")
	messages := func(user string) answer {
		return g.do("POST", "/v1/messages", fmt.Sprintf(`{"model":"alipay-fin-1","max_tokens":9,"messages":[{"role":"user","content":"hello"}],"metadata":{"user_id":%q}}`, user),
			acmeKey, "Anthropic-Version: 2023-06-01")
	}
	responses := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"hello","user":"u2"}`, acmeKey)
	for name, test := range map[string]struct {
		got    answer
		code   string
		served []string
	}{
		"in the body":             {g.user("u2", "hello", acmeKey), "", nil},
		"by the header over it":   {g.user("u2", "hello", acmeKey, "X-User: u1"), "", nil},
		"of Anthropic's form":     {messages("u1"), "", nil},
		"of Responses":            {responses, "", nil},
		"by two headers":          {g.user("u2", "hello", acmeKey, "X-User: u1", "X-User: u2"), "invalid_value", nil},
		"by an empty header":      {g.user("u2", "hello", acmeKey, "X-User: "), "invalid_value", nil},
		"none":                    {g.do("POST", chatPath, chatBody("hello", false), acmeKey), "missing_required_parameter", nil},
		"with a control":          {g.user("a\tb", "hello", acmeKey), "invalid_value", nil},
		"with no consent":         {g.user("u3", "hello", acmeKey), "authorisation_required", nil},
		"with a case of its own":  {g.user("U1", "hello", acmeKey), "authorisation_required", nil},
		"of tenant and separator": {g.user("acme u1", "hello", acmeKey), "authorisation_required", nil},
	} {
		if test.code == "" && test.got.status != http.StatusOK || test.code != "" && test.got.code() != test.code {
			t.Errorf("%s: %d %s", name, test.got.status, test.got.body)
		}
	}
	got := g.seen()
	slices.Sort(got)
	if !slices.Equal(got, []string{"alice", "alice", "bob", "bob"}) {
		t.Errorf("served as %q", got)
	}
	if a := messages("u3"); a.status != http.StatusForbidden || !strings.Contains(a.body, `"authorisation_url":"http://`) {
		t.Errorf("in Anthropic's form: %d %s", a.status, a.body)
	}
	if a := g.do("GET", "/v1/models", "", acmeKey, "X-User: u1"); a.status != http.StatusOK {
		t.Errorf("models: %d %s", a.status, a.body)
	}
}

// Without a tenant there are no users: whoever came could name another's.
func TestAnonymousHasNoUsers(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.load(g.global("", ""), "http://${gateway} {\n\talipayai_oauth alipay {\n\t\taddress http://${gateway}/consent\n\t\treturn_to "+tenantPage+"\n\t}\n\talipayai_proxy alipay\n}")
	a := g.user("u1", "hello")
	if a.code() != "authorisation_required" || strings.Contains(a.body, "authorisation_url") || g.chats() != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.do("POST", "/consent/links", `{"user":"u1"}`); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
	g.chat("hello") // names no user
}

// A body's user is the call's at every door that takes one: without a consent nothing is sent, by no other token either.
func TestUsersAtEveryDoor(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	g.start("", "require")
	g.consent(acmeKey, "u1", "alice")
	for path, body := range map[string]string{
		chatPath:          `"messages":[{"role":"user","content":"a"}]%s`,
		"/v1/completions": `"prompt":"a"%s`,
		"/v1/embeddings":  `"input":"a"%s`,
		"/v1/responses":   `"input":"a"%s`,
		"/v1/messages":    `"max_tokens":9,"messages":[{"role":"user","content":"a"}]%s`,
	} {
		t.Run(path, func(t *testing.T) {
			named := `,"user":%q`
			if strings.HasPrefix(path, "/v1/messages") {
				named = `,"metadata":{"user_id":%q}`
			}
			for user, want := range map[string]string{"u1": "", "u3": "authorisation_required", "": "serves calls of users only"} {
				by := ""
				if user != "" {
					by = fmt.Sprintf(named, user)
				}
				a := g.do("POST", path, fmt.Sprintf(`{"model":"alipay-fin-1",`+body+`}`, by), acmeKey)
				if want == "" && a.status != http.StatusOK || want != "" && !strings.Contains(a.body, want) {
					t.Errorf("as %q: %d %s", user, a.status, a.body)
				}
			}
		})
	}
}
