package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// outcome is what a client saw of one call.
type outcome struct {
	status int
	header http.Header
	body   string
	err    error
}

// see asks for a chat with that body, and gives what a client sees of the answer.
func (g *rig) see(body []byte) outcome {
	g.t.Helper()
	return g.try(g.signed("POST", pathChat, body))
}

type faultCase struct {
	fault  Fault
	stream bool
	code   string // as the statistics count it
	check  func(t *testing.T, o outcome)
}

func status(want int, contains ...string) func(*testing.T, outcome) {
	return func(t *testing.T, o outcome) {
		t.Helper()
		if o.err != nil || o.status != want {
			t.Errorf("status %d, %v; want %d: %s", o.status, o.err, want, o.body)
		}
		for _, s := range contains {
			if !strings.Contains(o.body, s) {
				t.Errorf("want %s in %s", s, o.body)
			}
		}
	}
}

func both(checks ...func(*testing.T, outcome)) func(*testing.T, outcome) {
	return func(t *testing.T, o outcome) {
		t.Helper()
		for _, c := range checks {
			c(t, o)
		}
	}
}

func header(name, want string) func(*testing.T, outcome) {
	return func(t *testing.T, o outcome) {
		t.Helper()
		if got := o.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// contentEvents counts what came before the fault.
func contentEvents(want int) func(*testing.T, outcome) {
	return func(t *testing.T, o outcome) {
		t.Helper()
		got := strings.Count(o.body, `"delta":{"content":`)
		if got != want {
			t.Errorf("%d content events, want %d: %s", got, want, o.body)
		}
	}
}

func noDone(t *testing.T, o outcome) {
	t.Helper()
	if strings.Contains(o.body, "[DONE]") {
		t.Errorf("[DONE] in %s", o.body)
	}
}

func notJSON(t *testing.T, o outcome) {
	t.Helper()
	if json.Valid([]byte(o.body)) {
		t.Errorf("valid JSON: %s", o.body)
	}
}

func broken(t *testing.T, o outcome) {
	t.Helper()
	if o.err == nil || errors.Is(o.err, context.DeadlineExceeded) {
		t.Errorf("want a broken connection: %+v", o)
	}
}
