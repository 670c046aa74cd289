package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newAgent(t *testing.T, clk *clock) *rig {
	cfg := nextBuilderDialect().config()
	cfg.RequestsPerSecond, cfg.Now = -1, clk.now
	return newRig(t, cfg)
}

// TestV3Vectors verifies requests that the official Node SDK has signed.
func TestV3Vectors(t *testing.T) {
	const dir = "../../signer/testdata/vectors/"
	public, err := os.ReadFile(dir + "test_app_public.pem")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(dir + "v3_request_response_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Vectors []struct {
			Name    string
			Request struct {
				Method  string
				Target  string `json:"request_uri"`
				Headers map[string]string
				Body    string
			}
		}
	}
	decode(t, string(file), &vectors)
	if len(vectors.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	srv, err := New(Config{Format: NextBuilder, Apps: []App{{ClientID: agentID, PublicKey: string(public)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			r, err := http.NewRequest(v.Request.Method, v.Request.Target, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range v.Request.Headers {
				r.Header.Set(name, value)
			}
			r.RequestURI = v.Request.Target
			a, err := parseAuthorization(r.Header.Get("Authorization"))
			if err != nil {
				t.Fatal(err)
			}
			c := &call{srv: srv, r: r, body: []byte(v.Request.Body), wall: a.timestamp}
			c.app = nextBuilder{}.caller(c)
			if wrong := (nextBuilder{}).verify(c); wrong != nil {
				t.Errorf("refused: %+v", wrong)
			}
			c.body = append(c.body, ' ')
			if wrong := (nextBuilder{}).verify(c); wrong == nil || wrong.code != "invalid-signature" {
				t.Errorf("a changed body: %+v", wrong)
			}
		})
	}
}

func TestV3Verification(t *testing.T) {
	clk := newClock()
	g := newAgent(t, clk)
	body := agentBody("hello", "")
	auth := func(skew time.Duration) string {
		return fmt.Sprintf("app_id=%s,nonce=n,timestamp=%d", agentID, clk.now().Add(skew).UnixMilli())
	}
	for name, tc := range map[string]struct {
		change func(*http.Request)
		code   string // "": accepted
	}{
		"as it should be": {func(*http.Request) {}, ""},
		"certificate mode": {func(r *http.Request) {
			authorize(r, "app_id="+agentID+",app_cert_sn=5f,"+auth(0)[len("app_id=,")+len(agentID):], "", body)
		}, ""},
		"app auth token":      {func(r *http.Request) { authorize(r, auth(0), "token", body) }, ""},
		"signed query":        {func(r *http.Request) { r.URL.RawQuery = "a=%2f"; authorize(r, auth(0), "", body) }, ""},
		"time at the edge":    {func(r *http.Request) { authorize(r, auth(-5*time.Minute), "", body) }, ""},
		"time past the edge":  {func(r *http.Request) { authorize(r, auth(-5*time.Minute-time.Millisecond), "", body) }, "invalid-timestamp"},
		"time ahead":          {func(r *http.Request) { authorize(r, auth(6*time.Minute), "", body) }, "invalid-timestamp"},
		"none":                {func(r *http.Request) { r.Header.Del("Authorization") }, "missing-signature"},
		"two":                 {func(r *http.Request) { r.Header.Add("Authorization", "x") }, "missing-signature"},
		"bearer":              {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid-signature"},
		"unknown app":         {func(r *http.Request) { edit(r, "Authorization", agentID, "2021000000000002") }, "invalid-app-id"},
		"other query":         {func(r *http.Request) { r.URL.RawQuery = "a=1" }, "invalid-signature"},
		"other time":          {func(r *http.Request) { edit(r, "Authorization", "timestamp=17", "timestamp=16") }, "invalid-timestamp"},
		"other nonce":         {func(r *http.Request) { edit(r, "Authorization", "nonce=", "nonce=x") }, "invalid-signature"},
		"token not signed":    {func(r *http.Request) { r.Header.Set("Alipay-App-Auth-Token", "t") }, "invalid-signature"},
		"token not sent":      {func(r *http.Request) { authorize(r, auth(0), "token", body); r.Header.Del("Alipay-App-Auth-Token") }, "invalid-signature"},
		"signature shortened": {func(r *http.Request) { edit(r, "Authorization", ",sign=", ",sign=AAAA") }, "invalid-signature"},
	} {
		t.Run(name, func(t *testing.T) {
			req := g.authorized(pathGenerate, body)
			tc.change(req)
			o := g.try(req)
			if tc.code == "" {
				if s := nextBuilderDialect().read(t, true, o.body); o.status != 200 || !s.whole {
					t.Errorf("%d %s", o.status, o.body)
				}
				return
			}
			if s := nextBuilderDialect().body(t, o.body); o.status != 401 || s.failure != tc.code {
				t.Errorf("%d %s, want %s", o.status, o.body, tc.code)
			}
		})
	}
	g.srv.ResetStats()
	for range 2 {
		req := g.authorized(pathGenerate, body)
		authorize(req, auth(0), "", body)
		g.try(req)
	}
	if n := g.srv.Stats().RepeatedSignatures; n != 1 {
		t.Errorf("%d repeated signatures", n)
	}
}

func TestClockSkewInAgent(t *testing.T) {
	clk := newClock()
	g := newAgent(t, clk)
	g.set(Fault{Kind: ClockSkew, Skew: time.Hour})
	o := g.try(g.authorized(pathGenerate, agentBody("x", "")))
	if !strings.Contains(o.body, "invalid-timestamp") || o.header.Get("Date") != clk.now().Add(time.Hour).Format(http.TimeFormat) {
		t.Errorf("%s, Date %s", o.body, o.header.Get("Date"))
	}
	g.now = func() time.Time { return clk.now().Add(time.Hour) }
	if o := g.try(g.authorized(pathGenerate, agentBody("x", ""))); o.status != 200 {
		t.Errorf("a client that learnt: %s", o.body)
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	const scheme = "ALIPAY-SHA256withRSA "
	for name, header := range map[string]string{
		"empty":            "",
		"other scheme":     "ALIPAY-SM2 app_id=a,nonce=n,timestamp=1,sign=AAAA",
		"no sign":          scheme + "app_id=a,nonce=n,timestamp=1",
		"no app_id":        scheme + "nonce=n,timestamp=1,sign=AAAA",
		"no nonce":         scheme + "app_id=a,timestamp=1,sign=AAAA",
		"no timestamp":     scheme + "app_id=a,nonce=n,sign=AAAA",
		"empty nonce":      scheme + "app_id=a,nonce=,timestamp=1,sign=AAAA",
		"seconds, signed":  scheme + "app_id=a,nonce=n,timestamp=+1,sign=AAAA",
		"part twice":       scheme + "app_id=a,app_id=a,nonce=n,timestamp=1,sign=AAAA",
		"unknown, early":   scheme + "app_id=a,nonce=n,x=1,timestamp=1,sign=AAAA",
		"unknown, twice":   scheme + "app_id=a,nonce=n,timestamp=1,x=1,x=1,sign=AAAA",
		"unknown, empty":   scheme + "app_id=a,nonce=n,timestamp=1,x=,sign=AAAA",
		"app_id, late":     scheme + "app_id=a,nonce=n,timestamp=1,app_id=b,sign=AAAA",
		"part after sign":  scheme + "app_id=a,nonce=n,timestamp=1,sign=AAAA,x=1",
		"sign, no base64":  scheme + "app_id=a,nonce=n,timestamp=1,sign=*",
		"space after part": scheme + "app_id=a, nonce=n,timestamp=1,sign=AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := parseAuthorization(header); err == nil {
				t.Errorf("accepted as %+v", a)
			}
		})
	}
}

// Parts that an SDK is told to add, such as how long the signature is good, are signed like the rest.
func TestAuthorizationWithMoreParts(t *testing.T) {
	g := newAgent(t, newClock())
	body := agentBody("x", "")
	auth := "app_id=" + agentID + ",nonce=n,timestamp=" + strconv.FormatInt(g.now().UnixMilli(), 10) + ",expired_seconds=120"
	req := g.authorized(pathGenerate, body)
	authorize(req, auth, "", body)
	if o := g.try(req); o.status != 200 {
		t.Errorf("%d %s", o.status, o.body)
	}
	req.Header.Set("Authorization", strings.Replace(req.Header.Get("Authorization"), "=120", "=121", 1))
	if o := g.try(req); !strings.Contains(o.body, "invalid-signature") {
		t.Errorf("changed: %d %s", o.status, o.body)
	}
}

func TestGenerate(t *testing.T) {
	g := newAgent(t, newClock())
	for name, tc := range map[string]struct {
		extra  string
		events []string // type and whether the payload is a string
		text   string
	}{
		"plain":   {``, []string{"text string", "text object", "text string", "text object"}, "You said: a b"},
		"thought": {`,"llm_thinking":true`, []string{"thinking string", "text object", "text string", "text object", "text string"}, "Thinking of: a bYou said: a b"},
		"image":   {`,"multi_modal_inputs":{"images":["f"]},"inputs":"{\"a\":1}","config_version":"1","latitude":"1","longitude":"2","session_id":""`, nil, "You said: a b (with 1 image)"},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.try(g.authorized(pathGenerate, agentBody("a b", tc.extra)))
			if s := nextBuilderDialect().read(t, true, o.body); s.text != tc.text || !s.whole {
				t.Errorf("got %+v: %s", s, o.body)
			}
			events := strings.Split(strings.TrimSuffix(o.body, "\n\n"), "\n\n")
			if events[0] != "event: ping\ndata: {\"type\":\"ping\"}" || events[len(events)-1] != "event: end\ndata: {\"type\":\"end\"}" {
				t.Errorf("got %q", events)
			}
			var kinds []string
			for i, event := range events[1 : len(events)-1] {
				head, data, _ := strings.Cut(event, "data: ")
				if head != fmt.Sprintf("id: %d\nevent: message\n", i+1) {
					t.Errorf("head %q", head)
				}
				var e agentEvent
				decode(t, data, &e)
				kinds = append(kinds, e.Type+map[bool]string{true: " string", false: " object"}[e.Payload[0] == '"'])
				var p map[string]string
				e.open(t, &p)
				if len(p) != 3 || p["session_id"] == "" || p["message_id"] == "" {
					t.Errorf("payload %v", p)
				}
			}
			if tc.events != nil && !slices.Equal(kinds, tc.events) {
				t.Errorf("events %q, want %q", kinds, tc.events)
			}
		})
	}
	t.Run("session", func(t *testing.T) {
		o := g.try(g.authorized(pathGenerate, agentBody("a", `,"session_id":"mine"`)))
		if !strings.Contains(o.body, `"session_id":"mine"`) {
			t.Errorf("got %s", o.body)
		}
	})
	t.Run("unknown agent", func(t *testing.T) {
		body := []byte(strings.Replace(string(agentBody("a", "")), "sandbox-agent", "other", 1))
		o := g.try(g.authorized(pathGenerate, body))
		want := "event: error\ndata: {\"payload\":\"{\\\"errorCode\\\":\\\"Resource-Not-Found\\\"}\",\"type\":\"error\"}\n\nevent: end\ndata: {\"type\":\"end\"}\n\n"
		if o.status != 200 || o.body != want {
			t.Errorf("%d %q, want %q", o.status, o.body, want)
		}
		if n := g.srv.Stats().Codes["Resource-Not-Found"]; n != 1 {
			t.Errorf("counted %d times", n)
		}
	})
}

func TestGenerateRefusals(t *testing.T) {
	g := newAgent(t, newClock())
	without := func(field string) []byte {
		var fields map[string]any
		decode(t, string(agentBody("x", "")), &fields)
		delete(fields, field)
		b, _ := json.Marshal(fields)
		return b
	}
	for name, tc := range map[string]struct {
		body []byte
		says string
	}{
		"no JSON":         {[]byte(`{`), "object"},
		"no agent":        {without("agent_id"), "agent_id: Field required"},
		"no user":         {without("outer_user_id"), "outer_user_id: Field required"},
		"no query":        {without("query"), "query: Field required"},
		"no request id":   {without("request_id"), "request_id: Field required"},
		"empty query":     {agentBody("", ""), "query"},
		"unknown field":   {agentBody("x", `,"messages":[]`), "messages: Extra inputs"},
		"thinking word":   {agentBody("x", `,"llm_thinking":"yes"`), "llm_thinking"},
		"session number":  {agentBody("x", `,"session_id":7`), "session_id"},
		"inputs object":   {agentBody("x", `,"inputs":{"a":1}`), "inputs"},
		"inputs, no JSON": {agentBody("x", `,"inputs":"a"`), "inputs"},
		"images":          {agentBody("x", `,"multi_modal_inputs":{"images":"f"}`), "multi_modal_inputs.images"},
		"other modes":     {agentBody("x", `,"multi_modal_inputs":{"audio":["f"]}`), "multi_modal_inputs.audio"},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.try(g.authorized(pathGenerate, tc.body))
			if s := nextBuilderDialect().body(t, o.body); o.status != 400 || s.failure != "INVALID_PARAMETER" || !strings.Contains(o.body, tc.says) {
				t.Errorf("%d %s", o.status, o.body)
			}
		})
	}
	for name, tc := range map[string]struct {
		request func() *http.Request
		status  int
		code    string
	}{
		"unknown path": {func() *http.Request { return g.authorized("/v3/stream/other", agentBody("x", "")) }, 400, "invalid-method"},
		"wrong method": {func() *http.Request { r := g.authorized(pathGenerate, nil); r.Method = "PUT"; return r }, 405, "invalid-method"},
		"media type": {func() *http.Request {
			r := g.authorized(pathGenerate, agentBody("x", ""))
			r.Header.Set("Content-Type", "text/plain")
			return r
		}, 415, "INVALID_PARAMETER"},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.try(tc.request())
			if s := nextBuilderDialect().body(t, o.body); o.status != tc.status || s.failure != tc.code {
				t.Errorf("%d %s", o.status, o.body)
			}
		})
	}
}

func FuzzParseGenerate(f *testing.F) {
	f.Add(agentBody("hello", `,"llm_thinking":true,"session_id":"s"`))
	f.Add(agentBody("hello", `,"inputs":"{\"a\":1}","multi_modal_inputs":{"images":["f"]}`))
	f.Add([]byte(`{"agent_id":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseGenerate(body)
		if err != nil {
			return
		}
		if q.prompt.text == "" || !q.stream || (nextBuilder{}).callID(nil, body) == "" {
			t.Errorf("accepted %s as %+v", body, q)
		}
	})
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("ALIPAY-SHA256withRSA app_id=a,nonce=n,timestamp=1,sign=AAAA")
	f.Add("ALIPAY-SHA256withRSA app_id=a,app_cert_sn=c,nonce=n,timestamp=17,sign=AAAA")
	f.Add("ALIPAY-SHA256withRSA timestamp=1,nonce==,app_id=a,sign=")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			return
		}
		// What is accepted has each part once, and nothing that was ignored.
		if !strings.HasPrefix(header, "ALIPAY-SHA256withRSA "+a.signed+",sign=") {
			t.Fatalf("%q signs %q", header, a.signed)
		}
		parts := strings.Split(a.signed, ",")
		for _, want := range []string{"app_id=" + a.appID, "timestamp=" + strconv.FormatInt(a.timestamp.UnixMilli(), 10)} {
			if !slices.Contains(parts, want) {
				t.Errorf("%q lacks %s", a.signed, want)
			}
		}
		seen := make(map[string]bool)
		for _, part := range parts {
			name, _, _ := strings.Cut(part, "=")
			if seen[name] {
				t.Errorf("%q has the part %q twice", a.signed, name)
			}
			seen[name] = true
			if !seen["timestamp"] && !slices.Contains([]string{"app_id", "app_cert_sn", "nonce"}, name) {
				t.Errorf("%q has the part %q", a.signed, part)
			}
		}
	})
}
