package suite

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
)

// DefaultConcurrency is how many prompts are asked at once, and MaxConcurrency the most that may be.
const (
	DefaultConcurrency = 4
	MaxConcurrency     = 32
)

// Asked asks the provider a prompt. It returns when ctx ends.
type Asked func(ctx context.Context, p *Prompt) *Answer

// Run asks prompts. Its fields do not change after Do.
type Run struct {
	Suite *Suite
	Ask   Asked
	// Concurrency is how many prompts are asked at once; DefaultConcurrency when 0.
	Concurrency int
	// Rate is how many are begun a second at most; 0 for no limit.
	Rate float64
	// Until is when no more prompts are begun; zero for never.
	Until time.Time
	// Done is called with each result and its Answer, one after the other; nil for none.
	Done func(Result)
	// Now is the local time.
	Now func() time.Time
}

// Do asks the prompts that have no result yet, and gives all results in the order of the file. whole says that none is
// missing: ctx may have ended, or the time of Until come. A prompt that ctx breaks off has no result.
func (r *Run) Do(ctx context.Context, have []Result) (results []Result, whole bool) {
	results = append(results, r.Suite.sort(have)...)
	asked := make(map[string]bool, len(results))
	for _, result := range results {
		asked[result.ID] = true
	}
	pace := rate.NewLimiter(rate.Inf, 1)
	if r.Rate > 0 {
		pace.SetLimit(rate.Limit(r.Rate))
	}
	concurrency := r.Concurrency
	if concurrency <= 0 {
		concurrency = DefaultConcurrency
	}
	var (
		tools toolcheck.Checker
		mu    sync.Mutex
		wait  sync.WaitGroup
	)
	free := make(chan struct{}, concurrency)
	for _, p := range r.Suite.Prompts {
		if asked[p.ID] {
			continue
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || pace.Wait(ctx) != nil || !r.Until.IsZero() && !r.Now().Before(r.Until) {
			break
		}
		wait.Go(func() {
			defer func() { <-free }()
			result := r.ask(ctx, p, &tools)
			if ctx.Err() != nil {
				return // what the provider would have said is not known
			}
			mu.Lock()
			defer mu.Unlock()
			if r.Done != nil {
				r.Done(result)
			}
			result.Answer = nil
			results = append(results, result)
		})
	}
	wait.Wait()
	results = r.Suite.sort(results)
	return results, len(results) == len(r.Suite.Prompts)
}

func (r *Run) ask(ctx context.Context, p *Prompt, tools *toolcheck.Checker) Result {
	began := r.Now()
	asking, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	a := r.Ask(asking, p)
	result := Result{ID: p.ID, Code: a.Code, Took: r.Now().Sub(began), Cost: a.Cost, Answer: a}
	result.Status, result.Failed = p.judge(tools, a)
	return result
}
