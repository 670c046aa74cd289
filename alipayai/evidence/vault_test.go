package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// newVault makes a vault for a new key, and the file of its private half.
func newVault(t *testing.T, opt VaultOptions) (v *Vault, identityPath string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identityPath = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(identityPath, []byte("# made for a test\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opt.Recipients = []age.Recipient{key.Recipient()}
	if v, err = NewVault(opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, identityPath
}

// badRecipient fails, once it may.
type badRecipient struct{ wait chan struct{} }

func (b *badRecipient) Wrap([]byte) ([]*age.Stanza, error) {
	<-b.wait
	return nil, errors.New("no more entropy")
}

func files(t *testing.T, v *Vault) []string {
	t.Helper()
	entries, err := os.ReadDir(v.opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func onlyFile(t *testing.T, v *Vault) string {
	t.Helper()
	names := files(t, v)
	if len(names) != 1 {
		t.Fatalf("files %v", names)
	}
	return filepath.Join(v.opt.Dir, names[0])
}

func TestSealAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "evidence")
	v, identity := newVault(t, VaultOptions{Dir: dir})
	record := systemError()
	record.Response.Body = Payload("\xff\x00 not UTF-8 <&>")
	if err := v.Seal(record); err != nil {
		t.Fatal(err)
	}
	path := onlyFile(t, v)
	if got := filepath.Base(path); got != "20261123T074500.123Z-req_7f3a-1.json.age" {
		t.Errorf("named %s", got)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, dir: 0o700 | os.ModeDir} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(visa)) || !bytes.HasPrefix(sealed, []byte("age-encryption.org/v1\n")) {
		t.Errorf("the file is %q", sealed)
	}
	got, err := OpenFile(path, identity)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, record) {
		t.Errorf("got %+v\nwant %+v", got, record)
	}
}

func TestOpenFails(t *testing.T) {
	v, _ := newVault(t, VaultOptions{Dir: t.TempDir()})
	if err := v.Seal(systemError()); err != nil {
		t.Fatal(err)
	}
	path := onlyFile(t, v)
	_, other := newVault(t, VaultOptions{Dir: t.TempDir()})
	notAKey := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(notAKey, []byte("AGE-SECRET-KEY-1BROKENBROKEN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ path, identity, want string }{
		"another key":      {path, other, "identity did not match"},
		"no key":           {path, path + ".missing", "identity: "},
		"a broken key":     {path, notAKey, "malformed secret key"},
		"no file":          {path + ".missing", other, "no such file"},
		"not a sealed one": {other, other, "open a sealed record"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFile(tc.path, tc.identity)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "BROKEN") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	sealed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	identity, _ := age.GenerateX25519Identity()
	var noMatch *age.NoIdentityMatchError
	if _, err := Open(sealed, identity); !errors.As(err, &noMatch) {
		t.Errorf("error %v", err)
	}
}

func TestParseRecipient(t *testing.T) {
	key, _ := age.GenerateX25519Identity()
	if r, err := ParseRecipient(" " + key.Recipient().String() + "\n"); err != nil || fmt.Sprint(r) != key.Recipient().String() {
		t.Errorf("%v, %v", r, err)
	}
	for name, tc := range map[string]struct{ in, want string }{
		"a private key":            {key.String(), "this is a private key"},
		"a private key, lower":     {strings.ToLower(key.String()), "this is a private key"},
		"a broken private key":     {"AGE-SECRET-KEY-PQ-1ABCDEF", "this is a private key"},
		"an SSH key":               {"ssh-ed25519 AAAAC3Nza", "not an age public key"},
		"a public key with a typo": {key.Recipient().String()[:61] + "b", "not an age public key"},
		"nothing":                  {"", "not an age public key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRecipient(tc.in)
			if err == nil || !strings.HasPrefix(err.Error(), "recipient: ") || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if len(tc.in) > 10 && strings.Contains(err.Error(), tc.in[10:]) {
				t.Errorf("%v repeats what was given", err)
			}
		})
	}
}

func TestNewVaultRefuses(t *testing.T) {
	if _, err := NewVault(VaultOptions{Recipients: []age.Recipient{nil}}); !errors.Is(err, errNoDir) {
		t.Errorf("without a directory: %v", err)
	}
	if _, err := NewVault(VaultOptions{Dir: "x"}); !errors.Is(err, errNoRecipients) {
		t.Errorf("without a recipient: %v", err)
	}
}

func TestFileName(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("CST", 8*3600))
	for id, want := range map[string]string{
		"req_1-a":                "20260101T190405.006Z-req_1-a-2.json.age",
		"../../etc/passwd\x00你":  "20260101T190405.006Z-______etc_passwd__-2.json.age",
		"":                       "20260101T190405.006Z-unknown-2.json.age",
		strings.Repeat("a", 300): "20260101T190405.006Z-" + strings.Repeat("a", 80) + "-2.json.age",
	} {
		got := fileName(Record{Time: at, RequestID: id, Attempt: 2})
		if got != want || !sealedName.MatchString(got) {
			t.Errorf("fileName(%q) = %q, want %q", id, got, want)
		}
	}
}

// at is a record of its own time and id.
func at(when time.Time, id string) Record {
	r := systemError()
	r.Time, r.RequestID = when, id
	return r
}

// A record goes when it is too old, with nothing else happening, and files of
// others never.
func TestTTL(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, _ := newVault(t, VaultOptions{Dir: t.TempDir(), TTL: 24 * time.Hour})
		foreign := []string{"notes.txt", "20200101T000000.000Z-x.json", "x-20200101T000000.000Z-x-1.json.age"}
		for _, name := range foreign {
			if err := os.WriteFile(filepath.Join(v.opt.Dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(v.opt.Dir, "20200101T000000.000Z-dir-1.json.age"), 0o700); err != nil {
			t.Fatal(err)
		}
		left := func() int { return len(files(t, v)) - len(foreign) - 1 }

		for _, id := range []string{"a", "b"} {
			if err := v.Seal(at(time.Now(), id)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Hour)
		}
		if left() != 2 {
			t.Fatalf("files %v", files(t, v))
		}
		time.Sleep(12*time.Hour + time.Minute) // 24 hours after the first
		synctest.Wait()
		if left() != 1 {
			t.Fatalf("files %v", files(t, v))
		}
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if left() != 0 {
			t.Errorf("files %v", files(t, v))
		}
	})
}

func TestClosedVaultWaitsForNothing(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, _ := newVault(t, VaultOptions{Dir: t.TempDir(), TTL: time.Hour})
		if err := v.Seal(at(time.Now(), "a")); err != nil {
			t.Fatal(err)
		}
		v.Close()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := files(t, v); len(got) != 1 {
			t.Fatalf("files %v", got)
		}
		// It still seals, and what is too old goes then.
		if err := v.Seal(at(time.Now(), "b")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := files(t, v); len(got) != 1 || !strings.Contains(got[0], "-b-") {
			t.Errorf("files %v", got)
		}
	})
}

func TestSizeCap(t *testing.T) {
	const size = 4 << 10
	v, _ := newVault(t, VaultOptions{Dir: t.TempDir(), MaxBytes: 10 * 2 * size})
	start := time.Now()
	for i := range 40 {
		r := at(start.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("r%02d", i))
		r.Request.Body = bytes.Repeat([]byte{'a'}, size)
		if err := v.Seal(r); err != nil {
			t.Fatal(err)
		}
		var total int64
		names := files(t, v)
		for _, name := range names {
			info, err := os.Stat(filepath.Join(v.opt.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
		if total > v.opt.MaxBytes || total != v.bytes {
			t.Fatalf("%d bytes after %d records, known as %d", total, i+1, v.bytes)
		}
		if last := names[len(names)-1]; !strings.Contains(last, r.RequestID) {
			t.Fatalf("the newest is %s", last)
		}
	}
	if n := len(files(t, v)); n < 8 {
		t.Errorf("%d records are left", n)
	}
}

// A restart knows what is there.
func TestSweepAtStart(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	first, _ := newVault(t, VaultOptions{Dir: dir})
	for i := range 3 {
		if err := first.Seal(at(now.Add(time.Duration(i-3)*time.Hour), "x")); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{".alipayai-evidence-1.tmp": 2 * time.Hour, ".alipayai-evidence-2.tmp": 0} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	second, _ := newVault(t, VaultOptions{Dir: dir, TTL: 90 * time.Minute})
	if err := second.Sweep(); err != nil {
		t.Fatal(err)
	}
	// One record is young enough, and one half-written file may still be at work.
	if got := files(t, second); len(got) != 2 || got[0] != ".alipayai-evidence-2.tmp" {
		t.Errorf("files %v", got)
	}
	none, _ := newVault(t, VaultOptions{Dir: filepath.Join(dir, "none")})
	if err := none.Sweep(); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}

// Nothing half-written stays behind, and two vaults may share a directory.
func TestSealInParallel(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 2 {
		v, _ := newVault(t, VaultOptions{Dir: dir, MaxBytes: 50 << 10})
		for j := range 4 {
			wg.Go(func() {
				for k := range 10 {
					if err := v.Seal(at(time.Now(), fmt.Sprintf("%d_%d_%d", i, j, k))); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !sealedName.MatchString(e.Name()) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// CheckDir finds what is in the way, and leaves the file system as it is.
func TestVaultCheckDir(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir  string
		fits bool
	}{
		"is there":        {root, true},
		"is to be made":   {filepath.Join(root, "a", "b"), true},
		"a file":          {filepath.Join(root, "file"), false},
		"below a file":    {filepath.Join(root, "file", "a"), false},
		"no such devices": {"/proc/evidence", false},
	} {
		t.Run(name, func(t *testing.T) {
			vault, err := NewVault(VaultOptions{Dir: test.dir, Recipients: []age.Recipient{identity.Recipient()}})
			if err != nil {
				t.Fatal(err)
			}
			if err := vault.CheckDir(); (err == nil) != test.fits {
				t.Errorf("error %v", err)
			}
			entries, err := os.ReadDir(root)
			if err != nil || len(entries) != 1 {
				t.Errorf("%d entries, error %v", len(entries), err)
			}
		})
	}
}
