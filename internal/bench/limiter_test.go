package main

import (
	"strings"
	"testing"
	"time"
)

func TestBenchLimiter(t *testing.T) {
	got, err := benchLimiter(t.Context(), settings{rounds: 1, duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| reservations per second, in memory | ",
		"| p50 of a reservation by that of `PING` | ",
		"| reservations per second over Redis, 64 callers | ",
		"| 100,000 tenants just served, memory | ",
		"| 10,000 waiters, 50 leave a second: CPU of a core | ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
		t.Errorf("the report counts nothing:\n%s", got)
	}
}

func TestBenchLimiterWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got, err := benchLimiter(t.Context(), settings{rounds: 1, duration: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "redis-server is not installed: the figures with Redis are left out.") || strings.Contains(got, "PING") {
		t.Errorf("the report does not say what is left out:\n%s", got)
	}
}

func TestRows(t *testing.T) {
	var rs rows
	for round := range 3 {
		rs.add("a", whole, float64(round))
		rs.add("b", percent, 0.5)
	}
	if len(rs) != 2 || rs[0].title != "a" || median(rs[0].values) != 1 || len(rs[1].values) != 3 {
		t.Errorf("%v", rs)
	}
}
