package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A cached answer is of the upstreams that were asked: where one of them is another by now, it is not theirs.
func TestCachedAnswerBelongsToItsUpstreams(t *testing.T) {
	// each edits the first or the second provider: both may have answered.
	each := func(edit func(*upstream.Provider)) []func(*scripted) {
		return []func(*scripted){
			func(s *scripted) { edit(s.gateway.Providers[0]) },
			func(s *scripted) { edit(s.gateway.Providers[1]) },
		}
	}
	for name, test := range map[string]struct {
		edits []func(*scripted)
		same  bool
	}{
		"name":    {edits: each(func(p *upstream.Provider) { p.Name = "another" })},
		"profile": {edits: each(func(p *upstream.Provider) { p.Profile.Name = "another" })},
		"host":    {edits: each(func(p *upstream.Provider) { p.BaseURL = parseURL(t, "http://127.0.0.1:9") })},
		"path":    {edits: each(func(p *upstream.Provider) { p.BaseURL = p.BaseURL.JoinPath("another") })},
		"client":  {edits: each(func(p *upstream.Provider) { p.ClientID = "another" })},
		"path of chat": {edits: each(func(p *upstream.Provider) {
			p.Paths = map[upstream.Endpoint]string{upstream.EndpointChat: "/another"}
		})},
		"header":          {edits: each(func(p *upstream.Provider) { p.Header = http.Header{"Openai-Organization": {"another"}} })},
		"on_unsupported":  {edits: each(func(p *upstream.Provider) { p.OnUnsupported = upstream.OnUnsupportedDrop })},
		"model":           {edits: each(func(p *upstream.Provider) { p.Model = "another" })},
		"model by name":   {edits: each(func(p *upstream.Provider) { p.ModelMap = map[string]string{"alipay-fin-1": "another"} })},
		"timeout":         {edits: each(func(p *upstream.Provider) { p.Timeout = time.Minute }), same: true},
		"another's model": {edits: each(func(p *upstream.Provider) { p.ModelMap = map[string]string{"other": "another"} }), same: true},
		"order": {edits: []func(*scripted){func(s *scripted) {
			s.gateway.Providers = []*upstream.Provider{s.gateway.Providers[1], s.gateway.Providers[0]}
		}}},
		"one less": {edits: []func(*scripted){func(s *scripted) { s.gateway.Providers = s.gateway.Providers[:1] }}},
	} {
		for i, edit := range test.edits {
			t.Run(name+", "+[]string{"first", "second"}[i], func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{good}, {good}}, caching())
					s.call(chatBody("hello"))
					s.fails(sysError)
					edit(s)
					for _, p := range s.gateway.Providers {
						if err := p.Prepare(); err != nil {
							t.Fatal(err)
						}
					}
					got := s.call(chatBody("hello"))
					if cached := got.header.Get("Cache-Status") != ""; cached != test.same {
						t.Errorf("%d %v", got.status, got.header)
					}
				})
			})
		}
	}
}

// What an agent answers depends on its session as well: nothing of it can be kept.
func TestAnswersOfAgentsAreNotCached(t *testing.T) {
	for i := range 2 {
		g := &alipayai.Gateway{Providers: []*upstream.Provider{plainProvider(t, "http://127.0.0.1:1"), plainProvider(t, "http://127.0.0.1:2")}}
		caching()(g)
		g.Providers[i].Profile.Agent, g.Providers[i].Name = true, "agents"
		if err := g.Prepare(); err == nil || !strings.Contains(err.Error(), "cached_answer") || !strings.Contains(err.Error(), "agents") {
			t.Errorf("provider %d: %v", i, err)
		}
	}
}

// Answers that were filtered, or cut for their length, take no better one's place; but who claimed the call gets them again.
func TestPoorAnswersAreNotCached(t *testing.T) {
	finished := func(reason string) map[string]turn {
		return map[string]turn{
			chatBody("hello"):   says(200, `{"choices":[{"message":{"content":"poor"},"finish_reason":"`+reason+`"}]}`),
			streamBody("hello"): streams(nil, `{"choices":[{"delta":{"content":"poor"},"finish_reason":"`+reason+`"}]}`, "[DONE]"),
		}
	}
	for reason, kept := range map[string]bool{"stop": true, "tool_calls": true, "length": false, "content_filter": false} {
		for body, poor := range finished(reason) {
			t.Run(reason+", "+body[:10], func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					better := map[string]turn{chatBody("hello"): good, streamBody("hello"): wholeStream}[body]
					s := perform(t, [][]turn{{better, poor, sysError}}, claiming, caching())
					before := s.call(body)
					replaced := s.call(body, keyed...)
					wantReplayed(t, s.call(body, keyed...), replaced, "0")
					if kept {
						before = replaced
					}
					wantCached(t, s.call(body), before, "0")
					s.wantCalls(3)
				})
			})
		}
	}
}
