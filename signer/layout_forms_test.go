package signer

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Signatures with another hash, another form of the time and another digest, as Python's hmac, hashlib and datetime make them of
// the same parts; and what is sent verifies.
func TestLayoutHashesTimesAndDigests(t *testing.T) {
	for name, c := range map[string]struct {
		config LayoutConfig
		want   map[string]string
	}{
		"SHA-512, China's time": {
			LayoutConfig{
				Content: `{method}\n{uri}\n{time}\n{body_sha512}`, Fields: []Field{{"X-Sig", "{signature}"}, {"X-Time", "{time}"}},
				Hash: "sha512", Encoding: "base64", Time: "local", Zone: "+08:00",
			},
			map[string]string{"X-Sig": "83We6sshNNP1PQirXJ+HbaRUZr7WOylH0e9Nv1nZyrjXuy3NVM5UFiPjuG8Lu2T0+bqkcgmD6ay2ZYnsGsn8zA==", "X-Time": "2026-01-02 11:00:00"},
		},
		"SHA-1, Content-MD5 and Date": { // as Alibaba Cloud's OSS has it
			LayoutConfig{
				Content: `{method}\n{body_md5_base64}\n{header.Content-Type}\n{time_rfc1123}\n{uri}`, Hash: "sha1",
				Fields: []Field{{"Authorization", "OSS app:{base64}"}, {"Content-MD5", "{body_md5_base64}"}, {"Date", "{time_rfc1123}"}},
			},
			map[string]string{"Authorization": "OSS app:5RteYH41raXEW0CjMIfcdjNiarM=", "Content-Md5": "Dxwv1pQVMIyblFbfZW+F1Q==", "Date": "Fri, 02 Jan 2026 03:00:00 GMT"},
		},
		"SHA-384, digits": {
			LayoutConfig{Content: `{time}.{body}`, Hash: "sha384", Time: "digits", Zone: "+08:00", Fields: []Field{{"X-Sig", "{time},{hex}"}}},
			map[string]string{"X-Sig": "20260102110000,1f614d1c134a70ee395b8ec01bf3bc6373fb258ee3afe83a2d497afe03835f9c6681e09f84b480aa412fa200952c0f8f"},
		},
		"a Digest, and the basic form": { // RFC 3230, as the IETF's drafts on HTTP signatures have it
			LayoutConfig{Content: `{method}\n{time_basic}\n{body_sha256}`, Fields: []Field{{"X-Sig", "{hex}"}, {"X-Date", "{time_basic}"}, {"Digest", "SHA-256={body_sha256_base64}"}}},
			map[string]string{"X-Sig": "295a9638abd2c1bf0b5079c532ea271b1e39f292c51eab9110572c5ccf39e15e", "X-Date": "20260102T030000Z", "Digest": "SHA-256=rwVV9C1/CLxc420zyWi98tbwXtfaoc4fUNnkxMwR6XY="},
		},
		"a Content-Digest of RFC 9530": {
			LayoutConfig{Content: `{time_iso_ms}\n{body}`, Zone: "+08:00", Fields: []Field{{"X-Sig", "{hex}"}, {"X-Date", "{time_iso_ms}"}, {"Content-Digest", "sha-512=:{body_sha512_base64}:"}}},
			map[string]string{"X-Sig": "17f7f4a2032278ba4e855f6a7f84e984d4ab258effff173f15e137dc7452f8d0", "X-Date": "2026-01-02T11:00:00.123+08:00"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Keys = ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("golden-key-of-32-bytes-0123456789"))})
			l := must(NewLayout(c.config))(t)
			signed := must(l.Sign(goldenMessage()))(t)
			for field, want := range c.want {
				if got := header(signed.Fields).Get(field); got != want {
					t.Errorf("%s: got %s, want %s", field, got, want)
				}
			}
			received, h := sentAs(goldenMessage(), signed.Fields)
			if err := l.VerifyRequest(received, h); err != nil {
				t.Error(err)
			}
			received.Body = []byte("{}")
			if err := l.VerifyRequest(received, h); err == nil {
				t.Error("another body verifies")
			}
		})
	}
}

// The example of Alibaba Cloud's OSS for its signature version 1, to the byte: HMAC-SHA1, the date of RFC 1123, fields that are signed.
// https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header
func TestLayoutOfOSS(t *testing.T) {
	l := must(NewLayout(LayoutConfig{
		ClientID: "44CF9590006BF252F707", Keys: ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"))}), Hash: "sha1",
		Content: `{method}\n{header.Content-MD5}\n{header.Content-Type}\n{time_rfc1123}\nx-oss-magic:{header.X-OSS-Magic}\nx-oss-meta-author:{header.X-OSS-Meta-Author}\n/oss-example{path}`,
		Fields:  []Field{{"Date", "{time_rfc1123}"}, {"Authorization", "OSS {client_id}:{base64}"}},
	}))(t)
	m := Message{Method: "PUT", Target: "/nelson", Time: time.Date(2005, 11, 17, 18, 49, 58, 0, time.UTC), Header: make(http.Header)}
	for name, value := range map[string]string{
		"Content-Md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=", "Content-Type": "text/html", "X-Oss-Magic": "abracadabra", "X-Oss-Meta-Author": "foo@bar.com",
	} {
		m.Header.Set(name, value)
	}
	if got := header(must(l.Sign(m))(t).Fields).Get("Authorization"); got != "OSS 44CF9590006BF252F707:26NBxoKdsyly4EDv6inkoDft/yA=" {
		t.Errorf("got %s", got)
	}
	if warnings := l.Traits().Warnings; !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "sha1") }) {
		t.Errorf("of SHA-1 it warns %q", warnings)
	}
}

// What no form could be, or would change nothing, is refused by the option's name and what could stand there.
func TestLayoutHashesTimesAndDigestsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*LayoutConfig)
		want   string
	}{
		"a hash":               {func(c *LayoutConfig) { c.Hash = "md5" }, `hash "md5" is unknown; use sha256, sha384, sha512 or sha1`},
		"a hash, upper case":   {func(c *LayoutConfig) { c.Hash = "SHA512" }, `hash "SHA512" is unknown`},
		"a time":               {func(c *LayoutConfig) { c.Time = "unix" }, `time "unix" is unknown; use ms, s, iso, iso_ms, basic, local, digits or rfc1123`},
		"a zone's name":        {func(c *LayoutConfig) { c.Zone = "Asia/Shanghai" }, `zone "Asia/Shanghai" is no offset from UTC; write it like +08:00`},
		"a zone's hours":       {func(c *LayoutConfig) { c.Zone = "+8" }, "is no offset from UTC"},
		"a zone of nothing":    {func(c *LayoutConfig) { c.Zone = "+08:00" }, "zone: decides the form of {time_iso}"},
		"a zone of RFC 1123":   {func(c *LayoutConfig) { c.Time, c.Zone = "rfc1123", "+08:00" }, "zone: decides the form of {time_iso}"},
		"milliseconds, unsaid": {func(c *LayoutConfig) { c.Content, c.Fields[1].Value = "{time_iso_ms}\n{body}", "{time_iso}" }, "{time_iso_ms} is signed, but no header says it"},
		"digits and a length":  {func(c *LayoutConfig) { c.Content = "{time_digits}{key_version}{body}" }, "two different messages could have one string"},
	} {
		t.Run(name, func(t *testing.T) {
			config := LayoutConfig{Keys: layoutKeys(t), Content: `{time}\n{body}`, Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time}"}}}
			c.change(&config)
			if _, err := NewLayout(config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Milliseconds may be said as ISO 8601 and signed as a number, and the other way round; two fields that say two times do not verify.
func TestLayoutTimesInTwoForms(t *testing.T) {
	l := must(NewLayout(LayoutConfig{
		Keys: layoutKeys(t), Content: `{time_ms}\n{body}`, Zone: "-03:30",
		Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_iso_ms}"}, {"Date", "{time_rfc1123}"}},
	}))(t)
	m := goldenMessage()
	received, h := sentAs(m, must(l.Sign(m))(t).Fields)
	if got := h.Get("X-Time"); got != "2026-01-01T23:30:00.123-03:30" {
		t.Errorf("sends %s", got)
	}
	if err := l.VerifyRequest(received, h); err != nil {
		t.Error(err)
	}
	h.Set("Date", "Fri, 02 Jan 2026 03:00:01 GMT")
	if err := l.VerifyRequest(received, h); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "another time") {
		t.Errorf("two times: %v", err)
	}
}

// An MD5 alone keeps no body: two can be made that share one.
func TestLayoutWarnsOfMD5(t *testing.T) {
	for content, want := range map[string]bool{
		`{method}\n{uri}\n{time_ms}\n{body_md5}`: true, `{method}\n{uri}\n{time_ms}\n{body_md5_base64}`: true,
		`{method}\n{uri}\n{time_ms}\n{body_sha256}`: false, `{method}\n{uri}\n{time_ms}\n{body_sha512}`: false, `{method}\n{uri}\n{time_ms}\n{body}`: false,
	} {
		l := must(NewLayout(LayoutConfig{Keys: layoutKeys(t), Content: content, Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}}}))(t)
		if got := strings.Contains(strings.Join(l.Traits().Warnings, "\n"), "MD5"); got != want {
			t.Errorf("%s warns %q", content, l.Traits().Warnings)
		}
	}
}

// Another hash, zone, digest or form of the time is named as what differs.
func TestExplainHashesTimesAndDigests(t *testing.T) {
	config := func() LayoutConfig {
		return LayoutConfig{
			Keys: layoutKeys(t), Content: `{method}\n{uri}\n{time_iso}\n{body_sha256}`, Zone: "+08:00",
			Fields:        []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_iso}"}},
			AnswerContent: `{time_iso}\n{body}`, AnswerFields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_iso}"}},
		}
	}
	ours := must(NewLayout(config()))(t)
	for want, change := range map[string]func(*LayoutConfig){
		"it is signed with HMAC and sha512":  func(c *LayoutConfig) { c.Hash = "sha512" },
		"it is signed with HMAC and sha1":    func(c *LayoutConfig) { c.Hash = "sha1" },
		"its time is in the zone Z":          func(c *LayoutConfig) { c.Zone = "" },
		"the body's MD5 is signed in base64": func(c *LayoutConfig) { c.Content = strings.Replace(c.Content, "body_sha256", "body_md5_base64", 1) },
		"the body's SHA-512 is signed in hex": func(c *LayoutConfig) {
			c.Content = strings.Replace(c.Content, "body_sha256", "body_sha512", 1)
		},
		"the time is signed like 20260131120000": func(c *LayoutConfig) { c.Content = strings.Replace(c.Content, "time_iso", "time_digits", 1) },
		"the time is signed in seconds, and its time is in seconds": func(c *LayoutConfig) {
			c.Content, c.Fields[1].Value = strings.Replace(c.Content, "time_iso", "time_s", 1), "{time_s}"
			c.AnswerContent, c.AnswerFields[1].Value = "{body}\n{time_s}", "{time_s}"
			c.Zone = ""
		},
	} {
		theirs := config()
		change(&theirs)
		m := goldenMessage()
		received, h := sentAs(m, must(must(NewLayout(theirs))(t).Sign(m))(t).Fields)
		if got := Explain(ours, received, h, false); !slices.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
