package alipayai_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/internal/extremes"
	"github.com/caddy-alipayai/gateway/limiter"
)

// generated is what each answer of these tests says.
const generated = "generated and paid for"

// place is where an upstream's answer has a number.
type place struct {
	path   string // chatPath unless it is set
	stream bool
	format wire.Format
	// answer is the template of a body, with # for the number.
	answer string
	header string // of this name, in place of a number in the body
	status int    // 200 unless it is set
	// strict says that the format's own rules refuse some numbers here: the call may fail.
	strict bool
	// counts says that the number is one of the tokens that the call took.
	counts bool
}

func completion(members string) string {
	return `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		generated + `"},"finish_reason":"stop"}]` + members + `}`
}

func events(data ...string) string { return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n" }

var (
	delta = `{"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"` + generated + `"},"finish_reason":null}]}`
	last  = `{"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
)

func claude(usage, block, deltas, stops string) string {
	return events(`{"type":"message_start","message":{"id":"1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":`+usage+`,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":`+block+`,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":`+deltas+`,"delta":{"type":"text_delta","text":"`+generated+`"}}`,
		`{"type":"content_block_stop","index":`+stops+`}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":`+usage+`}}`, `{"type":"message_stop"}`)
}

func places() map[string]place {
	agent := func(usage string) string {
		return events(`{"type":"text","payload":{"text":"`+generated+`"}}`, `{"type":"end","usage":`+usage+`}`)
	}
	claudes := func() wire.Format { return new(anthropic.Format) }
	agents := nextbuilder.Format{AgentID: "agent"}
	all := map[string]place{
		"usage of an answer":    {answer: completion(`,"usage":{"prompt_tokens":#,"completion_tokens":#,"total_tokens":#}`), counts: true},
		"usage itself":          {answer: completion(`,"usage":#`)},
		"total alone":           {answer: completion(`,"usage":{"total_tokens":#}`), counts: true},
		"detail of usage":       {answer: completion(`,"usage":{"total_tokens":1,"prompt_tokens_details":{"cached_tokens":#}}`)},
		"created":               {answer: strings.Replace(completion(""), `"created":1`, `"created":#`, 1)},
		"index of a choice":     {answer: strings.Replace(completion(""), `"index":0`, `"index":#`, 1)},
		"usage of a stream":     {stream: true, answer: events(delta, last, `{"choices":[],"usage":{"prompt_tokens":#,"completion_tokens":#,"total_tokens":#}}`, "[DONE]"), counts: true},
		"index in a stream":     {stream: true, answer: events(strings.Replace(delta, `"index":0`, `"index":#`, 1), last, "[DONE]")},
		"index of a tool call":  {stream: true, answer: events(delta, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":#,"id":"1","function":{"name":"f","arguments":""}}]}}]}`, last, "[DONE]")},
		"created in a stream":   {stream: true, answer: events(strings.Replace(delta, `"id":"1"`, `"created":#`, 1), last, "[DONE]")},
		"retry of a stream":     {stream: true, answer: "retry: #\nid: #\n" + events(delta, last, "[DONE]")},
		"unstreamed index":      {stream: true, answer: strings.Replace(completion(`,"usage":{"total_tokens":#}`), `"index":0`, `"index":#`, 1), counts: true},
		"index of an embedding": {path: "/v1/embeddings", answer: `{"object":"list","data":[{"index":#,"embedding":[#],"object":"` + generated + `"}],"usage":{"prompt_tokens":#,"total_tokens":#}}`, counts: true},
		"created of a model":    {path: "/v1/models", answer: `{"object":"list","data":[{"id":"` + generated + `","created":#}]}`},
		"usage, Anthropic": {format: claudes(), answer: `{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"` + generated +
			`"}],"stop_reason":"end_turn","usage":{"input_tokens":#,"cache_read_input_tokens":#,"cache_creation_input_tokens":#,"output_tokens":#}}`, counts: true},
		"usage of a stream, Anthropic": {stream: true, format: claudes(), answer: claude("#", "0", "0", "0"), counts: true},
		"index of a block, Anthropic":  {stream: true, format: claudes(), answer: claude("1", "#", "#", "#"), strict: true},
		"index of a delta, Anthropic":  {stream: true, format: claudes(), answer: claude("1", "0", "#", "0"), strict: true},
		"index of a stop, Anthropic":   {stream: true, format: claudes(), answer: claude("1", "0", "0", "#"), strict: true},
		"usage, nextbuilder":           {format: agents, answer: agent(`{"prompt_tokens":#,"completion_tokens":#,"total_tokens":#}`), counts: true},
		"usage in a stream, agent":     {stream: true, format: agents, answer: agent(`{"prompt_tokens":#,"completion_tokens":#,"total_tokens":#}`), counts: true},
		"code of an error":             {status: 400, answer: `{"code":#,"error":{"message":"` + generated + `","code":#,"param":#}}`, strict: true},
	}
	for _, name := range []string{"Date", "Age", "Retry-After", "Retry-After-Ms", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Requests",
		"Openai-Processing-Ms", "Expires", "X-Should-Retry", "Keep-Alive"} {
		all[name] = place{header: name, answer: completion("")}
		all[name+" of a stream"] = place{header: name, answer: events(delta, last, "[DONE]"), stream: true}
	}
	return all
}

// isJSON says whether an extreme leaves the JSON around it whole.
func isJSON(value string) bool { return json.Valid([]byte("["+value+"]")) && value != "" }

// numbered is an upstream whose answers have a number in their place.
type numbered struct {
	place
	number atomic.Pointer[string]
}

func (u *numbered) set(number string) { u.number.Store(&number) }

func (u *numbered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	number := *u.number.Load()
	body := strings.ReplaceAll(u.answer, "#", number)
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(body, "\ndata: ") || strings.HasPrefix(body, "data: ") {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	if u.header != "" {
		w.Header().Set(u.header, extremes.InHeader(number))
	}
	w.WriteHeader(cmp.Or(u.status, http.StatusOK))
	_, _ = io.WriteString(w, body)
}

// ask makes the place's call as tenant, which has to end in time.
func (u *numbered) ask(r *rig, tenant string) reply {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	method, path, body := http.MethodPost, cmp.Or(u.path, chatPath), chatBody("hello")
	switch {
	case u.path == "/v1/embeddings":
		body = `{"model":"m","input":"hello"}`
	case u.path == "/v1/models":
		method, body = http.MethodGet, ""
	case u.stream:
		body = streamBody("hello")
	}
	got := r.do(ctx, method, path, body, tenantHeader, tenant)
	if got.status == 0 {
		r.t.Fatalf("no answer: %v", got.err)
	}
	return got
}

// Whatever an upstream writes where a number belongs: the call ends in time, what was generated reaches the client
// where the answer can be read at all, what the tenant owes, the clock and holds stay bounded, and the next tenant is served.
func TestExtremeNumbers(t *testing.T) {
	for name, place := range places() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &numbered{place: place}
			r := newPlainRig(t, u.ServeHTTP, limitTenants(limiter.TenantLimit{TokensPerMinute: 100}), first(func(p *upstream.Provider) {
				if p.Format = place.format; p.Format != nil {
					p.Profile.Format = p.Format.Name()
				}
			}))
			inBody := place.header == ""
			tenant := 0
			for name, number := range extremes.Numbers {
				tenant++
				mine, other := fmt.Sprint("tenant ", tenant), fmt.Sprint("other ", tenant)
				u.set(number)
				got := u.ask(r, mine)
				o := r.outcome()
				readable := !strings.Contains(place.answer, "retry:") && inBody && !isJSON(number)
				switch {
				case place.strict || readable:
					if got.status != http.StatusOK && !strings.Contains(got.body, `"error"`) {
						t.Errorf("%s: answered %d %s", name, got.status, got.body)
					}
				case got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, generated):
					t.Errorf("%s: the client got %d %.300s (%v)", name, got.status, got.body, got.err)
				}
				if u := o.Usage; u.Total < 0 || u.Prompt < 0 || u.Completion < 0 || u.Total > alipayai.UnseenTokens+1<<20 {
					t.Errorf("%s: usage %+v", name, u)
				}
				if skew := r.provider.Clock.Skew(); skew.Abs() > 24*time.Hour {
					t.Errorf("%s: the clock is %v off", name, skew)
				}
				if left := r.provider.Hold.Left(time.Now()); left > time.Minute {
					t.Errorf("%s: the provider is held for %v", name, left)
				}
				// No call is free because what it took cannot be read.
				if place.counts && isJSON(number) && number != "null" && !o.Usage.OK {
					t.Errorf("%s: usage %+v", name, o.Usage)
				}
				u.set("0")
				if got := u.ask(r, other); got.status != cmp.Or(place.status, http.StatusOK) {
					t.Errorf("%s: another tenant got %d %.300s", name, got.status, got.body)
				}
				r.outcome()
				if got := u.ask(r, mine); got.status == http.StatusTooManyRequests {
					if after, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || after < 1 || after > 600 {
						t.Errorf("%s: the tenant is to come again after %q", name, got.header.Get("Retry-After"))
					}
				}
				r.outcome()
			}
		})
	}
}
