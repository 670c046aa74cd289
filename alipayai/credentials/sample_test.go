package credentials

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomBytes are n of a generator.
func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Whatever part of a secret the grams find in a text, in whatever form, its sample does not miss.
func TestSamplesMissNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, secret := range map[string]string{
		"an HMAC":      base64.StdEncoding.EncodeToString(randomBytes(r, 32)),
		"for URLs":     base64.RawURLEncoding.EncodeToString(randomBytes(r, 32)),
		"an RSA":       base64.StdEncoding.EncodeToString(randomBytes(r, 256)),
		"digits":       hex.EncodeToString(randomBytes(r, 20)),
		"digits apart": strings.TrimPrefix(fmt.Sprintf("%# x", randomBytes(r, 16)), "0x"),
		"words":        "correct horse battery-staple_42",
		"escapes":      "100%25 \\u0041\\n secret&amp;more",
		"short":        "a-b_c+d/e",
		"as few as it": "12345678",
	} {
		t.Run(name, func(t *testing.T) {
			mask := new(Filter).With(func() []string { return []string{secret} })
			looks := 0
			forms(secret, func(form []byte) {
				size := min(gram, len(form))
				if size < minSecret {
					return
				}
				for i := 0; i+size <= len(form); i += 1 + len(form)/12 { // all of most, and others at places of all kinds
					part := form[i : i+size]
					for _, part := range [][]byte{part, bytes.ToUpper(part), bytes.ToLower(part)} {
						text := "id " + string(part) + "; 7f3a"
						looks++
						if len(search(text, mask.compile())) > 0 && !mayHold(plain(text, false), []string{secret}) {
							t.Fatalf("%q is missed, place %d of the form %q", part, i, form)
						}
					}
				}
			})
			if looks == 0 {
				t.Error("no form was looked at")
			}
			if got := mask.Text("id " + secret + "!"); strings.Contains(got, secret) || !strings.Contains(got, Hidden) {
				t.Errorf("the whole is shown as %q", got)
			}
		})
	}
}

// What answers have in their headers mostly needs nothing else than a look: it holds no word of a secret's forms.
func TestSamplesPassWhatIsNone(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	passed := 0
	for range 200 {
		id := randomBytes(r, 16)
		text := fmt.Sprintf("req_%x-%x-%x Mon, 30 Nov 2026 04:30:00 GMT %s", id[:4], id[4:8], id[8:], base64.RawURLEncoding.EncodeToString(randomBytes(r, 18)))
		if !mayHold(plain(text, false), []string{base64.StdEncoding.EncodeToString(randomBytes(r, 32)), hex.EncodeToString(randomBytes(r, 32))}) {
			passed++
		}
	}
	if passed < 199 {
		t.Errorf("%d of 200 texts pass", passed)
	}
}

// A text of many readings that leaves no room in its sample is searched.
func TestSamplesThatAreFull(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	text := strings.Repeat("%253d=2a:b-c.d,0xe%25", 150)
	mask := new(Filter).With(func() []string { return []string{secret} })
	for _, text := range []string{text + secret, secret + text, text[:len(text)/2] + secret + text[len(text)/2:]} {
		if got := mask.Text(text); strings.Contains(got, secret) || !strings.Contains(got, Hidden) {
			t.Errorf("%q is shown", got)
		}
	}
	if got := mask.Text(text); got != text {
		t.Errorf("%q became %q", text, got)
	}
}
