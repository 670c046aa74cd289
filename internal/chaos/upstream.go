package main

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Names of the two providers, in the order in which they are asked.
const (
	first  = "alipay"
	second = "claude"
)

// replicaHeader tells an upstream which replica asks.
const replicaHeader = "X-Chaos-Replica"

// upstream is a simulator, and what reached it.
type upstream struct {
	name string
	sim  *sandbox.Server
	site *site
	path string // of its chats

	mu sync.Mutex
	// arrived are the chats by the number of the replica that they came from.
	arrived map[int]int
	// asked are the prompts by the idempotency id under which they came.
	asked map[string]string
	// mixed are the ids under which more than one prompt came.
	mixed map[string]bool
	// whole are the ids of the answers that were given whole, by idempotency id.
	whole map[string]map[string]bool
}

func newUpstream(ctx context.Context, name, path string, cfg sandbox.Config) (*upstream, error) {
	u := &upstream{
		name: name, path: path, arrived: make(map[int]int), asked: make(map[string]string),
		mixed: make(map[string]bool), whole: make(map[string]map[string]bool),
	}
	cfg.OnRequest = u.note
	var err error
	if u.sim, err = sandbox.New(cfg); err != nil {
		return nil, err
	}
	if u.site, err = newSite(ctx, u.sim); err != nil {
		return nil, err
	}
	return u, nil
}

var promptPattern = regexp.MustCompile(`tenant-\d+ asks \d+`)

// note takes note of a request before it is judged.
func (u *upstream) note(r *http.Request, body []byte) {
	if r.URL.Path != u.path {
		return
	}
	replica, err := strconv.Atoi(r.Header.Get(replicaHeader))
	if err != nil {
		replica = -1 // of no replica, which judge reports
	}
	id, prompt := r.Header.Get("Idempotency-Key"), string(promptPattern.Find(body))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrived[replica]++
	if before, ok := u.asked[id]; ok && before != prompt {
		u.mixed[id] = true
	}
	u.asked[id] = prompt
}

// gather takes over what the simulator's statistics would forget.
func (u *upstream) gather() sandbox.Stats {
	stats := u.sim.Stats()
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, answers := range stats.Answers {
		if u.whole[id] == nil {
			u.whole[id] = make(map[string]bool)
		}
		for _, answer := range answers {
			u.whole[id][answer] = true
		}
	}
	return stats
}

// answered gives the ids of the answers that were given whole, by prompt.
func (u *upstream) answered() map[string][]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	byPrompt := make(map[string][]string)
	for id, answers := range u.whole {
		byPrompt[u.asked[id]] = slices.AppendSeq(byPrompt[u.asked[id]], maps.Keys(answers))
	}
	return byPrompt
}
