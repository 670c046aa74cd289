package replay

import (
	"crypto/sha256"
	"strings"
	"testing"
)

func TestKeysDifferWhereThePartsDo(t *testing.T) {
	first, second := NewKey("alipay", "claude"), NewKey("alipay")
	lists := map[string][]string{
		"nothing":              {},
		"an empty part":        {""},
		"two empty parts":      {"", ""},
		"one part":             {"abc"},
		"cut after b":          {"ab", "c"},
		"cut after a":          {"a", "bc"},
		"in another order":     {"c", "ab"},
		"an empty part behind": {"ab", "c", ""},
		"an empty part before": {"", "ab", "c"},
		"a length as text":     {"ab\x00\x00\x00\x00\x00\x00\x00\x01c"},
		"upper case":           {"AB", "C"},
		"a list of two":        {"tenant", string(first[:]), "claude"},
		"a long part":          {strings.Repeat("a", 600), "b"},
		"a long part and more": {strings.Repeat("a", 601), "b"},
		"a list of one":        {"tenant", string(second[:]), "claude"},
		"the lists' parts":     {"tenant", "alipay", "claude", "claude"},
	}
	seen := make(map[Key]string)
	for name, parts := range lists {
		key := NewKey(parts...)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have the same key", name, other)
		}
		seen[key] = name
		if NewKey(parts...) != key {
			t.Errorf("%q has two keys", name)
		}
	}
}

func TestKeyIsAHashOfPartsBehindTheirLengths(t *testing.T) {
	want := sha256.Sum256([]byte("\x00\x00\x00\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c"))
	if got := NewKey("ab", "c"); got != Key(want) {
		t.Errorf("the key is %x, want %x", got, want)
	}
}
