package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What a provider repeats of the request's secrets goes nowhere, whatever field it stands in, and even if it is cut.
func TestQuotedSecrets(t *testing.T) {
	secret := "sk-" + strings.Repeat("0123456789abcdef", 12)
	for name, test := range map[string]struct {
		quoted string
		code   string // that is left
	}{
		"message":           {`"message":"bad key ` + secret + `","code":"BAD"`, "BAD"},
		"code":              {`"message":"bad","code":"` + secret + `"`, ""},
		"code, as sent":     {`"message":"bad","code":"Bearer ` + secret + `"`, ""},
		"type for a code":   {`"message":"bad","type":"` + secret + `"`, ""},
		"param":             {`"message":"bad","code":"BAD","param":"` + secret + `"`, ""},
		"param, within":     {`"message":"bad","code":"BAD","param":"key=` + secret + `!"`, ""},
		"nothing":           {`"message":"bad","code":"BAD","param":"model"`, "BAD"},
		"a part, not known": {`"message":"bad","code":"sk-0123"`, "sk-0123"},
	} {
		for mode, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello"), "within a stream": streamBody("hello")} {
			t.Run(name+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					failure := `{"error":{` + test.quoted + `}}`
					turns := map[string]turn{
						"JSON": says(400, failure), "stream": streams(nil, failure), "within a stream": streams(nil, deltaEvent, failure),
					}
					s := perform(t, [][]turn{{turns[mode]}}, first(func(p *upstream.Provider) {
						p.Header = http.Header{"Authorization": {"Bearer " + secret}}
					}))
					got := s.call(body)
					if strings.Contains(got.body, secret[:40]) {
						t.Errorf("quoted: %s", got.body)
					}
					if o := s.outcome(); o.Code != test.code {
						t.Errorf("outcome %+v", o)
					}
					for _, attempt := range s.seen.attempted() {
						if strings.Contains(attempt, secret[:40]) {
							t.Errorf("observed: %s", attempt)
						}
					}
				})
			})
		}
	}
}
