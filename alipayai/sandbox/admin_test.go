package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func admin(srv *Server, peer, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return w
}

const loopback = "127.0.0.1:4711"

func TestAdminPeers(t *testing.T) {
	srv, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]int{
		loopback:                  200,
		"127.9.9.9:1":             200,
		"[::1]:1":                 200,
		"[::ffff:127.0.0.1]:1":    200,
		"10.0.0.1:1":              403,
		"192.0.2.1:1234":          403,
		"[2001:db8::1]:1":         403,
		"[::ffff:10.0.0.1]:1":     403,
		"@":                       403,
		"":                        403,
		"127.0.0.1.evil.test:123": 403,
	} {
		for _, path := range []string{"/_sandbox/stats", "/_sandbox/faults"} {
			w := admin(srv, peer, "GET", path, "")
			if w.Code != want {
				t.Errorf("%q at %s: %d, want %d", peer, path, w.Code, want)
			}
		}
		if w := admin(srv, peer, "GET", "/_sandbox/nothing", ""); w.Code == 200 {
			t.Errorf("%q: %d", peer, w.Code)
		}
	}
}

func TestAdminFaults(t *testing.T) {
	srv, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	doc := `{"faults":[{"kind":"latency","delay":"1m30s","times":3,"path":"/v1/chat/completions","client_id":"a"},{"kind":"clock_skew","skew":"-10m"},` +
		`{"kind":"cut","after_events":2,"mid_event":true},{"kind":"token_error","status":500,"garbage":true},` +
		`{"kind":"http_status","status":503,"code":"X","retry_after":3},{"kind":"system_error_200","shape":"gateway"}]}`
	w := admin(srv, loopback, "PUT", "/_sandbox/faults", doc)
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	want := []Fault{
		{Kind: Latency, Delay: 90 * time.Second, Times: 3, Path: pathChat, ClientID: "a"},
		{Kind: ClockSkew, Skew: -10 * time.Minute},
		{Kind: Cut, AfterEvents: 2, MidEvent: true},
		{Kind: TokenError, Status: 500, Garbage: true},
		{Kind: HTTPStatus, Status: 503, Code: "X", RetryAfter: 3},
		{Kind: SystemError200, Shape: ShapeGateway},
	}
	got := srv.Faults()
	for i, f := range want {
		if got[i] != f {
			t.Errorf("fault %d: %+v, want %+v", i, got[i], f)
		}
	}
	// What GET shows can be put again.
	shown := admin(srv, loopback, "GET", "/_sandbox/faults", "").Body.String()
	if w := admin(srv, loopback, "PUT", "/_sandbox/faults", shown); w.Code != 200 || w.Body.String() != shown {
		t.Errorf("%d: %s, want %s", w.Code, w.Body, shown)
	}
	if w := admin(srv, loopback, "DELETE", "/_sandbox/faults", ""); w.Code != 204 || len(srv.Faults()) != 0 {
		t.Errorf("%d, left %v", w.Code, srv.Faults())
	}
	if w := admin(srv, loopback, "GET", "/_sandbox/faults", ""); strings.Join(strings.Fields(w.Body.String()), "") != `{"faults":[]}` {
		t.Errorf("got %s", w.Body)
	}
}

func TestAdminRefusesFaults(t *testing.T) {
	srv, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ doc, names string }{
		"no JSON":                {`{`, "faults"},
		"no list":                {`{}`, "faults"},
		"null list":              {`{"faults":null}`, "faults"},
		"other field":            {`{"faults":[],"fault":[]}`, `"fault"`},
		"no object":              {`{"faults":[1]}`, "faults[0].kind"},
		"no kind":                {`{"faults":[{}]}`, "faults[0].kind"},
		"unknown kind":           {`{"faults":[{"kind":"latency","delay":"1s"},{"kind":"x"}]}`, "faults[1].kind"},
		"unknown field":          {`{"faults":[{"kind":"cut","speed":1}]}`, "faults[0].speed"},
		"negative times":         {`{"faults":[{"kind":"cut","times":-1}]}`, "faults[0].times"},
		"times as string":        {`{"faults":[{"kind":"cut","times":"1"}]}`, "faults[0].times"},
		"negative delay":         {`{"faults":[{"kind":"latency","delay":"-1s"}]}`, "faults[0].delay"},
		"delay as number":        {`{"faults":[{"kind":"latency","delay":1}]}`, "faults[0].delay"},
		"delay without unit":     {`{"faults":[{"kind":"latency","delay":"1"}]}`, "faults[0].delay"},
		"no delay":               {`{"faults":[{"kind":"latency"}]}`, "faults[0].delay"},
		"no skew":                {`{"faults":[{"kind":"clock_skew"}]}`, "faults[0].skew"},
		"no status":              {`{"faults":[{"kind":"http_status"}]}`, "faults[0].status"},
		"status too low":         {`{"faults":[{"kind":"http_status","status":302}]}`, "faults[0].status"},
		"negative retry":         {`{"faults":[{"kind":"throttle","retry_after":-1}]}`, "faults[0].retry_after"},
		"negative events":        {`{"faults":[{"kind":"cut","after_events":-1}]}`, "faults[0].after_events"},
		"unknown shape":          {`{"faults":[{"kind":"system_error_200","shape":"round"}]}`, "faults[0].shape"},
		"code with a line break": {`{"faults":[{"kind":"system_error_200","code":"a\nb"}]}`, "faults[0].code"},
		"field of another kind":  {`{"faults":[{"kind":"stall","delay":"1s"}]}`, "faults[0].delay"},
		"unknown path":           {`{"faults":[{"kind":"stall","path":"/v1/chat"}]}`, "faults[0].path"},
		"token error at chat":    {`{"faults":[{"kind":"token_error","path":"/v1/models"}]}`, "faults[0].path"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := admin(srv, loopback, "PUT", "/_sandbox/faults", tc.doc)
			var got apiError
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != 400 || !strings.Contains(got.Message, tc.names) {
				t.Errorf("%d %+v, want one that names %s", w.Code, got, tc.names)
			}
			if len(srv.Faults()) != 0 {
				t.Errorf("set %v", srv.Faults())
			}
		})
	}
}

func TestAdminStats(t *testing.T) {
	g := newRig(t, Config{})
	g.chat("hello")
	get := func(method string, status int) (got Stats) {
		t.Helper()
		req, err := http.NewRequest(method, g.web.URL+"/_sandbox/stats", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.do(req)
		if err != nil {
			t.Fatal(err)
		}
		var into any = &got
		if status == 204 {
			into = nil
		}
		g.read(resp, status, into)
		return got
	}
	if got := get("GET", 200); got.Requests != 2 || got.Codes[codeOK] != 2 || got.Paths[pathChat] != 1 {
		t.Errorf("got %+v", got)
	}
	get("DELETE", 204)
	if got := get("GET", 200); got.Requests != 0 {
		t.Errorf("after DELETE %+v", got)
	}
	get("POST", 404)
}
