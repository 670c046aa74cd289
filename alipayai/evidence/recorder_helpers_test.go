package evidence

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logBuffer is a log as a file has it: JSON, one entry a line.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	wait chan struct{} // a write waits for it to be closed, unless it is nil
}

func (b *logBuffer) Write(p []byte) (int, error) {
	if b.wait != nil {
		<-b.wait
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) Sync() error { return nil }

func (b *logBuffer) logger() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), b, zap.DebugLevel))
}

// entries are the entries so far.
func (b *logBuffer) entries(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var entries []map[string]any
	for line := range bytes.Lines(b.text.Bytes()) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

// results counts what became of records.
type results struct {
	mu sync.Mutex
	n  map[Result]int
}

func (r *results) observe(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = map[Result]int{}
	}
	r.n[result]++
}

func (r *results) of(result Result) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n[result]
}

func flush(t *testing.T, r *Recorder) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// systemError is a record as the gateway makes them.
func systemError() Record {
	return Record{
		Time: time.Date(2026, 11, 23, 7, 45, 0, 123e6, time.UTC), RequestID: "req_7f3a", Tenant: "acme", Provider: "alipay",
		Endpoint: "chat.completions", Model: "alipay-1", Attempt: 1, Code: "SYSTEM_ERROR",
		Request: Request{
			Method: http.MethodPost, URL: "https://me:pw@api.example.test/v1/chat?token=t0psecret#x",
			Header: http.Header{
				"Authorization": {"Bearer t0psecret"}, "Signature": {"signature=t0psecret"}, "X-Api-Key": {"t0psecret"},
				"Cookie": {"t0psecret"}, "Proxy-Authorization": {"t0psecret"}, "Client-Secret": {"t0psecret"},
				"Alipay-App-Auth-Token": {"t0psecret"}, "X-Portkey-Virtual-Key": {"t0psecret"}, "X-Unknown": {"t0psecret"},
				"Content-Type": {"application/json"}, "Client-Id": {"2026client"},
			},
			Body: Payload(`{"messages":[{"content":"card ` + visa + `"}]}`),
		},
		Response: Response{
			Status: 500,
			Header: http.Header{
				"Set-Cookie": {"t0psecret"}, "Signature": {"t0psecret"}, "Authorization": {"t0psecret"}, "Alipay-Signature": {"t0psecret"},
				"X-Auth-Token": {"t0psecret"}, "Content-Type": {"application/json"}, "X-Request-Id": {"up1"}, "X-Debug": {"node7"},
			},
			Body: Payload(`{"code":"SYSTEM_ERROR","message":"for ` + mobile + `","sign":"t0psecret"}`),
		},
	}
}
