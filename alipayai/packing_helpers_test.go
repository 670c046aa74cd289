package alipayai_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
)

// model is an upstream without sockets that repeats each text, also those of packs.
type model struct {
	// before comes before the n-th answer, counted from 1; what it gives goes in its place.
	before func(n int, req *http.Request) (*http.Response, error)
	// reply answers one text; it repeats the text where nil.
	reply func(text string, packed bool) string

	mu   sync.Mutex
	seen []sighting
}

// sighting is one request: its texts by what stood for them, and when it came.
type sighting struct {
	when   time.Time
	texts  []string
	packed bool
	body   string
}

// RoundTrip implements http.RoundTripper.
func (m *model) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var asked struct {
		Stream   bool
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	prompt := asked.Messages[len(asked.Messages)-1].Content
	seen := sighting{when: time.Now(), texts: []string{prompt}, body: string(body)}
	items := map[string]string{}
	if asked.Messages[0].Role == "system" && strings.Contains(asked.Messages[0].Content, pack.Instruction) {
		if err := json.Unmarshal([]byte(prompt), &items); err != nil {
			return nil, err
		}
		seen.packed, seen.texts = true, nil
		for id, text := range items {
			seen.texts = append(seen.texts, text)
			items[id] = m.answer(text, true)
		}
		slices.Sort(seen.texts)
	}
	m.mu.Lock()
	m.seen = append(m.seen, seen)
	n := len(m.seen)
	m.mu.Unlock()
	if m.before != nil {
		if resp, err := m.before(n, req); resp != nil || err != nil {
			return resp, err
		}
	}
	text := m.answer(prompt, false)
	if seen.packed {
		all, _ := json.Marshal(items)
		text = string(all)
	}
	quoted, _ := json.Marshal(text)
	if asked.Stream {
		return streams(nil, `{"choices":[{"index":0,"delta":{"content":`+string(quoted)+`}}]}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `[DONE]`)(req)
	}
	return says(200, `{"model":"m","choices":[{"index":0,"message":{"content":`+string(quoted)+`},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":101,"completion_tokens":53,"total_tokens":154}}`)(req)
}

func (m *model) answer(text string, packed bool) string {
	if m.reply != nil {
		return m.reply(text, packed)
	}
	return "re: " + text
}

func (m *model) sightings() []sighting {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// packing is a gateway that packs, before models.
type packing struct {
	*scripted
	models []*model
}

func newPacking(t *testing.T, models []*model, edits ...func(*alipayai.Gateway)) *packing {
	t.Helper()
	s := perform(t, make([][]turn, len(models)), slices.Concat([]func(*alipayai.Gateway){packed(), func(g *alipayai.Gateway) {
		for i, m := range models {
			g.Providers[i].Transport = m
		}
		g.Packs.MaxWait = 0
	}}, edits)...)
	return &packing{s, models}
}

// ask makes a call of user u1 after some time; its reply is there when the bubble is idle.
func (p *packing) ask(ctx context.Context, after time.Duration, text string, header ...string) *reply {
	got := new(reply)
	go func() {
		<-time.After(after)
		*got = p.callWith(ctx, userBody("u1", text, `"temperature":0`), header...)
	}()
	return got
}

func wantText(t *testing.T, got *reply, text string) {
	t.Helper()
	if said := saying(t, *got); said != text {
		t.Errorf("answered %q, want %q", said, text)
	}
}
