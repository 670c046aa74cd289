package alipayai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

const responsesPath = "/v1/responses"

// heard is an upstream of chat completions' form that notes what it was sent, and answers "said N" to its request N; one that
// asks for a call is answered with one.
type heard struct {
	mu     sync.Mutex
	bodies []string
	// before is done in a stream after its first content; nil for nothing.
	before func()
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.bodies = append(h.bodies, string(body))
	n, before := len(h.bodies), h.before
	h.mu.Unlock()
	message := fmt.Sprintf(`"content":"said %d"`, n)
	if strings.Contains(string(body), `"content":"call"}]`) {
		message = `"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`
	}
	if !strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"always the same","model":"m-1","choices":[{"index":0,"message":{"role":"assistant",%s},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, message)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":null}]}\n\n", message)
	_ = http.NewResponseController(w).Flush()
	if before != nil {
		before()
	}
	fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// said gives the messages of the last request.
func (h *heard) said(t *testing.T) string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var body struct{ Messages []json.RawMessage }
	if err := json.Unmarshal([]byte(h.bodies[len(h.bodies)-1]), &body); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(body.Messages)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

// keeping makes a gateway keep conversations.
func keeping(g *alipayai.Gateway) {
	keptBy.Store(g, &door.Conversations{Cache: replay.NewMemoryCache(time.Now).Within(1 << 20), TTL: time.Hour})
}

// ask posts a request of the Responses API, and gives the response that it brings.
func (r *rig) ask(body string, header ...string) (responseResource, reply) {
	r.t.Helper()
	got := r.post(responsesPath, body, header...)
	text := got.body
	if at := strings.LastIndex(text, "event: response."); at >= 0 {
		_, text, _ = strings.Cut(text[at:], "data: ")
		var last struct{ Response json.RawMessage }
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			r.t.Fatalf("%v: %s", err, got.body)
		}
		text = string(last.Response)
	}
	var response responseResource
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		r.t.Fatalf("%v: %s", err, got.body)
	}
	return response, got
}

// A follow-up has all that was said before, but not the instructions; it may come as soon as the answer's end, of a stream too.
func TestConversationsGoOn(t *testing.T) {
	for name, stream := range map[string]string{"whole": "false", "stream": "true"} {
		t.Run(name, func(t *testing.T) {
			h := new(heard)
			r := startRig(t, h, plainProvider, first(anyModel), keeping)
			one, _ := r.ask(`{"model":"m","stream":` + stream + `,"instructions":"be brief","input":"one"}`)
			if !one.Store || one.Status != "completed" {
				t.Fatalf("%+v", one)
			}
			two, _ := r.ask(`{"model":"m","stream":` + stream + `,"instructions":"be long","input":[{"role":"user","content":"two"}],"previous_response_id":"` + one.ID + `"}`)
			if got, want := h.said(t), `[{"role":"system","content":"be long"},{"role":"user","content":"one"},{"role":"assistant","content":"said 1"},{"role":"user","content":"two"}]`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			// From the first again, beside the second.
			r.ask(`{"model":"m","stream":` + stream + `,"input":"other","previous_response_id":"` + one.ID + `"}`)
			if got, want := h.said(t), `[{"role":"user","content":"one"},{"role":"assistant","content":"said 1"},{"role":"user","content":"other"}]`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			// By an item's name alone, as the AI SDK sends.
			r.ask(`{"model":"m","stream":` + stream + `,"input":[{"role":"user","content":"three"},{"type":"item_reference","id":"` + two.Output[0].ID + `"},{"role":"user","content":"four"}]}`)
			if got, want := h.said(t), `[{"role":"user","content":"three"},{"role":"assistant","content":"said 2"},{"role":"user","content":"four"}]`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			call, _ := r.ask(`{"model":"m","stream":` + stream + `,"input":"call","tools":[{"type":"function","name":"f"}]}`)
			if len(call.Output) != 1 || call.Output[0].Type != "function_call" {
				t.Fatalf("%+v", call)
			}
			r.ask(`{"model":"m","stream":` + stream + `,"input":[{"type":"function_call_output","call_id":"c1","output":"22"}],"previous_response_id":"` + call.ID + `"}`)
			if got, want := h.said(t), `[{"role":"user","content":"call"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"22"}]`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// What is kept is of use to its tenant alone, and for nothing that was not to be kept.
func TestConversationsAreTheirTenants(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel), keeping)
	mine, _ := r.ask(`{"model":"m","input":"secret"}`)
	unkept, _ := r.ask(`{"model":"m","input":"secret","store":false}`)
	anonymous, got := r.ask(`{"model":"m","input":"secret","store":true}`, tenantHeader, alipayai.AnonymousTenant)
	if unkept.Store || anonymous.Store {
		t.Errorf("kept %v, %v", unkept.Store, anonymous.Store)
	}
	wantHeader(t, got, "X-Alipayai-Unsupported", "store")
	asked := len(h.bodies)
	for name, c := range map[string]struct{ id, tenant string }{
		"another tenant":             {mine.ID, "zeta"},
		"anonymous":                  {mine.ID, alipayai.AnonymousTenant},
		"not kept":                   {unkept.ID, "acme"},
		"of anonymous":               {anonymous.ID, "acme"},
		"of anonymous, for the same": {anonymous.ID, alipayai.AnonymousTenant},
		"made up":                    {"resp_0", "acme"},
	} {
		got := r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+c.id+`"}`, tenantHeader, c.tenant)
		wantError(t, got, http.StatusBadRequest, "previous_response_not_found")
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", name, got.body)
		}
		if of := r.post(responsesPath, `{"model":"m","input":[{"type":"item_reference","id":"`+strings.Replace(c.id, "resp_", "msg_", 1)+`g00"}]}`, tenantHeader, c.tenant); of.status != http.StatusBadRequest {
			t.Errorf("%s, an item: %d %s", name, of.status, of.body)
		}
		for _, path := range []string{"", "/input_items"} {
			if got := r.do(t.Context(), http.MethodGet, responsesPath+"/"+c.id+path, "", tenantHeader, c.tenant); got.status != http.StatusNotFound {
				t.Errorf("%s%s: %d %s", name, path, got.status, got.body)
			}
		}
		if got := r.do(t.Context(), http.MethodPost, responsesPath+"/"+c.id+"/cancel", "", tenantHeader, c.tenant); got.status != http.StatusNotFound {
			t.Errorf("%s, cancelled: %d %s", name, got.status, got.body)
		}
		wantError(t, r.post(countPath, `{"model":"m","input":"q","previous_response_id":"`+c.id+`"}`, tenantHeader, c.tenant), http.StatusBadRequest, "previous_response_not_found")
		if got := r.do(t.Context(), http.MethodDelete, responsesPath+"/"+c.id, "", tenantHeader, c.tenant); got.status != http.StatusNotFound {
			t.Errorf("%s, deleted: %d %s", name, got.status, got.body)
		}
	}
	if n := len(h.bodies); n != asked {
		t.Errorf("%d requests reached the provider, want none", n-asked)
	}
	if next, got := r.ask(`{"model":"m","input":[{"type":"item_reference","id":"` + mine.Output[0].ID + `"}],"previous_response_id":"` + mine.ID + `"}`); next.Status != "completed" {
		t.Errorf("to its own tenant: %d %s", got.status, got.body)
	}
}

// Where nothing is kept, a follow-up is refused rather than answered without what was said before.
func TestConversationsWhereNothingIsKept(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel))
	one, _ := r.ask(`{"model":"m","input":"one"}`)
	message := wantError(t, r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+one.ID+`"}`), http.StatusBadRequest, "previous_response_not_found")
	if one.Store || !strings.Contains(message, "store_responses") || len(h.bodies) != 1 {
		t.Errorf("store %v, %s, %d calls", one.Store, message, len(h.bodies))
	}
}

// The routes of a kept response.
func TestKeptResponses(t *testing.T) {
	r := startRig(t, new(heard), plainProvider, first(anyModel), keeping)
	one, got := r.ask(`{"model":"m","input":[{"role":"user","content":"a"},{"role":"user","id":"msg_own","content":"b"}]}`)
	path := responsesPath + "/" + one.ID
	again := r.do(t.Context(), http.MethodGet, path, "")
	if again.status != http.StatusOK || again.body != got.body {
		t.Errorf("%d %s, want %s", again.status, again.body, got.body)
	}
	own := `{"content":"a","id":"msg_` + strings.TrimPrefix(one.ID, "resp_") + `i0","role":"user","type":"message"}`
	b := `{"content":"b","id":"msg_own","role":"user","type":"message"}`
	id := strings.Split(own, `"`)[7]
	for query, want := range map[string]string{
		"":                       `{"object":"list","data":[` + b + `,` + own + `],"first_id":"msg_own","last_id":"` + id + `","has_more":false}`,
		"?order=asc&limit=1":     `{"object":"list","data":[` + own + `],"first_id":"` + id + `","last_id":"` + id + `","has_more":true}`,
		"?order=asc&after=" + id: `{"object":"list","data":[` + b + `],"first_id":"msg_own","last_id":"msg_own","has_more":false}`,
		"?after=" + id:           `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}`,
	} {
		if got := r.do(t.Context(), http.MethodGet, path+"/input_items"+query, ""); got.body != want {
			t.Errorf("%s: %s\nwant %s", query, got.body, want)
		}
	}
	for query, param := range map[string]string{"?limit=0": "limit", "?order=up": "order"} {
		if got := r.do(t.Context(), http.MethodGet, path+"/input_items"+query, ""); got.status != http.StatusBadRequest || !strings.Contains(got.body, `"param":"`+param+`"`) {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if got := r.do(t.Context(), http.MethodPost, path+"/cancel", ""); got.status != http.StatusBadRequest || !strings.Contains(got.body, "background") {
		t.Errorf("cancel: %d %s", got.status, got.body)
	}
	if got := r.do(t.Context(), http.MethodPost, responsesPath+"/resp_0/cancel", ""); got.status != http.StatusNotFound {
		t.Errorf("cancel of none: %d %s", got.status, got.body)
	}
	two, _ := r.ask(`{"model":"m","input":"c","previous_response_id":"` + one.ID + `"}`)
	if got := r.do(t.Context(), http.MethodDelete, path, ""); got.body != `{"deleted":true,"id":"`+one.ID+`","object":"response"}` {
		t.Errorf("deleted: %d %s", got.status, got.body)
	}
	if got := r.do(t.Context(), http.MethodGet, path, ""); got.status != http.StatusNotFound {
		t.Errorf("after that: %d %s", got.status, got.body)
	}
	if three, got := r.ask(`{"model":"m","input":"d","previous_response_id":"` + two.ID + `"}`); three.Status != "completed" {
		t.Errorf("from what goes on from it: %d %s", got.status, got.body)
	}
}

// A client knows the id of a stream's response from the first event on. Before its end a follow-up is told to come again, and
// one of a stream that has broken, that there is none.
func TestFollowUpsBeforeTheEnd(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel), keeping)
	var early, state reply
	client := make(chan string, 1)
	h.before = func() {
		id := <-client
		h.mu.Lock()
		h.before = nil
		h.mu.Unlock()
		early = r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+id+`"}`)
		state = r.do(t.Context(), http.MethodGet, responsesPath+"/"+id, "")
	}
	resp := r.open(t.Context(), responsesPath, `{"model":"m","stream":true,"input":"one"}`)
	begun := make([]byte, 256)
	if _, err := io.ReadFull(resp.Body, begun); err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(string(begun), `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	client <- id
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	wantError(t, early, http.StatusConflict, "response_in_progress")
	wantHeader(t, early, "Retry-After", "1", "X-Should-Retry", "")
	wantError(t, state, http.StatusConflict, "response_in_progress")
	if got, response := r.ask(`{"model":"m","input":"q","previous_response_id":"` + id + `"}`); got.Status != "completed" {
		t.Errorf("after the end: %s", response.body)
	}
	h.before = func() { panic(http.ErrAbortHandler) }
	broken := r.post(responsesPath, `{"model":"m","stream":true,"input":"one"}`)
	_, id, _ = strings.Cut(broken.body, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	if !strings.Contains(broken.body, "event: response.failed") {
		t.Fatalf("not broken: %s", broken.body)
	}
	wantError(t, r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"`+id+`"}`), http.StatusBadRequest, "previous_response_not_found")
}

// A repeat with the same Idempotency-Key gives the same response, which a follow-up may go on from.
func TestRepeatedResponses(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel), keeping, func(g *alipayai.Gateway) {
		g.Claims = &alipayai.Claims{Store: replay.NewMemoryClaims(time.Now).Within(1 << 20), TTL: time.Hour}
	})
	one, _ := r.ask(`{"model":"m","input":"one"}`, "Idempotency-Key", "k")
	again, _ := r.ask(`{"model":"m","input":"one"}`, "Idempotency-Key", "k")
	if one.ID != again.ID || len(h.bodies) != 1 {
		t.Errorf("%s and %s, %d calls", one.ID, again.ID, len(h.bodies))
	}
	if next, got := r.ask(`{"model":"m","input":"two","previous_response_id":"` + again.ID + `"}`); next.Status != "completed" {
		t.Errorf("%s", got.body)
	}
	streamed, first := r.ask(`{"model":"m","input":"one","stream":true}`, "Idempotency-Key", "s")
	before := len(h.bodies)
	repeated, second := r.ask(`{"model":"m","input":"one","stream":true}`, "Idempotency-Key", "s")
	if streamed.ID == "" || streamed.ID != repeated.ID || len(h.bodies) != before || len(second.body) != len(first.body) {
		t.Errorf("%s\nis repeated as\n%s", first.body, second.body)
	}
	// A client that leaves within the repeat has the response all the same.
	req := httptest.NewRequest(http.MethodPost, responsesPath, strings.NewReader(`{"model":"m","input":"one","stream":true}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "s")
	serve(r.gateway, &unread{ResponseRecorder: httptest.NewRecorder()}, req, "acme")
	if next, got := r.ask(`{"model":"m","input":"two","previous_response_id":"` + streamed.ID + `"}`); next.Status != "completed" {
		t.Errorf("after a repeat that broke: %s", got.body)
	}
}

// unread is an answer whose client takes nothing.
type unread struct{ *httptest.ResponseRecorder }

func (*unread) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
