package alipayai_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/limiter"
)

const chatPath = "/v1/chat/completions"

// newCap is a cap in memory with the defaults of a provider.
func newCap(requests int, per time.Duration) *upstream.Cap {
	w := limiter.NewMemoryWindow(time.Now)
	return &upstream.Cap{
		Limit:  limiter.Limit{Requests: requests, Per: per, Guard: upstream.DefaultGuard},
		Window: w, Queue: limiter.NewQueue(w, time.Now),
		MaxWait: upstream.DefaultMaxWait, MaxCount: upstream.DefaultQueueCount, MaxBytes: upstream.DefaultQueueBytes,
	}
}

// capped gives the gateway's first provider a cap.
func capped(k *upstream.Cap) func(*alipayai.Gateway) {
	return first(func(p *upstream.Provider) { p.Cap = k })
}

// inBackground makes a call whose reply comes by the channel.
func (r *rig) inBackground(ctx context.Context, body string) <-chan reply {
	ended := make(chan reply, 1)
	go func() { ended <- r.do(ctx, http.MethodPost, chatPath, body) }()
	return ended
}

// burst makes n calls at once and gives their replies.
func (r *rig) burst(n int) []reply {
	replies := make([]reply, n)
	var calls sync.WaitGroup
	for i := range replies {
		calls.Go(func() { replies[i] = r.do(r.t.Context(), http.MethodPost, chatPath, chatBody("call "+strconv.Itoa(i))) })
	}
	calls.Wait()
	return replies
}

// waiting is how many calls are in the provider's queue.
func (r *rig) waiting() int {
	count, _ := r.provider.Cap.Queue.Depth()
	return count
}
