package openai

import "testing"

// TestEmbeddings has answers in the encoding that was not asked for, and such as lack what tells their embeddings apart.
func TestEmbeddings(t *testing.T) {
	const (
		asks    = `{"model":"m","input":["a","b"],"encoding_format":"base64"}`
		plain   = `{"model":"m","input":["a","b"]}`
		numbers = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":[1, -2.5]},{"index":1,"embedding":[0.1]}],"model":"m"}`
		encoded = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIMA="},{"index":1,"embedding":"zczMPQ=="}],"model":"m"}`
	)
	for name, tt := range map[string]struct{ request, answer, want string }{
		"https://github.com/BerriAI/litellm/pull/42421": {asks, numbers, encoded},
		"as asked":          {asks, encoded, encoded},
		"numbers are asked": {`{"input":"base64","encoding_format":"float"}`, numbers, numbers},
		"nothing is asked":  {`{"input":"a"}`, numbers, numbers},
		"the text is named": {`{"input":"\"base64\""}`, numbers, numbers},
		"none":              {asks, `{"data":[{"index":0,"embedding":[]}]}`, `{"data":[{"index":0,"embedding":""}]}`},
		"no numbers":        {asks, `{"data":[{"index":0,"embedding":["1"]},{"index":1,"embedding":[null]},{"index":2,"embedding":null},{"index":3,"embedding":[[1]]},7]}`, `{"data":[{"index":0,"embedding":["1"]},{"index":1,"embedding":[null]},{"index":2,"embedding":null},{"index":3,"embedding":[[1]]},7]}`},
		"too large":         {asks, `{"data":[{"index":0,"embedding":[1e300]}]}`, `{"data":[{"index":0,"embedding":[1e300]}]}`},
		"https://github.com/samfoy/pi-session-search/issues/13":    {plain, `{"data":[{"object":"embedding" , "embedding" : [1]},{"object":"embedding","index":1,"embedding":[2]}]}`, `{"data":[{"index":0,"object":"embedding" , "embedding" : [1]},{"object":"embedding","index":1,"embedding":[2]}]}`},
		"https://github.com/spring-projects/spring-ai/issues/7019": {asks, `{"data":[{"embedding":[1, -2.5]},{"index":null,"embedding":"zczMPQ=="}]}`, `{"data":[{"index":0,"embedding":"AACAPwAAIMA="},{"index":1,"embedding":"zczMPQ=="}]}`},
		"the first, later":   {plain, `{"data":[{"index":1,"embedding":[1]},{"embedding":[2]}]}`, `{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[2]}]}`},
		"which is not known": {plain, `{"data":[{"index":1,"embedding":[1]},{"embedding":[2]},{"embedding":[3]}]}`, `{"data":[{"index":1,"embedding":[1]},{"embedding":[2]},{"embedding":[3]}]}`},
		"in another order":   {plain, `{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[2]}]}`, `{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[2]}]}`},
		"no embeddings":      {plain, `{"data":[{"object":"embedding"},{},[],{"embedding":[1]}],"embedding":{"embedding":0}}`, `{"data":[{"object":"embedding"},{},[],{"index":3,"embedding":[1]}],"embedding":{"embedding":0}}`},
		"no JSON":            {asks, `{"data":[`, `{"data":[`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(Embeddings([]byte(tt.request), []byte(tt.answer))); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}
