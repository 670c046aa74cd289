package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// order runs interleave and records who was measured when; a sample tells which
// measurement it was.
func order(warmups, rounds int) (turns []int, measured [][2]sample) {
	measured, _ = interleave(warmups, rounds, func(i int) (sample, error) {
		turns = append(turns, i)
		return sample{callRate: float64(len(turns))}, nil
	})
	return turns, measured
}

func TestInterleave(t *testing.T) {
	turns, measured := order(1, 4)
	if want := []int{0, 1, 1, 0, 0, 1, 1, 0, 0, 1}; !slices.Equal(turns, want) {
		t.Errorf("turns %v, want %v", turns, want)
	}
	// The first two measurements are the warm-up. A pair has the yardstick first,
	// in either order of the runs.
	var got [][2]float64
	for _, pair := range measured {
		got = append(got, [2]float64{pair[0][callRate], pair[1][callRate]})
	}
	if want := [][2]float64{{4, 3}, {5, 6}, {8, 7}, {9, 10}}; !slices.Equal(got, want) {
		t.Errorf("measurements %v, want %v", got, want)
	}
	if turns, measured := order(0, 2); len(turns) != 4 || len(measured) != 2 {
		t.Errorf("without a warm-up: turns %v, %d rounds", turns, len(measured))
	}
}

func TestInterleaveStops(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	_, err := interleave(1, 5, func(int) (sample, error) {
		if n++; n == 3 {
			return sample{}, broken
		}
		return sample{}, nil
	})
	if !errors.Is(err, broken) || n != 3 {
		t.Errorf("error %v after %d measurements", err, n)
	}
}

func TestDivide(t *testing.T) {
	tests := map[string]struct {
		cpus          []int
		proxy, others []int
		says, saysnot string
	}{
		"two":     {[]int{0, 1}, []int{0}, []int{1}, "alone on CPU 0, upstream and load on CPU 1", "SHARE"},
		"more":    {[]int{2, 5, 6}, []int{2}, []int{5, 6}, "alone on CPU 2, upstream and load on CPU 5 6", "SHARE"},
		"one":     {[]int{3}, []int{3}, []int{3}, "SHARE", "alone"},
		"unknown": {nil, nil, nil, "SHARE", "alone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := divide(tt.cpus)
			if !slices.Equal(got.proxy, tt.proxy) || !slices.Equal(got.others, tt.others) {
				t.Errorf("got %+v", got)
			}
			if s := got.String(); !strings.Contains(s, tt.says) || strings.Contains(s, tt.saysnot) {
				t.Errorf("it says %q", s)
			}
		})
	}
}

// adapted is a role's configuration as Caddy reads it.
func adapted(t *testing.T, role string) map[string]any {
	t.Helper()
	text, err := caddyfile(role, "127.0.0.1:1", "fd/3", "127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	var config map[string]any
	if err := json.Unmarshal(body, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// find gives the values of a key, wherever it is in a configuration.
func find(config any, key string) (found []any) {
	switch v := config.(type) {
	case map[string]any:
		for k, value := range v {
			if k == key {
				found = append(found, value)
			}
			found = append(found, find(value, key)...)
		}
	case []any:
		for _, value := range v {
			found = append(found, find(value, key)...)
		}
	}
	return found
}

// All that are compared have the same server, metrics, logs and way to the upstream.
func TestEqualTerms(t *testing.T) {
	terms := func(t *testing.T, role string) map[string]any {
		config := adapted(t, role)
		got := map[string]any{
			"admin": config["admin"], "logging": config["logging"],
			"metrics": find(config, "metrics"),
		}
		for _, servers := range find(config, "servers") {
			for name, server := range servers.(map[string]any) {
				server := server.(map[string]any)
				delete(server, "routes") // the one difference: they hold the directives
				got["server "+name] = server
			}
		}
		transports := slices.Concat(find(adapted(t, role), "transport"))
		if len(transports) == 0 {
			t.Fatalf("%s has no transport of its own, so it has the default of its kind", role)
		}
		for _, transport := range transports {
			if !reflect.DeepEqual(transport, transports[0]) {
				t.Errorf("%s has two kinds of transport: %v and %v", role, transport, transports[0])
			}
		}
		got["transport"] = transports[0]
		return got
	}
	want := terms(t, roleStock)
	if len(want["metrics"].([]any)) != 1 || want["server srv0"] == nil {
		t.Fatalf("the terms are not where this test looks for them: %v", want)
	}
	if idle := find(want["transport"], "max_idle_conns_per_host"); !reflect.DeepEqual(idle, []any{256.0}) {
		t.Errorf("idle connections: %v, want 256", idle)
	}
	for role := range sites {
		t.Run(role, func(t *testing.T) {
			if got := terms(t, role); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
	for _, c := range comparisons(1) {
		if idle := 256; c.workload.clients > idle && !c.workload.slow {
			t.Errorf("%s has %d calls in flight, more than the %d idle connections", c.name, c.workload.clients, idle)
		}
	}
}

// What a role adds stands in its configuration.
func TestSites(t *testing.T) {
	tests := map[string]struct{ has, lacks []string }{
		roleStock:   {[]string{"reverse_proxy"}, []string{"alipayai"}},
		roleGateway: {[]string{"alipayai_proxy"}, []string{"reverse_proxy 1", "breaker", "alert", "alipayai_auth"}},
		roleProduction: {[]string{
			"alipayai_auth", "key bench sha256:", "alert webhook", "provider broken", "breaker ", "cached_answer", "idempotency",
			"requests_per_second", "tokens_per_minute", "concurrent",
		}, []string{" off"}},
		roleMatched:   {[]string{"alipayai intent financial", "alipayai_proxy alipay\n"}, []string{"alipayai_auth"}},
		roleModerated: {[]string{"alipayai_moderate", "alipayai intent financial"}, []string{"alipayai_auth"}},
		roleDeclared:  {[]string{"alipayai_proxy"}, []string{"alipayai_moderate", "alipayai_auth"}},
		roleDirect:    {[]string{"alipayai_proxy alipay\n"}, []string{"broken"}},
		roleOpen:      {[]string{"alipayai_proxy broken alipay", brokenPath}, []string{"alert"}},
	}
	if len(tests) != len(sites) {
		t.Errorf("%d roles are tested of %d", len(tests), len(sites))
	}
	for role, tt := range tests {
		t.Run(role, func(t *testing.T) {
			config, err := caddyfile(role, "127.0.0.1:1", "fd/3", "127.0.0.1:2")
			if err != nil {
				t.Fatal(err)
			}
			_, config, _ = strings.Cut(config, "FATAL\n\t}") // all have "admin off"
			for _, want := range tt.has {
				if !strings.Contains(config, want) {
					t.Errorf("no %q in:\n%s", want, config)
				}
			}
			for _, unwanted := range tt.lacks {
				if strings.Contains(config, unwanted) {
					t.Errorf("%q in:\n%s", unwanted, config)
				}
			}
		})
	}
}

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	all := comparisons(1)
	doors := slices.IndexFunc(all, func(c comparison) bool { return c.name == "doors" })
	chosen := slices.Concat(all[:1], all[doors:doors+2])
	if _, err := compareThese(t.Context(), settings{rounds: 1, duration: 20 * time.Millisecond, profile: dir}, chosen); err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{
		"01-json-1-stock", "01-json-2-gateway",
		"02-doors-1-gateway", "02-doors-2-gateway", "03-doors-2-gateway", // each has its own
	} {
		for _, kind := range []string{"cpu", "allocs"} {
			path := filepath.Join(dir, proxy+"."+kind+".pprof")
			if body, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
				t.Errorf("%s: %v, or not compressed as profiles are", path, err)
			}
		}
	}
}

// startUpstream starts the upstream as a child.
func startUpstream(t *testing.T) *child {
	t.Helper()
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := start(t.Context(), roleUpstream, cpus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.stop)
	return upstream
}

// Streams that are not open when memory is read would show that a proxy takes none.
func TestMemoryRefuses(t *testing.T) {
	upstream := startUpstream(t)
	tests := map[string]struct {
		w    workload
		want string
	}{
		"streams that are over": {streamCalls(3), "it was complete"},
		"refused":               {workload{clients: 3, body: []byte("{" + strings.Repeat(" ", 20) + requestTail)}, `answered "HTTP/1.1 400`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := measureMemory(t.Context(), upstream, tt.w, time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A child must run where it is put, or not be measured.
func TestChildRunsOnItsCPUs(t *testing.T) {
	cpus, err := divideCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for name, where := range map[string][]int{"proxy": cpus.proxy, "others": cpus.others} {
		t.Run(name, func(t *testing.T) {
			c, err := start(t.Context(), roleUpstream, where)
			if err != nil {
				t.Fatal(err)
			}
			defer c.stop()
			if len(where) > 0 && (!slices.Equal(c.CPUs, where) || c.Procs != len(where)) {
				t.Errorf("it runs on %v with %d at once, want %v", c.CPUs, c.Procs, where)
			}
		})
	}
	if now, err := allowedCPUs(); err != nil || !reflect.DeepEqual(divide(now), cpus) {
		t.Errorf("starting it moved this process to %v, %v", now, err)
	}
}

func TestReadUsage(t *testing.T) {
	before, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	kept := make([][]byte, 100)
	for i := range kept {
		kept[i] = bytes.Repeat([]byte{1}, 100_000)
	}
	after, err := readUsage()
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(kept)
	if after.Mallocs-before.Mallocs < 100 || after.Bytes-before.Bytes < 10_000_000 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
