package alipayai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// listModels gives the ids, and owners, that GET /v1/models shows.
func listModels(t *testing.T, r *rig) (ids, owners []string, got reply) {
	t.Helper()
	got = r.do(t.Context(), http.MethodGet, "/v1/models", "")
	var list struct {
		Object string
		Data   []struct {
			ID, Object string
			OwnedBy    string `json:"owned_by"`
			Created    *int64
		}
	}
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	for _, m := range list.Data {
		if list.Object != "list" || m.Object != "model" || m.Created == nil {
			t.Errorf("not OpenAI's form: %s", got.body)
		}
		ids, owners = append(ids, m.ID), append(owners, m.OwnedBy)
	}
	return ids, owners, got
}

// add puts another provider behind the gateway's first.
func add(name string, p *upstream.Provider, models ...string) func(*alipayai.Gateway) {
	p.Name, p.Models = name, models
	return func(g *alipayai.Gateway) { g.Providers = append(g.Providers, p) }
}

// answering is a provider whose upstream always says this.
func answering(t *testing.T, status int, body string) *upstream.Provider {
	t.Helper()
	r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
	return r.provider
}

func TestModelsAreTheUnionOverTheProviders(t *testing.T) {
	for name, test := range map[string]struct {
		edits       func(t *testing.T) []func(*alipayai.Gateway)
		ids, owners []string
		asked       int
	}{
		"asked upstream": {func(*testing.T) []func(*alipayai.Gateway) { return nil },
			[]string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, []string{"alipay", "alipay", "alipay"}, 1},
		"configured": {func(*testing.T) []func(*alipayai.Gateway) {
			return []func(*alipayai.Gateway){first(func(p *upstream.Provider) { p.Models = []string{"a", "b"} })}
		}, []string{"a", "b"}, []string{"alipay", "alipay"}, 0},
		"both, and one model at both": {func(t *testing.T) []func(*alipayai.Gateway) {
			return []func(*alipayai.Gateway){add("second", plainProvider(t, "http://127.0.0.1:1"), "alipay-fin-1", "own")}
		}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1", "own"}, []string{"alipay", "alipay", "alipay", "second"}, 1},
		"one upstream fails": {func(t *testing.T) []func(*alipayai.Gateway) {
			return []func(*alipayai.Gateway){add("second", answering(t, 500, `{"code":"SYSTEM_ERROR"}`))}
		}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, []string{"alipay", "alipay", "alipay"}, 1},
		"one upstream has a bare array": {func(t *testing.T) []func(*alipayai.Gateway) { // https://github.com/odysseus-dev/odysseus/issues/2202
			return []func(*alipayai.Gateway){add("second", answering(t, 200, ` [{"id":"together-1","object":"model"},{"id":"together-2"}]`))}
		}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1", "together-1", "together-2"}, []string{"alipay", "alipay", "alipay", "second", "second"}, 1},
		"one upstream is not OpenAI": {func(t *testing.T) []func(*alipayai.Gateway) {
			return []func(*alipayai.Gateway){add("second", answering(t, 200, `{"data":"none"}`))}
		}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, []string{"alipay", "alipay", "alipay"}, 1},
		"one upstream wants to be paid": {func(t *testing.T) []func(*alipayai.Gateway) {
			return []func(*alipayai.Gateway){add("second", answering(t, 402, `{"data":[{"id":"not a list of models"}]}`))}
		}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, []string{"alipay", "alipay", "alipay"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, test.edits(t)...)
			ids, owners, got := listModels(t, r)
			if !slices.Equal(ids, test.ids) || !slices.Equal(owners, test.owners) {
				t.Errorf("models %v of %v", ids, owners)
			}
			if n := len(r.arrived.at("/v1/models")); n != test.asked {
				t.Errorf("the upstream was asked %d times", n)
			}
			if id := got.header.Get("X-Request-Id"); !strings.HasPrefix(id, "req_") {
				t.Errorf("request id %q", id)
			}
			if o := r.outcome(); o.Status != 200 || o.Code != "" || o.Endpoint != upstream.EndpointModels {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A tenant sees the models that its own calls may reach, whatever other tenants may use; nothing outside is asked for them.
func TestModelsAreThoseWithinTheTenantsRegions(t *testing.T) {
	for name, test := range map[string]struct {
		residency map[string][]string
		ids       []string
		asked     int
	}{
		"anywhere":         {nil, []string{"claude-alias", "own", "alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, 1},
		"another tenant's": {map[string][]string{"zeta": {"cn"}}, []string{"claude-alias", "own", "alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, 1},
		"the first":        {map[string][]string{"acme": {"us"}}, []string{"claude-alias", "own"}, 0},
		"the second":       {map[string][]string{"*": {"cn"}}, []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, 1},
		"none":             {map[string][]string{"acme": {"eu"}}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Region = "cn" }), func(g *alipayai.Gateway) {
				near := plainProvider(t, "http://127.0.0.1:1")
				near.Name, near.Region, near.Models, near.ModelMap = "near", "us", []string{"own", "claude-alias"}, map[string]string{"claude-alias": "own"}
				g.Providers, g.AllowCrossRegion = append([]*upstream.Provider{near}, g.Providers...), true
				if test.residency == nil {
					return
				}
				var err error
				if g.Residency, err = residency.New(test.residency); err != nil {
					t.Fatal(err)
				}
			})
			ids, _, got := listModels(t, r)
			if !slices.Equal(ids, test.ids) || got.status != http.StatusOK {
				t.Errorf("%d: models %v", got.status, ids)
			}
			if n := len(r.arrived.at("/v1/models")); n != test.asked {
				t.Errorf("the upstream was asked %d times", n)
			}
			wantStatus := http.StatusNotFound
			if slices.Contains(test.ids, "own") {
				wantStatus = http.StatusOK
			}
			if one := r.do(t.Context(), http.MethodGet, "/v1/models/own", ""); one.status != wantStatus {
				t.Errorf("one model: %d %s", one.status, one.body)
			}
		})
	}
}

// What no provider serves at all is named, rather than its model.
func TestEndpointsThatNoProviderHas(t *testing.T) {
	claude := startRig(t, &heardClaude{status: 200, kind: "application/json", answer: "{}"}, claudeProvider, first(anyModel))
	for path, test := range map[string]struct{ body, want string }{
		"/v1/moderations": {`{"input":"hello"}`, "no provider of this gateway serves moderations, and no moderator answers here: this path needs alipayai_moderate, or a provider with path moderations"},
		"/v1/embeddings":  {`{"model":"m","input":"hello"}`, "no provider of this gateway serves embeddings"},
	} {
		t.Run(path, func(t *testing.T) {
			got := claude.post(path, test.body)
			wantError(t, got, http.StatusNotFound, failure.CodeUnknownURL)
			if !strings.Contains(got.body, `"message":"`+test.want+`"`) {
				t.Errorf("answered %s", got.body)
			}
		})
	}
}

func TestModelsFailWhenNoProviderAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   int
		code   string
	}{
		"system error":   {200, `{"code":"SYSTEM_ERROR"}`, 502, "SYSTEM_ERROR"},
		"throttled":      {429, `{"error":{"code":"REQUEST_TRAFFIC_EXCEED_LIMIT"}}`, 429, "REQUEST_TRAFFIC_EXCEED_LIMIT"},
		"not OpenAI":     {200, `{"models":3,"data":{}}`, 502, failure.CodeMalformed},
		"data of words":  {200, `{"data":["a"]}`, 502, failure.CodeMalformed},
		"not JSON":       {200, `<html>`, 502, failure.CodeMalformed},
		"empty account":  {402, `{"code":"PAYMENT_REQUIRED"}`, 502, "PAYMENT_REQUIRED"},
		"account, plain": {402, `pay`, 502, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := startGateway(t, answering(t, test.status, test.body), add("second", answering(t, 500, `{"code":"OTHER"}`)))
				got := r.do(t.Context(), http.MethodGet, "/v1/models", "")
				wantError(t, got, test.want, test.code) // the first one's failure
				if o := r.outcome(); o.Code != test.code || o.Status != test.want {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

func TestModelThatNoProviderServes(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Models = []string{"a"} }))
	for path, body := range map[string]string{
		"/v1/chat/completions": chatBody("hello"),
		"/v1/embeddings":       `{"model":"A","input":"x"}`,
	} {
		got := r.post(path, body)
		message := wantError(t, got, http.StatusNotFound, failure.CodeModelNotFound)
		if !strings.Contains(got.body, `"param":"model"`) || !strings.Contains(message, "/v1/models") {
			t.Errorf("%s", got.body)
		}
		if strings.Contains(message, "alipay-fin-1") {
			t.Errorf("the message repeats what was sent: %s", message)
		}
		if o := r.outcome(); o.Status != 404 || o.Provider != "" || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
	}
	if n := r.sim.Stats().Requests; n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

// The first provider that serves a model gets the call.
func TestModelChoosesTheProvider(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Models = []string{"other"} }))
	second := simProvider(t, r.provider.BaseURL.String())
	s := startGateway(t, second, func(g *alipayai.Gateway) {
		g.Providers = []*upstream.Provider{r.provider, second}
		second.Name, second.Models = "second", []string{"alipay-fin-1"}
	})
	if got := s.chat("hello"); got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "second" {
		t.Errorf("%d by %q", got.status, got.header.Get("X-Alipayai-Provider"))
	}
}

// Attempts that never left are counted for each provider by itself.
func TestModelsAttemptsAreCountedPerProvider(t *testing.T) {
	refusing := unreachable(t)
	r := startGateway(t, refusing(), add("second", refusing()))
	wantError(t, r.do(t.Context(), http.MethodGet, "/v1/models", ""), http.StatusBadGateway, failure.CodeUnreachable)
	perProvider := make(map[string]int)
	for _, attempt := range r.seen.attempted() {
		perProvider[attempt]++
	}
	if perProvider["plain:"+failure.CodeUnreachable] != alipayai.MaxAttempts || perProvider["second:"+failure.CodeUnreachable] != alipayai.MaxAttempts {
		t.Errorf("attempts %v", perProvider)
	}
	if o := r.outcome(); o.Attempts != 2*alipayai.MaxAttempts {
		t.Errorf("outcome %+v", o)
	}
}
