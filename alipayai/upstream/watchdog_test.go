package upstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		dog := new(Watchdog)
		dog.begin(cancel)
		dog.Arm(10*time.Second, failure.ErrNoHead)
		time.Sleep(9 * time.Second)
		dog.Arm(10*time.Second, failure.ErrNoEvent)
		// Only waiting counts, however often it begins anew.
		for range 25 {
			time.Sleep(9 * time.Second)
			dog.Pause()
			time.Sleep(time.Minute)
			dog.Resume()
		}
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatalf("cancelled: %v", context.Cause(ctx))
		}
		resumed := time.Now()
		<-ctx.Done()
		if waited := time.Since(resumed); waited != 10*time.Second || !errors.Is(context.Cause(ctx), failure.ErrNoEvent) {
			t.Errorf("cancelled after %v by %v", waited, context.Cause(ctx))
		}
	})
}

func TestWatchdogThatIsDisarmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		dog := new(Watchdog)
		dog.begin(cancel)
		dog.Arm(time.Second, failure.ErrNoHead)
		dog.Disarm()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Errorf("cancelled: %v", context.Cause(ctx))
		}
	})
}
