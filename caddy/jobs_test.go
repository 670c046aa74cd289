package alipaycaddy

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A job that does not end holds neither a reload nor the process, and what it works with is there until it ends.
func TestStopDoesNotWaitForEver(t *testing.T) {
	for name, tt := range map[string]struct {
		exits bool
		ends  time.Duration // how long the job takes to end
		left  []any
	}{
		"reload":                  {ends: jobsTime - time.Second},
		"reload, and a job hangs": {ends: time.Hour, left: []any{"hangs"}},
		"exit":                    {exits: true, ends: jobsTime - time.Second},
		"exit, and a job hangs":   {exits: true, ends: time.Hour, left: []any{"hangs"}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				core, logs := logged.New(zap.ErrorLevel)
				var released atomic.Bool
				a := &App{
					setting: &setting{logger: zap.New(core), exiting: func() bool { return tt.exits }}, upstreams: new(upstreams), started: true,
					reports: &reports{evidence: evidence.NewRecorder(evidence.Options{}), alerter: alert.New(alert.NewState(), alert.Options{})},
				}
				a.add(func() { released.Store(true) })
				a.jobs.add("ends", func(ctx context.Context) { <-ctx.Done() })
				a.jobs.add("hangs", func(ctx context.Context) {
					<-ctx.Done()
					<-time.After(tt.ends)
				})
				a.jobs.start()
				began := time.Now()
				if err := a.Stop(); err != nil {
					t.Fatal(err)
				}
				if err := a.Cleanup(); err != nil {
					t.Fatal(err)
				}
				if took, want := time.Since(began), min(tt.ends, jobsTime); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
				var left []any
				for _, entry := range logs.All() {
					left = append(left, entry.ContextMap()["jobs"].([]any)...)
				}
				if !slices.Equal(left, tt.left) {
					t.Errorf("logged as left: %v, want %v", left, tt.left)
				}
				if released.Load() != (tt.left == nil) {
					t.Errorf("released while a job is left: %v", released.Load())
				}
				testwait.Pass(tt.ends)
				if !released.Load() {
					t.Error("it is never released")
				}
			})
		})
	}
}
