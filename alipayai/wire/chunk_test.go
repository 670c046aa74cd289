package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestParseChunk(t *testing.T) {
	delta := func(members string) string {
		return `{"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{` + members + `},"finish_reason":null}]}`
	}
	quiet := Answer{Model: "m", HasChoices: true}
	speaks := Answer{Model: "m", HasChoices: true, Content: true}
	tests := map[string]struct {
		data string
		want Chunk
	}{
		"role":               {delta(`"role":"assistant"`), Chunk{Answer: quiet}},
		"empty text":         {delta(`"role":"assistant","content":""`), Chunk{Answer: quiet}},
		"null text":          {delta(`"content":null,"tool_calls":null,"refusal":null`), Chunk{Answer: quiet}},
		"text":               {delta(`"content":"h"`), Chunk{Answer: speaks}},
		"white space":        {delta(`"content":"\n"`), Chunk{Answer: speaks}},
		"content parts":      {delta(`"content":[{"type":"thinking"}]`), Chunk{Answer: speaks}},
		"reasoning_content":  {delta(`"content":null,"reasoning_content":"h"`), Chunk{Answer: speaks}},
		"reasoning":          {delta(`"reasoning":"h"`), Chunk{Answer: speaks}},
		"refusal":            {delta(`"refusal":"no"`), Chunk{Answer: speaks}},
		"tool call":          {delta(`"tool_calls":[{"index":0,"function":{"arguments":""}}]`), Chunk{Answer: speaks}},
		"no tool calls":      {delta(`"tool_calls":[]`), Chunk{Answer: quiet}},
		"function call":      {delta(`"function_call":{"name":"f"}`), Chunk{Answer: speaks}},
		"audio":              {delta(`"audio":{"data":"x"}`), Chunk{Answer: speaks}},
		"other members":      {delta(`"provider":"x","annotations":[1]`), Chunk{Answer: quiet}},
		"escaped names":      {delta(`"c\u006fntent":"h"`), Chunk{Answer: speaks}},
		"finish":             {`{"choices":[{"delta":{},"finish_reason":"content_filter"}]}`, Chunk{Answer: Answer{HasChoices: true, FinishReason: "content_filter"}}},
		"usage":              {`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, Chunk{Answer: Answer{Usage: Usage{Prompt: 1, Completion: 2, Total: 3, OK: true}}}},
		"null usage":         {`{"choices":[{"delta":{"content":"a"}}],"usage":null,"error":null}`, Chunk{Answer: Answer{HasChoices: true, Content: true}}},
		"done":               {`[DONE]`, Chunk{Done: true}},
		"done and more":      {`[DONE] `, Chunk{Done: true}},
		"end of nextbuilder": {`{"type":"end"}`, Chunk{}},
		"nextbuilder text":   {`{"type":"text","payload":"{\"text\":\"x\"}"}`, Chunk{}},
		"escaped model":      {`{"model":"\u006d"}`, Chunk{Answer: Answer{Model: "m"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseChunk([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			got.ContentBytes, got.Loose = 0, false // see TestLoose
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
	for name, tt := range malformed {
		t.Run("malformed/"+name, func(t *testing.T) {
			_, err := ParseChunk([]byte(tt.text))
			checkMalformed(t, err, tt.says)
		})
	}
}

func TestParseEvent(t *testing.T) {
	fails := func(f Failure) Chunk { return Chunk{Answer: Answer{Failure: &f}} }
	tests := map[string]struct {
		typ, data string
		want      Chunk
	}{
		"comment":                 {"", "", Chunk{}},
		"text":                    {"", `{"choices":[{"delta":{"content":"a"}}]}`, Chunk{Answer: Answer{HasChoices: true, Content: true}}},
		"done":                    {"", "[DONE]", Chunk{Done: true}},
		"typed":                   {"message", `{"model":"m"}`, Chunk{Answer: Answer{Model: "m"}}},
		"OpenAI error":            {"", `{"error":{"code":"SYSTEM_ERROR"}}`, fails(Failure{Code: "SYSTEM_ERROR"})},
		"OpenAI error event":      {"error", `{"error":{"code":"SYSTEM_ERROR"}}`, fails(Failure{Code: "SYSTEM_ERROR"})},
		"nextbuilder error":       {"error", `{"payload":"{\"errorCode\":\"Resource-Not-Found\"}","type":"error"}`, fails(Failure{Code: "Resource-Not-Found"})},
		"nextbuilder end":         {"end", `{"type":"end"}`, Chunk{}},
		"error, message only":     {"error", `{"message":"m"}`, fails(Failure{Message: "m"})},
		"error, success code":     {"error", `{"code":"200","message":"m"}`, fails(Failure{Message: "m"})},
		"error, plain text":       {"error", "upstream\x00 said no", fails(Failure{Message: "upstream said no"})},
		"error, cut JSON":         {"error", `{"code":`, fails(Failure{Message: `{"code":`})},
		"error, invalid UTF-8":    {"error", "a\xffb", fails(Failure{Message: "a\uFFFDb"})},
		"error, nothing":          {"error", "", fails(Failure{})},
		"error, [DONE] within":    {"error", "[DONE]", fails(Failure{Message: "[DONE]"})},
		"error, long":             {"error", strings.Repeat("x", 5000), fails(Failure{Message: strings.Repeat("x", maxMessage)})},
		"error, but with choices": {"error", `{"choices":[{}],"code":"C"}`, Chunk{Answer: Answer{HasChoices: true, Failure: &Failure{Code: "C"}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseEvent(Event{Type: []byte(tt.typ), Data: []byte(tt.data)})
			if err != nil {
				t.Fatal(err)
			}
			if (got.Failure == nil) != (tt.want.Failure == nil) {
				t.Fatalf("Failure = %+v, want %+v", got.Failure, tt.want.Failure)
			}
			if got.Failure != nil && *got.Failure != *tt.want.Failure {
				t.Errorf("Failure = %+v, want %+v", *got.Failure, *tt.want.Failure)
			}
			got.Failure, tt.want.Failure, got.ContentBytes, got.Loose = nil, nil, 0, false
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
	t.Run("malformed", func(t *testing.T) {
		_, err := ParseEvent(Event{Data: []byte(`{"choices":[`)})
		checkMalformed(t, err, "ends too early")
	})
}

// TestPooledScannersKeepNothing parses texts in turn that could shine through each other if a scanner kept state.
func TestPooledScannersKeepNothing(t *testing.T) {
	for range 100 {
		if c, err := ParseChunk([]byte(`{"model":"one","error":{"c\u006fde":"C"},"choices":[{"delta":{"content":"a"}}]}`)); err != nil || c.Model != "one" || c.Failure == nil {
			t.Fatalf("%+v, %v", c, err)
		}
		if _, err := ParseChunk([]byte(`{"model":"one","a":{"b":[{"model":`)); !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		if c, err := ParseChunk([]byte(`{"model":"two","a":{"model":1}}`)); err != nil || c.Model != "two" || c.Failure != nil || c.Content {
			t.Fatalf("%+v, %v", c, err)
		}
		if c, err := ParseChunk([]byte(`{"object":"x"}`)); err != nil || c != (Chunk{Answer: Answer{Loose: true}}) {
			t.Fatalf("%+v, %v", c, err)
		}
	}
}

func FuzzParseChunk(f *testing.F) {
	for _, seed := range [][2]string{
		{"", `{"model":"m","choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":null}`},
		{"error", `{"payload":"{\"errorCode\":\"X\"}","type":"error"}`}, {"", `[DONE]`}, {"error", "\xff\x00"},
		{"end", `{"type":"end"}`}, {"", `{"error":"\ud83d\ude00"}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, typ, data []byte) {
		c, err := ParseEvent(Event{Type: typ, Data: data})
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		if string(typ) == "error" && c.Failure == nil {
			t.Fatal("an error event without a failure")
		}
		if c.Failure != nil {
			checkCapped(t, *c.Failure)
		}
		if len(c.FinishReason) > maxWord {
			t.Fatalf("finish reason of %d bytes", len(c.FinishReason))
		}
		if chunk, err := ParseChunk(data); err == nil && !chunk.Done {
			body, err := ParseBody(data, Limits{})
			if err != nil || (body.Failure == nil) != (chunk.Failure == nil) {
				t.Fatalf("as a body: %+v, %v; as a chunk: %+v", body, err, chunk)
			}
		}
	})
}

// What content takes is told alike by both readers of a stream.
func TestContentBytes(t *testing.T) {
	var r ChunkReader
	for content, want := range map[string]int{`""`: 0, `"four"`: 7, `"a longer one"`: 15, `"\u4f60"`: 9} {
		event := Event{Data: []byte(`{"choices":[{"delta":{"content":` + content + `}}]}`)}
		chunk, err := ParseEvent(event)
		if err != nil || chunk.ContentBytes != want {
			t.Errorf("%s: %d bytes, %v; want %d", content, chunk.ContentBytes, err, want)
		}
		for range 2 {
			if chunk, err = r.Read(event); err != nil || chunk.ContentBytes != want {
				t.Errorf("%s: a stream's reader says %d bytes, %v; want %d", content, chunk.ContentBytes, err, want)
			}
		}
	}
}
