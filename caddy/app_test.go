package alipaycaddy

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestExitWaitsForEvidence has a record written once an app is stopped, as servers that are stopped after it may: only a process
// that ends has to wait for it. Till then the jobs go on there.
func TestExitWaitsForEvidence(t *testing.T) {
	for name, exits := range map[string]bool{"exit": true, "reload": false} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				var written atomic.Bool
				slow := zap.New(zapcore.NewNopCore(), zap.WrapCore(func(zapcore.Core) zapcore.Core {
					return zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&strings.Builder{}), zap.DebugLevel),
						func(zapcore.Entry) error {
							time.Sleep(time.Second)
							written.Store(true)
							return nil
						})
				}))
				a := &App{
					setting: &setting{logger: zap.NewNop(), exiting: func() bool { return exits }}, upstreams: new(upstreams), started: true,
					reports: &reports{evidence: evidence.NewRecorder(evidence.Options{Logger: slow}), alerter: alert.New(alert.NewState(), alert.Options{})},
				}
				var working atomic.Bool
				working.Store(true)
				a.jobs.add("work", func(ctx context.Context) {
					<-ctx.Done()
					working.Store(false)
				})
				a.jobs.start()
				if err := a.Stop(); err != nil {
					t.Fatal(err)
				}
				if working.Load() != exits {
					t.Errorf("a job goes on after Stop: %v", working.Load())
				}
				a.evidence.Record(evidence.Record{})
				if err := a.Cleanup(); err != nil {
					t.Fatal(err)
				}
				if written.Load() != exits || working.Load() {
					t.Errorf("after Cleanup it is written: %v, and a job goes on: %v", written.Load(), working.Load())
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
			})
		})
	}
}

// TestAccessLogHasTheUsage compares the log with the answer.
func TestAccessLogHasTheUsage(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	logged := g.outcome(g.chat("hello"))
	for _, name := range []string{"prompt_tokens", "completion_tokens"} {
		if tokens, ok := logged[name].(float64); !ok || tokens < 1 {
			t.Errorf("%s is logged as %v", name, logged[name])
		}
	}
}

// TestChangedPasswordIsAnotherStore has a password that changes behind its placeholder.
func TestChangedPasswordIsAnotherStore(t *testing.T) {
	open := func(password, sentinel string) *openedStore {
		t.Helper()
		t.Setenv("TEST_REDIS_PASSWORD", password)
		t.Setenv("TEST_SENTINEL_PASSWORD", sentinel)
		a := &App{Redis: &Redis{
			Addresses: []string{"127.0.0.1:1"}, MasterName: "main",
			Password: "{env.TEST_REDIS_PASSWORD}", SentinelPassword: "{env.TEST_SENTINEL_PASSWORD}",
		}}
		var held acquired
		store, err := openStore(&held, newSecrets(false), new(seal.Seal), a.sharedStore())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(held.release)
		return store
	}
	first := open("the-first-password", "of-the-sentinels")
	if open("the-first-password", "of-the-sentinels") != first {
		t.Error("the same store is opened twice")
	}
	if open("the-second-password", "of-the-sentinels") == first || open("the-first-password", "changed-at-sentinels") == first {
		t.Error("a changed password keeps the old client")
	}
}
