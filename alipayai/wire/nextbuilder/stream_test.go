package nextbuilder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestGoldenStreams holds the exact bytes that each stream in testdata becomes, as events and as one answer.
func TestGoldenStreams(t *testing.T) {
	streams, err := filepath.Glob("testdata/*.sse")
	if err != nil || len(streams) == 0 {
		t.Fatalf("%d streams, %v", len(streams), err)
	}
	for _, path := range streams {
		name := strings.TrimSuffix(path, ".sse")
		t.Run(filepath.Base(name), func(t *testing.T) {
			stream := golden(t, path)
			got := translate(strings.NewReader(stream), someAsk())
			if want := golden(t, name+".chunks"); got.out != want {
				t.Errorf("\n got %s\nwant %s", got.out, want)
			}
			if !got.done || got.finish != "stop" || !got.content || got.err != nil {
				t.Errorf("%+v", got)
			}
			answer, _, err := format.DecodeAnswer([]byte(stream), someAsk())
			if want := strings.TrimSuffix(golden(t, name+".json"), "\n"); string(answer) != want || err != nil {
				t.Errorf("\n got %s, %v\nwant %s", answer, err, want)
			}
		})
	}
}

func golden(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	thought = "event: message\ndata: {\"type\":\"thinking\",\"payload\":\"{\\\"text\\\":\\\"hm\\\"}\"}\n\n"
	hi      = "event: message\ndata: {\"type\":\"text\",\"payload\":\"{\\\"text\\\":\\\"hi\\\"}\"}\n\n"
	end     = "event: end\ndata: {\"type\":\"end\"}\n\n"
	broken  = "event: error\ndata: {\"payload\":\"{\\\"errorCode\\\":\\\"SYSTEM_ERROR\\\",\\\"errorMessage\\\":\\\"busy\\\"}\",\"type\":\"error\"}\n\n"
)

func event(data string) string { return "data: " + data + "\n\n" }

func TestDecodeStream(t *testing.T) {
	systemError := &wire.Failure{Code: "SYSTEM_ERROR", Message: "busy"}
	tests := map[string]struct {
		stream         string
		text, thinking string
		done           bool
		failure        *wire.Failure
		err            error
	}{
		"whole":                         {stream: thought + hi + hi + end, text: "hihi", thinking: "hm", done: true},
		"thinking alone":                {stream: thought + end, thinking: "hm", done: true},
		"thinking between":              {stream: hi + thought + hi + end, text: "hihi", thinking: "hm", done: true},
		"carriage returns":              {stream: strings.ReplaceAll(hi+end, "\n", "\r\n"), text: "hi", done: true},
		"no event names":                {stream: event(`{"type":"text","payload":"hi"}`) + event(`{"type":"end"}`), text: "hi", done: true},
		"end by its name":               {stream: hi + "event: end\n\n", text: "hi", done: true},
		"null between":                  {stream: event("null") + hi + "event: message\ndata: null\n\n" + end, text: "hi", done: true},
		"end with a last word":          {stream: "event: end\ndata: {\"type\":\"text\",\"payload\":\"bye\"}\n\n", text: "bye", done: true},
		"after the end":                 {stream: hi + end + hi + broken, text: "hi", done: true},
		"pings":                         {stream: "event: ping\ndata: anything\n\n: comment\n\n" + hi + event(`{"type":"ping"}`) + end, text: "hi", done: true},
		"unknown types":                 {stream: event(`{"type":"card","payload":{"text":"x"}}`) + hi + event(`{"payload":"x"}`) + event(`{}`) + end, text: "hi", done: true},
		"unknown event":                 {stream: "event: beat\ndata: {\"type\":\"beat\",\"payload\":7}\n\n" + hi + end, text: "hi", done: true},
		"words that are JSON":           {stream: event(`{"type":"text","payload":"{\"a\":1}"}`) + event(`{"type":"text","payload":"7"}`) + event(`{"type":"text","payload":"{"}`) + end, text: `{"a":1}7{`, done: true},
		"text first":                    {stream: event(`{"type":"text","payload":{"answer":"c","content":"b","text":"a"}}`) + end, text: "a", done: true},
		"escapes":                       {stream: event(`{"type":"text","payload":"{\"text\":\"\\u7528\\ud83d\\ude00\\\"\\\\\\n\"}"}`) + end, text: "用😀\"\\\n", done: true},
		"words like an answer's":        {stream: event(`{"type":"text","payload":"{\"text\":\"data: [DONE]\\n\\ndata: {\\\"error\\\":1}\"}"}`) + end, text: "data: [DONE]\n\ndata: {\"error\":1}", done: true},
		"end at once":                   {stream: end, done: true},
		"end after nothing said":        {stream: event(`{"type":"text","payload":""}`) + end, done: true},
		"error at once":                 {stream: broken + end, failure: systemError},
		"error after thinking":          {stream: thought + broken + end, thinking: "hm", failure: systemError},
		"error after content":           {stream: hi + broken + end, text: "hi", failure: systemError},
		"error by its type":             {stream: event(`{"type":"error","payload":{"errorCode":"Resource-Not-Found"}}`), failure: &wire.Failure{Code: "Resource-Not-Found"}},
		"error by its name":             {stream: "event: error\ndata: gone\n\n", failure: &wire.Failure{Message: "gone"}},
		"error without data":            {stream: hi + "event: error\n\n", text: "hi", failure: &wire.Failure{}},
		"error of the Open Platform":    {stream: event(`{"code":"app-call-limited","message":"slow down"}`), failure: &wire.Failure{Code: "app-call-limited", Message: "slow down"}},
		"cut":                           {stream: hi + end[:len(end)-1], text: "hi", err: io.ErrUnexpectedEOF},
		"no end":                        {stream: thought + hi, text: "hi", thinking: "hm", err: io.EOF},
		"nothing":                       {err: io.EOF},
		"not JSON":                      {stream: hi + event(`{"type":`), text: "hi", err: wire.ErrMalformed},
		"OpenAI's end":                  {stream: hi + event("[DONE]"), text: "hi", err: wire.ErrMalformed},
		"no object":                     {stream: event(`"hi"`), err: wire.ErrMalformed},
		"key twice":                     {stream: event(`{"type":"text","type":"end"}`), err: wire.ErrMalformed},
		"not UTF-8":                     {stream: event("{\"type\":\"text\",\"payload\":\"\xff\"}"), err: wire.ErrMalformed},
		"half a surrogate":              {stream: event(`{"type":"text","payload":"\ud83d"}`) + event(`{"type":"text","payload":{"text":"!"}}`) + end, text: "\uFFFD!", done: true},
		"type a number":                 {stream: event(`{"type":7,"payload":"hi"}`), err: wire.ErrMalformed},
		"text a number":                 {stream: event(`{"type":"text","payload":7}`), err: wire.ErrMalformed},
		"text in an array":              {stream: event(`{"type":"text","payload":["hi"]}`), err: wire.ErrMalformed},
		"text under an unknown name":    {stream: event(`{"type":"text","payload":{"words":"hi"}}`), err: wire.ErrMalformed},
		"thinking that cannot be read":  {stream: event(`{"type":"thinking","payload":true}`), err: wire.ErrMalformed},
		"end whose data cannot be read": {stream: hi + "event: end\ndata: bye\n\n", text: "hi", err: wire.ErrMalformed},
		"nested too deep":               {stream: event(`{"type":"card","payload":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), err: wire.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := translate(strings.NewReader(tt.stream), someAsk())
			text, thinking, finish, done := readStream(t, got.out)
			if text != tt.text || thinking != tt.thinking {
				t.Errorf("text %q, thinking %q, want %q, %q", text, thinking, tt.text, tt.thinking)
			}
			if got.done != tt.done || done != tt.done {
				t.Errorf("done %t, as written %t, want %t", got.done, done, tt.done)
			}
			spoke := tt.text != "" || tt.thinking != ""
			if got.content != spoke || (got.finish == "stop") != (tt.done && spoke) || got.finish != finish {
				t.Errorf("content %t, finish %q, as written %q", got.content, got.finish, finish)
			}
			if !errors.Is(got.err, tt.err) || (got.err == nil) != (tt.err == nil) {
				t.Errorf("error %v, want %v", got.err, tt.err)
			}
			if (got.failure == nil) != (tt.failure == nil) || got.failure != nil && *got.failure != *tt.failure {
				t.Errorf("failure %+v, want %+v", got.failure, tt.failure)
			}
		})
	}
}

// TestNothingFollowsAnEnd reads on after the end and after a failure, as no gateway would.
func TestNothingFollowsAnEnd(t *testing.T) {
	for name, last := range map[string]string{"end": end, "error": broken} {
		t.Run(name, func(t *testing.T) {
			decoder := format.DecodeStream(someAsk())
			events := wire.NewEventReader(strings.NewReader(hi+last+hi+end+broken), 0)
			defer events.Release()
			for n := range 5 {
				ev, err := events.Next()
				if err != nil {
					t.Fatal(err)
				}
				out, chunk, err := decoder.Decode([]byte("before"), ev)
				if err != nil {
					t.Fatal(err)
				}
				if n > 1 && (string(out) != "before" || chunk != wire.Chunk{}) {
					t.Errorf("event %d is %q, %+v", n, out, chunk)
				}
				if chunk.Failure != nil && string(out) != "before" {
					t.Errorf("a failure is written: %q", out)
				}
				if !bytes.HasPrefix(out, []byte("before")) {
					t.Errorf("event %d overwrites what was there: %q", n, out)
				}
			}
		})
	}
}

func TestChunksSayWhatTheyAre(t *testing.T) {
	decoder := format.DecodeStream(someAsk())
	events := wire.NewEventReader(strings.NewReader(event(`{"type":"card","usage":{"prompt_tokens":2,"completion_tokens":3}}`)+thought+hi+end), 0)
	defer events.Release()
	for n, want := range []wire.Chunk{
		{},
		{Answer: wire.Answer{Model: "agent-1", HasChoices: true, Content: true}},
		{Answer: wire.Answer{Model: "agent-1", HasChoices: true, Content: true}},
		{Answer: wire.Answer{Model: "agent-1", HasChoices: true, FinishReason: "stop",
			Usage: wire.Usage{Prompt: 2, Completion: 3, Total: 5, OK: true}}, Done: true},
	} {
		ev, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := decoder.Decode(nil, ev); got != want || err != nil {
			t.Errorf("event %d\n got %+v, %v\nwant %+v", n, got, err, want)
		}
	}
}

func TestUsageChunk(t *testing.T) {
	known := event(`{"type":"end","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`)
	tests := map[string]struct {
		end   string
		asked bool
		want  bool
	}{
		"asked for":               {known, true, true},
		"not asked for":           {known, false, false},
		"asked for, but unknown":  {end, true, false},
		"asked for, implausible":  {event(`{"type":"end","usage":{"prompt_tokens":-1}}`), true, false},
		"asked for, but no usage": {event(`{"type":"end","usage":null}`), true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ask := someAsk()
			ask.IncludeUsage = tt.asked
			got := translate(strings.NewReader(hi+tt.end), ask)
			if has := strings.Contains(got.out, `"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`); has != tt.want {
				t.Errorf("usage chunk: %t\n%s", has, got.out)
			}
			if got.usage.OK != (tt.end == known) {
				t.Errorf("usage %+v", got.usage)
			}
		})
	}
}

func TestModelOfTheAnswer(t *testing.T) {
	ask := someAsk()
	ask.UpstreamModel = ""
	ask.Model = `m"1`
	if got := translate(strings.NewReader(hi+end), ask); !strings.Contains(got.out, `"model":"m\"1"`) {
		t.Error(got.out)
	}
	f := Format{AgentID: "a"}
	out, _, err := f.DecodeStream(ask).Decode(nil, wire.Event{Data: []byte(`{"type":"text","payload":"x"}`)})
	if err != nil || bytes.Contains(out, []byte(`"created":0,`)) || bytes.Contains(out, []byte(`"created":-`)) {
		t.Errorf("without a clock: %s, %v", out, err)
	}
}
