package openai

import "testing"

// TestEmbeddings has answers in the encoding that was not asked for.
func TestEmbeddings(t *testing.T) {
	const (
		asks    = `{"model":"m","input":["a","b"],"encoding_format":"base64"}`
		numbers = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":[1, -2.5]},{"index":1,"embedding":[0.1]}],"model":"m"}`
		encoded = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIMA="},{"index":1,"embedding":"zczMPQ=="}],"model":"m"}`
	)
	for name, tt := range map[string]struct{ request, answer, want string }{
		"https://github.com/BerriAI/litellm/pull/42421": {asks, numbers, encoded},
		"as asked":          {asks, encoded, encoded},
		"numbers are asked": {`{"input":"base64","encoding_format":"float"}`, numbers, numbers},
		"nothing is asked":  {`{"input":"a"}`, numbers, numbers},
		"the text is named": {`{"input":"\"base64\""}`, numbers, numbers},
		"none":              {asks, `{"data":[{"embedding":[]}]}`, `{"data":[{"embedding":""}]}`},
		"no numbers":        {asks, `{"data":[{"embedding":["1"]},{"embedding":[null]},{"embedding":null},{"embedding":[[1]]},7]}`, `{"data":[{"embedding":["1"]},{"embedding":[null]},{"embedding":null},{"embedding":[[1]]},7]}`},
		"too large":         {asks, `{"data":[{"embedding":[1e300]}]}`, `{"data":[{"embedding":[1e300]}]}`},
		"no JSON":           {asks, `{"data":[`, `{"data":[`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(Embeddings([]byte(tt.request), []byte(tt.answer))); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}
