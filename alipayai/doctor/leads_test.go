package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// foreign is an upstream of a contract of its own: it gives a token to who asks, lists a model where models is empty, and refuses chats so.
func foreign(t *testing.T, models, chat string) string {
	t.Helper()
	refuse := func(w http.ResponseWriter, body string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, body)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/oauth2/token":
			fmt.Fprint(w, aToken)
		case r.URL.Path != "/v1/models":
			refuse(w, chat)
		case models != "":
			refuse(w, models)
		default:
			fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// signedTokens has the requests for tokens signed, without a client secret.
func signedTokens(p *upstream.Provider) {
	grant := p.Tokens.Fetcher.(*token.Grant)
	grant.Secret, grant.Sign = "", func(*http.Request, []byte, time.Time) error { return nil }
}

// A refusal that names a field which the request has not leads to the option that adds one, and no other does.
func TestCheckLeadsToAMissingField(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want string }{
		"as the simulator says it": {`{"code":"PARAM_ILLEGAL","message":"want app_id"}`, "field app_id <text>"},
		"in an object":             {`{"code":"PARAM_ILLEGAL","message":"want app_id in biz_content"}`, "field biz_content.app_id <text>"},
		"missing":                  {`{"code":"E1","message":"missing required parameter: 'bizType'"}`, "field bizType <text>"},
		"is required":              {"{\"code\":\"E1\",\"message\":\"`scene_code` is required\"}", "field scene_code <text>"},
		"in Chinese":               {`{"code":"E1","message":"缺少必填参数app_id"}`, "field app_id <text>"},
		"must not be empty":        {`{"code":"E1","message":"tenantCode不能为空"}`, "field tenantCode <text>"},
		"beside another message":   {`{"code":"40004","msg":"Business Failed","sub_code":"isv.x","sub_msg":"app_id is missing"}`, "field app_id <text>"},
		"what is sent":             {`{"code":"E1","message":"messages is required"}`, ""},
		"of a model":               {`{"code":"E1","message":"model not found"}`, ""},
		"no name of a field":       {`{"code":"E1","message":"want an object"}`, ""},
		"a header":                 {`{"code":"E1","message":"want one X-App header with the id of a known app"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := stepOf(t, Check(t.Context(), newProvider(t, foreign(t, "", tc.answer), nil), Options{Chat: true}), stepChat)
			said := strings.Join(s.Suspects, "\n")
			if tc.want == "" && strings.Contains(said, "field") || !strings.Contains(said, tc.want) || tc.want != "" && strings.Contains(s.Advice, "its path") {
				t.Errorf("step %+v", s)
			}
		})
	}
}

// What the upstream says for people is shown wherever it stands, of a failure alone, and without what may be a credential.
func TestCheckShowsWhatTheUpstreamSays(t *testing.T) {
	const sentence = "the app has no permission for this"
	for name, body := range map[string]string{
		"beside a code":    `{"code":"E1","sub_msg":"` + sentence + `"}`,
		"beside a message": `{"code":"E1","message":"Business Failed","sub_msg":"` + sentence + `"}`,
		"below":            `{"ret":"E1","info":{"hint":"` + sentence + `","session_key":"do-not-show-1"},"access_token":"do-not-show-2","secret_note":"do-not-show-3"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for step, base := range map[string]string{stepModels: foreign(t, body, body), stepChat: foreign(t, "", body)} {
				s := stepOf(t, Check(t.Context(), newProvider(t, base, nil), Options{Chat: true}), step)
				if strings.Count(s.Received, sentence) != 1 || strings.Contains(s.Received, "do-not-show") {
					t.Errorf("step %+v", s)
				}
			}
		})
	}
}

// A client that the token endpoint has taken is not suspected afterwards.
func TestCheckSuspectsNoClientThatHasAToken(t *testing.T) {
	base := foreign(t, `{"code":"INVALID_CLIENT","message":"no such client"}`, "{}")
	for name, tc := range map[string]struct {
		change func(*upstream.Provider)
		not    []string
		want   string
	}{
		"signed alike": {signedTokens, []string{"client_id", "key <version> <key>"}, "header X-Access-Token"},
		"by a secret":  {nil, []string{"client_id"}, "key <version> <key>"},
		"no token":     {func(p *upstream.Provider) { p.Tokens = nil }, nil, "client_id"},
	} {
		t.Run(name, func(t *testing.T) {
			s := stepOf(t, Check(t.Context(), newProvider(t, base, tc.change), Options{}), stepSignature)
			suspects := "\n" + strings.Join(s.Suspects, "\n") + "\n"
			for _, not := range tc.not {
				if strings.Contains(suspects, "\n"+not+"\n") {
					t.Errorf("%s is suspected: %+v", not, s)
				}
			}
			if s.Status != Fail || !strings.Contains(suspects, tc.want) {
				t.Errorf("step %+v", s)
			}
		})
	}
}

// The step on the token says what its request has.
func TestCheckSaysHowTokensAreAskedFor(t *testing.T) {
	base := foreign(t, "", "{}")
	for name, tc := range map[string]struct {
		change    func(*upstream.Provider)
		want, not string
	}{
		"by a secret": {nil, "client id and secret by HTTP Basic", "signed"},
		"signed":      {signedTokens, "signed, without a client secret", "Basic"},
		"both": {func(p *upstream.Provider) {
			p.Tokens.Fetcher.(*token.Grant).Sign = func(*http.Request, []byte, time.Time) error { return nil }
		}, "by HTTP Basic; signed", "without"},
	} {
		t.Run(name, func(t *testing.T) {
			s := stepOf(t, Check(t.Context(), newProvider(t, base, tc.change), Options{}), stepToken)
			if !strings.Contains(s.Sent, tc.want) || strings.Contains(s.Sent, tc.not) {
				t.Errorf("sent %q", s.Sent)
			}
		})
	}
}

// One code for two things that are to be treated differently gives no rule: it would have every wrong signature sent again.
func TestCheckAdvisesNoRuleForACodeOfTwoMeanings(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			fmt.Fprint(w, aToken)
			return
		}
		switch asked++; asked {
		case 1:
			fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
		case 4:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":"E9","message":"no"}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"code":"INVALID_SIGNATURE","message":"no"}`)
		}
	}))
	defer server.Close()
	s := stepOf(t, Check(t.Context(), newProvider(t, server.URL, nil), Options{ProbeSignature: true}), stepErrors)
	options := strings.Join(s.Options, "\n")
	if strings.Contains(options, "INVALID_SIGNATURE") || !strings.Contains(options, "on E9 refresh_token") || !strings.Contains(s.Advice, "INVALID_SIGNATURE") {
		t.Errorf("step %+v", s)
	}
}
