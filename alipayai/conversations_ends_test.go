package alipayai_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// atEnd is an answer that does something when what it is given holds a word.
type atEnd struct {
	*httptest.ResponseRecorder
	word string
	do   func(so string) // is given all that is written by then
}

func (w *atEnd) Write(b []byte) (int, error) {
	if do := w.do; do != nil && bytes.Contains(b, []byte(w.word)) {
		w.do = nil
		do(w.Body.String() + string(b))
	}
	return w.ResponseRecorder.Write(b)
}

func (w *atEnd) Unwrap() http.ResponseWriter { return w.ResponseRecorder }

// A follow-up may come at once: when the end of an answer is written, what it goes on from is there.
func TestFollowUpsAtOnce(t *testing.T) {
	for form := range speaks {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", form, stream), func(t *testing.T) {
				s := &speaker{name: "one", answer: speaks[form].answer}
				r := startRig(t, s, speaks[form].provider, first(anyModel), keeping)
				word := `"status":"completed"`
				if stream {
					word = "event: response.completed"
				}
				w := &atEnd{ResponseRecorder: httptest.NewRecorder(), word: word, do: func(so string) {
					next, got := r.ask(`{"model":"m","input":"turn 2","previous_response_id":"` + responseID.FindString(so) + `"}`)
					if sent := s.asked.Load().(string); next.Status != "completed" || !inOrder(sent, "turn 1", "said by one", "turn 2") {
						t.Errorf("%d %s; sent %s", got.status, got.body, sent)
					}
				}}
				req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, responsesPath, strings.NewReader(fmt.Sprintf(`{"model":"m","stream":%v,"input":"turn 1"}`, stream)))
				req.Header.Set("Content-Type", "application/json")
				serve(r.gateway, w, req, "acme")
				if w.do != nil {
					t.Errorf("it has no end: %s", w.Body)
				}
			})
		}
	}
}

// A response is kept for as long as the site says, from the last turn of its conversation on.
func TestConversationsEnd(t *testing.T) {
	now := time.Unix(1, 0)
	r := startRig(t, new(heard), plainProvider, first(anyModel), func(g *alipayai.Gateway) {
		keptBy.Store(g, &door.Conversations{Cache: replay.NewMemoryCache(func() time.Time { return now }).Within(1 << 20), TTL: time.Hour})
	})
	one, _ := r.ask(`{"model":"m","input":"one"}`)
	now = now.Add(50 * time.Minute)
	two, _ := r.ask(`{"model":"m","input":"two","previous_response_id":"` + one.ID + `"}`)
	now = now.Add(50 * time.Minute)
	wantError(t, r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+one.ID+`"}`), http.StatusBadRequest, failure.CodePreviousResponseNotFound)
	three, got := r.ask(`{"model":"m","input":"three","previous_response_id":"` + two.ID + `"}`)
	if three.Status != "completed" {
		t.Errorf("from the last turn: %d %s", got.status, got.body)
	}
	now = now.Add(time.Hour)
	wantError(t, r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+three.ID+`"}`), http.StatusBadRequest, failure.CodePreviousResponseNotFound)
	if gone := r.do(t.Context(), http.MethodGet, responsesPath+"/"+three.ID, ""); gone.status != http.StatusNotFound {
		t.Errorf("after its time: %d %s", gone.status, gone.body)
	}
}

// A stream in a provider's own words is as little a response before its end as one that is translated.
func TestFollowUpsBeforeANativeEnd(t *testing.T) {
	for name, breaks := range map[string]bool{"ends": false, "breaks": true} {
		t.Run(name, func(t *testing.T) {
			client, asked := make(chan string, 1), make(chan struct{})
			var r *rig
			var early, state reply
			theirs := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				if !bytes.Contains(body, []byte(`"stream":true`)) {
					speaks["responses"].answer(w, "later", false)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				before, end, _ := strings.Cut(nativeStream, "event: response.completed")
				_, _ = io.WriteString(w, before)
				_ = http.NewResponseController(w).Flush()
				id := <-client
				early = r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+id+`"}`)
				state = r.do(t.Context(), http.MethodGet, responsesPath+"/"+id, "")
				close(asked)
				if breaks {
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(w, "event: response.completed"+end)
			})
			r = startRig(t, theirs, speaks["responses"].provider, first(anyModel), keeping)
			resp := r.open(t.Context(), responsesPath, `{"model":"m","stream":true,"input":"one"}`)
			begun := make([]byte, 256)
			if _, err := io.ReadFull(resp.Body, begun); err != nil {
				t.Fatal(err)
			}
			client <- responseID.FindString(string(begun))
			if _, err := io.ReadAll(resp.Body); (err != nil) != breaks {
				t.Fatal(err)
			}
			<-asked
			wantError(t, early, http.StatusConflict, "response_in_progress")
			wantHeader(t, early, "Retry-After", "1")
			wantError(t, state, http.StatusConflict, "response_in_progress")
			got := r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"resp_of_theirs"}`)
			if breaks {
				wantError(t, got, http.StatusBadRequest, failure.CodePreviousResponseNotFound)
			} else if got.status != http.StatusOK {
				t.Errorf("after the end: %d %s", got.status, got.body)
			}
		})
	}
}

// Spaces before an answer, by which proxies keep a connection, are no reason not to keep it.
func TestNativeResponsesAfterSpaces(t *testing.T) {
	theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: "\n  \n" + nativeResponse}
	r := startRig(t, theirs, speaks["responses"].provider, first(anyModel), keeping)
	r.post(responsesPath, `{"model":"m","input":"one"}`)
	if kept := r.do(t.Context(), http.MethodGet, responsesPath+"/resp_of_theirs", ""); kept.status != http.StatusOK {
		t.Errorf("%d %s", kept.status, kept.body)
	}
}

// What is larger than one response may be is not kept, and says so.
func TestConversationsThatAreTooLarge(t *testing.T) {
	for _, stream := range []string{"false", "true"} {
		r := startRig(t, new(heard), plainProvider, first(anyModel), keeping) // of 1 MiB, an eighth for one
		one, got := r.ask(`{"model":"m","stream":` + stream + `,"input":"` + strings.Repeat("long ", 40<<10) + `"}`)
		if got.status != http.StatusOK || one.Status != "completed" || one.Store {
			t.Fatalf("%d, %+v", got.status, one)
		}
		wantError(t, r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+one.ID+`"}`), http.StatusBadRequest, failure.CodePreviousResponseNotFound)
	}
}
