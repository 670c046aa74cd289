package alipayai_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
)

// turn is what an upstream without sockets does with one request. Without sockets
// a test can run in a bubble, where waiting takes no time.
type turn func(*http.Request) (*http.Response, error)

// script is a transport that takes its turns, and the last one for ever.
type script struct {
	mu    sync.Mutex
	turns []turn
	seen  []arrival
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	next := s.turns[min(len(s.seen), len(s.turns)-1)]
	s.seen = append(s.seen, arrival{time.Now(), req.URL.Path, req.Header.Clone(), body})
	s.mu.Unlock()
	return next(req)
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// leave tells the gateway that bytes of the request have left.
func leave(req *http.Request) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
}

// says answers with a status, a body, and alternating header names and values.
func says(status int, body string, header ...string) turn {
	return func(req *http.Request) (*http.Response, error) {
		leave(req)
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}, nil
	}
}

// after waits before next.
func after(d time.Duration, next turn) turn {
	return func(req *http.Request) (*http.Response, error) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return next(req)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

var (
	good     = says(200, `{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`)
	busy     = says(503, `{"code":"BUSY"}`)
	sysError = says(500, `{"code":"SYSTEM_ERROR"}`)
)

// hangs takes the request and says nothing.
func hangs(req *http.Request) (*http.Response, error) {
	leave(req)
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// breaks loses the connection with the request on it, refuses never has one.
func breaks(req *http.Request) (*http.Response, error) {
	leave(req)
	return nil, errors.New("broken pipe")
}

func refuses(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// streams answers with events; the last is whole. What follows them is next, or a clean end.
func streams(next func(context.Context) error, events ...string) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, _ := says(200, "", "Content-Type", "text/event-stream")(req)
		var all bytes.Buffer
		for _, e := range events {
			all.WriteString("data: " + e + "\n\n")
		}
		resp.Body = io.NopCloser(io.MultiReader(&all, ending{req.Context(), next}))
		return resp, nil
	}
}

// ending is a reader that has nothing.
type ending struct {
	ctx  context.Context
	next func(context.Context) error
}

func (e ending) Read([]byte) (int, error) {
	if e.next == nil {
		return 0, io.EOF
	}
	return 0, e.next(e.ctx)
}

// silent waits until nothing listens.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

const (
	deltaEvent  = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"}}]}`
	finishEvent = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}`
)

// scripted is a gateway before scripts.
type scripted struct {
	t       *testing.T
	gateway *alipayai.Gateway
	scripts []*script
	seen    *recorder
	// through is what answers are written through; nil for nothing.
	through func(http.ResponseWriter) http.ResponseWriter
}

// perform makes a gateway before providers that take these turns.
func perform(t *testing.T, turns [][]turn, edits ...func(*alipayai.Gateway)) *scripted {
	t.Helper()
	s := &scripted{t: t, seen: &recorder{settled: make(chan alipayai.Outcome, 1024)}}
	s.gateway = &alipayai.Gateway{Observer: s.seen}
	for i, list := range turns {
		p := plainProvider(t, "http://127.0.0.1:"+strconv.Itoa(i+1))
		p.Name = [...]string{"first", "second", "third"}[i]
		s.scripts = append(s.scripts, &script{turns: list})
		p.Transport = s.scripts[i]
		s.gateway.Providers = append(s.gateway.Providers, p)
	}
	for _, edit := range edits {
		edit(s.gateway)
	}
	for _, p := range s.gateway.Providers {
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.gateway.Prepare(); err != nil {
		t.Fatal(err)
	}
	return s
}

// call makes a call of acme, or of whom the header says, and gives what was answered.
func (s *scripted) call(body string, header ...string) reply {
	return s.callWith(context.Background(), body, header...)
}

func (s *scripted) callWith(ctx context.Context, body string, header ...string) reply {
	return s.callAt(ctx, chatPath, body, header...)
}

func (s *scripted) callAt(ctx context.Context, path, body string, header ...string) (got reply) {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)).WithContext(ctx)
	req.Header.Set("Content-Type", "application/json")
	tenant := "acme"
	for i := 0; i < len(header); i += 2 {
		if header[i] == tenantHeader {
			tenant = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	defer func() {
		got = reply{status: w.Code, header: w.Result().Header, body: w.Body.String()}
		if v := recover(); v != nil {
			got.err, _ = v.(error)
		}
	}()
	var to http.ResponseWriter = w
	if s.through != nil {
		to = s.through(w)
	}
	serve(s.gateway, to, req, tenant)
	return got
}

// panics serves a call that a panic breaks off.
func (s *scripted) panics(body string) {
	s.t.Helper()
	defer func() {
		if recover() == nil {
			s.t.Error("no panic")
		}
	}()
	r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	serve(s.gateway, httptest.NewRecorder(), r, "acme")
}

// wantCalls checks how many requests reached each provider.
func (s *scripted) wantCalls(want ...int) {
	s.t.Helper()
	for i, n := range want {
		if got := s.scripts[i].count(); got != n {
			s.t.Errorf("%d requests reached provider %d, want %d", got, i+1, n)
		}
	}
}

// outcome is what the last call came to.
func (s *scripted) outcome() (o alipayai.Outcome) {
	s.t.Helper()
	o = <-s.seen.settled
	for len(s.seen.settled) > 0 {
		o = <-s.seen.settled
	}
	return o
}
