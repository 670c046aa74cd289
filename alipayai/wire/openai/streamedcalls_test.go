package openai

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// sentCall is a call as a server means it.
type sentCall struct{ name, arguments string }

// writing is how a server writes calls in a stream.
type writing struct {
	index           func(call int) string // a member, and a comma
	ids, names      bool                  // with each piece
	newIDs          bool                  // another with each piece
	noIDs           bool
	empty           bool // arguments that are empty come first
	whole, together bool // each call in one piece, and all in one chunk
	stands          bool // {} first
	again           bool // all arguments once more at the end
	cumulative      bool // each piece has those before it
}

// TestCallsStayApart has calls as servers write them in streams, one after the other, in pieces at random: a client that joins what has one
// index has them all, each with its name and all of its arguments, once.
func TestCallsStayApart(t *testing.T) {
	own := func(call int) string { return fmt.Sprintf(`"index":%d,`, call) }
	same := func(int) string { return `"index":0,` }
	none := func(int) string { return "" }
	for name, w := range map[string]writing{
		"OpenAI":                {index: own, empty: true},
		"Azure":                 {index: own, empty: true, ids: true},
		"vLLM, a name each":     {index: own, ids: true, names: true},
		"vLLM's gpt-oss":        {index: own, newIDs: true, names: true},
		"no ids":                {index: own, noIDs: true, empty: true},
		"Ollama":                {index: same, whole: true},
		"Ollama, together":      {index: same, whole: true, together: true},
		"Gemini":                {index: same, whole: true, noIDs: true},
		"Gemini, together":      {index: same, whole: true, noIDs: true, together: true},
		"no index":              {index: none, whole: true},
		"no index, together":    {index: none, whole: true, together: true},
		"no index, in pieces":   {index: none, empty: true},
		"no index, an id each":  {index: none, ids: true, names: true},
		"no index, new ids":     {index: none, newIDs: true, names: true},
		"one index":             {index: same, empty: true},
		"one index, an id each": {index: same, ids: true, names: true, empty: true},
		"one index, new ids":    {index: same, newIDs: true, names: true},
		"Bedrock":               {index: own, stands: true},
		"Bedrock, one index":    {index: same, stands: true},
		"a summary":             {index: own, empty: true, again: true},
		"cumulative":            {index: own, empty: true, cumulative: true},
		"cumulative, no ids":    {index: own, noIDs: true, cumulative: true},
		"cumulative, a summary": {index: own, ids: true, names: true, cumulative: true, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				r := rand.New(rand.NewPCG(seed, 1))
				calls := make([]sentCall, 1+r.IntN(4))
				for i := range calls {
					calls[i] = sentCall{[]string{"f", "g"}[r.IntN(2)], argumentsAt(r)}
				}
				stream := w.stream(r, calls)
				if got := joined(t, stream); !slices.Equal(got, calls) {
					t.Fatalf("seed %d: %q\nwant %q\nof %s", seed, got, calls, strings.Join(stream, "\n"))
				}
			}
		})
	}
}

// argumentsAt are some arguments.
func argumentsAt(r *rand.Rand) string {
	return []string{"{}", `{"x":1}`, `{"x":{"y":[{}]}}`, `{"x":"{}","y":"}{\"]["}`, `{"x":"\\","y":null}`, `{ "x" : [ 1 , { } ] }`}[r.IntN(6)]
}

// stream writes the arrays of calls of a stream's chunks.
func (w *writing) stream(r *rand.Rand, calls []sentCall) (chunks []string) {
	ids := 0
	for n, call := range calls {
		rest, first := call.arguments, true
		for first || rest != "" {
			piece := rest
			switch {
			case first && w.stands:
				piece = "{}"
				if call.arguments == "{}" {
					rest = ""
				}
			case first && w.empty:
				piece = ""
			case w.whole:
				rest = ""
			default:
				piece = rest[:1+r.IntN(len(rest))]
				if w.cumulative && rest == call.arguments { // which ends where no object begins
					piece = "{"
				}
				rest = rest[len(piece):]
			}
			if w.cumulative {
				piece = call.arguments[:len(call.arguments)-len(rest)]
			}
			text, _ := json.Marshal(piece)
			out := "{" + w.index(n)
			if !w.noIDs && (first || w.ids || w.newIDs) {
				if first || w.newIDs {
					ids++
				}
				out += fmt.Sprintf(`"id":"call-%d","type":"function",`, ids)
			}
			out += `"function":{`
			if first || w.names {
				out += `"name":"` + call.name + `",`
			}
			chunks = append(chunks, out+`"arguments":`+string(text)+"}}")
			first = false
		}
		if w.again {
			text, _ := json.Marshal(call.arguments)
			chunks = append(chunks, "{"+w.index(n)+`"function":{"arguments":`+string(text)+"}}")
		}
	}
	if w.together {
		chunks = []string{strings.Join(chunks, ",")}
	}
	return chunks
}

// joined are the calls that a client has of a stream which the gateway passes on, each index in its turn.
func joined(t *testing.T, chunks []string) (calls []sentCall) {
	t.Helper()
	var stream strings.Builder
	for _, chunk := range chunks {
		stream.WriteString(`data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[` + chunk + `]},"finish_reason":null}]}` + "\n\n")
	}
	stream.WriteString(`data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n")
	events := wire.NewEventReader(strings.NewReader(stream.String()), 0)
	defer events.Release()
	d := Format{}.DecodeStream(wire.Ask{ID: "answer"})
	var got []byte
	for ev, err := events.Next(); err == nil; ev, err = events.Next() {
		if got, _, err = d.Decode(got, ev); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(string(got)) {
		data, ok := strings.CutPrefix(line, "data: {")
		if !ok {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					Calls []struct {
						Index    int
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte("{"+data), &chunk); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, choice := range chunk.Choices {
			for _, piece := range choice.Delta.Calls {
				if piece.Index == len(calls) {
					calls = append(calls, sentCall{})
				}
				if piece.Index != len(calls)-1 && piece.Function.Arguments != "{}" {
					t.Fatalf("a piece of call %d behind %d: %s", piece.Index, len(calls)-1, line)
				}
				call := &calls[piece.Index]
				call.name += piece.Function.Name
				call.arguments += piece.Function.Arguments
			}
		}
	}
	return calls
}
