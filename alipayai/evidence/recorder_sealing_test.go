package evidence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"filippo.io/age"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

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
