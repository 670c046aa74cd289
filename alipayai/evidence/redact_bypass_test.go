package evidence

import (
	"strings"
	"testing"
)

// What people, or those who do not want to be seen, do to a number does not keep it in the log.
func TestRedactDisguisedNumbers(t *testing.T) {
	const card, mobile = "4111111111111111", "13800138000"
	spread := func(number, sign string) string { return strings.Join(strings.Split(number, ""), sign) }
	grouped := func(sign string) string { return strings.Join([]string{"4111", "1111", "1111", "1111"}, sign) }
	digits := func(number string, zero rune) string {
		return strings.Map(func(r rune) rune { return zero + r - '0' }, number)
	}
	for name, text := range map[string]string{
		"zero width space":       spread(card, "\u200b"),
		"invisible times":        spread(card, "\u2062"),
		"embedding":              spread(card, "\u202a"),
		"isolate":                spread(card, "\u2066"),
		"vowel separator":        spread(card, "\u180e"),
		"grapheme joiner":        spread(card, "\u034f"),
		"Arabic letter mark":     spread(card, "\u061c"),
		"variation selector":     spread(card, "\ufe0f"),
		"tag":                    spread(card, "\U000e0020"),
		"full width":             digits(card, '０'),
		"Arabic-Indic":           digits(card, '٠'),
		"Devanagari":             digits(card, '०'),
		"mathematical":           digits(card, '𝟎'),
		"segmented":              digits(card, '🯰'),
		"dots":                   grouped("."),
		"underscores":            grouped("_"),
		"slashes":                grouped("/"),
		"middle dots":            grouped("·"),
		"four spaces":            grouped("    "),
		"line separators":        grouped("\u2028"),
		"vertical tabs":          grouped("\v"),
		"mobile with dots":       "138.0013.8000",
		"mobile, Arabic-Indic":   digits(mobile, '٠'),
		"mobile, invisible":      spread(mobile, "\u2062"),
		"in a JSON string":       `{"content":"card ` + grouped(".") + `"}`,
		"in the key of a member": `{"` + card + `":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := string(Redact([]byte(text)))
			if !strings.Contains(got, "[card]") && !strings.Contains(got, "[mobile]") {
				t.Errorf("%q", got)
			}
		})
	}
}

// Secrets go by the names of their fields.
func TestRedactSecretFields(t *testing.T) {
	for _, name := range []string{
		"token", "access_token", "refresh_token", "private_key", "app_secret", "client_secret", "secret", "session_key",
		"access_key", "api_key", "password", "passwd", "cvv", "cvc", "authorization",
	} {
		for kind, value := range map[string]string{"text": `"tea-4-two"`, "object": `{"value":"tea-4-two"}`} {
			if got := string(Redact([]byte(`{"` + name + `":` + value + `}`))); strings.Contains(got, "tea-4-two") {
				t.Errorf("%s, %s: %s", name, kind, got)
			}
		}
	}
}

// Numbers that stand beside each other are several.
func TestRedactLeavesOrdinaryNumbers(t *testing.T) {
	for _, text := range []string{
		`{"prices":[12.50,13.99,4111.11,11.11]}`, `{"list":[4111,1111,1111,1112]}`, "192.168.100.200 10.0.0.1",
		"2026-11-23 10:15:00", `{"created":1795424087,"total_tokens":12}`, "order 20261123, line 7",
	} {
		if got := string(Redact([]byte(text))); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
