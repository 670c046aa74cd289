package signer

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a text says in a message, the other side reads out of it; anything else is refused.
func TestTextIsRead(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC)
	m := Message{Time: now, Nonce: "N-1_a", Header: http.Header{"X-Call": {"id 7"}}}
	for name, text := range map[string]string{
		"a time":            "{time_ms}",
		"a local time":      "{time_local}",
		"a day, and a time": "{time_s}/{time_day}",
		"a date":            "d={time_date} at {time_iso}",
		"a nonce":           "n:{nonce};",
		"a client":          "{client_id}|{time_s}",
		"a field":           "<{header.x-call}>",
		"all of it":         `{client_id} {time_iso_ms} {nonce} "{header.X-Call}"`,
		"its own words":     `a\nb\{\}`,
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := ParseText("field", text, "", "")
			if err != nil {
				t.Fatal(err)
			}
			said := string(parsed.Append(nil, m, "app"))
			nonce, err := parsed.Read(said, m, "app", time.Minute)
			if want := map[bool]string{true: "N-1_a"}[parsed.NeedsNonce()]; err != nil || nonce != want {
				t.Errorf("%q: nonce %q, %v", said, nonce, err)
			}
			for what, other := range map[string]string{"more": said + "x", "less": said[:len(said)-1], "nothing": "", "a break": "\n" + said} {
				if nonce, err := parsed.Read(other, m, "app", time.Minute); err == nil && nonce == "N-1_a" {
					t.Errorf("%s: %q is taken", what, other)
				}
			}
			if strings.Contains(text, "{client_id}") {
				if _, err := parsed.Read(said, m, "other", time.Minute); err == nil {
					t.Error("another client is taken")
				}
			}
			if strings.Contains(text, "{header") {
				changed := m
				changed.Header = http.Header{"X-Call": {"id 8"}}
				if _, err := parsed.Read(said, changed, "app", time.Minute); err == nil {
					t.Error("another field is taken")
				}
			}
		})
	}
}

// A text of another time is read within what is permitted alone.
func TestTextOfAnotherTime(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, form := range []string{"ms", "s", "iso", "iso_ms", "basic", "local", "digits", "rfc1123"} {
		parsed, err := ParseText("field", "{time}", form, "Z")
		if err != nil {
			t.Fatal(err)
		}
		for away, taken := range map[time.Duration]bool{0: true, 59 * time.Second: true, -59 * time.Second: true, 61 * time.Second: false, -61 * time.Second: false, 24 * time.Hour: false} {
			said := string(parsed.Append(nil, Message{Time: now.Add(away)}, ""))
			if _, err := parsed.Read(said, Message{Time: now}, "", time.Minute); (err == nil) != taken {
				t.Errorf("%s, %v away: %v", form, away, err)
			}
		}
	}
}

// FuzzText holds that reading a text never panics, and that what is taken is what would be written.
func FuzzText(f *testing.F) {
	f.Add("{client_id}/{nonce}", "app/N1")
	f.Add("{time_s}", "1769860800")
	f.Add("a{nonce}b", "aab")
	f.Add("{header.X}", "")
	f.Fuzz(func(t *testing.T, text, said string) {
		parsed, err := ParseText("field", text, "", "")
		if err != nil {
			return
		}
		m := Message{Time: time.Unix(1769860800, 0), Header: http.Header{}}
		nonce, err := parsed.Read(said, m, "app", 0)
		if err != nil || strings.Contains(text, "{time") {
			return
		}
		m.Nonce = nonce
		if again := string(parsed.Append(nil, m, "app")); again != said {
			t.Errorf("%q is read by %q, and written as %q", said, text, again)
		}
	})
}
