package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// rig is a simulator on a real listener and a client that signs by code of its own.
type rig struct {
	t      *testing.T
	srv    *Server
	web    *httptest.Server
	http   *http.Client
	now    func() time.Time
	token  string
	served chan struct{} // one value for each request that is done with
}

func newRig(t *testing.T, cfg Config) *rig { return startRig(t, cfg, false) }

func startRig(t *testing.T, cfg Config, http2 bool) *rig {
	t.Helper()
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, srv: srv, now: cfg.Now, served: make(chan struct{}, 4096)}
	if g.now == nil {
		g.now = time.Now
	}
	g.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { g.served <- struct{}{} }()
		srv.ServeHTTP(w, r)
	}))
	if http2 {
		g.web.EnableHTTP2 = true
		g.web.StartTLS()
	} else {
		g.web.Start()
	}
	t.Cleanup(g.web.Close)
	g.http = g.web.Client()
	if srv.cfg.Format == OpenAI {
		g.token = g.fetchToken()
	}
	return g
}

func (g *rig) fetchToken() string {
	g.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	g.postForm(pathToken, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {DemoClientID}, "client_secret": {DemoOAuthSecret},
	}, http.StatusOK, &answer)
	if answer.AccessToken == "" {
		g.t.Fatal("no access token")
	}
	return answer.AccessToken
}

func (g *rig) postForm(path string, form url.Values, status int, into any) {
	g.t.Helper()
	resp, err := g.http.PostForm(g.web.URL+path, form)
	if err != nil {
		g.t.Fatal(err)
	}
	g.read(resp, status, into)
}

func (g *rig) read(resp *http.Response, status int, into any) []byte {
	g.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	<-g.served
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != status {
		g.t.Fatalf("status %d, want %d: %s", resp.StatusCode, status, body)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			g.t.Fatalf("%v: %s", err, body)
		}
	}
	return body
}

// refSign is the layout written out once more, so that a mistake in the
// simulator's own code cannot agree with itself.
func refSign(key, method, target, id, at string, body []byte) string {
	m := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(m, "%s %s\n%s.%s.%s", method, target, id, at, body)
	return url.QueryEscape(base64.StdEncoding.EncodeToString(m.Sum(nil)))
}

func demoKey() string { return string(DemoKeys()[1]) }

func (g *rig) signed(method, target string, body []byte) *http.Request {
	g.t.Helper()
	req, err := http.NewRequest(method, g.web.URL+target, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	at := strconv.FormatInt(g.now().UnixMilli(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("Client-Id", DemoClientID)
	req.Header.Set("Request-Time", at)
	req.Header.Set("Signature", "algorithm=HMAC-SHA256,keyVersion=1,signature="+
		refSign(demoKey(), method, target, DemoClientID, at, body))
	return req
}

func (g *rig) do(req *http.Request) (*http.Response, error) { return g.http.Do(req) }

// call sends a signed request and reads the answer, which must have that status.
func (g *rig) call(method, target string, body []byte, status int, into any) http.Header {
	g.t.Helper()
	resp, err := g.do(g.signed(method, target, body))
	if err != nil {
		g.t.Fatal(err)
	}
	g.read(resp, status, into)
	return resp.Header
}

func chatBody(prompt string, extra string) []byte {
	text, _ := json.Marshal(prompt)
	return []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":` + string(text) + `}]` + extra + `}`)
}

const streaming = `,"stream":true`

type completion struct {
	ID, Object, Model string
	Choices           []struct {
		Message struct {
			Role      string
			Content   *string
			ToolCalls []toolCall `json:"tool_calls"`
		}
		Delta struct {
			Role      string
			Content   string
			ToolCalls []struct {
				Index    int
				ID, Type string
				Function toolFunction
			} `json:"tool_calls"`
		}
		FinishReason *string `json:"finish_reason"`
	}
	Usage *usage
}

func (g *rig) chat(prompt string) string {
	g.t.Helper()
	var got completion
	g.call("POST", pathChat, chatBody(prompt, ""), http.StatusOK, &got)
	if len(got.Choices) != 1 || got.Choices[0].Message.Content == nil {
		g.t.Fatalf("no content in %+v", got)
	}
	return *got.Choices[0].Message.Content
}

// stream sends a streamed chat and returns the data of its events, and the error
// that reading ended with.
func (g *rig) stream(prompt, extra string) (events []string, err error) {
	g.t.Helper()
	resp, err := g.do(g.signed("POST", pathChat, chatBody(prompt, streaming+extra)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		g.t.Fatalf("Content-Type %q", kind)
	}
	all, err := io.ReadAll(resp.Body)
	<-g.served
	for event := range strings.SplitSeq(string(all), "\n\n") {
		if event != "" {
			events = append(events, strings.TrimPrefix(event, "data: "))
		}
	}
	return events, err
}

func (g *rig) set(faults ...Fault) {
	g.t.Helper()
	if err := g.srv.SetFaults(faults...); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) wantCode(code string, n int64) {
	g.t.Helper()
	if got := g.srv.Stats().Codes[code]; got != n {
		g.t.Errorf("code %s counted %d times, want %d: %v", code, got, n, g.srv.Stats().Codes)
	}
}

func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
