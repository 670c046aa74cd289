package alipayai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// respondsWith writes texts as a response of the Responses API, or as its stream, with what proxies send to keep a connection.
func respondsWith(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		text, _ := json.Marshal(strings.Join(texts, ""))
		response := fmt.Sprintf(`{"id":"resp_own","object":"response","status":"completed","model":"m-1","output":[{"type":"message","id":"msg_own","role":"assistant","status":"completed","content":[{"type":"output_text","text":%s,"annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`, text)
		if !strings.Contains(string(asked), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, response)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		n := 0
		event := func(kind, more string) {
			fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,%s}\n\n", kind, kind, n, more)
			_ = http.NewResponseController(w).Flush()
			n++
		}
		event("response.created", `"response":{"id":"resp_own","object":"response","status":"in_progress","model":"m-1","output":[]}`)
		for _, text := range texts {
			delta, _ := json.Marshal(text)
			event("response.output_text.delta", `"item_id":"msg_own","output_index":0,"content_index":0,"delta":`+string(delta))
			fmt.Fprint(w, stillHere)
			_ = http.NewResponseController(w).Flush()
		}
		event("response.completed", `"response":`+response)
	}
}

const stillHere = ": still here\n\n"

var responseID = regexp.MustCompile(`resp_[0-9a-z_]+`)

// A response is guarded and kept alike whether it comes in the provider's own words or is translated, as a whole or as a stream:
// what is refused is not shown, and not kept.
func TestResponsesGuardedAndKept(t *testing.T) {
	long := strings.Repeat("this is harmless. ", 10)
	answers := map[string]struct {
		texts   []string
		blocked bool
	}{
		"fine":          {[]string{long, "fine"}, false},
		"blocked":       {[]string{"a secret hand", "shake"}, true},
		"blocked later": {[]string{long, long, "the secret ", "hand", "shake ", long}, true},
	}
	for name, answer := range answers {
		for _, native := range []bool{false, true} {
			for _, guarded := range []bool{false, true} {
				for _, keeps := range []bool{false, true} {
					for _, stream := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s, native %v, guarded %v, kept %v, stream %v", name, native, guarded, keeps, stream), func(t *testing.T) {
							t.Parallel()
							serves, edits := tells(answer.texts...), []func(*alipayai.Gateway){first(anyModel)}
							if native {
								serves = respondsWith(answer.texts...)
								edits = append(edits, first(func(p *upstream.Provider) { p.Responses = true }))
							}
							if keeps {
								edits = append(edits, keeping)
							}
							var asked atomic.Value
							upstream := func(w http.ResponseWriter, r *http.Request) {
								body, _ := io.ReadAll(r.Body)
								asked.Store(string(body))
								r.Body = io.NopCloser(strings.NewReader(string(body)))
								serves(w, r)
							}
							var r *rig
							if guarded {
								r, _ = guardedRig(t, upstream, edits...)
							} else {
								r = newPlainRig(t, upstream, edits...)
							}
							body := func(more string) string {
								return fmt.Sprintf(`{"model":"m","stream":%v,"input":"hello"%s}`, stream, more)
							}
							got := r.post(responsesPath, body(""))
							refused := answer.blocked && guarded
							if late := refused && stream && name == "blocked later"; (got.status == http.StatusOK) != (!refused || late) {
								t.Fatalf("%d %s", got.status, got.body)
							}
							whole := strings.Join(answer.texts, "")
							switch {
							case refused && (strings.Contains(got.body, "secret") || !strings.Contains(got.body, "moderation_blocked")):
								t.Errorf("shown: %s", got.body)
							case !refused && !strings.Contains(got.body, whole):
								t.Errorf("not shown: %s", got.body)
							case !refused && stream:
								got.body = strings.ReplaceAll(got.body, stillHere, "")
								if s := got.listenResponses(t); s.content != whole || !s.done || len(s.ids) != 1 {
									t.Errorf("%+v", s)
								}
							}
							id := responseID.FindString(got.body)
							if id == "" {
								id = "resp_own"
							}
							is := http.StatusNotFound
							if keeps && !refused {
								is = http.StatusOK
							}
							kept := r.do(t.Context(), http.MethodGet, responsesPath+"/"+id, "")
							if kept.status != is || is == http.StatusOK && !strings.Contains(kept.body, whole) {
								t.Errorf("kept: %d %s, want %d", kept.status, kept.body, is)
							}
							next := r.post(responsesPath, body(`,"previous_response_id":"`+id+`"`))
							if sent := asked.Load().(string); is == http.StatusOK {
								if !strings.Contains(sent, whole) || strings.Count(sent, `"hello"`) != 2 || next.status != http.StatusOK {
									t.Errorf("went on with %s: %d %s", sent, next.status, next.body)
								}
							} else if next.status != http.StatusBadRequest {
								t.Errorf("goes on: %d %s", next.status, next.body)
							}
						})
					}
				}
			}
		}
	}
}
