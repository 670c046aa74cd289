package sandbox

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// try sends a request and gives what a client sees of the answer.
func (g *rig) try(req *http.Request) (o outcome) {
	g.t.Helper()
	resp, err := g.do(req.WithContext(withTimeout(g.t)))
	if err != nil {
		<-g.served
		return outcome{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	<-g.served
	return outcome{resp.StatusCode, resp.Header, string(b), err}
}

// formatFault is a fault and what a client of any format must see of it.
type formatFault struct {
	fault  Fault
	stream bool
	// status is that of the answer, 0 for a connection that broke.
	status  int
	failure bool // an error of the format's own kind comes
	code    func(dialect) string
	events  int // content events, -1 for those of a whole answer
	whole   bool
	check   func(t *testing.T, d dialect, o outcome, s said)
}

func brokenCode(dialect) string { return codeBroken }

func okCode(dialect) string { return codeOK }

func systemCode(d dialect) string {
	return d.system
}

func statusOf(status int) func(dialect) string {
	return func(d dialect) string { return d.codes[status] }
}

func retryAfter(want string) func(*testing.T, dialect, outcome, said) {
	return func(t *testing.T, _ dialect, o outcome, _ said) { header("Retry-After", want)(t, o) }
}

func endsWithin(t *testing.T, _ dialect, o outcome, _ said) {
	if strings.HasSuffix(o.body, "\n") || o.body == "" {
		t.Errorf("ends between events: %q", o.body)
	}
}

func badEvents(n int) func(*testing.T, dialect, outcome, said) {
	return func(t *testing.T, _ dialect, o outcome, s said) {
		if s.bad != n {
			t.Errorf("%d malformed events, want %d: %s", s.bad, n, o.body)
		}
	}
}

func bodyIs(want func(dialect) string) func(*testing.T, dialect, outcome, said) {
	return func(t *testing.T, d dialect, o outcome, _ said) {
		if o.body != want(d) {
			t.Errorf("body %q, want %q", o.body, want(d))
		}
	}
}

func (tc formatFault) verify(t *testing.T, d dialect, stream bool, o outcome) {
	t.Helper()
	if tc.status == 0 {
		broken(t, o)
		return
	}
	if o.err != nil || o.status != tc.status {
		t.Fatalf("status %d, %v, want %d: %s", o.status, o.err, tc.status, o.body)
	}
	var s said
	inStream := strings.HasPrefix(o.header.Get("Content-Type"), "text/event-stream")
	if inStream || tc.fault.Kind != MalformedJSON {
		s = d.read(t, inStream, o.body)
	}
	if tc.check != nil {
		tc.check(t, d, o, s)
	}
	if s.whole != tc.whole {
		t.Errorf("whole is %v, want %v: %s", s.whole, tc.whole, o.body)
	}
	if failure := map[bool]string{true: tc.code(d)}[tc.failure]; s.failure != failure {
		t.Errorf("failure %q, want %q: %s", s.failure, failure, o.body)
	}
	events := tc.events
	if stream && events < 0 {
		events = 5
	}
	if stream && s.events != events {
		t.Errorf("%d content events, want %d: %s", s.events, events, o.body)
	}
	if tc.events < 0 && s.text != "You said: "+threeWords {
		t.Errorf("text %q", s.text)
	}
}
