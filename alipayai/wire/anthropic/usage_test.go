package anthropic

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Summaries of a conversation are billed, and Anthropic has them beside its totals, which have all else: one for each report of a
// stream is of all that has come by then.
func TestCompactionsAreUsage(t *testing.T) {
	const compaction = `{"type":"compaction","input_tokens":180000,"output_tokens":3500}`
	const message = `{"type":"message","input_tokens":23000,"output_tokens":1000}`
	for name, test := range map[string]struct {
		reports []string
		want    wire.Usage
	}{
		"none":          {[]string{`{"input_tokens":23000,"output_tokens":1000,"iterations":[` + message + `]}`}, wire.Usage{Prompt: 23000, Completion: 1000}},
		"one":           {[]string{`{"input_tokens":23000,"output_tokens":1000,"iterations":[` + compaction + `,` + message + `]}`}, wire.Usage{Prompt: 203000, Completion: 4500, Compacted: true}},
		"two":           {[]string{`{"input_tokens":23000,"output_tokens":1000,"iterations":[` + compaction + `,` + message + `,` + compaction + `]}`}, wire.Usage{Prompt: 383000, Completion: 8000, Compacted: true}},
		"before totals": {[]string{`{"iterations":[` + compaction + `],"input_tokens":1,"output_tokens":2}`}, wire.Usage{Prompt: 180001, Completion: 3502, Compacted: true}},
		"of a stream": {[]string{
			`{"input_tokens":23000,"output_tokens":1,"iterations":[` + compaction + `]}`, `{"output_tokens":1000,"iterations":[` + compaction + `,` + message + `]}`,
		}, wire.Usage{Prompt: 203000, Completion: 4500, Compacted: true}},
		"of a stream, at its beginning alone": {[]string{`{"input_tokens":23000,"output_tokens":1,"iterations":[` + compaction + `]}`, `{"output_tokens":1000}`}, wire.Usage{Prompt: 203000, Completion: 4500, Compacted: true}},
		"with a cache": {[]string{`{"input_tokens":1,"cache_read_input_tokens":20,"output_tokens":2,"iterations":[
			{"type":"compaction","input_tokens":100,"cache_read_input_tokens":5000,"cache_creation_input_tokens":600,"cache_creation":{"ephemeral_1h_input_tokens":60},"output_tokens":30}]}`},
			wire.Usage{Prompt: 5721, Cached: 5020, Written: 600, WrittenHour: 60, Completion: 32, Compacted: true}},
		"null":            {[]string{`{"input_tokens":1,"output_tokens":2,"iterations":null}`}, wire.Usage{Prompt: 1, Completion: 2}},
		"of another form": {[]string{`{"input_tokens":1,"output_tokens":2,"iterations":[7,null,"compaction",{"type":["compaction"]},{"type":"compaction"}]}`}, wire.Usage{Prompt: 1, Completion: 2}},
		"negative":        {[]string{`{"input_tokens":1,"output_tokens":2,"iterations":[{"type":"compaction","input_tokens":-5}]}`}, wire.Usage{Implausible: true}},
		"too many":        {[]string{`{"input_tokens":1,"output_tokens":2,"iterations":[{"type":"compaction","input_tokens":1099511627776}]}`}, wire.Usage{Implausible: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var u usage
			for _, report := range test.reports {
				if err := u.read([]byte(report)); err != nil {
					t.Fatal(err)
				}
			}
			if test.want.OK = !test.want.Implausible; test.want.OK {
				test.want.Total = test.want.Prompt + test.want.Completion
			}
			if got := u.wire(); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// Models that have begun an answer and declined to go on are billed beside the one that has given it, which the totals are of: they
// are messages of other models among the iterations, and those without output are not billed.
func TestDeclinedAnswersAreUsage(t *testing.T) {
	message := func(model, more string) string {
		return `{"type":"message","model":"` + model + `","input_tokens":100,"cache_read_input_tokens":20,"cache_creation_input_tokens":3,"cache_creation":{"ephemeral_1h_input_tokens":2}` + more + `}`
	}
	const served = `{"type":"fallback_message","model":"c","input_tokens":7,"output_tokens":8}`
	one := wire.Attempt{Model: "a", Prompt: 123, Cached: 20, Written: 3, WrittenHour: 2, Completion: 5}
	two := wire.Attempt{Prompt: 246, Cached: 40, Written: 6, WrittenHour: 4, Completion: 9}
	for name, test := range map[string]struct {
		iterations string
		declined   wire.Attempt
		served     string
	}{
		"none":                   {message("a", `,"output_tokens":5`), wire.Attempt{}, ""},
		"one":                    {message("a", `,"output_tokens":5`) + "," + served, one, "c"},
		"one, behind it":         {served + "," + message("a", `,"output_tokens":5`), one, "c"},
		"one, twice":             {message("a", `,"output_tokens":2`) + "," + message("a", `,"output_tokens":3`) + "," + served, wire.Attempt{Model: "a", Prompt: 246, Cached: 40, Written: 6, WrittenHour: 4, Completion: 5}, "c"},
		"two":                    {message("a", `,"output_tokens":5`) + "," + message("b", `,"output_tokens":4`) + "," + served, two, "c"},
		"before its answer":      {message("a", `,"output_tokens":0`) + "," + served, wire.Attempt{}, "c"},
		"the model's own rounds": {message("c", `,"output_tokens":5`) + "," + served, wire.Attempt{}, "c"},
		"of no model":            {`{"type":"message","output_tokens":5},` + served, wire.Attempt{}, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			var u usage
			if err := u.read([]byte(`{"input_tokens":7,"output_tokens":8,"iterations":[` + test.iterations + `]}`)); err != nil {
				t.Fatal(err)
			}
			want := wire.Usage{Prompt: 7, Completion: 8, Total: 15, Declined: test.declined, Served: test.served, OK: true}
			if got := u.wire(); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
	var u usage
	if err := u.read([]byte(`{"input_tokens":7,"output_tokens":8,"iterations":[{"type":"message","model":"a","input_tokens":-1,"output_tokens":1},` + served + `]}`)); err != nil || !u.implausible {
		t.Errorf("%v: a negative number is taken: %+v", err, u)
	}
}

// A model that declines before it has said anything is billed for what it has read in some categories, of which the block tells that
// marks where another goes on: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, and
// beta_fallback_block.py of anthropic-sdk-python. Releases of that before July 2026 have no trigger.
func TestDeclinedInSilenceIsUsage(t *testing.T) {
	const (
		silent = `{"type":"message","model":"claude-a-20260101","input_tokens":100,"cache_read_input_tokens":20,"cache_creation_input_tokens":3,"output_tokens":0}`
		served = `{"type":"fallback_message","model":"c","input_tokens":7,"output_tokens":8}`
	)
	hop := func(from, trigger string) string {
		return `{"type":"fallback","from":{"model":` + from + `},"to":{"model":"c"},"trigger":` + trigger + `}`
	}
	of := func(category string) string { return `{"type":"refusal","category":` + category + `}` }
	one := wire.Attempt{Model: "claude-a-20260101", Prompt: 123, Cached: 20, Written: 3}
	for name, test := range map[string]struct {
		hop, iterations string
		declined        wire.Attempt
	}{
		"billed":                 {hop(`"claude-a-20260101"`, of(`"reasoning_extraction"`)), silent, one},
		"billed, by its alias":   {hop(`"claude-a"`, of(`"bio"`)), silent, one},
		"a new category":         {hop(`"claude-a"`, of(`"made_up"`)), silent, one},
		"free":                   {hop(`"claude-a"`, of(`"cyber"`)), silent, wire.Attempt{}},
		"free, without a name":   {hop(`"claude-a"`, of(`null`)), silent, wire.Attempt{}},
		"no trigger":             {hop(`"claude-a"`, `null`), silent, wire.Attempt{}},
		"no model":               {hop(`null`, of(`"bio"`)), silent, wire.Attempt{}},
		"one that begins alike":  {hop(`"claude"`, of(`"bio"`)) + "," + hop(`"claude-a"`, of(`"cyber"`)), silent, wire.Attempt{}},
		"another's":              {hop(`"claude-b"`, of(`"bio"`)), silent, wire.Attempt{}},
		"no hop":                 {`{"type":"text","text":""}`, silent, wire.Attempt{}},
		"both, spoken and not":   {hop(`"claude-a"`, of(`"bio"`)), silent + `,{"type":"message","model":"b","input_tokens":1,"output_tokens":2}`, wire.Attempt{Prompt: 124, Cached: 20, Written: 3, Completion: 2}},
		"more than there can be": {hop(`"claude-a"`, of(`"bio"`)), `{"type":"message","model":"claude-a","input_tokens":1099511627776,"cache_read_input_tokens":1,"output_tokens":0}`, wire.Attempt{}},
	} {
		usage := `{"input_tokens":7,"output_tokens":8,"iterations":[` + test.iterations + `,` + served + `]}`
		want := wire.Usage{Prompt: 7, Completion: 8, Total: 15, Declined: test.declined, Served: "c", OK: true}
		if name == "more than there can be" {
			want = wire.Usage{Implausible: true}
		}
		t.Run(name, func(t *testing.T) {
			_, a, err := new(Format).DecodeAnswer([]byte(`{"type":"message","role":"assistant","model":"c","content":[`+test.hop+`,{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":`+usage+`}`), wire.Ask{})
			if err != nil || a.Usage != want {
				t.Errorf("%+v, %v; want %+v", a.Usage, err, want)
			}
			var got wire.Usage
			decoder := new(Format).DecodeStream(wire.Ask{})
			first, _, _ := strings.Cut(test.hop, `,{"type":"fallback"`)
			for _, event := range []string{
				`{"type":"message_start","message":{"type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}`,
				`{"type":"content_block_start","index":0,"content_block":` + first + `}`, `{"type":"content_block_stop","index":0}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":` + usage + `}`,
			} {
				_, chunk, err := decoder.Decode(nil, wire.Event{Data: []byte(event)})
				if err != nil {
					t.Fatal(err)
				}
				got = chunk.Usage
			}
			if got != want {
				t.Errorf("in a stream: %+v, want %+v", got, want)
			}
		})
	}
}
