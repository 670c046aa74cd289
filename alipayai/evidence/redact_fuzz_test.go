package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzRedact: whatever the body is, nothing panics, JSON stays JSON, and what
// is redacted once is not changed by a second time in a way that shows more.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,"x",{"b":4111111111111111}]}`, `{"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}`,
		"data: {\"a\":1}\n\ndata: [DONE]\n", `\u0034\\u0031%31`, "４１１１\xff", `{"a":1e400,"sign":2}`, `[[[[`, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out := Redact(body)
		if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') &&
			json.Valid(body) && !json.Valid(out) {
			t.Errorf("%q became %q", body, out)
		}
	})
}

// FuzzPlanted: a card, an id, a mobile number and an address never get through, whatever
// they are put in, and however their characters are written.
func FuzzPlanted(f *testing.F) {
	f.Add("call ", " now", uint32(0), uint8(0))
	f.Add(`{"a":"`, `","b":1}`, uint32(0xAAAA), uint8(1))
	f.Add("data: ", "\n\n", uint32(7), uint8(2))
	f.Add(`\`, `"`, uint32(1), uint8(3))
	f.Add("%4", "@x", uint32(5), uint8(4))
	planted := []string{visa, unionPay, amex, idDigit, idPlain, mobile, "+86" + mobile, "lilei@example.com"}
	f.Fuzz(func(t *testing.T, before, after string, escape uint32, which uint8) {
		secret := planted[int(which)%len(planted)]
		// What touches it on both sides belongs to the text, not to the number.
		before, after = before+"\u00a7 ", " \u00a7"+after
		written := escapeSome(secret, escape)

		text := before + written + after
		refuse(t, text, Redact([]byte(text)), secret, written)

		content, _ := json.Marshal(before + secret + after)
		object := fmt.Sprintf(`{"messages":[{"content":%s}]}`, content)
		refuse(t, object, Redact([]byte(object)), secret, secret)
		nested, _ := json.Marshal(object)
		refuse(t, string(nested), Redact(fmt.Appendf(nil, `{"payload":%s}`, nested)), secret, secret)
		// The same, cut: text that only looks like JSON.
		cutOff := strings.TrimSuffix(object, `"}]}`)
		refuse(t, cutOff, Redact([]byte(cutOff)), secret, secret)

		if strings.Trim(secret, "0123456789") == "" {
			number := fmt.Sprintf(`{"n":%s}`, secret)
			refuse(t, number, Redact([]byte(number)), secret, secret)
		}
	})
}

// refuse fails when the secret is in the output more often than the fuzzer
// itself wrote it around the one that was planted.
func refuse(t *testing.T, in string, out []byte, secret, written string) {
	t.Helper()
	for _, form := range []string{secret, written} {
		if bytes.Contains(out, []byte("\u00a7 "+form)) || bytes.Contains(out, []byte(form+" \u00a7")) {
			t.Errorf("Redact(%q) = %q still has %q", in, out, form)
		}
	}
}

// escapeSome writes the characters that the bits choose as \u escapes.
func escapeSome(s string, bits uint32) string {
	var b strings.Builder
	for i := range len(s) {
		if bits>>(i%32)&1 == 1 {
			fmt.Fprintf(&b, `\u%04x`, s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
