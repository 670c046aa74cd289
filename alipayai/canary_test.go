package alipayai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// newTrial makes a canary of all guards, promoted where the candidate shall get all.
func newTrial(t *testing.T, promoted bool) *canary.Canary {
	t.Helper()
	k := canary.New(canary.File{Path: filepath.Join(t.TempDir(), "canary.db")}, "k", canary.Plan{
		Steps:  []canary.Step{{Share: 0.5, For: time.Hour}},
		Guards: []canary.Guard{canary.Errors, canary.ToolCalls, canary.Blocked, canary.LatencyP95},
	})
	if err := k.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if promoted {
		if err := k.Do(t.Context(), canary.Promote); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// withCanary tries a second simulator.
func withCanary(t *testing.T, k *canary.Canary, cfg sandbox.Config) (*sandbox.Server, func(*alipayai.Gateway)) {
	t.Helper()
	cfg.RequestsPerSecond = -1
	sim, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	p := simProvider(t, server.URL)
	p.Name, p.Region = "next", "cn"
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	return sim, func(g *alipayai.Gateway) {
		g.Providers[0].Region = "cn"
		g.Canary = &alipayai.Canary{Trial: k, Stable: g.Providers[0], Candidate: p, Tools: new(toolcheck.Checker)}
	}
}

const weatherTool = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`

// What becomes of a call at its arm is counted for the guards that it concerns.
func TestCanaryJudgesCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		version int
		prompt  string
		stream  bool
		tools   bool
		want    map[canary.Guard]canary.Tally
	}{
		"an answer":                {1, "hello", false, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}}},
		"a stream":                 {1, "hello", true, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}}},
		"a tool call":              {1, "use the tool", false, true, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}, canary.ToolCalls: {Trials: 1}}},
		"a tool call in a stream":  {1, "use the tool", true, true, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}, canary.ToolCalls: {Trials: 1}}},
		"a broken one":             {2, "use the tool", false, true, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}, canary.ToolCalls: {Trials: 1, Bad: 1}}},
		"a broken one in a stream": {2, "use the tool", true, true, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}, canary.ToolCalls: {Trials: 1, Bad: 1}}},
		"no call, with tools":      {2, "hello", false, true, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1}}},
		"a system error":           {1, "[[fault:system_error_200]]", false, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1, Bad: 1}, canary.Blocked: {Trials: 1}}},
		"a stream that breaks off": {1, "[[events:20]] [[fault:cut=5]]", true, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1, Bad: 1}, canary.Blocked: {Trials: 1}}},
		"a compliance block":       {1, "predict future income", false, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1, Bad: 1}}},
		"filtered":                 {1, "[[fault:finish_reason=content_filter]] hello", false, false, map[canary.Guard]canary.Tally{canary.Errors: {Trials: 1}, canary.Blocked: {Trials: 1, Bad: 1}}},
	} {
		for _, packs := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, packs %v", name, packs), func(t *testing.T) {
				k := newTrial(t, true)
				_, edit := withCanary(t, k, sandbox.Config{APIVersion: tt.version, Mode: sandbox.Production})
				r := newRig(t, sandbox.Config{}, edit, func(g *alipayai.Gateway) {
					if packs {
						g.Packs = &alipayai.Packs{MaxWait: time.Millisecond, Verify: -1}
					}
				})
				tools := ""
				if tt.tools {
					tools = weatherTool
				}
				body := fmt.Sprintf(`{"model":"alipay-fin-1","user":"u1","messages":[{"role":"user","content":%q}],"stream":%v%s}`, tt.prompt, tt.stream, tools)
				resp, err := r.client.Post(r.url+chatPath, "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				readAll(resp)
				if o := <-r.seen.settled; o.Canary != "candidate" {
					t.Errorf("the arm is %q", o.Canary)
				}
				for _, g := range []canary.Guard{canary.Errors, canary.ToolCalls, canary.Blocked} {
					if got := k.Totals()[g]; got[canary.Candidate] != tt.want[g] || got[canary.Stable].Trials != 0 {
						t.Errorf("%s: %+v, want %+v of the candidate alone", g, got, tt.want[g])
					}
				}
			})
		}
	}
}

// How soon a call was answered is known of those that went alone, also where they waited for others.
func TestCanaryTimesCalls(t *testing.T) {
	for _, packs := range []bool{false, true} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("packs %v, stream %v", packs, stream), func(t *testing.T) {
				k := newTrial(t, false)
				for range 200 {
					k.Record(canary.Outcome{Arm: canary.Stable, FirstContent: time.Microsecond})
				}
				if err := k.Exchange(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := k.Do(t.Context(), canary.Promote); err != nil {
					t.Fatal(err)
				}
				_, edit := withCanary(t, k, sandbox.Config{})
				r := newRig(t, sandbox.Config{}, edit, func(g *alipayai.Gateway) {
					if packs {
						g.Packs = &alipayai.Packs{MaxWait: time.Millisecond, Verify: -1}
					}
				})
				r.post(chatPath, fmt.Sprintf(`{"model":"alipay-fin-1","user":"u1","messages":[{"role":"user","content":"hello"}],"stream":%v}`, stream))
				<-r.seen.settled
				if got := k.Totals()[canary.LatencyP95][canary.Candidate].Trials; got != 1 {
					t.Errorf("%d calls were timed", got)
				}
			})
		}
	}
}

// What a client's dialect makes of an answer is nothing to the guards: at every door, whole and streamed, and where the provider
// speaks the client's own API, a candidate's broken tool calls are found, and its good ones are.
func TestCanaryJudgesToolCallsAtEveryDoor(t *testing.T) {
	const schema = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	chat := `{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"ARGS"}}]},"finish_reason":"tool_calls"}]}`
	chatEvents := events(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"weather","arguments":"ARGS"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]")
	message := `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"c1","name":"weather","input":JSON}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}`
	messageEvents := strings.Join([]string{
		`event: message_start` + "\n" + `data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}`,
		`event: content_block_start` + "\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c1","name":"weather","input":{}}}`,
		`event: content_block_delta` + "\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"ARGS"}}`,
		`event: content_block_stop` + "\n" + `data: {"type":"content_block_stop","index":0}`,
		`event: message_delta` + "\n" + `data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}`,
		`event: message_stop` + "\n" + `data: {"type":"message_stop"}`, "",
	}, "\n\n")
	doors := map[string]string{
		chatPath:        `{"model":"m","stream":STREAM,"messages":[{"role":"user","content":"hello"}],"tools":[{"type":"function","function":{"name":"weather","parameters":` + schema + `}}]}`,
		"/v1/messages":  `{"model":"m","max_tokens":9,"stream":STREAM,"messages":[{"role":"user","content":"hello"}],"tools":[{"name":"weather","input_schema":` + schema + `}]}`,
		"/v1/responses": `{"model":"m","stream":STREAM,"input":"hello","tools":[{"type":"function","name":"weather","strict":false,"parameters":` + schema + `}]}`,
	}
	for path, body := range doors {
		for _, format := range []string{"openai", "anthropic"} {
			for _, stream := range []bool{false, true} {
				for _, broken := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %s, stream %v, broken %v", path[len("/v1/"):], format, stream, broken), func(t *testing.T) {
						arguments := map[bool]string{false: `{"city":"Paris"}`, true: `{"town":"Paris"}`}[broken]
						answer := map[string]map[bool]string{"openai": {false: chat, true: chatEvents}, "anthropic": {false: message, true: messageEvents}}[format][stream]
						quoted, _ := json.Marshal(arguments)
						answer = strings.NewReplacer("JSON", arguments, `"ARGS"`, string(quoted)).Replace(answer)
						k := newTrial(t, true)
						r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
							w.Header().Set("Content-Type", map[bool]string{false: "application/json", true: "text/event-stream"}[stream])
							_, _ = io.WriteString(w, answer)
						}, func(g *alipayai.Gateway) {
							base := g.Providers[0].BaseURL.String()
							next := plainProvider(t, base)
							if format == "anthropic" {
								next = claudeProvider(t, base+"/v1")
							}
							next.Name, next.Region, g.Providers[0].Region = "next", "cn", "cn"
							if err := next.Prepare(); err != nil {
								t.Fatal(err)
							}
							g.Canary = &alipayai.Canary{Trial: k, Stable: g.Providers[0], Candidate: next, Tools: new(toolcheck.Checker)}
						})
						got := r.post(path, strings.Replace(body, "STREAM", fmt.Sprint(stream), 1))
						if got.status != http.StatusOK || !strings.Contains(got.body, "weather") {
							t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
						}
						r.outcome()
						want := canary.Tally{Trials: 1}
						if broken {
							want.Bad = 1
						}
						if tally := k.Totals()[canary.ToolCalls][canary.Candidate]; tally != want {
							t.Errorf("tool calls %+v, want %+v", tally, want)
						}
					})
				}
			}
		}
	}
}

func readAll(resp *http.Response) {
	defer resp.Body.Close()
	buffer := make([]byte, 4096)
	for {
		if _, err := resp.Body.Read(buffer); err != nil {
			return
		}
	}
}

// Whatever the candidate fails at, the stable provider answers.
func TestCanaryFallsBackToStable(t *testing.T) {
	k := newTrial(t, true)
	sim, edit := withCanary(t, k, sandbox.Config{})
	r := newRig(t, sandbox.Config{}, edit)
	if err := sim.SetFaults(sandbox.Fault{Kind: sandbox.SystemError500}); err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Post(r.url+chatPath, "application/json", strings.NewReader(chatBody("hello")))
	if err != nil {
		t.Fatal(err)
	}
	readAll(resp)
	if resp.StatusCode != http.StatusOK || resp.Header.Get(alipayai.HeaderProvider) != "alipay" || resp.Header.Get(alipayai.HeaderReason) != "system_error" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if got := k.Totals()[canary.Errors]; got[canary.Stable].Trials != 0 {
		t.Errorf("a call that fell back counts for the stable arm: %+v", got)
	}
}

// A call that the candidate was not asked, since its breaker is open, says nothing of it.
func TestCanaryThatIsNotAsked(t *testing.T) {
	k := newTrial(t, true)
	sim, edit := withCanary(t, k, sandbox.Config{})
	r := newRig(t, sandbox.Config{}, edit, func(g *alipayai.Gateway) { g.Breakers = new(failover.Breakers) })
	if err := sim.SetFaults(sandbox.Fault{Kind: sandbox.SystemError200}); err != nil {
		t.Fatal(err)
	}
	const calls = 10
	for i := range calls {
		if got := r.chat(fmt.Sprint("call ", i)); got.status != http.StatusOK || got.header.Get(alipayai.HeaderProvider) != "alipay" {
			t.Fatalf("%d %v", got.status, got.header)
		}
		r.outcome()
	}
	if got := k.Totals()[canary.Errors]; got[canary.Candidate].Trials == 0 || got[canary.Candidate].Trials >= calls || got[canary.Candidate].Trials != got[canary.Candidate].Bad || got[canary.Stable].Trials != 0 {
		t.Errorf("%+v of %d calls", got, calls)
	}
}

// Embeddings stay with the stable provider until the candidate is promoted.
func TestCanaryAndEmbeddings(t *testing.T) {
	for promoted, want := range map[bool]string{false: "alipay", true: "next"} {
		k := newTrial(t, promoted)
		_, edit := withCanary(t, k, sandbox.Config{})
		r := newRig(t, sandbox.Config{}, edit)
		for i := range 8 {
			resp, err := r.client.Post(r.url+"/v1/embeddings", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"alipay-embed-1","input":"%d"}`, i)))
			if err != nil {
				t.Fatal(err)
			}
			readAll(resp)
			if got := resp.Header.Get(alipayai.HeaderProvider); got != want {
				t.Errorf("promoted %v: embedded by %s", promoted, got)
			}
		}
	}
}

// A canary that cannot be is refused.
func TestCanaryIsRefused(t *testing.T) {
	for want, edit := range map[string]func(*alipayai.Gateway){
		"no meaning for class money":      func(g *alipayai.Gateway) { g.Class = alipayai.ClassMoney },
		"is none of the providers here":   func(g *alipayai.Gateway) { g.Canary.Stable = &upstream.Provider{Name: "other"} },
		"take it out":                     func(g *alipayai.Gateway) { g.Providers = append(g.Providers, g.Canary.Candidate) },
		"would move data between regions": func(g *alipayai.Gateway) { g.Canary.Candidate.Region = "us" },
	} {
		_, with := withCanary(t, newTrial(t, false), sandbox.Config{})
		p := simProvider(t, "http://127.0.0.1:1")
		g := &alipayai.Gateway{Providers: []*upstream.Provider{p}}
		with(g)
		edit(g)
		if err := g.Prepare(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
