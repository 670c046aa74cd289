package alipaycaddy

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/filewatch"
)

// pace is how soon a gateway sees what nothing reports: what alerts are about, that a lost store is back, what other replicas
// know of canaries, changed files of keys, and, by waiting for as long, that another process has closed the ledger's file. Tests that run Caddy see it
// sooner.
var pace = struct{ watch, back, canaries, keys, ledger time.Duration }{watchEvery, backAfter, canary.LookEvery, filewatch.Interval, ledger.LockWait}

// jobs are the background work of a configuration, from Start to Stop.
type jobs struct {
	all     []*job
	cancel  context.CancelFunc // nil before start
	running inFlight
}

// job is some of it. Its name says in the log what has not ended.
type job struct {
	name  string
	run   func(context.Context)
	ended chan struct{}
}

func (j *jobs) add(name string, run func(context.Context)) {
	j.all = append(j.all, &job{name: name, run: run, ended: make(chan struct{})})
}

func (j *jobs) start() {
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel = cancel
	for _, one := range j.all {
		j.running.begin()
		go func() {
			defer close(one.ended)
			defer j.running.end() // first: who has seen the end of all gives back what they used
			one.run(ctx)
		}()
	}
}

// stop ends them, and gives the names of those that have not ended within wait: a file system that hangs may hold one for
// ever.
func (j *jobs) stop(wait time.Duration) (left []string) {
	if j.cancel == nil {
		return nil
	}
	j.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for _, one := range j.all {
		select {
		case <-one.ended:
			continue
		case <-ctx.Done():
		}
		select {
		case <-one.ended: // meanwhile
		default:
			left = append(left, one.name)
		}
	}
	return left
}

// Stop ends the background work. Requests that are still in flight keep
// working: they fetch a token themselves if they need one. When the process ends Caddy stops its apps in any order, and
// servers may serve until the last is stopped: then Cleanup ends it, which Caddy calls after that.
func (a *App) Stop() error {
	if !a.exiting() {
		a.endJobs()
	}
	return nil
}

// jobsTime is how long a configuration that ends waits for its jobs: Caddy takes no other until it has ended.
const jobsTime = 5 * time.Second

// endJobs waits that long. What is left holds the pooled state until it ends.
func (a *App) endJobs() {
	if left := a.jobs.stop(jobsTime); len(left) > 0 {
		a.logger.Error("background work has not ended in time, and goes on by itself: a file system or an upstream may hang", zap.Strings("jobs", left))
	}
}

// exit ends what Stop has left, before what is counted, raised and recorded is lost with the process.
func (a *App) exit() {
	ctx, cancel := context.WithTimeout(context.Background(), exitTime)
	serving.end(ctx)
	cancel()
	ctx, cancel = context.WithTimeout(context.Background(), exitTime)
	endShadows(ctx, a.logger) // before the jobs, which keep what is counted
	cancel()
	a.endJobs()
	a.endRedemptions()
	a.flush()
}

// exitTime is how long the process waits, when it ends, for calls whose connections it closes, then for copies of calls that
// shadows are asked, and then for evidence and alerts that are still being written or sent.
const exitTime = 2 * time.Second

// flush waits for them. What it does not wait for is lost.
func (a *App) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), exitTime)
	defer cancel()
	if err := errors.Join(a.evidence.Flush(ctx), a.alerter.Flush(ctx)); err != nil {
		a.logger.Warn("evidence or alerts are lost", zap.Error(err))
	}
}
