package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/internal/testwait"
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

func TestRecorderLogs(t *testing.T) {
	var log logBuffer
	var counted results
	r := NewRecorder(Options{Logger: log.logger(), Observe: counted.observe})
	record := systemError()
	r.Record(record)
	// The caller's buffers are its own again.
	for i := range record.Request.Body {
		record.Request.Body[i] = '!'
	}
	record.Request.Header.Set("Content-Type", "changed")
	flush(t, r)

	entries := log.entries(t)
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	e := entries[0]
	for field, want := range map[string]any{
		"level": "error", "msg": "system error", "request_id": "req_7f3a", "tenant": "acme", "provider": "alipay",
		"endpoint": "chat.completions", "model": "alipay-1", "attempt": 1.0, "code": "SYSTEM_ERROR", "method": "POST",
		"url": "https://api.example.test/v1/chat?token=[secret]", "status": 500.0,
		"request_body": `{"messages":[{"content":"card [card]"}]}`, "request_bytes": 50.0, "request_cut": false,
		"response_body":  `{"code":"SYSTEM_ERROR","message":"for [mobile]","sign":"[secret]"}`,
		"response_bytes": 70.0, "response_cut": false,
	} {
		if e[field] != want {
			t.Errorf("%s = %v, want %v", field, e[field], want)
		}
	}
	if got, _ := json.Marshal(e["request_headers"]); string(got) != `{"Client-Id":"2026client","Content-Type":"application/json"}` {
		t.Errorf("request headers %s", got)
	}
	if got, _ := json.Marshal(e["response_headers"]); string(got) != `{"Content-Type":"application/json","X-Request-Id":"up1"}` {
		t.Errorf("response headers %s", got)
	}
	if counted.of(Logged) != 1 {
		t.Errorf("counted %v", counted.n)
	}
}

// No secret header gets through, to the log or into the sealed file.
func TestNoSecretGetsThrough(t *testing.T) {
	var log logBuffer
	vault, identity := newVault(t, VaultOptions{Dir: t.TempDir()})
	r := NewRecorder(Options{Logger: log.logger(), Vault: vault})
	record := systemError()
	record.Response.Body = Payload(`{"code":"SYSTEM_ERROR","message":"for ` + mobile + `"}`)
	r.Record(record)
	flush(t, r)
	opened, err := OpenFile(onlyFile(t, vault), identity)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := WriteJSON(&sealed, opened); err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"log": log.text.String(), "sealed": sealed.String()} {
		if strings.Contains(text, "t0psecret") {
			t.Errorf("%s shows a secret: %s", where, text)
		}
	}
	// Payloads and harmless headers are complete where they are sealed.
	if !strings.Contains(sealed.String(), visa) || opened.Response.Header.Get("X-Debug") != "node7" {
		t.Errorf("sealed: %s", sealed.String())
	}
	if got := opened.Response.Header.Get("Set-Cookie"); got != withheld {
		t.Errorf("Set-Cookie is %q", got)
	}
	if strings.Contains(log.text.String(), visa) || strings.Contains(log.text.String(), "node7") {
		t.Errorf("log: %s", log.text.String())
	}
}

func TestEntryIsBounded(t *testing.T) {
	for name, filling := range map[string]string{
		"plain": "abc def ", "quotes": `"`, "control": "\x01", "no UTF-8": "\xff", "newlines": "a\n", "Chinese": "你好",
	} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			r := NewRecorder(Options{Logger: log.logger()})
			record := systemError()
			long := strings.Repeat(filling, 1<<17/len(filling))
			record.Request.Body, record.Response.Body = Payload(long), Payload(long)
			name := long[:1<<10]
			record.RequestID, record.Tenant, record.Provider, record.Model = name, name, name, name
			record.Endpoint, record.Code, record.Request.Method = name, name, name
			record.Request.URL = "https://example.test/" + strings.Repeat("a/", 1<<12)
			for _, header := range loggedOfRequest {
				record.Request.Header.Set(header, name)
			}
			for _, header := range loggedOfResponse {
				record.Response.Header.Set(header, name)
			}
			r.Record(record)
			flush(t, r)
			if n := log.text.Len(); n > MaxEntry || n < MaxEntry/2 {
				t.Errorf("an entry of %d bytes", n)
			}
			e := log.entries(t)[0]
			if e["request_cut"] != true || e["response_cut"] != true || e["request_bytes"] != float64(len(long)) {
				t.Errorf("cut is %v and %v, bytes %v", e["request_cut"], e["response_cut"], e["request_bytes"])
			}
		})
	}
}

func TestRecorderRate(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var log logBuffer
		var counted results
		r := NewRecorder(Options{Logger: log.logger(), Rate: 1, Burst: 2, Observe: counted.observe})
		for range 5 {
			r.Record(systemError())
		}
		flush(t, r)
		if counted.of(Logged) != 2 || counted.of(Suppressed) != 3 {
			t.Fatalf("counted %v", counted.n)
		}
		time.Sleep(time.Second)
		r.Record(systemError())
		flush(t, r)
		if last := log.entries(t)[2]; last["records_left_out"] != 3.0 {
			t.Errorf("the next entry says that %v were left out", last["records_left_out"])
		}
	})
}

// While the log takes nothing, calls go on, memory is bounded, and what is
// lost is counted. Afterwards nothing runs.
func TestRecorderNeverBlocks(t *testing.T) {
	tests := map[string]struct {
		options Options
		queued  int
	}{
		"by count": {Options{MaxRecords: 4}, 4},
		"by bytes": {Options{MaxBytes: 3 * systemError().size()}, 2}, // and the one at work
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				log := logBuffer{wait: make(chan struct{})}
				var counted results
				tc.options.Logger, tc.options.Observe = log.logger(), counted.observe
				r := NewRecorder(tc.options)
				r.Record(systemError())
				synctest.Wait() // at the log, stuck
				for range 10 {
					r.Record(systemError())
				}
				if got := counted.of(Dropped); got != 10-tc.queued {
					t.Errorf("%d dropped, want %d", got, 10-tc.queued)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("flush: %v", err)
				}
				close(log.wait)
				flush(t, r)
				synctest.Wait()
				if got := counted.of(Logged); got != 1+tc.queued {
					t.Errorf("%d logged", got)
				}
				if r.log.bytes != 0 || r.log.items != nil || r.log.idle != nil {
					t.Errorf("the queue keeps %d bytes", r.log.bytes)
				}
			})
		})
	}
}

func TestRecorderIdles(t *testing.T) {
	var log logBuffer
	before := runtime.NumGoroutine()
	r := NewRecorder(Options{Logger: log.logger()})
	if after := runtime.NumGoroutine(); after > before { // those of other tests may end
		t.Errorf("%d goroutines more", after-before)
	}
	flush(t, r) // nothing to wait for
}

func TestRecorderInParallel(t *testing.T) {
	var log logBuffer
	var counted results
	r := NewRecorder(Options{Logger: log.logger(), Rate: 1e9, Burst: 1e9, MaxRecords: 1e6, Observe: counted.observe})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r.Record(systemError())
			}
		})
	}
	wg.Wait()
	flush(t, r)
	if got := counted.of(Logged); got != 400 {
		t.Errorf("%d of 400 logged", got)
	}
}

// A directory that cannot be written to costs the sealed record only, and is
// logged once, without the payload.
func TestSealingFails(t *testing.T) {
	var log logBuffer
	var counted results
	notADir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	vault, _ := newVault(t, VaultOptions{Dir: notADir})
	r := NewRecorder(Options{Logger: log.logger(), Vault: vault, Observe: counted.observe})
	for range 3 {
		r.Record(systemError())
	}
	flush(t, r)
	if counted.of(SealFailed) != 3 || counted.of(Logged) != 3 {
		t.Errorf("counted %v", counted.n)
	}
	logged := 0
	for _, e := range log.entries(t) {
		if e["msg"] == "evidence could not be sealed" {
			logged++
			if e["request_id"] != "req_7f3a" || !strings.HasPrefix(e["error"].(string), "dir: ") {
				t.Errorf("logged as %v", e)
			}
		}
	}
	if logged != 1 || strings.Contains(log.text.String(), visa) {
		t.Errorf("logged %d times in %s", logged, log.text.String())
	}
}

// A disk that hangs holds up neither calls nor the log.
func TestSealingHangs(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var log logBuffer
		var counted results
		stuck := &badRecipient{wait: make(chan struct{})}
		vault, err := NewVault(VaultOptions{Dir: t.TempDir(), Recipients: []age.Recipient{stuck}})
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecorder(Options{Logger: log.logger(), Vault: vault, MaxRecords: 2, Observe: counted.observe})
		for range 5 {
			r.Record(systemError())
			synctest.Wait()
		}
		if counted.of(Logged) != 5 || counted.of(Dropped) != 2 {
			t.Errorf("counted %v", counted.n)
		}
		close(stuck.wait)
		flush(t, r)
		if counted.of(SealFailed) != 3 {
			t.Errorf("counted %v", counted.n)
		}
		// What was half written is gone.
		if got := files(t, vault); len(got) != 0 {
			t.Errorf("files %v", got)
		}
	})
}

// A redactor that fails must not end the process, nor show what it was given.
func TestRedactionFails(t *testing.T) {
	fields := guarded(systemError(), func(Record) []zap.Field { panic(visa) })
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	if enc.Fields["redaction_failed"] != true || enc.Fields["request_id"] != "req_7f3a" || enc.Fields["request_body"] != nil {
		t.Errorf("fields %v", enc.Fields)
	}
}

func TestSealedURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h.test/a?key=1&b=2#f": "https://h.test/a?b=-&key=-",
		"https://h.test/a%20b":             "https://h.test/a%20b",
		"":                                 "",
		"mailto:x?key=1":                   withheld,
		"http://h\x7f/":                    withheld,
	} {
		if got := withoutSecrets(in); got != want {
			t.Errorf("withoutSecrets(%q) = %q, want %q", in, got, want)
		}
	}
}
