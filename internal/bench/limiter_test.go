package main

import (
	"strings"
	"testing"
	"time"
)

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
