package anthropic

import (
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
		"one":           {[]string{`{"input_tokens":23000,"output_tokens":1000,"iterations":[` + compaction + `,` + message + `]}`}, wire.Usage{Prompt: 203000, Completion: 4500}},
		"two":           {[]string{`{"input_tokens":23000,"output_tokens":1000,"iterations":[` + compaction + `,` + message + `,` + compaction + `]}`}, wire.Usage{Prompt: 383000, Completion: 8000}},
		"before totals": {[]string{`{"iterations":[` + compaction + `],"input_tokens":1,"output_tokens":2}`}, wire.Usage{Prompt: 180001, Completion: 3502}},
		"of a stream": {[]string{
			`{"input_tokens":23000,"output_tokens":1,"iterations":[` + compaction + `]}`, `{"output_tokens":1000,"iterations":[` + compaction + `,` + message + `]}`,
		}, wire.Usage{Prompt: 203000, Completion: 4500}},
		"of a stream, at its beginning alone": {[]string{`{"input_tokens":23000,"output_tokens":1,"iterations":[` + compaction + `]}`, `{"output_tokens":1000}`}, wire.Usage{Prompt: 203000, Completion: 4500}},
		"with a cache": {[]string{`{"input_tokens":1,"cache_read_input_tokens":20,"output_tokens":2,"iterations":[
			{"type":"compaction","input_tokens":100,"cache_read_input_tokens":5000,"cache_creation_input_tokens":600,"cache_creation":{"ephemeral_1h_input_tokens":60},"output_tokens":30}]}`},
			wire.Usage{Prompt: 5721, Cached: 5020, Written: 600, WrittenHour: 60, Completion: 32}},
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
