package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStats(t *testing.T) {
	clk := newClock()
	var seen []string
	g := newRig(t, Config{Now: clk.now, OnRequest: func(r *http.Request, body []byte) {
		seen = append(seen, fmt.Sprintf("%s %d", r.URL.Path, len(body)))
	}})
	body := chatBody("hello", "")
	for i := range 3 {
		req := g.signed("POST", pathChat, body) // the clock stands still: one signature
		req.Header.Set("Idempotency-Key", "id-1")
		req.Header.Set("Cookie", "secret=value")
		if i == 2 {
			req = g.signed("POST", pathChat, chatBody("other", ""))
			req.Header.Set("Idempotency-Key", "id-2")
		}
		resp, err := g.do(req)
		if err != nil {
			t.Fatal(err)
		}
		g.read(resp, 200, nil)
	}
	clk.advance(time.Second)
	g.call("GET", pathModels, nil, 200, nil)
	g.call("GET", "/nowhere", nil, 404, nil)

	got := g.srv.Stats()
	hash := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	want := map[string][2]any{
		"requests":    {got.Requests, int64(6)},
		"in flight":   {got.InFlight, int64(0)},
		"apps":        {got.Apps, map[string]int64{DemoClientID: 6}},
		"codes":       {got.Codes, map[string]int64{codeOK: 5, codeInvalidAPI: 1}},
		"paths":       {got.Paths, map[string]int64{pathToken: 1, pathChat: 3, pathModels: 1, unknown: 1}},
		"protocols":   {got.Protocols, map[string]int64{"HTTP/1.1": 6}},
		"connections": {got.Connections, map[string]int64{"HTTP/1.1": 1}},
		"fetches":     {got.TokenFetches, map[string]int64{"client_credentials": 1}},
		"peaks":       {got.PeakPerSecond, map[string]int{DemoClientID: 3}},
		"repeated":    {got.RepeatedSignatures, int64(1)},
		"bodies":      {got.Bodies, map[string][]string{"id-1": {hash(body), hash(body)}, "id-2": {hash(chatBody("other", ""))}}},
		"dropped":     {got.Dropped, int64(0)},
		"hook":        {len(seen), 6},
	}
	for name, pair := range want {
		if g, w := fmt.Sprint(pair[0]), fmt.Sprint(pair[1]); g != w {
			t.Errorf("%s: %s, want %s", name, g, w)
		}
	}
	first := got.Headers[1]
	if first.Path != pathChat || !slices.IsSorted(first.Names) || !slices.Contains(first.Names, "Cookie") {
		t.Errorf("header names %+v", first)
	}
	b, err := json.Marshal(got)
	if err != nil || strings.Contains(string(b), "secret") || strings.Contains(string(b), g.token) {
		t.Errorf("%v, or a header's value shows: %s", err, b)
	}

	g.srv.ResetStats()
	if got := g.srv.Stats(); got.Requests != 0 || len(got.Codes) != 0 || len(got.Bodies) != 0 || len(got.PeakPerSecond) != 0 {
		t.Errorf("after the reset %+v", got)
	}
	g.call("GET", pathModels, nil, 200, nil) // tokens stay
}

func TestStatsCountHTTP2(t *testing.T) {
	g := startRig(t, Config{}, true)
	g.chat("one")
	g.chat("two")
	got := g.srv.Stats()
	if got.Protocols["HTTP/2.0"] != 3 || got.Connections["HTTP/2.0"] != 1 {
		t.Errorf("protocols %v, connections %v", got.Protocols, got.Connections)
	}
}

func TestStatsAreBounded(t *testing.T) {
	srv, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxIDs + 10 {
		srv.stats.sawBody(fmt.Sprint(i), nil)
	}
	for range maxPerID + 5 {
		srv.stats.sawBody("many", nil)
	}
	srv.stats.sawBody(strings.Repeat("x", maxIDLength+1), nil)
	got := srv.Stats()
	if len(got.Bodies) != maxIDs || len(got.Bodies["many"]) != maxPerID || got.Dropped != 11+5+1 {
		t.Errorf("%d ids, %d hashes, %d dropped", len(got.Bodies), len(got.Bodies["many"]), got.Dropped)
	}
	for range maxRecent + 5 {
		srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	}
	if n := len(srv.Stats().Headers); n != maxRecent {
		t.Errorf("%d header records", n)
	}
}

func TestCap(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now})
	for range 50 {
		g.call("GET", pathModels, nil, 200, nil)
		clk.advance(10 * time.Millisecond)
	}
	var got apiError
	h := g.call("GET", pathModels, nil, 429, &got)
	if got.Code != codeTraffic || h.Get("Retry-After") != "1" || h.Get("Signature") == "" {
		t.Errorf("got %+v, headers %v", got, h)
	}
	g.fetchToken() // not capped
	clk.advance(500*time.Millisecond - 1)
	g.call("GET", pathModels, nil, 429, nil)
	clk.advance(1)
	g.call("GET", pathModels, nil, 200, nil) // the first is a second old, and the refused took no place
	g.call("GET", pathModels, nil, 429, nil)
	if peak := g.srv.Stats().PeakPerSecond[DemoClientID]; peak != 53 {
		t.Errorf("peak %d, want all 53 arrivals of a second", peak)
	}
	g.wantCode(codeTraffic, 3)
}

func TestCapIsPerApp(t *testing.T) {
	clk := newClock()
	srv, err := New(Config{Now: clk.now, RequestsPerSecond: 1, Apps: []App{
		{ClientID: "a", Keys: DemoKeys(), OAuthSecret: "s"}, {ClientID: "b", Keys: DemoKeys(), OAuthSecret: "s"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if ok, _ := srv.apps[id].traffic.arrive(clk.now); !ok {
			t.Errorf("the first arrival of %s was refused", id)
		}
		if ok, _ := srv.apps[id].traffic.arrive(clk.now); ok {
			t.Errorf("the second arrival of %s was let in", id)
		}
	}
}
