package alipayai_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// However a call ends, its tenant's place among those that run is free again: https://github.com/BerriAI/litellm/issues/27955,
// https://github.com/BerriAI/litellm/pull/36459, https://github.com/askalf/dario/pull/910.
func TestPublicReportsOfPlaces(t *testing.T) {
	ends := streams(nil, deltaEvent, finishEvent, "[DONE]")
	for name, test := range map[string]struct {
		turns  []turn
		second []turn // of another provider
		body   string
		path   string
		header []string
		leaves bool // after a second
	}{
		"answered":                         {turns: []turn{good}},
		"a stream":                         {turns: []turn{ends}, body: streamBody("hello")},
		"refused":                          {turns: []turn{says(400, `{"error":{"message":"m","code":"c"}}`)}},
		"each repeat failed":               {turns: []turn{busy, busy, busy}},
		"each provider failed":             {turns: []turn{busy, busy, busy}, second: []turn{sysError}},
		"another provider answered":        {turns: []turn{says(429, `{}`, "Retry-After", "30")}, second: []turn{good}},
		"another provider streamed":        {turns: []turn{sysError}, second: []turn{ends}, body: streamBody("hello")},
		"cut":                              {turns: []turn{streams(breaksOff, deltaEvent)}, body: streamBody("hello")},
		"without an end":                   {turns: []turn{streams(nil, deltaEvent)}, body: streamBody("hello")},
		"an event that cannot be read":     {turns: []turn{streams(nil, deltaEvent, `{"choices":[{"tru`)}, body: streamBody("hello")},
		"an error in the stream":           {turns: []turn{streams(nil, deltaEvent, `{"error":{"message":"m","code":500}}`)}, body: streamBody("hello")},
		"an upstream that stalls":          {turns: []turn{streams(silent, deltaEvent)}, body: streamBody("hello")},
		"no answer in time":                {turns: []turn{hangs}},
		"the client left before an answer": {turns: []turn{hangs}, leaves: true},
		"the client left before content":   {turns: []turn{streams(silent, ": ping")}, body: streamBody("hello"), leaves: true},
		"the client left in a stream":      {turns: []turn{streams(silent, deltaEvent)}, body: streamBody("hello"), leaves: true},
		"the client left between repeats":  {turns: []turn{says(429, `{}`, "Retry-After", "3")}, leaves: true},
		"no JSON":                          {turns: []turn{good}, body: `{`},
		"a model that is not there":        {turns: []turn{good}, body: `{"model":"","messages":[]}`},
		"messages":                         {turns: []turn{good}, path: messagesPath, body: `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}`},
		"messages, cut":                    {turns: []turn{streams(breaksOff, deltaEvent)}, path: messagesPath, body: `{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hello"}]}`},
		"a response":                       {turns: []turn{good}, path: responsesPath, body: `{"model":"m","input":"hello"}`},
		"a response, cut":                  {turns: []turn{streams(breaksOff, deltaEvent)}, path: responsesPath, body: `{"model":"m","stream":true,"input":"hello"}`},
		"with a key":                       {turns: []turn{good}, header: keyed},
		"with a key, refused":              {turns: []turn{says(400, `{"error":{"message":"m","code":"c"}}`)}, header: keyed},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				turns := [][]turn{test.turns}
				if test.second != nil {
					turns = append(turns, test.second)
				}
				s := perform(t, turns, claiming, first(anyModel), limitTenants(limiter.TenantLimit{Concurrent: 1}))
				if test.body == "" {
					test.body = chatBody("hello")
				}
				if test.path == "" {
					test.path = chatPath
				}
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					if test.leaves {
						ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					}
					s.callAt(ctx, test.path, test.body, test.header...)
					cancel()
				}
				testwait.Pass(time.Minute) // which what holds an account may take
				for _, script := range s.scripts {
					script.mu.Lock()
					script.turns = []turn{good}
					script.mu.Unlock()
				}
				if got := s.call(chatBody("after it")); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		})
	}
}
