package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each form of the signature and of the time, said by an option or by its placeholder, over each kind of target and
// body: what is sent is what the standard library makes of it, it verifies, and no other form does.
func TestLayoutForms(t *testing.T) {
	const secret = "example-hmac-key-1"
	encode := map[string]struct {
		placeholder string
		of          func([]byte) string
	}{
		"hex":            {"{hex}", hex.EncodeToString},
		"HEX":            {"{HEX}", func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }},
		"base64":         {"{base64}", base64.StdEncoding.EncodeToString},
		"base64url":      {"{base64url}", base64.RawURLEncoding.EncodeToString},
		"base64_escaped": {"{base64_escaped}", func(b []byte) string { return url.QueryEscape(base64.StdEncoding.EncodeToString(b)) }},
	}
	times := map[string]struct {
		placeholder string
		of          func(time.Time) string
	}{
		"ms":  {"{time_ms}", func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }},
		"s":   {"{time_s}", func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }},
		"iso": {"{time_iso}", func(t time.Time) string { return t.UTC().Format(time.RFC3339) }},
	}
	keys := ring(t, map[int]*HMACKey{1: NewHMACKey([]byte(secret))})
	layout := func(t *testing.T, encoding, form, mac, at string) *Layout {
		return must(NewLayout(LayoutConfig{
			Keys: keys, Encoding: encoding, Time: form,
			Content: `{method} {uri}\n` + at + `.{body}`, Fields: []Field{{"X-Sig", "v1=" + mac}, {"X-Time", at}},
			AnswerContent: at + `\n{body}`, AnswerFields: []Field{{"X-Answer", "v1=" + mac + " " + at}},
		}))(t)
	}
	at := testTime.Truncate(time.Second).Add(321 * time.Millisecond)
	for encoding, e := range encode {
		for form, f := range times {
			option, named := layout(t, encoding, form, "{signature}", "{time}"), layout(t, "", "", e.placeholder, f.placeholder)
			for _, target := range []string{"/v1/chat", "/v1/chat?", "/v1/chat?a=1&b=%20"} {
				for _, body := range []string{"", "{}", "\x00\n?", "é"} {
					m := Message{Method: "POST", Target: target, Body: []byte(body), Time: at}
					mac := hmac.New(sha256.New, []byte(secret))
					mac.Write([]byte("POST " + target + "\n" + f.of(at) + "." + body))
					want := http.Header{"X-Sig": {"v1=" + e.of(mac.Sum(nil))}, "X-Time": {f.of(at)}}
					for _, l := range []*Layout{option, named} {
						got := header(must(l.Sign(m))(t).Fields)
						if got.Get("X-Sig") != want.Get("X-Sig") || got.Get("X-Time") != want.Get("X-Time") {
							t.Fatalf("%s, %s, %q, %q: got %v, want %v", encoding, form, target, body, got, want)
						}
						if err := l.VerifyRequest(Message{Method: "POST", Target: target, Body: []byte(body)}, got); err != nil {
							t.Errorf("%s, %s, %q, %q: %v", encoding, form, target, body, err)
						}
						if err := l.VerifyRequest(Message{Method: "POST", Target: target, Body: []byte(body + "x")}, got); !errors.Is(err, ErrBadSignature) {
							t.Errorf("%s, %s, %q: another body than %q: %v", encoding, form, target, body, err)
						}
						answer := header(must(l.SignResponse(m))(t).Fields)
						if err := l.VerifyResponse(Message{Method: "POST", Target: target, Body: []byte(body)}, answer); err != nil {
							t.Errorf("%s, %s, %q, %q: the answer: %v", encoding, form, target, body, err)
						}
					}
				}
			}
			for other := range encode {
				for otherForm := range times {
					if other == encoding && otherForm == form {
						continue
					}
					m := Message{Method: "POST", Target: "/", Time: at}
					sent := header(must(layout(t, other, otherForm, "{signature}", "{time}").Sign(m))(t).Fields)
					if err := option.VerifyRequest(m, sent); err == nil {
						t.Errorf("%s, %s takes %s, %s: %v", encoding, form, other, otherForm, sent)
					}
				}
			}
		}
	}
}

// Without options {signature} is hex and {time} milliseconds.
func TestLayoutFormDefaults(t *testing.T) {
	keys := layoutKeys(t)
	config := LayoutConfig{Keys: keys, Content: "{time}.{body}", Fields: []Field{{"X-Sig", "{signature}"}, {"X-Time", "{time}"}}}
	short := must(must(NewLayout(config))(t).Sign(chatMessage()))(t)
	config = LayoutConfig{Keys: keys, Content: "{time_ms}.{body}", Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}}}
	long := must(must(NewLayout(config))(t).Sign(chatMessage()))(t)
	for i := range long.Fields {
		if short.Fields[i] != long.Fields[i] {
			t.Errorf("got %v, want %v", short.Fields[i], long.Fields[i])
		}
	}
}

// A form that there is not, and one that nothing asks for, are refused by the option's name.
func TestLayoutFormsRefused(t *testing.T) {
	for name, c := range map[string]struct{ encoding, time, content, value, want string }{
		"encoding":        {"Hex", "", "{body}", "{signature}", `encoding "Hex" is unknown; use hex, HEX, base64, base64url or base64_escaped`},
		"time":            {"", "us", "{body}", "{signature}", `time "us" is unknown; use ms, s, iso, iso_ms, basic, local, digits or rfc1123`},
		"idle encoding":   {"hex", "", "{body}", "{hex}", "encoding: decides the form of {signature}, which stands in no header"},
		"idle time":       {"", "s", "{body}", "{signature}", "time: decides the form of {time}, which stands in no header"},
		"signed":          {"", "", "{signature}{body}", "{signature}", "content: {signature} cannot stand there; use {method}"},
		"time not sent":   {"", "s", "{time}{body}", "{signature}", "content: {time_s} is signed, but no header says it"},
		"two signatures":  {"", "", "{body}", "{signature} {hex}", "header X-Sig: holds the signature more than once"},
		"unknown in list": {"", "", "{body}", "{sig}", "{sig} cannot stand there; use {body_sha256}, {body_sha256_base64}, {body_sha512}, {body_sha512_base64}, {body_md5}, {body_md5_base64}, {client_id}, {time}, {time_ms}, {time_s}, {time_iso}, {time_iso_ms}, {time_basic}, {time_local}, {time_digits}, {time_rfc1123}, {time_date}, {time_day}, {nonce}, {key_version}, {signature}, {hex}, {HEX}, {base64}, {base64url}, {base64_escaped}"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewLayout(LayoutConfig{
				Keys: layoutKeys(t), Encoding: c.encoding, Time: c.time, Content: c.content, Fields: []Field{{"X-Sig", c.value}},
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Explain names the form that a message is in.
func TestExplainForms(t *testing.T) {
	layout := func(encoding string) *Layout {
		return must(NewLayout(LayoutConfig{Keys: layoutKeys(t), Encoding: encoding, Content: "{body}", Fields: []Field{{"X-Sig", "{signature}"}}}))(t)
	}
	for encoding, want := range map[string]string{
		"hex": "its signature is in hex", "HEX": "its signature is in upper-case hex", "base64": "its signature is in base64",
		"base64url": "its signature is in URL-safe base64", "base64_escaped": "its signature is in percent-encoded base64",
	} {
		h := header(must(layout(encoding).Sign(chatMessage()))(t).Fields)
		for expected := range map[string]bool{"hex": true, "HEX": true, "base64": true} {
			if expected == encoding {
				continue
			}
			if got := Explain(layout(expected), chatMessage(), h, false); len(got) != 1 || got[0] != want {
				t.Errorf("%s for %s: got %q", encoding, expected, got)
			}
		}
	}
}
