package alipaycaddy

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// startReplica runs the configuration in a second process, whose gateway is
// then at ${second}, and gives what kills it.
func (g *failoverRig) startReplica(global, sites string) (kill func()) {
	g.t.Helper()
	g.vars["second"] = heldport.Addr(g.t)
	first := maps.Clone(g.vars)
	g.vars["gateway"], g.vars["admin"], g.vars["log"] = g.vars["second"], heldport.Addr(g.t), g.vars["dir"]+"/second.log"
	file := g.file("second.json", string(g.config(global, sites)))
	g.vars = first

	var output bytes.Buffer
	replica := exec.Command(must(os.Executable()))
	replica.Env = append(os.Environ(), replicaConfig+"="+file)
	replica.Stdout, replica.Stderr = &output, &output
	stdin := must(replica.StdinPipe())
	if err := replica.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = replica.Wait() // an error tells of the signal
		close(ended)
	}()
	g.t.Cleanup(func() {
		stdin.Close()
		<-ended
		if g.t.Failed() {
			g.t.Logf("the second process says %s", output.String())
		}
	})
	g.eventually("the second gateway to answer", func() bool {
		resp, err := g.send("second", "GET", "/metrics", "")
		return err == nil && resp.Body.Close() == nil
	})
	return func() {
		_ = replica.Process.Kill()
		<-ended
	}
}

// newFleet is a rig with two gateways that share a Redis.
func newFleet(t *testing.T, options ...string) (g *failoverRig, kill func()) {
	t.Helper()
	g = newFailoverRig(t)
	g.vars["redis"] = redistest.Start(t).Addr
	global := inRedis(twoProviders, "redis")
	g.load(global, failoverSite(options...))
	return g, g.startReplica(global, failoverSite(options...))
}

// at makes a call at one of the gateways.
func (g *failoverRig) at(name, prompt string, fields ...string) answer {
	g.t.Helper()
	return g.read(g.send(name, "POST", chatPath, chatBody(prompt, false), fields...))
}

// TestReplicasShareBreakers opens one by failures of both gateways, for longer than the test lasts.
func TestReplicasShareBreakers(t *testing.T) {
	g, _ := newFleet(t, "breaker 3 1h 1h")
	g.fail(g.api, systemError)
	for n := range 4 { // the failures of both count
		g.at([]string{"gateway", "second"}[n%2], "failing", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", "system_error")
	}
	g.opens("gateway", "second")
	asked := g.chats()
	if asked < 4 {
		t.Errorf("the breaker is open after %d failures", asked)
	}
	for _, name := range []string{"gateway", "second"} {
		if a := g.at(name, "failing", g.acme); a.header.Get("X-Alipayai-Reason") != "breaker_open" {
			t.Errorf("%s asked Alipay again: %v", name, a.header)
		}
	}
	if n := g.chats(); n != asked {
		t.Errorf("Alipay was asked %d times, and %d times before the breaker was open", n, asked)
	}
	if n := g.tokenFetches(); n != 1 {
		t.Errorf("%d tokens were fetched, want 1 for both", n)
	}
}

// TestReplicasAskAgain waits until an open breaker admits calls again, at both gateways.
func TestReplicasAskAgain(t *testing.T) {
	g, _ := newFleet(t, "breaker 3 1h 3s")
	g.fail(g.api, systemError)
	g.eventually("the breaker to open", func() bool {
		return g.at("gateway", "failing", g.acme).header.Get("X-Alipayai-Reason") == "breaker_open"
	})
	g.fail(g.api)
	for _, name := range []string{"gateway", "second"} {
		g.eventually(name+" to ask Alipay again", func() bool { return g.at(name, "tried", g.acme).header.Get("X-Alipayai-Provider") == "alipay" })
	}
}

// TestReplicasShareAnswers gives at the second gateway what the first was answered.
func TestReplicasShareAnswers(t *testing.T) {
	g, _ := newFleet(t, "cached_answer 1h")
	first := g.keyed("gateway", "tea", g.acme)
	if first.status != http.StatusOK {
		t.Fatalf("%d %s", first.status, first.body)
	}
	if a := g.keyed("second", "tea", g.acme); a.body != first.body || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("with the same key %d %v %s", a.status, a.header, a.body)
	}
	if a := g.keyed("second", "coffee", g.acme); a.code() != "idempotency_key_reused" {
		t.Errorf("with the key of another request %d %s", a.status, a.body)
	}
	g.fail(g.api, systemError)
	g.fail(g.claude, systemError)
	if a := g.at("second", "tea", g.acme); a.body != first.body || a.header.Get("Cache-Status") != "alipayai; hit" {
		t.Errorf("when no provider answers %d %v %s", a.status, a.header, a.body)
	}
	if a := g.at("second", "tea", g.zeta); a.code() != "all_providers_failed" {
		t.Errorf("to another tenant %d %s", a.status, a.body)
	}
}

// TestClaimOfAReplicaThatDies is of unknown outcome when its lease ends, and not before: its call had left.
func TestClaimOfAReplicaThatDies(t *testing.T) {
	g, kill := newFleet(t, "deadline 1m")
	g.at("second", "to have a token", g.acme)
	before := g.chats()
	g.fail(g.api, sandbox.Fault{Kind: sandbox.Stall, Times: 1})
	sent := time.Now()
	go func() {
		for g.t.Context().Err() == nil {
			resp, err := g.send("second", "POST", chatPath, chatBody("tea", false), g.acme, "Idempotency-Key: once")
			if err != nil {
				return // it was killed
			}
			resp.Body.Close() // its key could not be claimed: this machine may be busy
		}
	}()
	g.eventually("the call to arrive", func() bool { return g.chats() > before })
	kill()
	if a := g.keyed("gateway", "tea", g.acme); a.code() != "idempotency_in_flight" {
		t.Errorf("at once: %d %s", a.status, a.body)
	}
	client := redis.NewClient(&redis.Options{Addr: g.vars["redis"]})
	defer client.Close()
	key := must(client.Keys(t.Context(), "*:claim:*").Result())[0]
	after := time.Duration(must(client.HGet(t.Context(), key, "after").Int64())) * time.Millisecond
	lease := must(client.PTTL(t.Context(), key).Result()) - after
	const longest, coarse = 65 * time.Second, time.Second // Redis counts from when it began with a script, or stood still
	if lease > longest || lease < longest-time.Since(sent)-coarse {
		t.Errorf("the lease ends in %v, want the call's deadline and 5 seconds more", lease)
	}
	client.PExpire(t.Context(), key, after) // as time does
	if a := g.keyed("gateway", "tea", g.acme); a.code() != "idempotency_unresolved" {
		t.Errorf("after the lease: %d %s", a.status, a.body)
	}
}

// TestReplicasShareHolds has one of two accounts throttled for one model, at the second gateway: neither asks for it again,
// and they ask for all else. What the first has heard of outlives a reload, and Redis.
func TestReplicasShareHolds(t *testing.T) {
	g := newFailoverRig(t)
	redis := redistest.Start(t)
	g.vars["redis"] = redis.Addr
	t.Setenv("TEST_ACCOUNT", "a-key-for-tests")
	t.Setenv("TEST_OTHER_ACCOUNT", "another-key-for-tests")
	var throttled atomic.Bool
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if throttled.CompareAndSwap(false, true) { // the first call, and no other
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`)
	}))
	t.Cleanup(upstream.Close)
	g.vars["upstream"] = upstream.Listener.Addr().String()
	global := inRedis(`
alipayai {
	provider account {
		profile openai
		base_url http://${upstream}
		api_key {env.TEST_ACCOUNT}
	}
	provider other {
		profile openai
		base_url http://${upstream}
		api_key {env.TEST_OTHER_ACCOUNT}
	}
}`, "redis")
	const sites = `
http://${gateway} {
	handle /other/* {
		uri strip_prefix /other
		alipayai_proxy other
	}
	handle {
		alipayai_proxy account
	}
}`
	g.load(global, sites)
	g.startReplica(global, sites)
	call := func(gateway, prefix, model string) int {
		t.Helper()
		return g.read(g.send(gateway, "POST", prefix+chatPath, `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]}`)).status
	}
	if status := call("second", "", "a"); status != http.StatusTooManyRequests {
		t.Fatalf("the throttled call gets %d", status)
	}
	held := func() bool { return call("gateway", "", "a") == http.StatusTooManyRequests }
	g.eventually("the first gateway to hold the model", held)
	for _, gateway := range []string{"gateway", "second"} {
		for what, want := range map[[2]string]int{
			{"", "a"}: http.StatusTooManyRequests, {"", "b"}: http.StatusOK, {"/other", "a"}: http.StatusOK,
		} {
			if status := call(gateway, what[0], what[1]); status != want {
				t.Errorf("%s: model %s of account %q gets %d, want %d", gateway, what[1], what[0], status, want)
			}
		}
	}
	redis.Kill()
	g.load(global, sites)
	if !held() {
		t.Error("the hold is forgotten by a reload")
	}
}
