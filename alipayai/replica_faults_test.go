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

// replicaDeadline is that of its calls, so that its leases are short.
const replicaDeadline = time.Second

// replicaGateway is a replica of class money whose claims are in Redis. One that is queued has a window that
// opens late, but in time.
func replicaGateway(t *testing.T, addr, to, namespace string, queued bool) *alipayai.Gateway {
	t.Helper()
	p := plainProvider(t, to)
	if queued {
		p.Cap = newCap(50, time.Second)
		p.Cap.Throttled(replicaDeadline / 2)
	}
	sealing, err := seal.New([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	g := &alipayai.Gateway{
		Providers: []*upstream.Provider{p}, Class: alipayai.ClassMoney, Deadline: replicaDeadline,
		Claims: &alipayai.Claims{TTL: time.Hour, Store: replay.NewRedisClaims(replay.RedisOptions{
			Client: newRedis(t, limiter.RedisOptions{Addresses: []string{addr}}), Namespace: namespace, Seal: sealing,
			ClaimTimeout: 2 * time.Second, Timeout: 2 * time.Second, // this machine is busy
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

// TestReplicaProcess is a replica until its standard input ends, where a test has started it as one.
func TestReplicaProcess(t *testing.T) {
	addr := os.Getenv(replicaRedis)
	if addr == "" {
		return
	}
	g := replicaGateway(t, addr, os.Getenv(replicaUpstream), os.Getenv(replicaNamespace), os.Getenv(replicaQueued) != "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(g, w, r, "acme") }))
	defer server.Close()
	fmt.Println("\nreplica " + server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// process is a replica in a process of its own.
type process struct {
	*os.Process
	url string
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
			return &process{child.Process, url}
		}
	}
	t.Fatal("the replica has ended")
	return nil
}

// acting is an upstream that counts what it was asked, and answers at once, never, or by half.
type acting struct {
	mu      sync.Mutex
	count   int
	arrived chan struct{}
	stuck   string // "", "silent" or "half"
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
		<-r.Context().Done()
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
			upstream := &acting{arrived: make(chan struct{}, 10)}
			if moment != "queued" {
				upstream.stuck = moment
			}
			server := httptest.NewServer(upstream)
			t.Cleanup(server.Close)
			broken := startReplica(t, redisServer.Addr, server.URL, name, moment == "queued")
			other := replicaGateway(t, redisServer.Addr, server.URL, name, false)
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
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for upstream.asked() == 0 { // a busy machine may keep the call from leaving in time
			resp, err := http.DefaultClient.Do(request(t.Context(), broken.url))
			if err != nil {
				return
			}
			_ = resp.Body.Close()
		}
	}()
	if queued {
		waitFor(t, name+": the claim", func() bool { return claimed(t, client, name) })
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
	sent := upstream.asked() // a call that is queued may just have left
	var status int
	var body string
	waitFor(t, name+": the end of the lease", func() bool {
		status, body = repeat()
		return !strings.Contains(body, failure.CodeIdempotencyInFlight)
	})
	switch {
	case sent == 0 && (status != http.StatusOK || !strings.Contains(body, "done")), sent > 0 && !strings.Contains(body, failure.CodeIdempotencyUnresolved):
		t.Errorf("%s, after the lease: %d %s", name, status, body)
	}
	if !kill {
		if err := broken.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	<-ended
	if status, body := repeat(); status != http.StatusOK && status != http.StatusConflict {
		t.Errorf("%s, at last: %d %s", name, status, body)
	}
	if n := upstream.asked(); n != 1 {
		t.Errorf("%s: the upstream was asked %d times", name, n)
	}
}

// claimed reports whether acme has a claim in a namespace.
func claimed(t *testing.T, client redis.UniversalClient, namespace string) bool {
	place := replay.NewKey(namespace, "acme")
	keys, err := client.Keys(t.Context(), "alipayai:{"+base64.RawURLEncoding.EncodeToString(place[:])+"}:claim:*").Result()
	return err == nil && len(keys) > 0
}
