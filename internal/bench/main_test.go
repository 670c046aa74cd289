package main

import (
	"os"
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
	got, err := run(t.Context(), settings{rounds: 1, duration: time.Millisecond, idle: 128})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| JSON (64 at once): CPU per call | ",
		"| Stream (100 at once): allocations per call | ",
		"| CPU per call, JSON (64 at once), all configured",
		"| latency p50, one call at a time, the first",
		"reverse_proxy keeps 128 idle connections.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
		t.Errorf("the report counts nothing:\n%s", got)
	}
}

func TestChildUnknownRole(t *testing.T) {
	if c, err := start(t.Context(), "other"); err == nil {
		c.stop()
		t.Fatal("a child without a known role started")
	}
}

func TestSettings(t *testing.T) {
	good := settings{rounds: 1, duration: time.Second}
	tests := map[string]struct {
		change  func(s *settings)
		want    int
		wantErr string
	}{
		"both workloads": {change: func(*settings) {}, want: 2},
		"one workload":   {change: func(s *settings) { s.only = "stream" }, want: 1},
		"no workload":    {change: func(s *settings) { s.only = "limiter" }, want: 0},
		"another":        {change: func(s *settings) { s.only = "grpc" }, wantErr: `-only must be json, stream, failover or limiter, not "grpc"`},
		"no rounds":      {change: func(s *settings) { s.rounds = 0 }, wantErr: "-rounds must be at least 1"},
		"no time":        {change: func(s *settings) { s.duration = 0 }, wantErr: "-seconds must be positive"},
		"less than none": {change: func(s *settings) { s.idle = -1 }, wantErr: "-idle must not be negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := good
			tt.change(&s)
			got, err := s.workloads()
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Errorf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || len(got) != tt.want {
				t.Errorf("%d workloads, error %v; want %d", len(got), err, tt.want)
			}
		})
	}
}

func TestCaddyfile(t *testing.T) {
	stock := caddyfile(roleStock, "127.0.0.1:1", "127.0.0.1:2", "")
	gateway := caddyfile(roleGateway, "127.0.0.1:1", "127.0.0.1:2", "")
	tests := map[string]struct {
		config, has, lacks string
	}{
		"stock as it comes":       {stock, "reverse_proxy 127.0.0.1:2\n", "keepalive"},
		"stock with a wider pool": {caddyfile(roleStock, "127.0.0.1:1", "127.0.0.1:2", "99"), "keepalive_idle_conns_per_host 99\n", "alipayai"},
		"stock without the app":   {stock, "\tmetrics\n", "alipayai"},
		"nothing of failing over": {caddyfile(rolePlain, "127.0.0.1:1", "127.0.0.1:2", ""), "breaker     off\n", "alert"},
		"all of it":               {caddyfile(roleFailover, "127.0.0.1:1", "127.0.0.1:2", ""), "cached_answer 24h\n", "breaker     off"},
		"gateway":                 {gateway, "base_url http://127.0.0.1:2\n", "reverse_proxy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(tt.config, tt.has) || strings.Contains(tt.config, tt.lacks) {
				t.Errorf("want %q and no %q in:\n%s", tt.has, tt.lacks, tt.config)
			}
		})
	}
}
