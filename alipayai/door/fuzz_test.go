package door_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/all"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

var every = all.Dialects()

// fuzzLimit is how many bytes of a body are taken.
const fuzzLimit = 64 << 10

// Whatever comes to a door, it is a call whose canonical form is one that is taken as such, or it is refused in the dialect of
// the path with a client's status. A second look at it says the same.
func FuzzDoors(f *testing.F) {
	for _, path := range []string{
		"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/messages", "/v1/messages/count_tokens",
		"/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact", "/v1/responses/resp_1/cancel", "/v1/models/a/b", "/v1/rerank", "/",
	} {
		f.Add(http.MethodPost, path, hello, "", "")
	}
	f.Add(http.MethodPost, "/v1/messages", `{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"r"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},"output_config":{"format":{"type":"json_schema","schema":{}}}}`, "2023-06-01", "")
	f.Add(http.MethodPost, "/v1/responses", `{"model":"m","instructions":"i","input":[{"role":"developer","content":"d"},{"type":"function_call","name":"f","namespace":"n","call_id":"c","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:,"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"type":"additional_tools","tools":[]}],"tools":[{"type":"namespace","name":"n","tools":[{"type":"custom","name":"f"}]}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"namespace","name":"n"}]},"text":{"format":{"type":"json_schema","name":"x","schema":{}}},"stream":true}`, "", "codex")
	f.Add(http.MethodPost, "/v1/responses", `{"model":"m","input":[{"type":"item_reference","id":"msg_1"}],"previous_response_id":"resp_1"}`, "", "")
	f.Add(http.MethodPost, "/v1/completions", `{"model":"m","prompt":["a","b"],"echo":true,"suffix":"s","logprobs":1}`, "", "")
	f.Add(http.MethodPost, "/v1/responses", `{"model":"m","instructions":"i","input":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"output_text","text":"a"}]},{"role":"user","content":"q"}],"max_output_tokens":9,"top_p":1}`, "", "")
	f.Add(http.MethodPost, "/v1/messages", `{"model":"m","max_tokens":9,"stream":true,"system":"s","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"q"}],"temperature":1}`, "", "")
	f.Add(http.MethodGet, "/v1/models", "", "2023-06-01", "codex")
	f.Fuzz(func(t *testing.T, method, path, body, version, originator string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
		if version != "" {
			r.Header.Set("Anthropic-Version", version)
		}
		if originator != "" {
			r.Header.Set("Originator", originator)
		}
		first := every.Peek(r, fuzzLimit, time.Now)
		rd := every.Read(r, fuzzLimit, time.Now)
		if (rd.Failure == nil) != (first.Failure == nil) || !bytes.Equal(rd.Request.Body, first.Request.Body) {
			t.Fatalf("read again it is %v, and was %v", rd.Failure, first.Failure)
		}
		if rd.Failure != nil {
			refused(t, rd)
			return
		}
		if rd.Request.Body == nil {
			return
		}
		parse := wire.ParseChatRequest
		if rd.Endpoint == upstream.EndpointEmbeddings || rd.Endpoint == upstream.EndpointModerations {
			parse = wire.ParseEmbeddingsRequest
		}
		again, err := parse(rd.Request.Body, wire.Limits{})
		again.HostedTools = rd.Request.HostedTools // of which the canonical form has none
		if err != nil || !reflect.DeepEqual(again, rd.Request) {
			t.Fatalf("canonical form %s (%v)", rd.Request.Body, err)
		}
		if n := rd.Native; n != nil && (string(n.Body) != body || !json.Valid(n.Sendable.Body) || !slices.IsSorted(n.Unsupported)) {
			t.Errorf("sent %q as %q, without %q", body, n.Sendable.Body, n.Unsupported)
		}
	})
}

// refused checks the refusal of a request.
func refused(t *testing.T, rd *door.Reading) {
	t.Helper()
	e := rd.Failure.Error
	w := httptest.NewRecorder()
	rd.Dialect.WriteError(w, e)
	var answer struct {
		Error struct{ Type, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Error.Type == "" || answer.Error.Message == "" {
		t.Errorf("refused with %s (%v)", w.Body, err)
	}
	if w.Code < 400 || w.Code > 499 || !utf8.ValidString(e.Message) || len(e.Message) > 1<<10 {
		t.Errorf("refused with %d %q", w.Code, e.Message)
	}
}
