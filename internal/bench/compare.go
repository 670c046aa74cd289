package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A comparison measures one workload at two proxies, of which the first is the
// yardstick.
type comparison struct {
	name     string // of its part
	roles    [2]string
	workload workload
	metrics  []metric
	second   *workload // of the second proxy, where that is another one
}

// workloadAt is that of one of the pair.
func (c comparison) workloadAt(i int) workload {
	if i == 1 && c.second != nil {
		return *c.second
	}
	return c.workload
}

// The figures that say something in a closed loop, in an open one, about open
// streams, about what options add, and about calls one at a time.
var (
	closedFigures = []metric{callRate, cpuPerCall, latencyP50, latencyP99, allocsPerCall, bytesPerCall}
	openFigures   = []metric{latencyP50, latencyP99, sentLate, cpuPerCall}
	memoryFigures = []metric{residentPerStream, livePerStream}
	addedFigures  = []metric{cpuPerCall, allocsPerCall, bytesPerCall}
	aloneFigures  = []metric{latencyP50, cpuPerCall}
)

// comparisons are all of them, in the order of the report.
func comparisons(streams int) []comparison {
	pair := [2]string{roleStock, roleGateway}
	all := []comparison{
		{"json", pair, jsonCalls(64), closedFigures, nil},
		{"stream", pair, streamCalls(100), closedFigures, nil},
		{"rate500", pair, jsonCalls(64).at(500), openFigures, nil},
		{"rate2000", pair, jsonCalls(64).at(2000), openFigures, nil},
		{"production", [2]string{roleStock, roleProduction}, productionCalls(), closedFigures, nil},
		{"memory", pair, slowStreams(streams), memoryFigures, nil},
		{"failover", [2]string{roleGateway, roleProduction}, productionCalls(), addedFigures, nil},
		{"failover", [2]string{roleDirect, roleOpen}, openBreakerCalls(), aloneFigures, nil},
		{"spend", [2]string{roleGateway, roleMatched}, spendCalls("matchers by intent, length and language"), addedFigures, nil},
		{"spend", [2]string{roleGateway, roleModerated}, spendCalls("these matchers and moderation by rules"), addedFigures, nil},
		{"spend", [2]string{roleGateway, roleDeclared}, spendCalls("intents and a moderator declared and unused"), addedFigures, nil},
	}
	for _, d := range doors {
		json, stream := d.calls(64, false), d.calls(100, true)
		gateways := [2]string{roleGateway, roleGateway}
		paced := json.at(doorsRate)
		all = append(all, comparison{"doors", gateways, jsonCalls(64).at(doorsRate), addedFigures, &paced},
			comparison{"doors", gateways, jsonCalls(64), addedFigures, &json},
			comparison{"doors", gateways, streamCalls(100), addedFigures, &stream})
	}
	return all
}

// compare runs the chosen comparisons and returns their part of the report. With
// an error, it is that of the comparisons before.
func compare(ctx context.Context, s settings) (string, error) {
	var chosen []comparison
	for _, c := range comparisons(s.streams) {
		if s.runs(c.name) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return "", nil
	}
	return compareThese(ctx, s, chosen)
}

// compareThese is compare for these comparisons.
func compareThese(ctx context.Context, s settings, chosen []comparison) (string, error) {
	cpus, err := divideCPUs()
	if err != nil {
		return "", err
	}
	release, err := confine(cpus.others)
	if err != nil {
		return "", err
	}
	defer release()

	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	upstream, err := start(ctx, roleUpstream, cpus.others, "XDG_DATA_HOME="+dir)
	if err != nil {
		return "", err
	}
	defer upstream.stop()

	b := bench{settings: s, dir: dir, upstream: upstream.Addr, proxyCPUs: cpus.proxy, kept: make(map[string]*child)}
	defer b.stop()
	var results []result
	for i, c := range chosen {
		b.number = i + 1
		fmt.Fprintf(os.Stderr, "bench: %s: %s and %s\n", c.name, c.roles[0], c.roles[1])
		rounds, err := b.run(ctx, c)
		if err != nil {
			return report(s, cpus, results), fmt.Errorf("%s: %w", c.name, err)
		}
		results = append(results, result{c, rounds})
	}
	return report(s, cpus, results), nil
}

// A bench is where comparisons are made.
type bench struct {
	settings
	dir       string // for what the children store
	upstream  string
	proxyCPUs []int
	number    int // of the comparison that is made, from 1

	// kept are proxies by role and place in the pair, which serve one comparison after the other where nothing is measured.
	kept map[string]*child
}

// stop stops what was kept.
func (b bench) stop() {
	for _, proxy := range b.kept {
		proxy.stop()
	}
}

// run makes a comparison.
func (b bench) run(ctx context.Context, c comparison) ([][2]sample, error) {
	if c.workload.slow {
		// Memory that a proxy has once had stays with it: each reading has a new process.
		return interleave(0, b.rounds, func(i int) (sample, error) {
			proxy, err := b.start(ctx, c, i)
			if err != nil {
				return sample{}, err
			}
			defer proxy.stop()
			return measureMemory(ctx, proxy, c.workload, b.duration)
		})
	}
	var pair [2]*child
	for i := range pair {
		var err error
		if pair[i], err = b.proxy(ctx, c, i); err != nil {
			return nil, err
		}
		if b.kept[keptAs(c, i)] == nil {
			defer pair[i].stop()
		}
	}
	for _, proxy := range pair {
		if b.unfilled || c.workload.fills == 0 {
			break
		}
		if err := fillUp(ctx, proxy, c.workload, b.duration); err != nil {
			return nil, err
		}
	}
	// The first round warms up pools, tokens and the collector.
	return interleave(1, b.rounds, func(i int) (sample, error) {
		return measureCalls(ctx, pair[i], c.workloadAt(i), b.duration)
	})
}

// keptAs is where bench.kept has one of a comparison's proxies.
func keptAs(c comparison, i int) string { return c.roles[i] + strconv.Itoa(i) }

// proxy is one of a comparison's proxies: one that is started for it where it is measured or profiled, and else
// that of the comparisons before.
func (b bench) proxy(ctx context.Context, c comparison, i int) (*child, error) {
	if kept := b.kept[keptAs(c, i)]; kept != nil {
		return kept, nil
	}
	proxy, err := b.start(ctx, c, i)
	if err == nil && b.onlyRuns() && b.profile == "" {
		b.kept[keptAs(c, i)] = proxy
	}
	return proxy, err
}

// start starts one of a comparison's proxies.
func (b bench) start(ctx context.Context, c comparison, i int) (*child, error) {
	role := c.roles[i]
	home := filepath.Join(b.dir, keptAs(c, i))
	env := []string{
		upstreamVariable + "=" + b.upstream,
		"XDG_DATA_HOME=" + home,
		"XDG_CONFIG_HOME=" + home,
	}
	if b.profile != "" {
		name := fmt.Sprintf("%02d-%s-%d-%s", b.number, c.name, i+1, role)
		env = append(env, profileVariable+"="+filepath.Join(b.profile, name))
	}
	return start(ctx, role, b.proxyCPUs, env...)
}

// interleave measures both of a pair in every round, and alternates which of
// them goes first. The rounds that warm up are not counted.
func interleave(warmups, rounds int, measure func(i int) (sample, error)) ([][2]sample, error) {
	var measured [][2]sample
	for round := range warmups + rounds {
		var pair [2]sample
		for turn := range pair {
			i := (round + turn) % 2
			var err error
			if pair[i], err = measure(i); err != nil {
				return nil, err
			}
		}
		if round >= warmups {
			measured = append(measured, pair)
		}
	}
	return measured, nil
}

// measureCalls loads a proxy for a while, and says what a call took of it.
func measureCalls(ctx context.Context, proxy *child, w workload, d time.Duration) (sample, error) {
	clients, err := dial(ctx, proxy.Addr, w)
	if err != nil {
		return sample{}, err
	}
	defer clients.close()
	before, err := proxy.usage(asItIs)
	if err != nil {
		return sample{}, err
	}
	load := clients.closedLoop
	if w.rate > 0 {
		load = clients.openLoop
	}
	done, err := load(ctx, w, d)
	if err != nil {
		return sample{}, err
	}
	after, err := proxy.usage(asItIs)
	if err != nil {
		return sample{}, err
	}
	return newSample(done, before, after), nil
}
