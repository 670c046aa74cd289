package signer

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every scheme is made of its keys, and of nothing there is no scheme: not one that is a nil pointer either.
func TestKindsNeedTheirKeys(t *testing.T) {
	for _, name := range Names() {
		k := KindOf(name)
		if k == nil || k.Name != name || k.Key == KeyNone {
			t.Fatalf("%s: %+v", name, k)
		}
		if s, err := k.New(Config{ClientID: "app", Header: "X-Key"}); s != nil || err == nil {
			t.Errorf("%s: made %v of no keys (%v)", name, s, err)
		}
	}
	if k := KindOf("hmac"); k != nil {
		t.Errorf("of an unknown name: %+v", k)
	}
	none := KindOf("")
	if s, err := none.New(Config{}); none.Signs() || s != nil || err != nil || none.Target("SANDBOX_1", "/ams/api/x") != "/ams/api/x" {
		t.Errorf("of no name: %+v, made %v (%v)", none, s, err)
	}
}

// A request that is sent back reflects where both directions have one layout, whatever its field is called and however
// its signature is spelt.
func TestReflects(t *testing.T) {
	all := schemes(t)
	renamed := must(NewHMAC(HMACConfig{ClientID: "app", Headers: Headers{Signature: "X-Sign"}, Keys: ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("k"))})}))(t)
	other := Signature{AlgorithmHMAC, 1, []byte("another")}
	for name, c := range map[string]struct {
		scheme   Scheme
		field    string // of an answer's signature
		reflects bool
	}{
		"hmac-sha256, renamed": {renamed, "X-Sign", true},
		"hmac-sha256":          {all["hmac-sha256"], "Signature", true},
		"global":               {all["global"], "Signature", true},
		"openapi-v3":           {all["openapi-v3"], "Alipay-Signature", false},
		"openapi-v2":           {all["openapi-v2"], "", false},
		"bearer":               {all["bearer"], "", false},
		"header":               {all["header"], "", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := all["global"].m
			if name == "openapi-v2" {
				m = all[name].m
			}
			_, request := send(t, c.scheme, m)
			if got := c.scheme.AnswerField(); got != c.field {
				t.Errorf("an answer's signature is in %q, want %q", got, c.field)
			}
			back := request.Clone()
			if value := back.Get(c.field); c.reflects {
				s := must(ParseSignature(value))(t)
				algorithm, rest, _ := strings.Cut(string(s.Append(nil)), ",")
				back.Set(c.field, rest+", "+algorithm)
			}
			if got := c.scheme.Reflects(request, back); got != c.reflects {
				t.Errorf("sent back: %v", got)
			}
			for what, answer := range map[string]http.Header{"none": {}, "another": {http.CanonicalHeaderKey(c.field): {string(other.Append(nil))}}} {
				if c.scheme.Reflects(request, answer) || c.scheme.Reflects(answer, request) {
					t.Errorf("%s reflects", what)
				}
			}
		})
	}
}

// The documentation of the package has a line for each scheme, and none for another.
func TestSchemesAreDocumented(t *testing.T) {
	_, table, _ := strings.Cut(string(must(os.ReadFile("doc.go"))(t)), "// # Schemes\n//\n")
	table, _, _ = strings.Cut(table, "\n//\n")
	var listed []string
	for line := range strings.Lines(table) {
		listed = append(listed, strings.Fields(line)[1])
	}
	if names := Names(); !slices.Equal(slices.Sorted(slices.Values(listed)), slices.Sorted(slices.Values(names))) {
		t.Errorf("documented are %v, there are %v", listed, names)
	}
}
