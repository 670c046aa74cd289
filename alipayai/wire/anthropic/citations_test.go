package anthropic

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

const (
	citing = `[{"type":"url_citation","url_citation":{"url":"https://x/a","title":"A \"b\"","content":"what it says","start_index":0,"end_index":2}},{"type":"url_citation","url_citation":{"url":"https://x/c","start_index":3,"end_index":5}},{"type":"file_citation","file_citation":{"file_id":"f"}}]`
	citedA = `{"type":"web_search_result_location","url":"https://x/a","title":"A \"b\"","cited_text":"what it says","encrypted_index":""}`
	citedC = `{"type":"web_search_result_location","url":"https://x/c","title":"","cited_text":"","encrypted_index":""}`
)

// The URLs that a text cites are citations of the text's block.
func TestClientCitations(t *testing.T) {
	for name, tt := range map[string]struct{ message, content string }{
		"a text":        {`{"content":"a","annotations":` + citing + `}`, `[{"type":"text","text":"a","citations":[` + citedA + `,` + citedC + `]}]`},
		"none":          {`{"content":"a","annotations":[]}`, `[{"type":"text","text":"a"}]`},
		"of no URL":     {`{"content":"a","annotations":[{"type":"file_citation"},7,{"type":"url_citation","url_citation":{"url":5}}]}`, `[{"type":"text","text":"a"}]`},
		"not the call":  {`{"content":"a","annotations":[` + strings.SplitAfter(citing[1:], "}}")[0] + `],"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}`, `[{"type":"text","text":"a","citations":[` + citedA + `]},{"type":"tool_use","id":"c","name":"f","input":{}}]`},
		"a null":        {`{"content":"a","annotations":null}`, `[{"type":"text","text":"a"}]`},
		"without texts": {`{"content":"","annotations":` + citing + `}`, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			w := ClientWriter{Model: "m"}
			got, err := w.Whole(nil, []byte(`{"id":"1","choices":[{"message":`+tt.message+`,"finish_reason":"stop"}]}`))
			if err != nil || !strings.Contains(string(got), `"content":`+tt.content+`,"stop_reason"`) {
				t.Errorf("is\n%s\nwant\n%s (%v)", got, tt.content, err)
			}
		})
	}
}

// In a stream they are deltas of the text that is open, or else of the next one, each once.
func TestClientCitationsOfStreams(t *testing.T) {
	one := func(citation string) string { return `{"type":"citations_delta","citation":` + citation + `}` }
	for name, tt := range map[string]struct {
		in   []string
		want []string // in order
	}{
		"with the end":   {[]string{`"delta":{"content":"a"}`, `"delta":{"annotations":` + citing + `},"finish_reason":"stop"`}, []string{`"text":"a"`, one(citedA), one(citedC), "content_block_stop"}},
		"with the text":  {[]string{`"delta":{"content":"a","annotations":` + citing + `}`, `"delta":{"content":"b"},"finish_reason":"stop"`}, []string{`"text":"a"`, one(citedA), one(citedC), `"text":"b"`, "content_block_stop"}},
		"before a text":  {[]string{`"delta":{"annotations":` + citing + `}`, `"delta":{"content":"a"}`, `"delta":{},"finish_reason":"stop"`}, []string{`"text":"a"`, one(citedA), "content_block_stop"}},
		"with each one":  {[]string{`"delta":{"content":"a","annotations":` + citing + `}`, `"delta":{"content":"b","annotations":` + citing + `}`, `"delta":{},"finish_reason":"stop"`}, []string{one(citedA), one(citedC), `"text":"b"`, "content_block_stop"}},
		"behind a call":  {[]string{`"delta":{"content":"a"}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"x\":1}"}}]}`, `"delta":{"annotations":` + citing + `},"finish_reason":"tool_calls"`}, []string{`"text":"a"`, "content_block_stop", "tool_use", "content_block_stop", `"index":2,"content_block":{"type":"text","text":""}`, one(citedA), one(citedC), "content_block_stop", `"stop_reason":"tool_use"`}},
		"without a text": {[]string{`"delta":{"annotations":` + citing + `}`, `"delta":{},"finish_reason":"stop"`}, []string{"message_start", "message_delta"}},
	} {
		t.Run(name, func(t *testing.T) {
			var w ClientWriter
			out, err := w.Events(nil, []byte(chunks(tt.in...)))
			if err != nil {
				t.Fatal(err)
			}
			rest := string(out)
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("no %s in order in\n%s", want, out)
				}
				rest = after
			}
			most := 1
			if name == "without a text" {
				most = 0
			}
			if n := strings.Count(string(out), citedA); n != most {
				t.Errorf("cites it %d times:\n%s", n, out)
			}
		})
	}
}

// Citations that no search of Anthropic's has made stay away from Anthropic, which would look for their index; all others go there. In
// OpenAI's form the text says the same without them, and nothing is named.
func TestCitationsPlayedBack(t *testing.T) {
	const signed = `{"type":"web_search_result_location","url":"https://x/b","title":"B","cited_text":"b","encrypted_index":"Eo8"}`
	const place = `{"type":"char_location","cited_text":"b","document_index":0,"document_title":null,"start_char_index":0,"end_char_index":1}`
	for name, tt := range map[string]struct{ in, out string }{
		"of another":        {`,"citations":[` + citedA + `,` + citedC + `]`, ""},
		"of both":           {`,"citations":[` + citedA + `,` + signed + `]`, `,"citations":[` + signed + `]`},
		"of Anthropic":      {`,"citations":[` + signed + `,` + place + `]`, `,"citations":[` + signed + `,` + place + `]`},
		"none":              {`,"citations":[]`, `,"citations":[]`},
		"a null":            {`,"citations":null`, `,"citations":null`},
		"of another escape": {`,"citations":[` + strings.Replace(citedA, `encrypted_index`, `encrypted_inde\u0078`, 1) + `]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := func(citations string) string {
				return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"text","text":"a"` + citations + `}]},{"role":"user","content":"r"}]}`
			}
			got, err := ParseClientRequest([]byte(body(tt.in)), false)
			if err != nil || string(got.Sendable.Body) != body(tt.out) {
				t.Errorf("Anthropic gets\n%s\nwant\n%s (%v)", got.Sendable.Body, body(tt.out), err)
			}
			if len(got.Unsupported) > 0 || !strings.Contains(string(got.Canonical.Body), `{"role":"assistant","content":"a"}`) {
				t.Errorf("others get %s, with %q left out", got.Canonical.Body, got.Unsupported)
			}
		})
	}
}

// The URLs that an answer of Anthropic's cites are annotations, each of all of the text of its block.
func TestCitationsBecomeAnnotations(t *testing.T) {
	const (
		found  = `{"type":"web_search_result_location","url":"https://x/a","title":"A \"b\"","cited_text":"what it says","encrypted_index":"Eo8"}`
		bare   = `{"type":"web_search_result_location","url":"https://x/c","title":null}`
		sent   = `{"type":"char_location","cited_text":"b","document_index":0,"document_title":null,"start_char_index":0,"end_char_index":1}`
		head   = `"id":"msg_1","type":"message","role":"assistant","model":"claude-x"`
		usages = `"usage":{"input_tokens":1,"output_tokens":1}`
	)
	cited := func(start, end string) string {
		return `{"type":"url_citation","url_citation":{"start_index":` + start + `,"end_index":` + end + `,"url":"https://x/a","title":"A \"b\"","content":"what it says"}},` +
			`{"type":"url_citation","url_citation":{"start_index":` + start + `,"end_index":` + end + `,"url":"https://x/c","title":""}}`
	}
	for name, tt := range map[string]struct {
		blocks [][]string // the text of each, and what it cites
		want   []string   // annotations
	}{
		"a text":           {[][]string{{"sky", found, bare}}, []string{cited("0", "3")}},
		"the second":       {[][]string{{`蓝\ud83d\ude00\n`}, {"sky", found, bare}, {"end"}}, []string{cited("3", "6")}},
		"of each":          {[][]string{{"a", found, bare}, {"b", found, bare}}, []string{cited("0", "1"), cited("1", "2")}},
		"of a document":    {[][]string{{"a", sent}}, nil},
		"odd":              {[][]string{{"a", "7", "{}", `{"url":5}`}}, nil},
		"none":             {[][]string{{"a"}}, nil},
		"beside documents": {[][]string{{"sky", sent, found, bare}}, []string{cited("0", "3")}},
	} {
		t.Run(name, func(t *testing.T) {
			var content []string
			stream := `data: {"type":"message_start","message":{` + head + `,"content":[],` + usages + "}}\n\n"
			for i, b := range tt.blocks {
				content = append(content, `{"type":"text","text":"`+b[0]+`","citations":[`+strings.Join(b[1:], ",")+`]}`)
				at := `"index":` + string(rune('0'+i))
				stream += `data: {"type":"content_block_start",` + at + `,"content_block":{"type":"text","text":"","citations":[]}}` + "\n\n"
				for _, citation := range b[1:] {
					stream += `data: {"type":"content_block_delta",` + at + `,"delta":{"type":"citations_delta","citation":` + citation + "}}\n\n"
				}
				stream += `data: {"type":"content_block_delta",` + at + `,"delta":{"type":"text_delta","text":"` + b[0] + "\"}}\n\n"
				stream += `data: {"type":"content_block_stop",` + at + "}\n\n"
			}
			stream += `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n"
			whole, _, err := new(Format).DecodeAnswer([]byte(`{`+head+`,"content":[`+strings.Join(content, ",")+`],"stop_reason":"end_turn",`+usages+`}`), wire.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			if want := `"annotations":[` + strings.Join(tt.want, ",") + `]`; strings.Contains(string(whole), want) != (tt.want != nil) {
				t.Errorf("whole: %s, want %s", whole, want)
			}
			events := string(decodedEvents(t, stream))
			for _, want := range tt.want {
				_, rest, ok := strings.Cut(events, `"delta":{"annotations":[`+want+`]}`)
				if events = rest; !ok {
					t.Errorf("no %s in its place", want)
				}
			}
			if strings.Contains(events, "annotations") {
				t.Errorf("more annotations: %s", events)
			}
		})
	}
}

// decodedEvents gives the events of OpenAI's form for a stream of Anthropic's.
func decodedEvents(t *testing.T, stream string) (events []byte) {
	t.Helper()
	reader := wire.NewEventReader(strings.NewReader(stream), 0)
	defer reader.Release()
	d := new(Format).DecodeStream(wire.Ask{})
	for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
		if events, _, err = d.Decode(events, ev); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// What an upstream cites takes no more memory than any search finds, however much it sends before the text ends.
func TestCitationsAreBounded(t *testing.T) {
	one := jsontext.Value(`{"type":"web_search_result_location","url":"https://example.com/` + strings.Repeat("x", 1<<20) + `"}`)
	var a sources
	a.say(jsontext.Value(`"text"`))
	for range maxCited {
		a.cite(one)
	}
	a.leave()
	if got := len(a.take()); got == 0 || got > maxCitedBytes+1<<10 {
		t.Errorf("%d bytes", got)
	}
}
