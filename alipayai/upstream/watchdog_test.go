package upstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// watched makes a watchdog of a context.
func watched(t *testing.T) (context.Context, *Watchdog) {
	ctx, dog := &ending{client: t.Context()}, new(Watchdog)
	dog.begin(ctx, dog.check)
	return ctx, dog
}

func TestWatchdog(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		ctx, dog := watched(t)
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
	testwait.Bubble(t, func(t *testing.T) {
		ctx, dog := watched(t)
		dog.Arm(time.Second, failure.ErrNoHead)
		dog.Disarm()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Errorf("cancelled: %v", context.Cause(ctx))
		}
	})
}
