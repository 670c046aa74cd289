package sandbox

import (
	"strings"
	"testing"
)

// ask sends a Messages request and reads the answer, which must have that status.
func (g *rig) ask(body []byte, status int) (a claudeAnswer) {
	g.t.Helper()
	resp, err := g.do(g.keyed("POST", pathMessages, body))
	if err != nil {
		g.t.Fatal(err)
	}
	g.read(resp, status, &a)
	if resp.Header.Get("Request-Id") == "" {
		g.t.Error("no Request-Id")
	}
	return a
}

func newClaude(t *testing.T) *rig {
	return newRig(t, Config{Format: Anthropic, RequestsPerSecond: -1})
}

const claudeTools = `,"tools":[{"name":"get_time","input_schema":{"type":"object"}},{"name":"get_weather","description":"d","type":"custom",` +
	`"input_schema":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"]}}]`

// kinds lists the events of a stream, with the index and type of blocks and deltas.
func streamKinds(t *testing.T, body string) (out []string) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(event, "\n")
		var a claudeAnswer
		decode(t, strings.TrimPrefix(data, "data: "), &a)
		kind := a.Type
		switch {
		case a.Block.Type != "":
			kind += " " + a.Block.Type
		case a.Delta.Type != "":
			kind += " " + a.Delta.Type
		case a.Delta.StopReason != nil:
			kind += " " + *a.Delta.StopReason
		}
		if strings.Contains(kind, "content_block") {
			kind = string(rune('0'+a.Index)) + " " + kind
		}
		if "event: "+a.Type != name {
			t.Errorf("%s has the data of %s", name, a.Type)
		}
		out = append(out, kind)
	}
	return out
}
