package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// answering is an upstream that gives these bodies: of the token endpoint, and of the models.
func answering(t *testing.T, tokens string, status int, models string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			fmt.Fprint(w, tokens)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, models)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const aToken = `{"access_token":"at-of-this-test-0123456789","expires_in":600}`

// Where no option can be tried, the one that the answer speaks for is named as a suspect.
func TestNamesAreSuspected(t *testing.T) {
	for name, tc := range map[string]struct {
		tokens, models string
		step           string
		status         Status
		want           string // of the suspects; empty: none
	}{
		"below":        {aToken, `{"result":{"payload":{"data":[{"id":"m"}]}}}`, stepModels, Fail, "inside result.payload\n"},
		"in a string":  {aToken, `{"resp":"{\"data\":[{\"id\":\"m\"}]}"}`, stepModels, Fail, "inside resp\n"},
		"with a code":  {aToken, `{"head":{"retCode":"AE0"},"body":{"data":[{"id":"m"}]}}`, stepModels, Fail, "inside body\n"},
		"beside it":    {aToken, `{"ret_code":"AE0","body":{"data":[{"id":"m"}]}}`, stepModels, Fail, "success ret_code AE0\n"},
		"a known code": {aToken, `{"code":"10000","body":{"data":[{"id":"m"}]}}`, stepModels, Fail, "inside body\n}"},
		"no list":      {aToken, `{"code":"10000","body":{"data":[]}}`, stepModels, Warn, "models <names...>"},
		"a token below": {`{"data":{"accessToken2":"x","auth_token":"0123456789abcdef","validityMs":1000}}`, "", stepToken, Fail,
			"access_token data.auth_token\n\t\texpires data.validityMs ms"},
		"a token's end as a date": {`{"tok":{"loginToken":"0123456789abcdef","expireTime":"2027-01-01 00:00:00"}}`, "", stepToken, Fail, "expires tok.expireTime date"},
		"a token's end in Unix":   {`{"loginToken":"0123456789abcdef","expiresAt":1900000000}`, "", stepToken, Fail, "expires expiresAt unix\n"},
		"a refresh token as well": {`{"refreshToken2":"x","d":{"refreshToken":"fedcba9876543210","loginToken":"0123456789abcdef"}}`, "", stepToken, Fail, "refresh_token d.refreshToken"},
		"a token for weeks":       {`{"access_token":"at-of-this-test-0123456789","expires_in":1800000}`, `{"data":[{"id":"m"}]}`, stepToken, Warn, "expires expires_in ms"},
		"no token":                {`{"data":{"tokens":17,"note":"a token of sorts"}}`, "", stepToken, Fail, "auth form"},
	} {
		t.Run(name, func(t *testing.T) {
			report := Check(t.Context(), newProvider(t, answering(t, tc.tokens, 200, tc.models), nil), Options{})
			s := stepOf(t, report, tc.step)
			if s.Status != tc.status || !strings.Contains(strings.Join(s.Suspects, "\n"), tc.want) || len(report.Options()) > 0 {
				t.Errorf("step %+v, options %q", s, report.Options())
			}
		})
	}
}

// What an answer is called that has no code where it is looked for; and what is none at all.
func TestErrorNames(t *testing.T) {
	for body, want := range map[string]wire.AnswerFields{
		`{"errNo":"E1","errText":"why"}`:                                 {Code: []string{"errNo"}, Message: []string{"errText"}},
		`{"head":{"resultCode2":1,"returnCode":"E1","returnMsg":"why"}}`: {Code: []string{"head.returnCode"}, Message: []string{"head.returnMsg"}},
		`{"fault":{"faultcode":"E1"},"log_id":"l-1"}`:                    {Code: []string{"fault.faultcode"}, RequestID: []string{"log_id"}},
		`{"timestamp":1,"status":404,"error":"Not Found","path":"/v1"}`:  {},
		`{"nothing":{"of":"it"}}`:                                        {},
		`[{"errNo":"E1"}]`:                                               {},
		`{"errNo":""}`:                                                   {},
		`{"errNo":"two words"}`:                                          {},
		`{"errNo":"` + strings.Repeat("a", 65) + `"}`:                    {},
	} {
		got, ok := errorNames(wire.AnswerFields{}, membersOf([]byte(body)), new(exchange))
		if ok != (len(want.Code) > 0) || !slices.Equal(got.Code, want.Code) || !slices.Equal(got.Message, want.Message) || !slices.Equal(got.RequestID, want.RequestID) {
			t.Errorf("%s: %+v", body, got)
		}
	}
}

// Options of answers can be configured: the paths are read back, whatever the names are.
func TestNamesCanBeConfigured(t *testing.T) {
	for _, name := range []string{"a", "a.b", `a\b`, "a b", `"`, "数据", "{a}", "#x"} {
		path := wire.Path{name, "data"}.String()
		if _, err := wire.NewAnswerForm(wire.AnswerFields{Inside: path}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := token.NewAnswerForm(token.AnswerFields{AccessToken: path}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Members are looked for to a depth, in bounded time, whatever the answer is.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":{"b":{"c":{"data":[{"id":"m"}]}}},"d":"{\"e\":1}"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range membersOf(body) {
			if len(m.path) > maxNamesDepth {
				t.Errorf("path %s", m.path)
			}
			if _, err := wire.ParsePath(m.path.String()); err != nil {
				t.Errorf("path %q: %v", m.path.String(), err)
			}
		}
		_, _ = tokenNames(body)
	})
}
