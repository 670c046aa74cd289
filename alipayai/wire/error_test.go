package wire

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestErrorAppendJSON(t *testing.T) {
	tests := map[string]struct {
		err  Error
		want string
	}{
		"least": {Error{Message: "m"}, `{"error":{"message":"m","type":"server_error","param":null,"code":null}}`},
		"all": {Error{Status: 400, Message: "m", Type: "t", Param: "p", Code: "c", RequestID: "r", RetryAfter: time.Second, NoRetry: true},
			`{"error":{"message":"m","type":"t","param":"p","code":"c","request_id":"r"}}`},
		"type by status": {Error{Status: 429, Message: "m"}, `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":null}}`},
		"quoted":         {Error{Message: "a\"\\\n\r\x00é\u2028", Code: "\t"}, `{"error":{"message":"a\"\\\n\r\u0000é` + "\u2028" + `","type":"server_error","param":null,"code":"\t"}}`},
		"not UTF-8":      {Error{Message: "a\xffb"}, `{"error":{"message":"a` + "\uFFFD" + `b","type":"server_error","param":null,"code":null}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := string(tt.err.AppendJSON([]byte("before ")))
			if got != "before "+tt.want {
				t.Errorf("got  %s\nwant before %s", got, tt.want)
			}
			if !json.Valid([]byte(tt.want)) {
				t.Error("not JSON")
			}
			if ev := string(tt.err.AppendEvent([]byte("x"))); ev != "xdata: "+tt.want+"\n\n" {
				t.Errorf("event %q", ev)
			}
		})
	}
}

func TestTypeForStatus(t *testing.T) {
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "invalid_request_error", 403: "permission_error",
		404: "invalid_request_error", 409: "invalid_request_error", 413: "invalid_request_error", 422: "invalid_request_error",
		429: "rate_limit_error", 499: "invalid_request_error", 500: "server_error", 502: "server_error", 503: "server_error",
		504: "server_error", 0: "server_error",
	} {
		if got := TypeForStatus(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

func TestErrorWriteHTTP(t *testing.T) {
	tests := map[string]struct {
		err    Error
		status int
		header map[string]string // "" for absent
	}{
		"least":            {Error{Message: "m"}, 500, map[string]string{"X-Request-Id": "", "Retry-After": "", "X-Should-Retry": ""}},
		"request id":       {Error{Status: 404, RequestID: "req-1"}, 404, map[string]string{"X-Request-Id": "req-1"}},
		"whole seconds":    {Error{Status: 429, RetryAfter: 2 * time.Second}, 429, map[string]string{"Retry-After": "2"}},
		"rounded up":       {Error{Status: 429, RetryAfter: 2*time.Second + time.Nanosecond}, 429, map[string]string{"Retry-After": "3"}},
		"less than one":    {Error{Status: 503, RetryAfter: time.Millisecond}, 503, map[string]string{"Retry-After": "1"}},
		"negative":         {Error{Status: 503, RetryAfter: -time.Second}, 503, map[string]string{"Retry-After": ""}},
		"longest duration": {Error{Status: 503, RetryAfter: 1<<63 - 1}, 503, map[string]string{"Retry-After": "9223372037"}},
		"no retry":         {Error{Status: 503, NoRetry: true}, 503, map[string]string{"X-Should-Retry": "false"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			for _, stale := range []string{"Content-Length", "Content-Encoding", "Etag", "Cache-Control"} {
				w.Header().Set(stale, "1")
			}
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Provider", "kept")
			tt.err.WriteHTTP(w)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if got := w.Body.String(); got != string(tt.err.AppendJSON(nil)) {
				t.Errorf("body %s", got)
			}
			want := map[string]string{"Content-Type": "application/json", "Content-Length": "", "Content-Encoding": "", "Etag": "",
				"Cache-Control": "", "X-Provider": "kept"}
			maps.Copy(want, tt.header)
			for k, v := range want {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
		})
	}
}

// TestErrorRoundTrip holds that what the package writes is what it reads: gateways may be chained.
func TestErrorRoundTrip(t *testing.T) {
	sent := Error{Status: http.StatusServiceUnavailable, Message: "no provider is left", Param: "model", Code: "SYSTEM_ERROR"}
	want := Failure{Code: sent.Code, Message: sent.Message, Type: TypeServer, Param: sent.Param}
	a, err := ParseBody(sent.AppendJSON(nil), Limits{})
	if err != nil || a.Failure == nil || *a.Failure != want {
		t.Errorf("as a body: %+v, %v", a.Failure, err)
	}
	events := NewEventReader(strings.NewReader(string(sent.AppendEvent(nil))), 0)
	defer events.Release()
	ev, err := events.Next()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseEvent(ev)
	if err != nil || c.Failure == nil || *c.Failure != want {
		t.Errorf("as an event: %+v, %v", c.Failure, err)
	}
}

func TestAppendModels(t *testing.T) {
	tests := map[string]struct {
		models []Model
		want   string
	}{
		"none": {nil, `{"object":"list","data":[]}`},
		"one":  {[]Model{{ID: "m", Created: time.Unix(1700000000, 5), OwnedBy: "alipay"}}, `{"object":"list","data":[{"id":"m","object":"model","created":1700000000,"owned_by":"alipay"}]}`},
		"two, in order, quoted": {[]Model{{ID: `b"`}, {ID: "a"}},
			`{"object":"list","data":[{"id":"b\"","object":"model","created":0,"owned_by":""},{"id":"a","object":"model","created":0,"owned_by":""}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(AppendModels([]byte("x"), tt.models)); got != "x"+tt.want {
				t.Errorf("got  %s\nwant x%s", got, tt.want)
			}
		})
	}
}
