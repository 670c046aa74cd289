package alipayai_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// with adds members to a chat request.
func with(body, members string) string { return strings.Replace(body, "{", "{"+members+",", 1) }

// onUnsupported says what becomes of requests that the i-th provider cannot take whole.
func onUnsupported(i int, choice upstream.OnUnsupported) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) { g.Providers[i].OnUnsupported = choice }
}

// What cannot be carried over is said, dropped, or refused: by header and over HTTP, never silently unless that is asked for.
func TestUnsupported(t *testing.T) {
	const members = `"seed":7,"logit_bias":{"50256":-100}`
	for name, test := range map[string]struct {
		formats []sandbox.Format
		edit    func(*alipayai.Gateway)
		body    string
		told    string
		served  string // the provider; empty where the call fails
		calls   []int
	}{
		"default":            {formats: []sandbox.Format{sandbox.Anthropic}, told: "logit_bias, seed", served: "first", calls: []int{1}},
		"warn":               {formats: []sandbox.Format{sandbox.Anthropic}, edit: onUnsupported(0, upstream.OnUnsupportedWarn), told: "logit_bias, seed", served: "first", calls: []int{1}},
		"drop":               {formats: []sandbox.Format{sandbox.Anthropic}, edit: onUnsupported(0, upstream.OnUnsupportedDrop), served: "first", calls: []int{1}},
		"reject":             {formats: []sandbox.Format{sandbox.Anthropic}, edit: onUnsupported(0, upstream.OnUnsupportedReject), calls: []int{0}},
		"reject, both":       {formats: []sandbox.Format{sandbox.Anthropic, sandbox.Anthropic}, edit: both(onUnsupported(0, upstream.OnUnsupportedReject), onUnsupported(1, upstream.OnUnsupportedReject)), calls: []int{0, 0}},
		"reject, next can":   {formats: []sandbox.Format{sandbox.Anthropic, sandbox.OpenAI}, edit: onUnsupported(0, upstream.OnUnsupportedReject), served: "second", calls: []int{0, 1}},
		"reject, next warns": {formats: []sandbox.Format{sandbox.Anthropic, sandbox.NextBuilder}, edit: onUnsupported(0, upstream.OnUnsupportedReject), told: "logit_bias, seed", served: "second", calls: []int{0, 1}},
		"nothing to say":     {formats: []sandbox.Format{sandbox.Anthropic}, body: chatBody("hello"), served: "first", calls: []int{1}},
		"agent: history": {
			formats: []sandbox.Format{sandbox.NextBuilder}, told: "messages.history, messages.system", served: "first", calls: []int{1},
			body: `{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"hello"}]}`,
		},
	} {
		for _, stream := range []bool{false, true} {
			mode := "JSON"
			if stream {
				mode = "stream"
			}
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				l := newLadder(t, test.formats, func(g *alipayai.Gateway) {
					if test.edit != nil {
						test.edit(g)
					}
				})
				body := test.body
				if body == "" {
					body = with(chatBody("hello"), members)
				}
				if stream {
					body = with(body, `"stream":true`)
				}
				got := l.post(chatPath, body)
				l.wantCalls(test.calls...)
				wantHeader(t, got, "X-Alipayai-Unsupported", test.told)
				if test.served == "" {
					message := wantError(t, got, http.StatusBadRequest, failure.CodeUnsupported)
					if !strings.Contains(message, "first") || !strings.Contains(message, "seed") || strings.Contains(message, "50256") {
						t.Errorf("says %q", message)
					}
					if !strings.Contains(got.body, `"param":"logit_bias"`) {
						t.Errorf("answered %s", got.body)
					}
					if o := l.outcome(); o.Exhausted || o.Attempts != 0 {
						t.Errorf("outcome %+v", o)
					}
					return
				}
				reason := ""
				if test.served == "second" {
					reason = failure.CodeUnsupported
				}
				wantServed(t, got, test.served, "1", reason)
			})
		}
	}
}

// What a provider that brings no answer could not take is not named to the client.
func TestUnsupportedOfAnotherProvider(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.Anthropic, sandbox.OpenAI})
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.Throttle})
	got := l.post(chatPath, with(chatBody("hello"), `"seed":7`))
	wantServed(t, got, "second", "2", "throttled")
	wantHeader(t, got, "X-Alipayai-Unsupported", "")
}

// What cannot be asked at all is an error of the client's, unless somebody else can be asked.
func TestRequestThatAFormatCannotMake(t *testing.T) {
	body := `{"model":"m","messages":[{"role":"system","content":"no question"}]}`
	alone := newLadder(t, []sandbox.Format{sandbox.NextBuilder})
	got := alone.post(chatPath, body)
	if got.status != http.StatusBadRequest {
		t.Errorf("%d %s", got.status, got.body)
	}
	alone.wantCalls(0)
	l := newLadder(t, []sandbox.Format{sandbox.NextBuilder, sandbox.OpenAI}, func(g *alipayai.Gateway) { g.Providers[1].Model = "alipay-fin-1" })
	if got := l.post(chatPath, body); got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "second" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	l.wantCalls(0, 1)
}

// A warning belongs to the answer, whenever it is given.
func TestUnsupportedOfAnswersGivenAgain(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.Anthropic}, claiming, caching())
	body := with(chatBody("hello"), `"seed":7`)
	before := l.post(chatPath, body, keyed...)
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503})
	for name, got := range map[string]reply{"replayed": l.post(chatPath, body, keyed...), "cached": l.post(chatPath, body)} {
		if got.body != before.body || got.header.Get("Age") == "" {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
		wantHeader(t, got, "X-Alipayai-Unsupported", "seed", "X-Alipayai-Model", "claude-haiku-4-5")
	}
	wantHeader(t, l.post(chatPath, chatBody("hello, without")), "X-Alipayai-Unsupported", "")
}

// Every provider has the model by its own name, and the client hears which one it was.
func TestModelsOfEachProvider(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(*alipayai.Gateway)
		model string
	}{
		"the profile's":  {func(*alipayai.Gateway) {}, "claude-haiku-4-5"},
		"the provider's": {func(g *alipayai.Gateway) { g.Providers[1].Model = "claude-sonnet-4-5" }, "claude-sonnet-4-5"},
		"by name": {func(g *alipayai.Gateway) {
			g.Providers[1].ModelMap = map[string]string{"alipay-fin-1": "claude-sonnet-4-5", "other": "none"}
		}, "claude-sonnet-4-5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic}, test.edit)
			l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
			for _, body := range []string{chatBody("hello"), streamBody("hello")} {
				got := l.post(chatPath, body)
				wantServed(t, got, "second", "2", "system_error")
				wantHeader(t, got, "X-Alipayai-Model", test.model)
				if !strings.Contains(got.body, `"model":"`+test.model+`"`) || !strings.Contains(got.body, "hello") {
					t.Errorf("answered %s", got.body)
				}
				if o := l.outcome(); o.Model != "alipay-fin-1" || o.UpstreamModel != test.model {
					t.Errorf("outcome %+v", o)
				}
			}
			for _, u := range l.upstreams {
				for _, call := range u.calls() {
					var sent struct{ Model string }
					if json.Unmarshal(call.body, &sent); u == l.upstreams[1] && sent.Model != test.model || u == l.upstreams[0] && sent.Model != "alipay-fin-1" {
						t.Errorf("%s was asked for %s", u.provider.Name, sent.Model)
					}
				}
			}
		})
	}
}

// The list of models takes in providers that speak otherwise, and those that list none.
func TestModelsOfOtherFormats(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic, sandbox.NextBuilder})
	ids, owners, _ := listModels(t, l.rig)
	if !slices.Contains(ids, "claude-haiku-4-5") || !slices.Contains(ids, "alipay-fin-1") || !slices.Contains(owners, "second") || slices.Contains(owners, "third") {
		t.Errorf("%v of %v", ids, owners)
	}
	agent := newLadder(t, []sandbox.Format{sandbox.NextBuilder})
	if ids, _, got := listModels(t, agent.rig); len(ids) != 0 || got.status != http.StatusOK {
		t.Errorf("%v, %d", ids, got.status)
	}
}

// Embeddings go to those that have them.
func TestEmbeddingsSkipOtherFormats(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.Anthropic, sandbox.NextBuilder, sandbox.OpenAI})
	got := l.post("/v1/embeddings", `{"model":"alipay-embed-1","input":"hello"}`)
	wantServed(t, got, "third", "1", "")
	l.wantCalls(0, 0, 0)
}

// Failures in another format are the same failures.
func TestFailuresOfOtherFormats(t *testing.T) {
	for name, test := range map[string]struct {
		format   sandbox.Format
		fault    sandbox.Fault
		reason   string
		attempts int
		status   int // where no other provider can be asked
		code     string
	}{
		"claude: overloaded":   {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 529}, reason: "server_error", attempts: 3},
		"claude: api_error":    {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.SystemError500}, reason: "server_error", attempts: 3},
		"claude: rate limit":   {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 3}, reason: "throttled", attempts: 1},
		"claude: key":          {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401}, reason: "credentials", attempts: 1},
		"claude: permission":   {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403}, reason: "credentials", attempts: 1, status: 502, code: "permission_error"},
		"claude: billing":      {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 402}, reason: "account_exhausted", attempts: 1},
		"claude: request":      {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400}, reason: "request_refused", attempts: 1, status: 400, code: "invalid_request_error"},
		"claude: model":        {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 404}, reason: "request_refused", attempts: 1, status: 404, code: "not_found_error"},
		"claude: no JSON":      {format: sandbox.Anthropic, fault: sandbox.Fault{Kind: sandbox.MalformedJSON}, reason: failure.CodeMalformed, attempts: 1},
		"agent: system error":  {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemError500}, reason: "system_error", attempts: 1},
		"agent: in its stream": {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst}, reason: "system_error", attempts: 1},
		"agent: later":         {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 1}, reason: "system_error", attempts: 1},
		"agent: rate limit":    {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.Throttle}, reason: "throttled", attempts: 1},
		"agent: signature":     {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "invalid-signature"}, reason: "credentials", attempts: 1},
		"agent: parameter":     {format: sandbox.NextBuilder, fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400}, reason: "request_refused", attempts: 1, status: 400, code: "INVALID_PARAMETER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLadder(t, []sandbox.Format{test.format, sandbox.OpenAI})
			l.upstreams[0].set(t, test.fault)
			got := l.chat("hello")
			wantServed(t, got, "second", string(rune('1'+test.attempts)), test.reason)
			l.wantCalls(test.attempts, 1)
			if test.code != "" {
				alone := newLadder(t, []sandbox.Format{test.format})
				alone.upstreams[0].set(t, test.fault)
				wantError(t, alone.chat("hello"), test.status, test.code)
			}
		})
	}
}

// The agents' platform signs no stream, and has nothing else but refusals, which may be unsigned.
func TestAgentThatIsVerified(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.NextBuilder}, func(g *alipayai.Gateway) {
		g.Providers[0].Verify, g.Providers[0].Timeout = upstream.VerifyRequire, time.Second
	})
	for _, body := range []string{chatBody("hello"), streamBody("hello")} {
		wantServed(t, l.post(chatPath, body), "first", "1", "")
	}
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400})
	wantError(t, l.chat("hello"), http.StatusBadRequest, "INVALID_PARAMETER")
}
