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
		if len(f.Message) == 0 || strings.ContainsAny(f.Message[:1], "{[") {
			t.Errorf("line %d: message %q", number+1, f.Message)
		}
	}
	for _, name := range []string{"mistral", "deepseek", "qwen", "glm", "openai", "openrouter", "litellm", "portkey", "google", "vllm", "ollama", "anthropic"} {
		if min := 4; cases[name] < min {
			t.Errorf("%d cases of %s, want %d at least", cases[name], name, min)
		}
	}
}
