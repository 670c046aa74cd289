package limiter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// bubbleRedis runs the script at a real redis-server, but in the time of a synctest
// bubble and over a network as slow as the test wants it: what comes out hangs on
// no machine's load. It is made outside of the bubble, whose time stands still
// while the server works.
type bubbleRedis struct {
	redis.UniversalClient // none: a window runs its script, no more

	oneWay time.Duration // what a message takes, each way

	mu   sync.Mutex
	jobs chan func()
	done chan struct{}

	client redis.UniversalClient
	script *redis.Script
}

func newBubbleRedis(t *testing.T) *bubbleRedis {
	t.Helper()
	const clock = "redis.call('TIME')"
	if strings.Count(redisWindowScript, clock) != 1 {
		t.Fatal("the script does not read its clock once")
	}
	b := &bubbleRedis{
		jobs:   make(chan func()),
		done:   make(chan struct{}),
		client: newPatientClient(t, redistest.Start(t)),
		script: redis.NewScript(strings.Replace(redisWindowScript, clock, "{0, tonumber(ARGV[4])}", 1)),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for job := range b.jobs {
			job()
			b.done <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		close(b.jobs)
		<-ended
	})
	return b
}

// EvalSha runs the script, whatever its hash.
func (b *bubbleRedis) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	time.Sleep(b.oneWay)
	result := b.exec(keys, args)
	time.Sleep(b.oneWay)
	if err := ctx.Err(); err != nil {
		return redis.NewCmdResult(nil, err)
	}
	return result
}

// exec runs the script; no time of the bubble passes.
func (b *bubbleRedis) exec(keys []string, args []any) *redis.Cmd {
	args = append(args, time.Now().UnixMicro())
	var result *redis.Cmd
	b.do(func() { result = b.script.Run(context.Background(), b.client, keys, args...) })
	return result
}

// do has something done outside of the bubble.
func (b *bubbleRedis) do(job func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs <- job
	<-b.done
}

// newQueues are those of several replicas, past the first silence of their window.
// They belong to the bubble that calls.
func (b *bubbleRedis) newQueues(t *testing.T, key string, limit Limit, replicas int) []*Queue {
	t.Helper()
	var queues []*Queue
	for range replicas {
		w, err := NewRedisWindow(b, RedisWindowOptions{
			Key: key, Replicas: replicas, Limit: limit,
			OnState: func(s State, err error) { t.Errorf("a window is %v: %v", s, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		queues = append(queues, NewQueue(w, time.Now))
	}
	time.Sleep(3 * quiet(limit))
	return queues
}
