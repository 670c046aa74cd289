package openai

import (
	"strings"
	"testing"
)

// TestEmbeddings has answers in the encoding that was not asked for, and such as lack what tells their embeddings apart.
func TestEmbeddings(t *testing.T) {
	const (
		asks    = `{"model":"m","input":["a","b"],"encoding_format":"base64"}`
		plain   = `{"model":"m","input":["a","b"]}`
		numbers = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":[1, -2.5]},{"object":"embedding","index":1,"embedding":[0.1]}],"model":"m"}`
		encoded = `{"object":"list", "data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIMA="},{"object":"embedding","index":1,"embedding":"zczMPQ=="}],"model":"m"}`
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
		"no embeddings":      {plain, `{"data":[{"object":"embedding"},{},[],{"embedding":[1]}],"embedding":{"a":0}}`, `{"data":[{"object":"embedding"},{},[],{"index":3,"embedding":[1]}],"embedding":{"a":0}}`},
		"https://github.com/agentgateway/agentgateway/pull/2684": {plain, `{"data":[{"index":0,"embedding":[1]}],"model":null,"usage":{"prompt_tokens":1,"total_tokens":1}}`, `{"data":[{"index":0,"embedding":[1]}],"model":"asked","usage":{"prompt_tokens":1,"total_tokens":1}}`},
		"https://github.com/raphaelmansuy/edgequake/issues/164":  {plain, `{"data":[{"embedding":[0.1],"index":0},{"object":null,"embedding":[0.2],"index":1}]}`, `{"data":[{"embedding":[0.1],"index":0},{"object":"embedding","embedding":[0.2],"index":1}]}`},
		"https://github.com/api7/aisix/pull/483":                 {plain, numbers[:len(numbers)-1] + `,"usage":{"total_tokens":6}}`, numbers[:len(numbers)-1] + `,"usage":{"prompt_tokens":6,"total_tokens":6}}`},
		"a usage in a text":                                      {plain, numbers[:len(numbers)-1] + `,"usage":{"total_tokens":"6"}}`, numbers[:len(numbers)-1] + `,"usage":{"prompt_tokens":6,"total_tokens":6}}`},
		"no JSON":                                                {asks, `{"data":[`, `{"data":[`},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if want != tt.answer || !strings.HasPrefix(want, `{"object"`) { // what no answer but the whole ones have
				want = strings.NewReplacer(`{"index":0,"object"`, `{"index":0,"object"`, `{"index"`, `{"object":"embedding","index"`, `{"embedding"`, `{"object":"embedding","embedding"`).Replace(want)
				if head := `{"object":"list","model":"asked",`; strings.HasPrefix(want, `{"data"`) && name != "no JSON" {
					if strings.Contains(want, `"model"`) {
						head = `{"object":"list",`
					}
					want = head + want[1:]
				}
			}
			if got := string(Embeddings([]byte(tt.request), []byte(tt.answer), "asked")); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}
