package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Only the package signer and the profile table name schemes.
func TestSchemeNames(t *testing.T) {
	touchSources(t)
	found, err := schemeNames(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range found {
		t.Errorf("%s names a signing scheme: make what depends on it a method of signer.Scheme, or say it in signer.Kind", place)
	}
}

// What names a scheme is seen, however it is used.
func TestSchemeNamesAreSeen(t *testing.T) {
	for code, seen := range map[string]bool{
		`if scheme == signer.NameHMAC {}`:                          true,
		`switch scheme { case signer.NameBearer: }`:                true,
		`var m = map[string]bool{signer.NameGlobal: true}; _ = m`:  true,
		`_, ok := p.Scheme.(*signer.Layout); _ = ok`:               true,
		`switch p.Scheme.(type) { case nil, *signer.HMAC: }`:       true,
		`switch s := p.Scheme.(type) { case *other.HMAC: _ = s }`:  false,
		`var l *signer.Layout; _ = l`:                              false,
		`_ = signer.Names()`:                                       false,
		`_ = signer.KindOf(scheme).Signs()`:                        false,
		`_ = upstream.Profile{}.Kind().Key == signer.KeyRSA`:       false,
		`const text = "signer.NameHMAC"; _ = text`:                 false,
		`_ = keys.NameHMAC`:                                        false,
		`var k signer.Kind; _ = k.Name == "" // signer.NameHeader`: false,
	} {
		dir := t.TempDir()
		file := "package a\n\nfunc f() {\n" + code + "\n}\n"
		for _, name := range []string{"caddy/a.go", "caddy/a_test.go", "signer/s.go", "internal/i.go", profileTable} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"caddy/a.go:4"}
		if !seen {
			want = nil
		}
		if found, err := schemeNames(dir); err != nil || !slices.Equal(found, want) {
			t.Errorf("%s: found %v (%v), want %v", code, found, err, want)
		}
	}
}
