package evidence

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
)

// A pair goes to the vault alone, without credentials, and without a vault nowhere.
func TestPairsAreSealedAlone(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	vault, err := NewVault(VaultOptions{Dir: dir, Recipients: []age.Recipient{identity.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vault.Close)
	record := Record{
		Time: time.Now(), RequestID: "req_1", Request: Request{Body: Payload("asked, by secret")}, Response: Response{Body: Payload("answered")},
		Pair:    &Pair{Provider: "prod", Differs: []string{"blocked"}, Code: "NO secret", Body: Payload("a secret answer")},
		Conceal: func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("secret"), []byte("[credential]")) },
	}
	for _, v := range []*Vault{vault, nil} {
		var log logBuffer
		r := NewRecorder(Options{Logger: log.logger(), Vault: v})
		r.Seal(record)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := log.text.String(); got != "" {
			t.Errorf("the log has %s", got)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json.age"))
	if err != nil || len(files) != 1 {
		t.Fatalf("sealed %q (%v)", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Open(f, identity)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Pair; p == nil || p.Provider != "prod" || p.Code != "NO [credential]" || string(p.Body) != "a [credential] answer" || string(got.Request.Body) != "asked, by [credential]" {
		t.Errorf("%+v", got)
	}
	if string(record.Pair.Body) != "a secret answer" {
		t.Error("the caller's pair was changed")
	}
}
