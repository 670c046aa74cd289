package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What connections are measured with.
const (
	poolService = 400 * time.Millisecond // that the upstream takes
	poolIdle    = 4 * time.Second        // after which it closes what is not used
	poolPause   = poolIdle + poolIdle/4  // between bursts
	poolBurst   = 20                     // calls at once
	poolBursts  = 3
	poolLonger  = time.Minute // than a call takes
)

// poolWays are what is compared, by the path that leads there.
var poolWays = []struct{ path, title, transport, option string }{
	{"stock", "`reverse_proxy`", "", ""},
	{"none", "no pool", "", ""},
	{"ten", "10", "max_conns_per_host 10", ""},
	{"thirty", "30", "max_conns_per_host 30", ""},
	{"pool", "`pool 10 30`", "", fmt.Sprintf("pool 10 30 {\n\t\t\t\tidle %v\n\t\t\t}", poolIdle)},
}

// pooledCaddyfile is a site with all ways. upstream is its address and the version of HTTP.
func pooledCaddyfile(addr, bind, upstream string) string {
	upstream, version, _ := strings.Cut(upstream, " ")
	var providers, routes strings.Builder
	for _, way := range poolWays {
		transport := fmt.Sprintf("transport http {\n\t\t\t\ttls_insecure_skip_verify\n\t\t\t\tversions %s\n\t\t\t\t%s\n\t\t\t}", version, way.transport)
		directive := "alipayai_proxy " + way.path
		if way.path == "stock" {
			directive = fmt.Sprintf("reverse_proxy https://%s {\n\t\t%s\n\t\t}", upstream, transport)
		} else {
			fmt.Fprintf(&providers, `
		provider %s {
			profile alipay
			base_url https://%s
			client_id POOL
			key 1 bench-hmac-key-0001
			token https://%s%s bench-secret
			limit 100000 1s
			timeout %v
			%s
			%s
		}`, way.path, upstream, upstream, tokenPath, poolLonger, way.option, transport)
		}
		fmt.Fprintf(&routes, "\n\thandle_path /%s/* {\n\t\t%s\n\t}", way.path, directive)
	}
	return fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tlog {\n\t\tlevel FATAL\n\t}\n\talipayai {\n\t\tinsecure_literals%s\n\t}\n}\nhttp://%s {\n\tbind %s%s\n}\n",
		providers.String(), addr, bind, routes.String())
}

// A poolLoad is calls at a rate for so long, or bursts of calls at once after idleness.
type poolLoad struct {
	title string
	rate  int // calls a second; 0 for bursts
	calls int
}

// due is when the n-th call is due after the beginning.
func (l poolLoad) due(n int) time.Duration {
	if l.rate == 0 {
		return poolPause * time.Duration(1+n/poolBurst)
	}
	return time.Duration(n) * time.Second / time.Duration(l.rate)
}

// benchPool measures how long calls take behind a long round trip, by the connections that there may be. All
// ways carry the same calls at the same time.
func benchPool(ctx context.Context, s settings) (string, error) {
	loads := []poolLoad{
		{"20 a second", 20, 100},
		{fmt.Sprintf("bursts of %d", poolBurst), 0, poolBurst * poolBursts},
		{"60 a second", 60, 240},
		{"100 a second", 100, 300},
	}
	trips := []time.Duration{80 * time.Millisecond, 200 * time.Millisecond}
	if s.onlyRuns() {
		loads, trips = []poolLoad{{"20 a second", 20, 20}}, []time.Duration{20 * time.Millisecond}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nCalls over TLS to an upstream that takes %v, p50 and p99 in milliseconds, of one run.\n\n| HTTP, round trip, load |", poolService)
	for _, way := range poolWays {
		fmt.Fprintf(&b, " %s |", way.title)
	}
	b.WriteString(" p99 of the pool to that with 10 | above the upstream's own time, in round trips |\n|---|" + strings.Repeat("---:|", len(poolWays)+2) + "\n")
	for _, version := range []string{"1.1", "2"} {
		for _, trip := range trips {
			if err := measurePool(ctx, &b, version, trip, loads); err != nil {
				return b.String(), err
			}
		}
	}
	return b.String(), nil
}

// measurePool writes a line for each load.
func measurePool(ctx context.Context, to io.Writer, version string, trip time.Duration, loads []poolLoad) error {
	f, err := newFar(trip, poolService, poolIdle)
	if err != nil {
		return err
	}
	defer f.close()
	cpus, err := allowedCPUs()
	if err != nil {
		return err
	}
	gateway, err := start(ctx, rolePooled, cpus, upstreamVariable+"="+f.addr+" "+version)
	if err != nil {
		return err
	}
	defer gateway.stop()
	transport := &http.Transport{MaxIdleConnsPerHost: 2000}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: poolLonger}
	for _, way := range poolWays { // each has its token from then on
		if err := callPooled(ctx, client, gateway.Addr, way.path); err != nil {
			return err
		}
	}
	for _, load := range loads {
		fmt.Fprintf(os.Stderr, "bench: pool: HTTP/%s, %v, %s\n", version, trip, load.title)
		latencies := make([][]time.Duration, len(poolWays))
		failed := make([]int, len(poolWays))
		var measuring sync.WaitGroup
		for i, way := range poolWays {
			measuring.Go(func() {
				latencies[i], failed[i] = load.run(func() error { return callPooled(ctx, client, gateway.Addr, way.path) })
			})
		}
		measuring.Wait()
		fmt.Fprintf(to, "| %s, %v, %s |", version, trip, load.title)
		for i := range poolWays {
			fmt.Fprintf(to, " %s, %s", millis.whole(percentile(latencies[i], .5)), millis.whole(percentile(latencies[i], .99)))
			if failed[i] > 0 {
				fmt.Fprintf(to, " (%d of %d failed)", failed[i], load.calls)
			}
			_, _ = io.WriteString(to, " |")
		}
		ten, pool := percentile(latencies[2], .99), percentile(latencies[4], .99)
		fmt.Fprintf(to, " %.2f | %.2f |\n", pool.Seconds()/ten.Seconds(), (pool-poolService).Seconds()/trip.Seconds())
	}
	return nil
}

// whole shows a time without its unit and decimals.
func (u unit) whole(d time.Duration) string {
	u.decimals = 0
	return u.number(d.Seconds())
}

// run makes the calls of a load, whether or not those before have been answered. It gives how long each took since
// it was due, in ascending order, and how many failed: a call that is written to a connection as the upstream closes
// it does, where whoever sends it may not repeat it.
func (l poolLoad) run(call func() error) ([]time.Duration, int) {
	latencies := make([]time.Duration, l.calls)
	var failed atomic.Int64
	began := time.Now()
	var calling sync.WaitGroup
	for n := range l.calls {
		due := began.Add(l.due(n))
		time.Sleep(time.Until(due))
		calling.Go(func() {
			if call() != nil {
				failed.Add(1)
			}
			latencies[n] = time.Since(due)
		})
	}
	calling.Wait()
	slices.Sort(latencies)
	return latencies, int(failed.Load())
}

var pooledBody = requestBody(modelName, false)

func callPooled(ctx context.Context, client *http.Client, addr, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/"+path+"/v1/chat/completions", bytes.NewReader(pooledBody))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}
