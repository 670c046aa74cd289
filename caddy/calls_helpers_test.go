package alipaycaddy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
)

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the code of an error in OpenAI's form; there must be exactly one.
func (a answer) code() string {
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&body); err != nil || body.Error.Message == "" || body.Error.Type == "" {
		return "no error in OpenAI's form: " + a.body
	}
	if rest, _ := io.ReadAll(d.Buffered()); len(bytes.TrimSpace(rest)) > 0 {
		return "a second body: " + a.body
	}
	return body.Error.Code
}

// send sends a request with header fields as "Name: value", in that order, to
// the address that name stands for.
func (g *rig) send(name, method, target, body string, fields ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.vars[name]+target, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, ": ")
		// As it is spelt: some spellings are what a test is about.
		req.Header[key] = append(req.Header[key], value)
	}
	return g.http.Do(req)
}

// do sends a request to the gateway and reads the answer.
func (g *rig) do(method, target, body string, fields ...string) answer {
	g.t.Helper()
	return g.read(g.send("gateway", method, target, body, fields...))
}

func (g *rig) read(resp *http.Response, err error) answer {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// keyed makes a call with the Idempotency-Key "once" at a gateway, whose key may be another call's.
func (g *rig) keyed(name, prompt string, fields ...string) answer {
	g.t.Helper()
	a, _ := g.claiming(name, "POST", chatPath, chatBody(prompt, false), append(slices.Clip(fields), "Idempotency-Key: once")...)
	return a
}

// once makes a call with an Idempotency-Key that no other call has: where it is under way, a claim that came too late is
// not released yet.
func (g *rig) once(name, method, target, body string, fields ...string) (a answer) {
	g.t.Helper()
	again := false
	g.eventually("the key to be free again", func() bool {
		var repeated bool
		a, repeated = g.claiming(name, method, target, body, fields...)
		again = again || repeated
		return !again || a.code() != "idempotency_in_flight"
	})
	return a
}

// claiming makes a call with an Idempotency-Key, as a client would: again while the key
// cannot be claimed, since Redis has 50 ms for that and this machine may be busy, and
// when the connection ends instead, since a reload of Caddy closes what the old server
// has accepted last. Neither repeat may reach an API twice, which the tests count.
func (g *rig) claiming(name, method, target, body string, fields ...string) (a answer, repeated bool) {
	g.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		resp, err := g.send(name, method, target, body, fields...)
		over := time.Now().After(deadline)
		if !over && closedByReload(err) {
			continue
		}
		if a = g.read(resp, err); over || a.status != http.StatusServiceUnavailable || a.code() != "idempotency_unavailable" {
			return a, repeated
		}
		repeated = true
	}
}

// closedByReload says whether a connection has ended as those do that the old server
// was about to accept.
func closedByReload(err error) bool {
	return err != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET))
}

// keyedInBackground makes such a call, and waits for its answer.
func (g *rig) keyedInBackground(prompt string, fields ...string) (wait func() answer) {
	answers := make(chan answer, 1)
	go func() {
		defer close(answers) // where reading it has failed
		answers <- g.keyed("gateway", prompt, fields...)
	}()
	return func() answer { return <-answers }
}

const chatPath = "/v1/chat/completions"

func chatBody(prompt string, stream bool) string {
	return fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":%q}],"stream":%v}`, prompt, stream)
}

// chat makes a call that must be answered, and gives its answer.
func (g *rig) chat(prompt string, fields ...string) answer {
	g.t.Helper()
	a := g.do("POST", chatPath, chatBody(prompt, false), fields...)
	if a.status != http.StatusOK || !strings.Contains(a.body, prompt) {
		g.t.Fatalf("status %d: %s", a.status, a.body)
	}
	return a
}

// openStream begins a stream and gives it with its first event read.
func (g *rig) openStream(prompt string, fields ...string) (events *bufio.Reader, closeStream func()) {
	g.t.Helper()
	resp, err := g.send("gateway", "POST", chatPath, chatBody(prompt, true), fields...)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("status %d: %s", resp.StatusCode, g.read(resp, nil).body)
	}
	events = bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
		g.t.Fatalf("first line %q: %v", line, err)
	}
	return events, func() { resp.Body.Close() }
}

// tokenFetches is how often the API was asked for a token.
func (g *rig) tokenFetches() (n int64) {
	for _, fetches := range g.api.Stats().TokenFetches {
		n += fetches
	}
	return n
}

// chats is how many chat calls reached the API.
func (g *rig) chats() int64 { return g.api.Stats().Paths[chatPath] }

// outcome gives the "alipayai" fields that the access log has of an answer.
func (g *rig) outcome(a answer) map[string]any {
	g.t.Helper()
	id := a.header.Get("X-Request-Id")
	if id == "" {
		g.t.Fatalf("an answer without X-Request-Id: %v", a.header)
	}
	var found map[string]any
	g.eventually("the access log to have "+id, func() bool {
		for line := range strings.SplitSeq(g.logs(), "\n") {
			var entry struct {
				Logger   string
				Alipayai map[string]any
			}
			if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Logger, "http.log.access") &&
				entry.Alipayai["request_id"] == id {
				found = entry.Alipayai
			}
		}
		return found != nil
	})
	return found
}
