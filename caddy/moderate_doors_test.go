package alipaycaddy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A verdict covers all that will be sent, at whichever door it comes in and wherever in the request it stands.
func TestModerateCoversEveryDoor(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		words "guaranteed profit" 稳赚不赔
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	const (
		chat      = chatPath
		messages  = "/v1/messages"
		responses = "/v1/responses"
		called    = `{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":%s}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":%s}]}`
	)
	says := func(turns string) string {
		return `{"model":"alipay-fin-1","max_tokens":10,"messages":[` + turns + `]}`
	}
	asks := func(members string) string { return `{"model":"alipay-fin-1",` + members + `}` }
	for name, test := range map[string]struct{ path, body string }{
		"chat: a role":             {chat, says(`{"role":"guaranteed profit","content":"a"}`)},
		"chat: a name":             {chat, says(`{"role":"user","name":"稳赚不赔","content":"a"}`)},
		"chat: a schema's member":  {chat, asks(`"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":{"type":"object","properties":{"稳赚不赔":{"type":"string"}}}}}`)},
		"chat: reasoning":          {chat, says(`{"role":"user","content":"a"},{"role":"assistant","reasoning_content":"稳赚不赔","content":"b"},{"role":"user","content":"c"}`)},
		"chat: a guided schema":    {chat, asks(`"messages":[{"role":"user","content":"a"}],"guided_json":{"type":"object","properties":{"稳赚不赔":{"type":"string"}}}`)},
		"chat: a format":           {chat, asks(`"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string","format":"guaranteed-profit"}}}}}]`)},
		"messages: system blocks":  {messages, asks(`"max_tokens":10,"system":[{"type":"text","text":"稳赚不赔"}],"messages":[{"role":"user","content":"a"}]`)},
		"messages: a tool's input": {messages, says(fmt.Sprintf(called, `{"q":"稳赚不赔"}`, `"r"`))},
		"messages: a member of it": {messages, says(fmt.Sprintf(called, `{"a":[{"稳赚不赔":1}]}`, `"r"`))},
		"messages: both of it":     {messages, says(fmt.Sprintf(called, `{"稳赚":"不赔"}`, `"r"`))},
		"messages: a tool result":  {messages, says(fmt.Sprintf(called, `{}`, `[{"type":"text","text":"稳赚不赔"}]`))},
		"messages: thinking":       {messages, says(`{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"稳赚不赔","signature":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}`)},
		"messages: a document":     {messages, says(`{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"guaranteed-profit"}},{"type":"text","text":"a"}]}`)},
		"messages: its data first": {messages, says(`{"role":"user","content":[{"type":"document","source":{"data":"guaranteed-profit","type":"text","media_type":"text/plain"}},{"type":"text","text":"a"}]}`)},
		"messages: its title":      {messages, says(`{"role":"user","content":[{"type":"document","title":"guaranteed-profit","source":{"type":"text","media_type":"text/plain","data":"b"}},{"type":"text","text":"a"}]}`)},
		"responses: instructions":  {responses, asks(`"instructions":"稳赚不赔","input":"a"`)},
		"responses: an input":      {responses, asks(`"input":"guaranteed-profit"`)},
		"responses: an item":       {responses, asks(`"input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"稳赚不赔"}]},{"role":"user","content":"a"}]`)},
		"responses: arguments":     {responses, asks(`"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"t","name":"f","arguments":"{\"稳赚不赔\":1}"},{"type":"function_call_output","call_id":"t","output":"r"}]`)},
		"responses: an output":     {responses, asks(`"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"t","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"t","output":"稳赚不赔"}]`)},
		"responses: a schema":      {responses, asks(`"input":"a","text":{"format":{"type":"json_schema","name":"f","schema":{"type":"object","properties":{"稳赚不赔":{"type":"string"}}}}}`)},
		"responses: a tool":        {responses, asks(`"input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"稳赚不赔":{"type":"string"}}}}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", test.path, test.body, g.acme)
			if a.status != http.StatusForbidden || !strings.Contains(a.body, "blocked by policy law") {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the API", n)
	}
}

// What has a body is held against the policy whatever its path and method, also where a route of those that are served needs
// none: another handler may send it, and a rewrite make a call of it.
func TestModerateReadsEveryBody(t *testing.T) {
	const said = `{"model":"alipay-fin-1","messages":[{"role":"user","content":"%s"}]}`
	requests := map[string][]string{
		"POST": {"/v1/responses/x/cancel", "/v1/responses/x", "/v1/models", "/other"}, "GET": {"/v1/models", "/v1/models/x", "/v1/responses/x", "/"},
		"DELETE": {"/v1/responses/x", "/other"}, "PUT": {"/v1/chat/completions"}, "PATCH": {"/v1/responses/x"}, "QUERY": {"/v1/models"},
	}
	for name, behind := range map[string]string{
		"another handler": "reverse_proxy ${plain}", "a rewrite": "rewrite * /v1/chat/completions\nmethod POST\nalipayai_proxy alipay",
	} {
		for asked, model := range map[string]string{"": "", " with a model": "model guard form llama_guard\non_error closed\ntimeout 5s"} {
			t.Run(name+asked, func(t *testing.T) {
				g := newJudge(t)
				g.load(moderators("moderator law {\nwords 稳赚不赔\n"+model+"\n}"), moderatedSite("route {\nalipayai_moderate law\n"+behind+"\n}"))
				g.answers(func(prompt string) string {
					if strings.Contains(prompt, "bomb") {
						return "unsafe\nS1"
					}
					return "safe"
				})
				for method, paths := range requests {
					for _, path := range paths {
						if a := g.do(method, path, fmt.Sprintf(said, "hello"), g.acme); a.status != http.StatusOK {
							t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
						}
						sent := g.passed.Load() + g.chats()
						for _, text := range []string{"稳赚不赔", "a bomb"} {
							if text == "a bomb" && model == "" {
								continue
							}
							if a := g.do(method, path, fmt.Sprintf(said, text), g.acme); a.status != http.StatusForbidden {
								t.Errorf("%s %s, %s: %d %s", method, path, text, a.status, a.body)
							}
						}
						if n := g.passed.Load() + g.chats(); n != sent {
							t.Errorf("%s %s: what was refused was sent", method, path)
						}
					}
				}
			})
		}
	}
}

// A text that is wrapped as a file, an image or a sound is read as the provider reads it, at each door that takes one.
func TestModerateReadsWrappings(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		words 稳赚不赔
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	b64 := base64.StdEncoding.EncodeToString([]byte("it is 稳赚不赔"))
	const (
		messages  = "/v1/messages"
		responses = "/v1/responses"
		user      = `"max_tokens":10,"messages":[{"role":"user","content":[%s,{"type":"text","text":"a"}]}]`
		result    = `"max_tokens":10,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[%s]}]}]`
		item      = `"input":[{"role":"user","content":[%s,{"type":"input_text","text":"a"}]}]`
		output    = `"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[%s]}]`
	)
	type place struct{ path, body string }
	for door, test := range map[string]struct {
		places []place
		parts  map[string]string
	}{
		"chat": {[]place{{chatPath, user}}, map[string]string{
			"a file's URL":   `{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,%s"}}`,
			"a file":         `{"type":"file","file":{"filename":"a.txt","file_data":"%s"}}`,
			"a PDF's URL":    `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,%s"}}`,
			"an image's URL": `{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}`,
			"a sound":        `{"type":"input_audio","input_audio":{"format":"wav","data":"%s"}}`,
		}},
		"messages": {[]place{{messages, user}, {messages, result}}, map[string]string{
			"a document":          `{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"%s"}}`,
			"a PDF":               `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"%s"}}`,
			"a nested document":   `{"type":"document","source":{"type":"content","content":[{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"%s"}}]}}`,
			"an image":            `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}}`,
			"a text for an image": `{"type":"image","source":{"type":"base64","media_type":"text/plain","data":"%s"}}`,
			"an image's URL":      `{"type":"image","source":{"type":"url","url":"data:text/plain;base64,%s"}}`,
		}},
		"responses": {[]place{{responses, item}, {responses, output}}, map[string]string{
			"a file's URL":   `{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,%s"}`,
			"a file":         `{"type":"input_file","filename":"a.txt","file_data":"%s"}`,
			"an image's URL": `{"type":"input_image","image_url":"data:text/plain;base64,%s"}`,
		}},
	} {
		for name, part := range test.parts {
			for i, place := range test.places {
				t.Run(fmt.Sprint(door, ": ", name, " at place ", i), func(t *testing.T) {
					body := `{"model":"alipay-fin-1",` + fmt.Sprintf(place.body, fmt.Sprintf(part, b64)) + `}`
					if a := g.do("POST", place.path, body, g.acme); a.status != http.StatusForbidden || !strings.Contains(a.body, "blocked by policy law") {
						t.Errorf("status %d: %s", a.status, a.body)
					}
				})
			}
		}
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the API", n)
	}
}

// loadNative loads a site that keeps responses and is moderated where a request asks for it, and whose provider speaks Responses
// itself: answer gives the id and the text of what it answers to a body.
func (g *failoverRig) loadNative(forbidden string, answer func(asked string) (id, text string)) {
	g.t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		id, text := answer(string(asked))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"`+id+`","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"`+text+`","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`)
	}))
	g.t.Cleanup(api.Close)
	g.t.Setenv("MODERATED_API_KEY", "k")
	g.vars["responses"] = api.Listener.Addr().String()
	g.load(`
alipayai {
	provider native {
		profile openai
		base_url http://${responses}/v1
		api_key {env.MODERATED_API_KEY}
		api responses
		model m
	}
	moderator law {
		words `+forbidden+`
	}
}`, moderatedSite(`@moderated header X-Moderated yes
	alipayai_moderate @moderated law
	alipayai_proxy native {
		store_responses 1h
	}`))
}

// What a call goes on from is held against the policy as a provider of the API is sent it, also what another API has no place
// for: it may have been kept where there was no moderator.
func TestModerateReadsWhatIsKept(t *testing.T) {
	const secret = "稳赚不赔"
	g := newJudge(t)
	var sent atomic.Int64
	g.loadNative(secret, func(asked string) (id, text string) {
		if strings.Contains(asked, secret) {
			sent.Add(1)
		}
		return "resp_1", "ok"
	})
	for name, items := range map[string]string{
		"a shell's output":     `{"type":"local_shell_call","id":"lsh_1","call_id":"c","status":"completed","action":{"type":"exec","command":["ls"],"env":{}}},{"type":"local_shell_call_output","call_id":"c","output":"` + secret + `"}`,
		"a shell's command":    `{"type":"local_shell_call","id":"lsh_2","call_id":"c","status":"completed","action":{"type":"exec","command":["` + secret + `"],"env":{}}},{"type":"local_shell_call_output","call_id":"c","output":"x"}`,
		"a search":             `{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"` + secret + `"}}`,
		"an item of no API":    `{"type":"zz","note":"` + secret + `"}`,
		"what a user has said": `{"role":"user","content":"` + secret + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", "/v1/responses", `{"model":"m","input":[`+items+`,{"role":"user","content":"q"}]}`, g.acme)
			var response struct{ ID string }
			if err := json.Unmarshal([]byte(a.body), &response); err != nil || a.status != http.StatusOK {
				t.Fatalf("where there is no moderator: %d %s", a.status, a.body)
			}
			before := sent.Load()
			a = g.do("POST", "/v1/responses", `{"model":"m","input":"go on","previous_response_id":"`+response.ID+`"}`, g.acme, "X-Moderated: yes")
			if a.status != http.StatusForbidden || sent.Load() != before {
				t.Errorf("status %d, sent %d times: %s", a.status, sent.Load()-before, a.body)
			}
		})
	}
}

// A response that was kept where no moderator was is not given where one is, by the rules for what is generated.
func TestKeptResponsesAreGuarded(t *testing.T) {
	const secret = "forbidden phrase"
	g := newFailoverRig(t)
	g.loadNative(secret, func(asked string) (id, text string) {
		if strings.Contains(asked, "kindly") {
			return "resp_2", "fine"
		}
		return "resp_1", secret
	})
	for name, c := range map[string]struct {
		input  string
		status int
	}{
		"refused": {"q", http.StatusForbidden},
		"fine":    {"kindly", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", "/v1/responses", `{"model":"m","input":"`+c.input+`"}`, g.acme)
			var response struct{ ID string }
			if err := json.Unmarshal([]byte(a.body), &response); err != nil || a.status != http.StatusOK {
				t.Fatalf("where there is no moderator: %d %s", a.status, a.body)
			}
			path := "/v1/responses/" + response.ID
			if a := g.do("GET", path, "", g.acme); a.status != http.StatusOK {
				t.Errorf("without a moderator: %d %s", a.status, a.body)
			}
			a = g.do("GET", path, "", g.acme, "X-Moderated: yes")
			if a.status != c.status || c.status != http.StatusOK && (a.code() != "moderation_blocked" || strings.Contains(a.body, secret)) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a := g.do("GET", path+"/input_items", "", g.acme, "X-Moderated: yes"); a.status != http.StatusOK {
				t.Errorf("what the client said: %d %s", a.status, a.body)
			}
		})
	}
}
