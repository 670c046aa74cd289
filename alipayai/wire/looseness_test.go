package wire

import (
	"strings"
	"testing"
)

// TestLoose has answers, and chunks, that are as OpenAI's API has them, and each of the ways in which others are not.
func TestLoose(t *testing.T) {
	const (
		full  = `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"service_tier":"default"}`
		whole = `{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`
	)
	for name, tt := range map[string]struct {
		from, to string
		loose    bool
	}{
		"all there":            {"", "", false},
		"no usage yet":         {`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`, `null`, false},
		"an unknown tier":      {`"default"`, `"x"`, false},
		"no tier":              {`"default"`, `null`, false},
		"no role":              {`"role":"assistant",`, ``, false}, // see ChunkReader.Begins
		"a role of null":       {`"assistant"`, `null`, false},
		"no choice":            {`{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}`, ``, false},
		"details of nulls":     {`"total_tokens":3`, `"total_tokens":3,"prompt_tokens_details":{"cached_tokens":null}`, false},
		"an empty role":        {`"assistant"`, `""`, true},
		"no id":                {`"id":"c",`, ``, true},
		"an empty id":          {`"c"`, `""`, true},
		"an id of null":        {`"c"`, `null`, true},
		"a number for an id":   {`"c"`, `7`, true},
		"no object":            {`"object":"chat.completion.chunk",`, ``, true},
		"another object":       {`chat.completion.chunk`, `chat.completion`, true},
		"no time":              {`"created":7,`, ``, true},
		"a part of a second":   {`"created":7`, `"created":7.5`, true},
		"a text for a time":    {`"created":7`, `"created":"7"`, true},
		"no model":             {`"model":"m",`, ``, true},
		"a number for a model": {`"m"`, `7`, true},
		"no choices":           {`"choices":[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}],`, ``, true},
		"choices of null":      {`[{"index":0,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]`, `null`, true},
		"no index":             {`"index":0,`, ``, true},
		"a text for an index":  {`"index":0`, `"index":"0"`, true},
		"an empty reason":      {`"finish_reason":null`, `"finish_reason":""`, true},
		"no total":             {`,"total_tokens":3`, ``, true},
		"a total of null":      {`"total_tokens":3`, `"total_tokens":null`, true},
		"a text for a total":   {`"total_tokens":3`, `"total_tokens":"3"`, true},
		"an empty usage":       {`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`, `{}`, true},
		"a list for a usage":   {`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`, `[]`, true},
		"another's tier":       {`"default"`, `"standard"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			chunk, err := ParseChunk([]byte(strings.Replace(full, tt.from, tt.to, 1)))
			if err != nil || chunk.Loose != tt.loose {
				t.Errorf("%v, %v", chunk.Loose, err)
			}
		})
	}
	for name, tt := range map[string]struct {
		from, to string
		loose    bool
	}{
		"all there":      {"", "", false},
		"no reason":      {`,"finish_reason":"stop"`, ``, false},
		"no content":     {`,"content":"x"`, ``, false},
		"no role":        {`"role":"assistant",`, ``, true},
		"a role of null": {`"assistant"`, `null`, true},
		"a chunk":        {`"chat.completion"`, `"chat.completion.chunk"`, true},
	} {
		t.Run("whole, "+name, func(t *testing.T) {
			a, err := ParseBody([]byte(strings.Replace(whole, tt.from, tt.to, 1)), Limits{})
			if err != nil || a.Loose != tt.loose {
				t.Errorf("%v, %v", a.Loose, err)
			}
		})
	}
}
