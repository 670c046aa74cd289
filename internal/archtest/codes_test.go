package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A failure code of the gateway's is named by its constant wherever package failure is known.
func TestCodeLiterals(t *testing.T) {
	touchSources(t)
	found, err := codeLiterals(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range found {
		t.Errorf("%s spells a failure code: use the constant of alipayai/failure", place)
	}
}

// A code that is spelt is seen, and nothing else.
func TestCodeLiteralsAreSeen(t *testing.T) {
	for code, seen := range map[string]bool{
		`c := "breaker_open"; _ = c`:              true,
		`if f.Code == "breaker_open" {}`:          true,
		`return failed("invalid_value", "why")`:   true,
		`const codeLost = "lost"`:                 true,
		`var encode = "lost"; _ = encode`:         false,
		`c := failure.CodeBreakerOpen; _ = c`:     false,
		`c := "the code breaker_open"; _ = c`:     false,
		`c := "no_code"; _ = c // "breaker_open"`: false,
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{
			codeTables[1]:         "package wire\nconst CodeInvalidValue = \"invalid_value\"\n",
			codeTables[0]:         "package failure\nconst (\nCodeBreakerOpen = \"breaker_open\"\nother = \"no_code\"\n)\n",
			"caddy/a.go":          "package a\nfunc f() {\n" + code + "\n}\n",
			"caddy/a_test.go":     "package a\nfunc g() {\n" + code + "\n}\n",
			"alipayai/alert/a.go": "package alert\nfunc f() {\n" + code + "\n}\n",
		} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"caddy/a.go:3"}
		if !seen {
			want = nil
		}
		if found, err := codeLiterals(dir); err != nil || !slices.Equal(found, want) {
			t.Errorf("%s: found %v (%v), want %v", code, found, err, want)
		}
	}
}
