package tenants_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

func TestNewKey(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		key, hash := tenants.NewKey()
		if !strings.HasPrefix(key, "sk-alipayai-") || len(key) < len("sk-alipayai-")+52 || seen[key] {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
		if hash != tenants.HashKey(key) || strings.Contains(hash.String(), key) {
			t.Errorf("hash %s", hash)
		}
		if parsed, err := tenants.ParseKeyHash(hash.String()); err != nil || parsed != hash {
			t.Errorf("%s is read as %s (%v)", hash, parsed, err)
		}
	}
}

// The SHA-256 of sk-alipayai-test as sha256sum prints it: stored hashes have to stay good.
func TestHashKeyIsStable(t *testing.T) {
	const want = "sha256:6223b31582138cc8da565872d4da956a99ba76ece0a2f2d3acb83d4c657187ac"
	if got := tenants.HashKey("sk-alipayai-test").String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseKeyHashRefuses(t *testing.T) {
	_, good := tenants.NewKey()
	key, _ := tenants.NewKey()
	for name, text := range map[string]string{
		"a key that was pasted":  key,
		"hash without its kind":  strings.TrimPrefix(good.String(), "sha256:"),
		"another kind":           "md5:" + strings.TrimPrefix(good.String(), "sha256:"),
		"one digit less":         good.String()[:len(good.String())-1],
		"two digits more":        good.String() + "00",
		"no digits":              "sha256:",
		"nothing":                "",
		"something else in it":   "sha256:" + strings.Repeat("x", 64),
		"a key after the prefix": "sha256:" + key,
	} {
		_, err := tenants.ParseKeyHash(text)
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		if text != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "sha256:")) && text != "sha256:" || strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error shows what may be a key: %v", name, err)
		}
		if !strings.Contains(err.Error(), "caddy alipayai key new") {
			t.Errorf("%s: the error does not say what would be right: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "team-1": true, "团队": true, "a.b@c": true, strings.Repeat("x", 128): true,
		"": false, tenants.Anonymous: false, strings.Repeat("x", 129): false, "a b": false, "a\n": false, "a\x00": false,
		"a\x7f": false, "a\u00a0b": false, "a\u2028": false, "a\u202e": false, "a\u0085": false, "a\xff": false,
	} {
		err := tenants.Check(name)
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && len(name) > 2 && strings.Contains(err.Error(), name) && name != tenants.Anonymous {
			t.Errorf("%q: the error repeats it: %v", name, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	key, one := tenants.NewKey()
	_, two := tenants.NewKey()
	_, three := tenants.NewKey()
	upper := "sha256:" + strings.ToUpper(strings.TrimPrefix(three.String(), "sha256:"))
	for name, test := range map[string]struct {
		file string
		want map[tenants.KeyHash]string
		err  string
	}{
		"empty":                 {"", map[tenants.KeyHash]string{}, ""},
		"comments":              {"# none\n\n   \n\t# none\n", map[tenants.KeyHash]string{}, ""},
		"keys":                  {"a " + one.String() + "\nb\t" + two.String(), map[tenants.KeyHash]string{one: "a", two: "b"}, ""},
		"two keys of a tenant":  {"a " + one.String() + "\na " + two.String() + "\n", map[tenants.KeyHash]string{one: "a", two: "a"}, ""},
		"the same key again":    {"a " + one.String() + "\na " + one.String() + "\n", map[tenants.KeyHash]string{one: "a"}, ""},
		"CRLF and white space":  {"  a   " + one.String() + "  \r\n\r\nb " + two.String() + "\r\n", map[tenants.KeyHash]string{one: "a", two: "b"}, ""},
		"byte order mark":       {"\ufeff# tenants and keys\r\na " + one.String(), map[tenants.KeyHash]string{one: "a"}, ""},
		"upper case":            {"a " + upper, map[tenants.KeyHash]string{three: "a"}, ""},
		"a key of two tenants":  {"a " + one.String() + "\nb " + one.String(), nil, "line 2: tenants a and b"},
		"no hash":               {"\na\n", nil, "line 2"},
		"one word too many":     {"a " + one.String() + " x", nil, "line 1"},
		"a plain key":           {"# keys\na " + key, nil, "line 2"},
		"a plain key, reversed": {key + " a", nil, "line 1"},
		"a plain key alone":     {key, nil, "line 1"},
		"a key as the tenant":   {key + " " + one.String(), nil, "line 1"},
		"the anonymous tenant":  {tenants.Anonymous + " " + one.String(), nil, "line 1"},
		"the hash of nothing":   {"a " + tenants.HashKey("").String(), nil, "line 1: the hash is one of an empty key"},
		"of a line break":       {"b " + one.String() + "\na " + tenants.HashKey("\n").String(), nil, "line 2: the hash is one of an empty key"},
		"a line without end":    {"a " + strings.Repeat("x", 100_000), nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tenants.ParseKeys([]byte(test.file))
			if test.err == "" {
				if err != nil || !maps.Equal(got, test.want) {
					t.Errorf("%v (%v)", got, err)
				}
				return
			}
			if err == nil || got != nil || !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got %v, %v; want an error that tells %q", got, err, test.err)
			}
			if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), strings.Repeat("x", 20)) {
				t.Errorf("the error shows what may be a key: %v", err)
			}
		})
	}
}

func TestKeysAreSwappedAtOnce(t *testing.T) {
	var keys tenants.Keys
	key, hash := tenants.NewKey()
	if tenant, ok := keys.Lookup(key); ok {
		t.Errorf("an empty table knows %q", tenant)
	}
	keys.Replace(map[tenants.KeyHash]string{hash: "a"})
	for _, wrong := range []string{"", key + "x", key[:len(key)-1], strings.ToLower(key), hash.String(), " " + key} {
		if tenant, ok := keys.Lookup(wrong); ok {
			t.Errorf("a wrong key is %q", tenant)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				keys.Replace(map[tenants.KeyHash]string{hash: fmt.Sprint("tenant-", i%2)})
				if tenant, ok := keys.Lookup(key); !ok || !strings.HasPrefix(tenant, "tenant-") {
					t.Errorf("%q, %v", tenant, ok)
				}
			}
		})
	}
	all.Wait()
	keys.Replace(nil)
	if _, ok := keys.Lookup(key); ok {
		t.Error("a key that was taken out is still good")
	}
}

func FuzzParseKeys(f *testing.F) {
	_, hash := tenants.NewKey()
	for _, seed := range []string{"", "# x\n", "a " + hash.String(), "a " + hash.String() + "\r\nb " + hash.String(), "a b c", "a sha256:00", "\x00\xff \u00a0"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := tenants.ParseKeys(file)
		if err != nil {
			if table != nil {
				t.Errorf("a table comes with %v", err)
			}
			return
		}
		var again strings.Builder
		for hash, tenant := range table {
			if err := tenants.Check(tenant); err != nil {
				t.Errorf("tenant %q: %v", tenant, err)
			}
			fmt.Fprintln(&again, tenant, hash)
		}
		same, err := tenants.ParseKeys([]byte(again.String()))
		if err != nil || !maps.Equal(same, table) {
			t.Errorf("%v written and read again is %v (%v)", table, same, err)
		}
	})
}
