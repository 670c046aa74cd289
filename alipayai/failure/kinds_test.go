package failure_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestKindsOfFailures classifies what testdata/kinds.txt has of each vendor, under the rules of its profile.
func TestKindsOfFailures(t *testing.T) {
	text, err := os.ReadFile("testdata/kinds.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := make(map[string]int)
	var profile upstream.Profile
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			if profile, err = upstream.LookupProfile(strings.Trim(line, "[]")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		first, rest, _ := strings.Cut(line, " ")
		want, body, _ := strings.Cut(rest, " ")
		want, of, _ := strings.Cut(want, "/")
		status, err := strconv.Atoi(first)
		if err != nil || !strings.HasPrefix(first, strconv.Itoa(status)) || body == "" {
			t.Fatalf("line %d: %q", number+1, line)
		}
		cases[profile.Name]++
		reported := wire.ParseRefusal([]byte(body))
		if status == 200 {
			chunk, err := wire.ParseChunk([]byte(body))
			if err != nil || chunk.Failure == nil {
				t.Errorf("line %d: %v, no failure: %s", number+1, err, body)
				continue
			}
			reported = *chunk.Failure
		}
		f := failure.OfUpstream(status, nil, &reported, profile.Codes, false, time.Unix(0, 0))
		if string(f.Class) != want {
			t.Errorf("line %d: %s, %s is %s, want %s", number+1, profile.Name, body, f.Class, want)
		}
		if hidden := f.Class.Policy().Credentials; hidden && (f.Status != 502 || strings.Contains(f.Message, reported.Message)) {
			t.Errorf("line %d: a client sees %d %q", number+1, f.Status, f.Message)
		}
		switch ours := f.Status == 502 && f.FallsOver() && !f.MayHaveExecuted(); {
		case of == "account" && !ours, of == "model" && f.Model != failure.ModelUnknown, of == "retired" && f.Model != failure.ModelRetired,
			of == "charged" && !f.MayHaveExecuted(), of == "free" && f.MayHaveExecuted(), of == "unread" && !f.RefusedUnread(),
			of == "long" && f.Code != wire.CodeContextLength:
			t.Errorf("line %d: %s, %s: a client sees %d %q, may have executed %t, model %d, unread %t", number+1, profile.Name, body,
				f.Status, f.Code, f.MayHaveExecuted(), f.Model, f.RefusedUnread())
		}
		if len(f.Message) == 0 || strings.HasPrefix(f.Message, "{") || strings.HasPrefix(f.Message, "[{") {
			t.Errorf("line %d: message %q", number+1, f.Message)
		}
	}
	for _, name := range []string{"mistral", "deepseek", "qwen", "glm", "openai", "openrouter", "litellm", "portkey", "google", "vllm", "ollama", "anthropic"} {
		if min := 4; cases[name] < min {
			t.Errorf("%d cases of %s, want %d at least", cases[name], name, min)
		}
	}
}
