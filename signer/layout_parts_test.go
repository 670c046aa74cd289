package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// goldenMessage is what TestLayoutGolden signs.
func goldenMessage() Message {
	return Message{
		Method: "POST", Target: "/v1/chat?a=1&b=%20", Body: []byte(`{"model":"m","n":1}`), Time: time.UnixMilli(1767322800123), Nonce: "n-1",
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// Signatures that Python's hmac and hashlib make of the same parts.
func TestLayoutGolden(t *testing.T) {
	for name, c := range map[string]struct{ content, form, want string }{
		"lines":                {`{method}\n{uri}\n{client_id}\n{time_ms}\n{nonce}\n{body_sha256}`, "{hex}", "a3ad558ba197961481bdf4772ef121e76b7f3e644996b7609b06d0b62f9ebd55"},
		"body first":           {`{body}\n{time_s}`, "{base64}", "y9Gv+bvEApPe3bVy0yjxKwbZtbN/E4gv4ZBdhX2ZzVk="},
		"iso and digest":       {`{time_iso} {body_sha256_base64}`, "{base64url}", "g7RXZSUqCE09EnhJWmClCHDXaLYPfYF_pOBZLTBg1xE"},
		"path and query apart": {`{path}\r\n{query}\r\n{method}`, "{HEX}", "A3DBD310CD3B4917D86395A6670BAB494CAE03FBFEDDDE49AF164463BDA4CBAC"},
		"a header and braces":  {`\{{header.content-type}\}\t{key_version}\\`, "{base64_escaped}", "V0Xqwim2%2B8d5U5clHO%2B2FBuF%2BxDnBZT44OsAKm4%2FDlM%3D"},
	} {
		t.Run(name, func(t *testing.T) {
			l := must(NewLayout(LayoutConfig{
				ClientID: "app", Keys: ring(t, map[int]*HMACKey{7: NewHMACKey([]byte("golden-key-of-32-bytes-0123456789"))}), Content: c.content,
				Fields: []Field{{"X-Sig", "v1=" + c.form}, {"X-Time", "{time_ms}"}, {"X-Nonce", "{nonce}"}, {"X-Id", "{client_id}/{key_version}"}},
			}))(t)
			signed := must(l.Sign(goldenMessage()))(t)
			if got := signed.Fields[0].Value; got != "v1="+c.want {
				t.Errorf("got %s, want v1=%s", got, c.want)
			}
			received, h := sentAs(goldenMessage(), signed.Fields)
			if err := l.VerifyRequest(received, h); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each value that a field may say has one spelling.
func TestValuesHaveOneSpelling(t *testing.T) {
	mac := bytes.Repeat([]byte{0xfb, 0xef}, 16)
	plain := base64.StdEncoding.EncodeToString(mac)
	for kind, c := range map[partKind]struct {
		takes   string
		refuses []string
	}{
		partTimeMS:        {"1767322800123", []string{"+767322800123", "-767322800123", "0767322800123", "176732280012x", "1767322800.12", "1e12", ""}},
		partTimeS:         {"1767322800", []string{"+767322800", "0767322800", "17673228.0", "176732280 "}},
		partTimeISO:       {"2026-01-02T03:00:00Z", []string{"2026-01-02T03:00:00z", "2026-01-02 03:00:00Z", "2026-01-02T24:00:00Z", "2026-02-30T03:00:00Z", "2026-01-02T03:00:60Z", "1999-01-02T03:00:00Z", "2026-1-002T03:00:00Z"}},
		partTimeISOMS:     {"2026-01-02T11:00:00.120+08:00", []string{"2026-01-02T03:00:00.120Z", "2026-01-02T11:00:00.12+08:00", "2026-01-02T11:00:00+08:00", "2026-01-02T11:00:00,120+08:00", "2026-01-02t11:00:00.120+08:00"}},
		partTimeBasic:     {"20260102T030000Z", []string{"20260102T030000z", "20260102T110000+0800", "2026-0102T030000Z", "20260102T030060Z"}},
		partTimeLocal:     {"2026-01-02 11:00:00", []string{"2026-01-02T11:00:00", "2026-01-02  11:00:0", "2026-1-02 11:00:00 ", "2026-01-02 24:00:00"}},
		partTimeDigits:    {"20260102110000", []string{"20260132110000", "2026010211000", "20260102110000 ", "+0260102110000"}},
		partTimeRFC1123:   {"Fri, 02 Jan 2026 03:00:00 GMT", []string{"Thu, 02 Jan 2026 03:00:00 GMT", "Fri, 2 Jan 2026 03:00:00 GMT", "Fri, 02 Jan 2026 03:00:00 UTC", "fri, 02 jan 2026 03:00:00 gmt", "Friday, 02-Jan-26 03:00:00 GMT", "Fri Jan  2 03:00:00 2026"}},
		partBodySHA512:    {"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e", []string{"cf83", ""}},
		partBodyMD5:       {"d41d8cd98f00b204e9800998ecf8427e", []string{"D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427f"}},
		partBodyMD5Base64: {"1B2M2Y8AsgTpgAmY7PhCfg==", []string{"1B2M2Y8AsgTpgAmY7PhCfg", "1b2m2y8asgtpgamy7phcfg=="}},
		partKeyVersion:    {"12", []string{"012", "+12", "1 2", "0x1", "1234567890", "١٢"}},
		partClientID:      {"app", []string{"App", "app ", "ap", "app\x00"}},
		partHex:           {hex.EncodeToString(mac), []string{strings.ToUpper(hex.EncodeToString(mac)), hex.EncodeToString(mac)[1:], "g" + hex.EncodeToString(mac)[1:]}},
		partHexUpper:      {strings.ToUpper(hex.EncodeToString(mac)), []string{hex.EncodeToString(mac)}},
		partBase64:        {plain, []string{strings.TrimRight(plain, "="), base64.URLEncoding.EncodeToString(mac), plain[:42] + "9=", plain[:20] + "\n" + plain[20:]}},
		partBase64URL:     {base64.RawURLEncoding.EncodeToString(mac), []string{plain, base64.URLEncoding.EncodeToString(mac), base64.RawURLEncoding.EncodeToString(mac)[:42] + "_"}},
		partBase64Escaped: {url.QueryEscape(plain), []string{plain, strings.ToLower(url.QueryEscape(plain)), strings.Replace(url.QueryEscape(plain), "%2B", "+", 1), strings.Replace(url.QueryEscape(plain), "v", "%76", 1)}},
	} {
		read := func(text string) error {
			v := values{m: &Message{}, clientID: "app", zone: must(parseZone("+08:00"))(t)}
			if kind == partTimeISO || kind == partTimeBasic {
				v.zone = must(parseZone(""))(t)
			}
			return v.read(part{kind: kind}, text)
		}
		if err := read(c.takes); err != nil {
			t.Errorf("{%s} refuses %q: %v", placeholders[kind].name, c.takes, err)
		}
		for _, text := range c.refuses {
			if err := read(text); err == nil {
				t.Errorf("{%s} takes %q", placeholders[kind].name, text)
			} else if text != "" && len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("{%s} tells %q: %v", placeholders[kind].name, text, err)
			}
		}
	}
}

// What a placeholder writes is of its size and alphabet, which the load check goes by.
func TestPlaceholdersKeepToTheirAlphabets(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		m := randomMessage(r)
		f := forms{hash: macHash(r.IntN(int(hashes))), zone: must(parseZone([]string{"", "Z", "+08:00", "-03:30", "+14:00", "-12:00", "+05:45"}[r.IntN(7)]))(t)}
		mac, digest := make([]byte, f.hash.size()), make([]byte, 32)
		for _, b := range [][]byte{mac, digest} {
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
		}
		v := values{m: &m, clientID: "app", nonce: m.Nonce, ms: m.Time.UnixMilli(), version: r.IntN(1000), mac: mac, digest: digest, zone: f.zone}
		for kind := partMethod; kind < partKinds; kind++ {
			p, at, size := placeholders[kind], part{kind: kind, text: "Content-Type"}, f.size(kind)
			got := string(v.append(nil, &at))
			if !p.alphabet.holds(got) || size > 0 && len(got) != size {
				t.Errorf("{%s} of size %d in the zone %v writes %q", p.name, size, f.zone, got)
			}
		}
	}
}

func TestAlphabets(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	random := func() (a alphabet) {
		for c := range a {
			a[c] = r.IntN(2) == 0
		}
		return a
	}
	for range 200 {
		a, b := random(), random()
		none, all := alphabet{}, alphabet{}.complement()
		if a.complement().complement() != a || !a.within(&a) || !none.within(&a) || !a.within(&all) {
			t.Fatal("not a set")
		}
		for c := range 256 {
			text := string([]byte{byte(c)})
			if a.with(text)[c] != true || a.without(text)[c] != false || a.holds(text) != a[c] {
				t.Fatalf("byte %d", c)
			}
			if a[c] && !b[c] && a.within(&b) {
				t.Fatalf("byte %d is in one alone", c)
			}
		}
		if a.prefix("") != 0 || !a.holds("") {
			t.Fatal("nothing is in every set")
		}
	}
}

// Whatever differs, what is said of it holds nothing of the right signature, nor of the key.
func TestExplainTellsNoSecret(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, l := range randomLayouts(t, r, 40) {
		m := randomMessage(r)
		right := must(l.Sign(m))(t)
		secret := l.SentSignature(header(right.Fields))
		for range 5 {
			other := randomMessage(r)
			other.Time, other.Nonce = m.Time, m.Nonce
			received, h := sentAs(other, right.Fields)
			err := l.VerifyRequest(received, h)
			said := strings.Join(append(Explain(l, received, h, false), Reason(err)), "\n")
			if err == nil || strings.Contains(said, secret) || strings.Contains(said, "example-hmac-key") {
				t.Errorf("%v: says %q", err, said)
			}
		}
		if said := Explain(l, Message{Method: m.Method, Target: m.Target, Body: m.Body}, func() http.Header { _, h := sentAs(m, right.Fields); return h }(), false); said != nil {
			t.Errorf("of what verifies it says %q", said)
		}
	}
}

// A secret is the same key in each encoding, and no text of it is told.
func TestKeyEncodings(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 100 {
		secret := make([]byte, 16+r.IntN(48))
		for i := range secret {
			secret[i] = byte(r.IntN(256))
		}
		for encoding, text := range map[KeyEncoding]string{
			KeyText: string(secret), KeyHex: hex.EncodeToString(secret), KeyBase64: "whsec_" + base64.StdEncoding.EncodeToString(secret),
		} {
			key, err := encoding.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", encoding, err)
			}
			l := must(NewLayout(LayoutConfig{Keys: ring(t, map[int]*HMACKey{1: key}), Content: "{body}", Fields: []Field{{"X-Sig", "{hex}"}}}))(t)
			plain := must(NewLayout(LayoutConfig{Keys: ring(t, map[int]*HMACKey{1: NewHMACKey(secret)}), Content: "{body}", Fields: []Field{{"X-Sig", "{hex}"}}}))(t)
			if a, b := must(l.Sign(goldenMessage()))(t), must(plain.Sign(goldenMessage()))(t); a.Fields[0] != b.Fields[0] {
				t.Errorf("%s is another key", encoding)
			}
			if encoding == KeyText {
				continue
			}
			broken := text[:len(text)-1] + "!"
			if _, err := encoding.Parse([]byte(broken)); !errors.Is(err, ErrKeyFormat) || strings.Contains(err.Error(), "!") {
				t.Errorf("%s: %v", encoding, err)
			}
		}
	}
}

// Whatever a received field holds, it verifies only as it was sent.
func FuzzLayoutVerify(f *testing.F) {
	l := must(NewLayout(LayoutConfig{
		ClientID: "app", Keys: layoutKeys(f), Content: `{method} {uri}\n{client_id}.{time_ms}.{nonce}.{key_version}.{body}`,
		Fields: []Field{{"Authorization", "OWN id={client_id};t={time_ms};n={nonce};v={key_version};{base64_escaped}"}},
	}))(f)
	m := goldenMessage()
	sent := must(l.Sign(m))(f).Fields[0].Value
	f.Add(sent)
	f.Add(strings.ToLower(sent))
	f.Add("OWN id=app;t=;n=;v=;")
	f.Fuzz(func(t *testing.T, value string) {
		err := l.VerifyRequest(Message{Method: m.Method, Target: m.Target, Body: m.Body}, http.Header{"Authorization": {value}})
		if (err == nil) != (value == sent) {
			t.Errorf("%q: %v", value, err)
		}
	})
}
