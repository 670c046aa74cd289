package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/openai"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	providers "github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// childVariable makes a process of this program a replica, and says which.
const childVariable = "GATEWAY_CHAOS_REPLICA"

// child is what a replica of class money needs to know, in this process or in one
// that can be killed and frozen.
type child struct {
	Redis, Upstream string
	// Number is how the upstream knows it.
	Number int
	// Deadline is that of its calls.
	Deadline time.Duration
	// PerSecond is its cap of requests, 0 for none: calls beyond it wait in its queue.
	PerSecond int
}

// serve runs the replica; close ends it.
func (c child) serve(ctx context.Context) (front *site, end func(), err error) {
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{c.Redis}})
	if err != nil {
		return nil, nil, err
	}
	seal, err := seal.New(sha256.Sum256([]byte(namespace)))
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	transport := outgoing.NewTransport(&http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256})
	end = func() {
		if front != nil {
			front.close()
		}
		transport.CloseIdleConnections()
		_ = client.Close()
	}
	p, err := newProvider(first, "ollama", c.Upstream, c.Number, transport)
	if err == nil && c.PerSecond > 0 {
		window := limiter.NewMemoryWindow(time.Now)
		p.Cap = &providers.Cap{
			Limit:  limiter.Limit{Requests: c.PerSecond, Per: time.Second, Guard: time.Millisecond},
			Window: window, Queue: limiter.NewQueue(window, time.Now), MaxWait: c.Deadline,
			MaxCount: providers.DefaultQueueCount, MaxBytes: providers.DefaultQueueBytes,
		}
	}
	g := &alipayai.Gateway{
		Class: alipayai.ClassMoney, Deadline: c.Deadline,
		Claims: &alipayai.Claims{TTL: time.Hour, Store: replay.NewRedisClaims(replay.RedisOptions{
			Client: client, Namespace: "dying", Seal: seal,
			ClaimTimeout: time.Second, Timeout: time.Second, // the machine is busy with all the rest
		})},
	}
	if err == nil {
		g.Providers = []*providers.Provider{p}
		err = p.Prepare()
	}
	if err == nil {
		err = g.Prepare()
	}
	if err == nil {
		front, err = newSite(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			entrance := &door.Door{Gateway: g, Dialects: door.NewDialects(openai.Dialect{})}
			entrance.Serve(w, r, r.Header.Get(tenantHeader), entrance.Read(r))
		}))
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return front, end, nil
}

// childMain is the life of such a process: it says where it listens, and serves
// until its standard input ends, so that it does not outlive its parent.
func childMain(config string) int {
	var c child
	err := json.Unmarshal([]byte(config), &c)
	if err == nil {
		var front *site
		var end func()
		if front, end, err = c.serve(context.Background()); err == nil {
			defer end()
			fmt.Println(front.url)
			_, _ = io.Copy(io.Discard, os.Stdin)
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "chaos: replica: %v\n", err)
	return 1
}

// process is a replica in a process of its own.
type process struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

// start runs this program as the replica, and returns when it listens.
func (c child) start() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)} //nolint:gosec // it is this very program
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(config))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		p.kill()
		return nil, errors.New("a replica's process has ended before it listened")
	}
	p.url = lines.Text()
	return p, nil
}

// kill ends the process at once, even a frozen one.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // the error is that of the kill
}
