package main

import (
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be its own children, as the command is.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runChild(role))
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	got, err := run(t.Context(), settings{rounds: 1, duration: time.Millisecond, streams: 10, unfilled: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| | `reverse_proxy` | `alipayai_proxy` | ratio |",
		"| JSON, 64 at once: CPU per call | ",
		"| Stream, 100 at once: allocations per call | ",
		"| JSON, 500 a second: latency p99 | ",
		"| JSON, 2,000 a second: CPU per call | ",
		"| JSON, a production site, 64 at once: CPU per call | ",
		"| Slow streams, 10 at once: live memory per stream | ",
		"| | gateway without | with | ratio |",
		"| JSON, the first provider's breaker open, 1 at once: latency p50 | ",
		"| reservations per second, in memory | ",
		"| p50 of a reservation by that of `PING` | ",
		"| reservations per second over Redis, 64 callers | ",
		"| 1,000 tenants just served, memory | ",
		"| 1,000 waiters, 50 leave a second: CPU of a core | ",
		"| builtin china | 200 |", "| builtin china | 1000 |", "| 10,000 words | 200 |", "| 10,000 words | 1000 |",
		"| 1.1, 20ms, 20 a second |", "| 2, 20ms, 20 a second |", "`pool 10 30`",
		"answered by 12: charged to the tenant, per call | 0.0302 CNY | 0.00",
		"answered by 12: with the operator's comparisons, per call | 0.0302 CNY | ",
		"answers crossed | | 0 |",
		"| lines written per second | ",
		"| oldest line lost, before the kill | ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	for _, unwanted := range []string{"NaN", "Inf", "failed"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("the report has %q: it counts nothing, or calls failed:\n%s", unwanted, got)
		}
	}
}

func TestChildUnknownRole(t *testing.T) {
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(t.Context(), "other", cpus)
	if err == nil {
		c.stop()
	}
	if err == nil || !strings.Contains(err.Error(), "other did not start") {
		t.Fatalf("a child without a known role: error %v", err)
	}
}

func TestParseFlags(t *testing.T) {
	defaults := settings{rounds: 9, duration: 3 * time.Second, streams: 2000}
	const names = "json, stream, rate500, rate2000, production, memory, failover, spend, doors, limiter, moderation, pack, ledger, pool"
	tests := map[string]struct {
		args    string
		want    settings
		wantErr string
	}{
		"none":               {want: defaults},
		"all numbers":        {args: "-rounds 2 -seconds 0.5 -streams 7", want: settings{rounds: 2, duration: time.Second / 2, streams: 7}},
		"quick":              {args: "-quick", want: quick},
		"quick and one part": {args: "-quick -only json", want: settings{rounds: 1, duration: 200 * time.Millisecond, streams: 50, unfilled: true, only: []string{"json"}}},
		"two parts": {args: "-only stream,limiter", want: settings{
			rounds: 9, duration: 3 * time.Second, streams: 2000, only: []string{"stream", "limiter"},
		}},
		"profile":       {args: "-profile dir", want: settings{rounds: 9, duration: 3 * time.Second, streams: 2000, profile: "dir"}},
		"no such part":  {args: "-only json,grpc", wantErr: `-only must name parts of ` + names + `, not "grpc"`},
		"no rounds":     {args: "-rounds 0", wantErr: "-rounds must be at least 1"},
		"no time":       {args: "-seconds 0", wantErr: "-seconds must be positive"},
		"no streams":    {args: "-streams 0", wantErr: "-streams must be at least 1"},
		"nothing known": {args: "-other", wantErr: "flag provided but not defined: -other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("bench", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			got, err := parseFlags(flags, strings.Fields(tt.args))
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Errorf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, error %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// Each part is run by its name alone, and by no other's.
func TestRuns(t *testing.T) {
	for _, name := range parts() {
		s := settings{only: []string{name}}
		for _, other := range parts() {
			if s.runs(other) != (other == name) {
				t.Errorf("-only %s: runs(%s) is %v", name, other, s.runs(other))
			}
		}
		if !(settings{}).runs(name) {
			t.Errorf("%s is not run by default", name)
		}
	}
}
