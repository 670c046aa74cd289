package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every request of the product leaves by alipayai/outgoing, where net/http cannot repeat it.
func TestWaysOut(t *testing.T) {
	touchSources(t)
	found, err := waysOut(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range found {
		t.Errorf("%s sends a request by itself: use outgoing.Send, with which net/http cannot repeat it", place)
	}
}

// What sends a request by itself is seen.
func TestWaysOutAreSeen(t *testing.T) {
	for code, seen := range map[string]bool{
		`http.Get("http://host.example")`:                                  true,
		`http.Post("http://host.example", "", nil)`:                        true,
		`http.DefaultClient.Do(nil)`:                                       true,
		`client := &http.Client{}; _ = client`:                             true,
		`var client http.Client; _ = client`:                               true,
		`new(http.Transport).RoundTrip(nil)`:                               true,
		`t := new(http.Transport); t.RoundTrip(nil)`:                       true,
		`t := new(http.Transport); send := t.RoundTrip; _ = send`:          true,
		`_ = &httputil.ReverseProxy{}`:                                     true,
		`_ = &http.Transport{}`:                                            false,
		`var t http.RoundTripper; outgoing.Send(t, nil)`:                   false,
		`http.NewRequest("GET", "http://host.example", nil)`:               false,
		`http.Redirect(nil, nil, "http://host.example", http.StatusFound)`: false,
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{
			"alipayai/a.go":          "package a\nfunc f() {\n" + code + "\n}\n",
			"alipayai/a_test.go":     "package a\nfunc g() { http.Get(``) }\n",
			"alipayai/outgoing/o.go": "package o\nfunc f() { http.Get(``) }\n",
			"internal/i.go":          "package i\nfunc f() { http.Get(``) }\n",
		} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := waysOut(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(found, func(place string) bool { return strings.HasPrefix(place, "alipayai/a.go:3") }); got != seen || len(found) > 1 {
			t.Errorf("%s: found %v", code, found)
		}
	}
}
