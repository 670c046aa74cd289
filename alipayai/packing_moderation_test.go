package alipayai_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// packedCall makes a call of an end user, and gives the code of its failure; empty for an answer.
func (r *rig) packedCall(prompt string, edit func(*alipayai.Call)) string {
	body := []byte(userBody("u1", prompt))
	request, err := wire.ParseChatRequest(body, wire.Limits{})
	if err != nil {
		return err.Error()
	}
	call := &alipayai.Call{Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}}
	edit(call)
	a, err := r.gateway.Do(r.t.Context(), call)
	if e, ok := errors.AsType[*alipayai.Error](err); ok {
		return e.Code
	}
	a.Close(true)
	return ""
}

// No text leaves in a pack without a verdict that permits it.
func TestPacksTakeClearedCallsOnly(t *testing.T) {
	r := newRig(t, sandbox.Config{}, packed(of(3)))
	var calls sync.WaitGroup
	for prompt, want := range map[string]string{"fine": "", "secret": failure.CodeModerationBlocked, "also fine": "", "good": ""} {
		calls.Go(func() {
			got := r.packedCall(prompt, func(c *alipayai.Call) {
				c.Verdict = alipayai.Pending(c.Request.Body, func() *failure.Failure {
					<-time.After(20 * time.Millisecond)
					if want != "" {
						return alipayai.ModerationBlocked("law")
					}
					return nil
				})
			})
			if got != want {
				t.Errorf("%s: code %q, want %q", prompt, got, want)
			}
		})
	}
	calls.Wait()
	arrived := r.arrived.at(chats)
	if len(arrived) != 1 || strings.Contains(string(arrived[0].body), "secret") {
		t.Errorf("%d requests reached the provider, want 1 without the blocked text", len(arrived))
	}
}

// Each answer of a pack, and that of a pack of one, is held against the rules by itself.
func TestPackedAnswersAreGuarded(t *testing.T) {
	rules := new(moderate.Rules)
	if err := errors.Join(rules.AddWords("law", "forbidden"), rules.Compile()); err != nil {
		t.Fatal(err)
	}
	for name, prompts := range map[string][]string{"one": {"forbidden"}, "many": {"fine", "forbidden", "good"}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{}, packed(of(3), func(k *alipayai.Packs) { k.MaxWait = 200 * time.Millisecond }))
				var calls sync.WaitGroup
				for _, prompt := range prompts {
					calls.Go(func() {
						want := ""
						if prompt == "forbidden" {
							want = failure.CodeModerationBlocked
						}
						got := r.packedCall(prompt, func(c *alipayai.Call) { c.Guard = &alipayai.OutputGuard{Rules: rules, Name: "law", Window: 64} })
						if got != want {
							t.Errorf("%s: code %q, want %q", prompt, got, want)
						}
					})
				}
				calls.Wait()
				if n := len(r.arrived.at(chats)); n != 1 {
					t.Errorf("%d requests reached the provider, want 1", n)
				}
			})
		})
	}
}

// A call that a provider has blocked is not sent there again, and keeps no other from its answer.
func TestBlockedCallsStayOutOfPacks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{Mode: sandbox.Production}, packed(of(3)), func(g *alipayai.Gateway) {
			g.Blocked = &alipayai.BlockedCalls{Calls: new(moderate.Blocked), TTL: time.Hour}
		})
		bodies := []string{userBody("u1", "predict my future income"), userBody("u1", "fine"), userBody("u1", "good")}
		for range 2 {
			for i, got := range r.together(bodies) {
				if blocked := i == 0; blocked == (got.status == http.StatusOK) {
					t.Errorf("call %d: %d %s", i, got.status, got.body)
				}
			}
		}
		bad := 0
		for _, one := range r.arrived.at(chats) {
			if strings.Contains(string(one.body), "future income") {
				bad++
			}
		}
		if bad != 2 { // in the first pack, and then alone
			t.Errorf("the blocked text was sent %d times, want 2", bad)
		}
	})
}

// A verdict is made while its call waits in a pack. Who may leave does not wait for who may not yet, and no text leaves
// before its verdict.
func TestVerdictsAreMadeWhileCallsWait(t *testing.T) {
	type check struct {
		takes   time.Duration
		forbids bool
	}
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		checks map[string]check
		want   []string // what left, and when
	}{
		"in time":                 {map[string]check{"a": {20 * ms, false}, "b": {25 * ms, false}, "c": {}}, []string{"30ms a b c"}},
		"one late":                {map[string]check{"a": {}, "b": {10 * ms, false}, "c": {500 * ms, false}}, []string{"30ms a b", "530ms c"}},
		"late, to leave together": {map[string]check{"a": {}, "b": {490 * ms, false}, "c": {500 * ms, false}}, []string{"30ms a", "520ms b c"}},
		"all late":                {map[string]check{"a": {400 * ms, false}, "b": {500 * ms, false}}, []string{"400ms a", "530ms b"}},
		"one forbidden":           {map[string]check{"a": {10 * ms, false}, "b": {20 * ms, true}, "c": {0, true}}, []string{"30ms a"}},
		"one forbidden late":      {map[string]check{"a": {10 * ms, false}, "b": {500 * ms, true}}, []string{"30ms a"}},
		"all forbidden":           {map[string]check{"a": {20 * ms, true}, "b": {40 * ms, true}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m := new(model)
				p := newPacking(t, []*model{m})
				began := time.Now()
				got := make(map[string]*reply)
				for text, c := range test.checks {
					verdict := alipayai.Pending([]byte(userBody("u1", text, `"temperature":0`)), func() *failure.Failure {
						time.Sleep(c.takes)
						if c.forbids {
							return alipayai.ModerationBlocked("law")
						}
						return nil
					})
					if c.takes == 0 {
						synctest.Wait() // it is known
					}
					got[text] = p.ask(alipayai.WithModeration(t.Context(), alipayai.Moderation{Verdict: verdict}), 0, text)
				}
				testwait.Pass(time.Second)
				var left []string
				for _, s := range m.sightings() {
					left = append(left, s.when.Sub(began).String()+" "+strings.Join(s.texts, " "))
				}
				if !slices.Equal(left, test.want) {
					t.Errorf("left %q, want %q", left, test.want)
				}
				for text, c := range test.checks {
					if c.forbids {
						wantError(t, *got[text], 403, failure.CodeModerationBlocked)
					} else {
						wantText(t, got[text], "re: "+text)
					}
				}
			})
		})
	}
}
