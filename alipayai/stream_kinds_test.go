package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestOddStreams has whole answers in streams that are lenient with what OpenAI's form is: clients get all that was paid
// for, one [DONE], and the answer counts as whole. Each is as some vendor's, or some proxy's, sends it.
func TestOddStreams(t *testing.T) {
	const stop = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	delta := func(members string) string {
		return `{"choices":[{"index":0,"delta":{` + members + `},"finish_reason":null}]}`
	}
	lines := func(events ...string) string { return "data: " + strings.Join(events, "\n\ndata: ") + "\n\n" }
	const done = "data: [DONE]\n\n"
	for name, c := range map[string]struct{ body, has string }{
		"Azure's filter first":           {lines(`{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, delta(`"content":"x"`), stop) + done, `"x"`},
		"choices that are null first":    {lines(`{"choices":null}`, delta(`"content":"x"`), stop) + done, `"x"`},
		"a delta that is null":           {lines(delta(`"content":"x"`), `{"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}`) + done, `"x"`},
		"no delta at the end":            {lines(delta(`"content":"x"`), `{"choices":[{"index":0,"finish_reason":"stop"}]}`), `"x"`},
		"OpenRouter's comments":          {": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + lines(delta(`"content":"x"`), stop) + done, `"x"`},
		"an empty event":                 {lines(delta(`"content":"x"`)) + "data:\n\n" + lines(stop) + done, `"x"`},
		"an event that is null":          {lines(delta(`"content":"x"`), "null", stop) + done, `"x"`},
		"data of spaces":                 {lines(delta(`"content":"x"`)) + "data:   \n\n" + lines(stop) + done, `"x"`},
		"fields without data":            {"retry: 3\n\n" + lines(delta(`"content":"x"`)) + "id: 1\r\n\r\nevent: chunk\n: so\n\ndata\n\n" + lines(stop) + done, `"x"`},
		"carriage returns":               {strings.ReplaceAll(lines(delta(`"content":"x"`), stop)+done, "\n", "\r\n"), `"x"`},
		"carriage returns alone":         {strings.ReplaceAll(lines(delta(`"content":"x"`), stop)+done, "\n", "\r"), `"x"`},
		"DONE twice":                     {lines(delta(`"content":"x"`), stop) + done + done, `"x"`},
		"more after DONE":                {lines(delta(`"content":"x"`), stop) + done + lines(delta(`"content":"y"`), `{"error":{"code":"SYSTEM_ERROR"}}`), `"x"`},
		"a mark first":                   {"\uFEFF" + lines(delta(`"content":"x"`), stop) + done, `"x"`},
		"DONE with a space":              {lines(delta(`"content":"x"`), stop) + "data: [DONE] \n\n", `"x"`},
		"one event on two lines":         {"data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"x\"}}]}\n\n" + lines(stop) + done, `"x"`},
		"fields of other kinds":          {"id: 1\nevent: chunk\nretry: 3\n" + lines(delta(`"content":"x"`), stop) + done, `"x"`},
		"a ping between":                 {lines(delta(`"content":"x"`)) + "event: ping\ndata: {\"type\":\"ping\"}\n\n" + lines(stop) + done, `"x"`},
		"Gemini's upper case":            {lines(delta(`"content":"x"`), strings.Replace(stop, "stop", "STOP", 1)), `"x"`},
		"a finish with the content":      {lines(`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}`), `"x"`},
		"usage beside each chunk":        {lines(`{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, stop), `"x"`},
		"usage with numbers missing":     {lines(delta(`"content":"x"`), stop, `{"choices":[],"usage":{"prompt_tokens":null,"total_tokens":3}}`) + done, `"x"`},
		"usage with decimals":            {lines(delta(`"content":"x"`), stop, `{"choices":[],"usage":{"prompt_tokens":1.0,"completion_tokens":2e0,"total_time":0.25}}`) + done, `"x"`},
		"usage that is empty":            {lines(delta(`"content":"x"`), stop, `{"choices":[],"usage":{}}`) + done, `"x"`},
		"numbers as texts":               {lines(`{"created":"1","choices":[{"index":"0","delta":{"content":"x"}}]}`, stop) + done, `"x"`},
		"a half in the reasoning":        {lines(delta(`"reasoning_content":"\ud83d"`), delta(`"content":"x"`), stop) + done, `\ud83d`},
		"a half in arguments":            {lines(delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\":\"\ud83d"}}]`), delta(`"tool_calls":[{"index":0,"function":{"arguments":"\ude00\"}"}}]`), strings.Replace(stop, "stop", "tool_calls", 1)) + done, `\ude00`},
		"the second half first":          {lines(delta(`"content":"\ude00"`), stop) + done, `\ude00`},
		"half in a name of a member":     {lines(delta(`"content":"x","\ud83d":1`), stop) + done, `"x"`},
		"a key twice in a delta":         {lines(delta(`"role":"assistant","role":"assistant","content":"x"`), stop) + done, `"x"`},
		"a key twice at the top":         {lines(`{"id":"a","id":"a","choices":[{"index":0,"delta":{"content":"x"}}]}`, stop) + done, `"x"`},
		"a key twice in logprobs":        {lines(`{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"a":1,"a":2}}]}`, stop) + done, `"x"`},
		"images alone":                   {lines(delta(`"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]`), stop) + done, "AA"},
		"audio alone":                    {lines(delta(`"audio":{"id":"a","data":"AA"}`), stop) + done, "AA"},
		"reasoning alone":                {lines(delta(`"reasoning":"hm"`), stop) + done, "hm"},
		"reasoning in details":           {lines(delta(`"reasoning_details":[{"type":"reasoning.text","text":"hm"}]`), stop) + done, "hm"},
		"a refusal":                      {lines(delta(`"refusal":"no"`), stop) + done, "no"},
		"the older call of a function":   {lines(delta(`"function_call":{"name":"f","arguments":"{}"}`), strings.Replace(stop, "stop", "function_call", 1)) + done, `"f"`},
		"a code that is none":            {lines(`{"code":0,"message":"success","choices":[{"index":0,"delta":{"content":"x"}}]}`, stop) + done, `"x"`},
		"an error that is null":          {lines(`{"error":null,"choices":[{"index":0,"delta":{"content":"x"}}]}`, stop) + done, `"x"`},
		"nothing after its last bracket": {strings.TrimRight(lines(delta(`"content":"x"`), stop), "\n"), `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{says(200, c.body, "Content-Type", "text/event-stream")}, {good}}, claiming)
				got := s.call(streamBody("hello"), keyed...)
				if got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, c.has) || strings.Count(got.body, "[DONE]") != 1 || strings.Contains(got.body, `"error":{`) {
					t.Fatalf("%d, %v: %q", got.status, got.err, got.body)
				}
				if _, more, _ := strings.Cut(got.body, "[DONE]"); strings.TrimSpace(more) != "" {
					t.Errorf("after the end comes %q", more)
				}
				if has := without(got.body); has != "" {
					t.Errorf("clients read %q", has)
				}
				if o := <-s.seen.settled; o.Code != "" {
					t.Errorf("outcome %q", o.Code)
				}
				wantReplayed(t, s.call(streamBody("hello"), keyed...), got, "0")
				s.wantCalls(1, 0)
			})
		})
	}
}

// without gives an event without data that is in a stream, other than a comment: clients read a chunk in it
// (https://github.com/openai/openai-python/issues/3833).
func without(stream string) string {
	for event := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream), "\n\n") {
		fields, data := 0, ""
		for line := range strings.SplitSeq(event, "\n") {
			if line == "" || line[0] == ':' {
				continue
			}
			fields++
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				data += value
			}
		}
		if strings.TrimSpace(data) == "" && fields > 0 || strings.TrimSpace(data) == "null" {
			return event
		}
	}
	return ""
}

// TestLabelsOfStreams has a stream, and a failure, under labels that are not theirs.
func TestLabelsOfStreams(t *testing.T) {
	const events = "data: " + deltaEvent + "\n\ndata: " + finishEvent + "\n\ndata: [DONE]\n\n"
	for _, label := range []string{"application/json", "text/plain; charset=utf-8", "", "application/octet-stream", "text/event-stream; charset=utf-8"} {
		for name, body := range map[string]string{
			"plain": events, "comment": ": hi\n\n" + events, "blank lines": "\r\n\n" + events, "mark": "\xEF\xBB\xBF" + events,
			"event": "event: message\n" + events, "id": "id: 1\n" + events, "retry": "retry: 10\n\n" + events, "no space": strings.ReplaceAll(events, "data: ", "data:"),
		} {
			s := perform(t, [][]turn{{says(200, body, "Content-Type", label)}})
			got := s.call(streamBody("hello"))
			want := strings.TrimPrefix(strings.TrimPrefix(body, "\uFEFF"), "retry: 10\n\n") // which is no event, and read as one
			if got.status != http.StatusOK || got.err != nil || got.body != want || !strings.HasPrefix(got.header.Get("Content-Type"), "text/event-stream") {
				t.Errorf("%q, %s: %d %v %v %s", label, name, got.status, got.err, got.header, got.body)
			}
		}
		s := perform(t, [][]turn{{says(200, ` {"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`, "Content-Type", label)}})
		if got := s.call(streamBody("hello")); got.status != http.StatusOK || !strings.HasSuffix(got.body, "[DONE]\n\n") {
			t.Errorf("%q, whole: %d %s", label, got.status, got.body)
		}
		for _, odd := range []string{"", "nonsense", "dat", "<html>"} {
			s := perform(t, [][]turn{{says(200, odd, "Content-Type", label)}})
			if got := s.call(streamBody("hello")); got.status != http.StatusBadGateway {
				t.Errorf("%q, %q: %d %s", label, odd, got.status, got.body)
			}
		}
	}
}

// TestLargeEvents holds that max_answer bounds an event, wherever it comes, and that its room is reserved.
func TestLargeEvents(t *testing.T) {
	large := func(n int) string { return `{"choices":[{"delta":{"content":"` + strings.Repeat("x", n) + `"}}]}` }
	image := `{"choices":[{"delta":{"images":[{"image_url":{"url":"data:` + strings.Repeat("A", 3<<20) + `"}}]}}]}`
	quiet := `{"choices":[],"notes":"` + strings.Repeat("x", 2<<20) + `"}`
	for name, test := range map[string]struct {
		events []string
		code   string
	}{
		"first":            {[]string{large(3 << 20), finishEvent, "[DONE]"}, ""},
		"later":            {[]string{deltaEvent, large(3 << 20), finishEvent, "[DONE]"}, ""},
		"an image":         {[]string{image, finishEvent, "[DONE]"}, ""},
		"before content":   {[]string{quiet, deltaEvent, finishEvent, "[DONE]"}, ""},
		"too large":        {[]string{large(4 << 20), finishEvent, "[DONE]"}, "upstream_response_too_large"},
		"too much to hold": {[]string{quiet, quiet, deltaEvent, finishEvent, "[DONE]"}, "upstream_response_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{streams(nil, test.events...)}}, func(g *alipayai.Gateway) { g.MaxAnswer, g.MaxBuffered = 4<<20, 8<<20 })
			got := s.call(streamBody("hello"))
			if test.code != "" {
				wantError(t, got, http.StatusBadGateway, test.code)
			} else if got.status != http.StatusOK || got.err != nil || !strings.HasSuffix(got.body, "[DONE]\n\n") || len(got.body) < 2<<20 {
				t.Errorf("%d %v, %d bytes", got.status, got.err, len(got.body))
			}
			if held := s.gateway.Held(); held != 0 {
				t.Errorf("%d bytes stay reserved", held)
			}
		})
	}
}
