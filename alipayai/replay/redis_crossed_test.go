package replay

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/limiter"
)

// crossedCalls is how many calls are interleaved: -calls 1000000 makes a soak of it.
var crossedCalls = flag.Int("calls", 20_000, "calls of TestRepliesAreNotCrossed")

func TestRepliesAreNotCrossed(t *testing.T) {
	calls, workers := *crossedCalls, 32
	server := redistest.Start(t)
	o := redisOptions(t, limiter.RedisOptions{Addresses: []string{server.Addr}})
	hasty := o
	hasty.Timeout, hasty.ClaimTimeout = 300*time.Microsecond, 300*time.Microsecond
	var good, cancelled, unavailable, crossed atomic.Int64
	count := func(text, want string, err error) {
		switch {
		case errors.Is(err, context.Canceled):
			cancelled.Add(1)
		case errors.Is(err, ErrUnavailable):
			unavailable.Add(1)
		case err != nil:
			t.Error(err)
		case text != want:
			crossed.Add(1)
		default:
			good.Add(1)
		}
	}
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for i := range calls / workers / 2 {
				seed := uint64(worker*calls + i)
				options := o
				if random(seed, 10) == 1 {
					options = hasty // loses replies in the middle
				}
				ctx, cancel := context.WithCancel(t.Context())
				if random(seed, 10) == 2 {
					go cancel()
				}
				key, text := NewKey("call", strconv.FormatUint(seed, 10)), fmt.Sprint("answer ", seed)
				var err error
				if i%2 == 0 {
					err = NewRedisCache(options).Put(ctx, tenantOf(key), key, answerOf(text), time.Minute)
				} else {
					err = finishOnce(ctx, NewRedisClaims(options), key, text)
				}
				count("", "", err)
				if err == nil {
					got, err := replayed(ctx, options, i%2 == 0, key)
					count(got, text, err)
				}
				cancel()
			}
		})
	}
	working.Wait()
	t.Logf("%d good, %d cancelled, %d unavailable", good.Load(), cancelled.Load(), unavailable.Load())
	if crossed.Load() != 0 {
		t.Errorf("%d replies went to other callers", crossed.Load())
	}
	if good.Load() < int64(calls/2) || cancelled.Load() == 0 || unavailable.Load() == 0 {
		t.Error("the mixture is not the one that was meant")
	}
}
