package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails the package when anything leaves a goroutine behind. Where a test
// has started this process as a replica, it is that.
func TestMain(m *testing.M) {
	if config := os.Getenv(childVariable); config != "" {
		os.Exit(childMain(config))
	}
	goleak.VerifyTestMain(m)
}

// short is a run that a busy machine manages. The guard is for all that shares
// its cores.
var short = settings{duration: 5 * time.Second, seed: 1, tenants: 3, replicas: 2, guard: 500 * time.Millisecond}

func TestEverythingAtOnce(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal("redis-server is not installed, and CI=true asks for it")
	}
	r, err := run(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	if !r.holds() {
		t.Errorf("seed %d:\n%s", short.seed, r)
	}
	t.Log("\n", r)
}

// Without a redis-server the replicas share memory, and the rest stands.
func TestWithoutRedis(t *testing.T) {
	t.Setenv("PATH", "")
	s := short
	s.duration = 3 * time.Second
	r, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.lines {
		if !l.holds() && l.least == 0 { // it is too short for all to happen
			t.Errorf("%s: %d", l.what, l.count)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := short.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*settings){
		"too short":         func(s *settings) { s.duration = time.Second },
		"one tenant":        func(s *settings) { s.tenants = 1 },
		"no replica":        func(s *settings) { s.replicas = 0 },
		"fewer than none":   func(s *settings) { s.dying = -1 },
		"too many replicas": func(s *settings) { s.replicas = perSecond + 1 },
	} {
		s := short
		change(&s)
		if _, err := run(t.Context(), s); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
