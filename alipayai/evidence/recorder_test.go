package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

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
