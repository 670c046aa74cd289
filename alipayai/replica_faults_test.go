package alipayai_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Where a replica of these tests runs in a process of its own, these say what it is.
const (
	replicaRedis     = "ALIPAYAI_REPLICA_REDIS"
	replicaUpstream  = "ALIPAYAI_REPLICA_UPSTREAM"
	replicaNamespace = "ALIPAYAI_REPLICA_NAMESPACE"
	replicaQueued    = "ALIPAYAI_REPLICA_QUEUED"
)

// replicaDeadline is that of its calls, longer than a machine is busy for. What waits for the end of a lease lets time
// pass in Redis.
const replicaDeadline = time.Minute

// gated is a window that gives no slot until it is opened.
type gated struct {
	limiter.Window
	opened <-chan struct{}
}

func (w gated) Reserve(ctx context.Context, l limiter.Limit) (limiter.Slot, error) {
	select {
	case <-w.opened:
		return w.Window.Reserve(ctx, l)
	case <-ctx.Done():
		return limiter.Slot{}, ctx.Err()
	}
}

// replicaGateway is a replica of class money whose claims are in Redis. Its calls are queued until opened is closed,
// where there is such a channel.
func replicaGateway(t *testing.T, addr, to, namespace string, opened <-chan struct{}) *alipayai.Gateway {
	t.Helper()
	p := plainProvider(t, to)
	if opened != nil {
		p.Cap = newCap(50, time.Second)
		p.Cap.Window = gated{p.Cap.Window, opened}
		p.Cap.Queue, p.Cap.MaxWait = limiter.NewQueue(p.Cap.Window, time.Now), replicaDeadline
	}
	sealing, err := seal.New([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	g := &alipayai.Gateway{
		Providers: []*upstream.Provider{p}, Class: alipayai.ClassMoney, Deadline: replicaDeadline,
		Claims: &alipayai.Claims{TTL: time.Hour, Store: replay.NewRedisClaims(replay.RedisOptions{
			Client: newRedis(t, limiter.RedisOptions{Addresses: []string{addr}}), Namespace: namespace, Seal: sealing,
			ClaimTimeout: replicaDeadline, Timeout: replicaDeadline, // this machine is busy
		})},
	}
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := g.Prepare(); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestReplicaProcess is a replica until its standard input ends, where a test has started it as one. A first line opens
// the window of one whose calls are queued.
func TestReplicaProcess(t *testing.T) {
	addr := os.Getenv(replicaRedis)
	if addr == "" {
		return
	}
	var opened chan struct{}
	if os.Getenv(replicaQueued) != "" {
		opened = make(chan struct{})
	}
	g := replicaGateway(t, addr, os.Getenv(replicaUpstream), os.Getenv(replicaNamespace), opened)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(g, w, r, "acme") }))
	defer server.Close()
	fmt.Println("\nreplica " + server.URL)
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err == nil {
		close(opened)
		_, _ = io.Copy(io.Discard, in)
	}
}

// process is a replica in a process of its own.
type process struct {
	*os.Process
	url string
	in  io.Writer
}

func startReplica(t *testing.T, addr, upstream, namespace string, queued bool) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run", "^TestReplicaProcess$")
	child.Env = append(os.Environ(), replicaRedis+"="+addr, replicaUpstream+"="+upstream, replicaNamespace+"="+namespace)
	if queued {
		child.Env = append(child.Env, replicaQueued+"=yes")
	}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Signal(syscall.SIGCONT)
		_ = in.Close()
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "replica "); ok {
			return &process{child.Process, url, in}
		}
	}
	t.Fatal("the replica has ended")
	return nil
}

// acting is an upstream that counts what it was asked, and answers at once, or, until it is over, not or by half.
type acting struct {
	mu      sync.Mutex
	count   int
	arrived chan struct{}
	stuck   string // "", "silent" or "half"
	over    chan struct{}
}

func (a *acting) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func (a *acting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	a.count++
	first := a.count == 1
	a.mu.Unlock()
	const whole = `{"choices":[{"message":{"content":"done"},"finish_reason":"stop"}]}`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
	rest := whole
	if first && a.stuck == "half" {
		rest = whole[10:]
		_, _ = io.WriteString(w, whole[:10])
		_ = http.NewResponseController(w).Flush()
	}
	a.arrived <- struct{}{}
	if first && a.stuck != "" {
		select {
		case <-a.over:
		case <-r.Context().Done():
		}
		return
	}
	_, _ = io.WriteString(w, rest)
}

// A replica is killed, or stands still and wakes, at each moment of a call: the upstream is never asked twice, and
// what has never left may be asked again when the lease is over.
func TestReplicasThatDieOrFreeze(t *testing.T) {
	redisServer := redistest.Start(t)
	client := newRedis(t, limiter.RedisOptions{Addresses: []string{redisServer.Addr}})
	var tests sync.WaitGroup
	defer tests.Wait()
	for _, fault := range []string{"killed", "frozen"} {
		for _, moment := range []string{"queued", "silent", "half"} {
			name := fault + ", " + moment
			upstream := &acting{arrived: make(chan struct{}, 10), over: make(chan struct{})}
			if moment != "queued" {
				upstream.stuck = moment
			}
			server := httptest.NewServer(upstream)
			t.Cleanup(server.Close)
			broken := startReplica(t, redisServer.Addr, server.URL, name, moment == "queued")
			other := replicaGateway(t, redisServer.Addr, server.URL, name, nil)
			tests.Go(func() { faultAt(t, name, client, broken, other, upstream) })
		}
	}
}

// faultAt breaks the replica in the middle of its call, and repeats the call at the other one.
func faultAt(t *testing.T, name string, client redis.UniversalClient, broken *process, other *alipayai.Gateway, upstream *acting) {
	queued, kill := strings.HasSuffix(name, "queued"), strings.HasPrefix(name, "killed")
	request := func(ctx context.Context, base string) *http.Request {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, base+chatPath, strings.NewReader(chatBody(name)))
		r.RequestURI = ""
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", strings.ReplaceAll(name, ", ", "-"))
		return r
	}
	repeat := func() (int, string) {
		w := httptest.NewRecorder()
		serve(other, w, request(t.Context(), ""), "acme")
		return w.Code, w.Body.String()
	}
	want := func(when string, status int, code string) {
		if got, body := repeat(); got != status || !strings.Contains(body, code) {
			t.Errorf("%s, %s: %d %s, want %d %s", name, when, got, body, status, code)
		}
	}
	ended := make(chan string, 1)
	go func() {
		resp, err := http.DefaultClient.Do(request(t.Context(), broken.url))
		if err != nil {
			ended <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		ended <- string(body)
	}()
	if queued {
		waitFor(t, name+": the claim", func() bool { return len(claims(t, client, name)) > 0 })
	} else {
		<-upstream.arrived
	}
	signal := syscall.SIGSTOP
	if kill {
		signal = syscall.SIGKILL
	}
	if err := broken.Signal(signal); err != nil {
		t.Error(err)
	}
	want("at once", http.StatusConflict, failure.CodeIdempotencyInFlight)
	for _, key := range claims(t, client, name) {
		passInRedis(t, client, key, 2*replicaDeadline)
	}
	if queued {
		want("after the lease", http.StatusOK, "done")
	} else {
		want("after the lease", http.StatusConflict, failure.CodeIdempotencyUnresolved)
	}
	if !kill {
		if err := broken.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	close(upstream.over)
	if queued && !kill {
		_, _ = fmt.Fprintln(broken.in)
		if reply := <-ended; !strings.Contains(reply, failure.CodeIdempotencyUnavailable) {
			t.Errorf("%s, awake: %s", name, reply)
		}
	} else {
		<-ended
	}
	if status, body := repeat(); status != http.StatusOK && status != http.StatusConflict {
		t.Errorf("%s, at last: %d %s", name, status, body)
	}
	if n := upstream.asked(); n != 1 {
		t.Errorf("%s: the upstream was asked %d times", name, n)
	}
}

// claims are the keys of the claims that acme has in a namespace.
func claims(t *testing.T, client redis.UniversalClient, namespace string) []string {
	place := replay.NewKey(namespace, "acme")
	ctx, cancel := context.WithTimeout(t.Context(), patience) // the client's own deadline is shorter
	defer cancel()
	keys, err := client.Keys(ctx, "alipayai:{"+base64.RawURLEncoding.EncodeToString(place[:])+"}:claim:*").Result()
	if err != nil {
		t.Error(err)
	}
	return keys
}

// passInRedis makes a key older.
func passInRedis(t *testing.T, client redis.UniversalClient, key string, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left, err := client.PTTL(ctx, key).Result()
	switch {
	case err != nil || left < 0:
		t.Errorf("time to live of %s: %v, %v", key, left, err)
	case left <= d:
		err = client.Del(ctx, key).Err()
	default:
		err = client.PExpire(ctx, key, left-d).Err()
	}
	if err != nil {
		t.Error(err)
	}
}
