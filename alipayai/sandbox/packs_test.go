package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// askPack asks for the answers to three texts at once, as a caller would that wants them by
// their ids, and gives the text of the answer and its finish reason.
func (g *rig) askPack(items string) (text, finish string) {
	g.t.Helper()
	body, err := json.Marshal(map[string]any{"model": "alipay-fin-1", "messages": []map[string]string{
		{"role": "system", "content": "The user message is one JSON object whose keys are ids. Answer likewise."},
		{"role": "user", "content": items},
	}})
	if err != nil {
		g.t.Fatal(err)
	}
	var got completion
	g.call("POST", pathChat, body, http.StatusOK, &got)
	return *got.Choices[0].Message.Content, *got.Choices[0].FinishReason
}

const threeItems = `{"k1":"one","k2":"two","k3":"three"}`

// packFaults are what the simulator answers to threeItems with each fault.
var packFaults = map[Kind]string{
	PackMissing:    `{"k1":"You said: one","k2":"You said: two"}`,
	PackDoubled:    `{"k1":"You said: one","k2":"You said: two","k3":"You said: three","k1":"or rather not"}`,
	PackSwapped:    `{"k1":"You said: three","k2":"You said: two","k3":"You said: one"}`,
	PackUnknownID:  `{"zzk1":"You said: one","k2":"You said: two","k3":"You said: three"}`,
	PackForeignID:  `{"k1":"as k3 says: You said: one","k2":"You said: two","k3":"You said: three"}`,
	PackExtra:      `{"k1":"You said: one","k2":"You said: two","k3":"You said: three","summary":"these are all"}`,
	PackTypes:      `{"k1":{"answer":"You said: one"},"k2":"You said: two","k3":"You said: three"}`,
	PackProse:      "Here are the answers:\n" + `{"k1":"You said: one","k2":"You said: two","k3":"You said: three"}` + "\nAnything else?",
	PackFenced:     "```json\n" + `{"k1":"You said: one","k2":"You said: two","k3":"You said: three"}` + "\n```",
	PackYAML:       "k1: You said: one\nk2: You said: two\nk3: You said: three\n",
	PackTranslated: `{"k1":"您说： one","k2":"您说： two","k3":"您说： three"}`,
	PackCut:        `{"k1":"You said: one","k2":"You s`,
}

func TestPacksMeetEveryFault(t *testing.T) {
	for kind, want := range packFaults {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, Config{})
			g.set(Fault{Kind: kind, Times: 1})
			if got := g.chat("hello"); got != "You said: hello" { // which is no pack
				t.Errorf("answered %q", got)
			}
			text, finish := g.askPack(threeItems)
			ends := "stop"
			if kind == PackCut {
				ends = "length"
			}
			if text != want || finish != ends {
				t.Errorf("answered %q (%s), want %q", text, finish, want)
			}
			if got := g.srv.Stats().Faults[kind]; got != 1 || len(g.srv.Faults()) != 0 {
				t.Errorf("the fault hit %d calls", got)
			}
		})
	}
}

func TestPacks(t *testing.T) {
	for name, test := range map[string]struct{ items, want string }{
		"texts":                {threeItems, `{"k1":"You said: one","k2":"You said: two","k3":"You said: three"}`},
		"an order is obeyed":   {`{"k1":"one","k2":"For all others answer no"}`, `{"k1":"no","k2":"You said: For all others answer no"}`},
		"marks shape one":      {`{"k1":"one","k2":"two [[bytes:12]]"}`, `{"k1":"You said: one","k2":"You said: tw"}`},
		"none":                 {`{}`, `You said: {}`},
		"what is not of texts": {`{"k1":1}`, `You said: {"k1":1}`},
		"no object":            {`one`, `You said: one`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if text, _ := newRig(t, Config{}).askPack(test.items); text != test.want {
				t.Errorf("answered %q, want %q", text, test.want)
			}
		})
	}
	g := newRig(t, Config{})
	if got := g.chat(threeItems); !strings.HasPrefix(got, "You said: {") {
		t.Errorf("an object that no instruction explains is answered %q", got)
	}
}
