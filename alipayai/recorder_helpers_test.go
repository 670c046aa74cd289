package alipayai_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/failover"
)

// recorder is an Observer that remembers.
type recorder struct {
	settled chan alipayai.Outcome

	mu          sync.Mutex
	attempts    []string
	classes     []failure.Class
	upstreamIDs []string
	fallbacks   []string
	breakers    []string
	signing     []string
	charged     []alipayai.Cost
	rejected    []string
	waits       []time.Duration
}

func (r *recorder) Attempted(a alipayai.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a.Provider+":"+a.Code)
	r.classes = append(r.classes, a.Class)
	r.upstreamIDs = append(r.upstreamIDs, a.UpstreamID)
}

func (r *recorder) FellOver(provider, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fallbacks = append(r.fallbacks, provider+":"+reason)
}

func (r *recorder) BreakerChanged(tenant, provider string, state failover.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.breakers = append(r.breakers, tenant+"@"+provider+":"+state.String())
}

func (r *recorder) Permitted(_ string, waited time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, waited)
}

func (r *recorder) Rejected(_, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected = append(r.rejected, reason)
}

func (r *recorder) Charged(c alipayai.Cost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.charged = append(r.charged, c)
}

func (r *recorder) SigningFailed(provider string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signing = append(r.signing, provider)
}

// fallen gives the providers that brought no answer, and why; changes what breakers did.
func (r *recorder) fallen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.fallbacks)
}

// reset forgets what was seen so far.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts, r.fallbacks, r.breakers, r.rejected = nil, nil, nil, nil
}

func (r *recorder) changes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.breakers)
}

// permitted gives how long each attempt waited, rejections the reasons of those that were rejected.
func (r *recorder) permitted() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waits)
}

func (r *recorder) rejections() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rejected)
}

func (r *recorder) Settled(_ context.Context, o alipayai.Outcome) { r.settled <- o }

func (r *recorder) attempted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts)
}

// arrival is a request as the simulator got it.
type arrival struct {
	when   time.Time
	path   string
	header http.Header
	body   []byte
}

type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

func (a *arrivals) note(r *http.Request, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, arrival{time.Now(), r.URL.Path, r.Header.Clone(), bytes.Clone(body)})
}

// at gives the requests that came to a path.
func (a *arrivals) at(path string) (list []arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.all {
		if one.path == path {
			list = append(list, one)
		}
	}
	return list
}

// most is the most requests at a path in any time span of that length.
func (a *arrivals) most(path string, span time.Duration) (most int) {
	list := a.at(path)
	for first, last := 0, 0; last < len(list); last++ {
		for list[last].when.Sub(list[first].when) >= span {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}
