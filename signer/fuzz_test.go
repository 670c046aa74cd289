package signer

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzCanonical checks that the canonical strings of hmac-sha256 and global can be taken apart again without
// knowing anything but the layout, which makes them injective over method, target, id, time and body; that of
// openapi-v3 as long as there is no token. Those of openapi-v2 must be what a plain reading of the form gives.
func FuzzCanonical(f *testing.F) {
	f.Add("POST", "/v1/chat/completions?q=%20", "2026APP01", int64(1767322800000), []byte(`{"a":"1.2"}`), "n-1")
	f.Add("GET", "/gateway.do?method=a.b&a=1%26b%3D2", "A-1", int64(1), []byte("c=%E4%BD%A0+%2B"), "n")
	f.Add("P.T", "/\xff?.", "_", int64(1<<40), []byte("\n.\n"), "=")
	f.Add("POST", "/gateway.do", "app", int64(99), []byte("biz_content=%7B%7D&sign=x&app_id=app"), "n,")
	keys := ring(f, map[int]*HMACKey{1: NewHMACKey([]byte("k"))})
	rsaKeys := rsaKeys(f)
	f.Fuzz(func(t *testing.T, method, target, id string, ms int64, body []byte, nonce string) {
		m := Message{Method: method, Target: target, Body: body, Time: time.UnixMilli(ms), Nonce: nonce}
		at := m.Time.UnixMilli()

		if s, err := NewHMAC(HMACConfig{ClientID: id, Keys: keys}); err == nil {
			if got, err := s.Canonical(m); err == nil {
				fuzzClientLayout(t, got, m, id, func(text string) bool { return isDigits(text) && atMillis(t, text).UnixMilli() == at })
				received, h := send(t, s, m)
				if err := s.VerifyRequest(received, h); err != nil {
					t.Errorf("hmac-sha256: %v", err)
				}
			}
		}
		if s, err := NewGlobal(GlobalConfig{ClientID: id, RSAKeys: rsaKeys, ISO8601: true}); err == nil && m.Time.Year() < 10000 {
			if got, err := s.Canonical(m); err == nil {
				fuzzClientLayout(t, got, m, id, func(text string) bool {
					parsed, err := time.Parse(time.RFC3339, text)
					return err == nil && parsed.Unix() == m.Time.Unix()
				})
			}
		}
		if s, err := NewOpenAPIV3(OpenAPIConfig{AppID: id, RSAKeys: rsaKeys}); err == nil {
			if got, err := s.Canonical(m); err == nil {
				fuzzOpenAPIV3(t, got, m, id)
			}
		}
		if s, err := NewOpenAPIV2(OpenAPIConfig{AppID: id, RSAKeys: rsaKeys}); err == nil {
			if got, err := s.Canonical(m); err == nil {
				fuzzOpenAPIV2(t, s, got, m)
			}
		}
	})
}

func fuzzClientLayout(t *testing.T, canonical string, m Message, id string, isTime func(string) bool) {
	t.Helper()
	method, rest, _ := strings.Cut(canonical, " ")
	target, rest, _ := strings.Cut(rest, "\n")
	gotID, rest, _ := strings.Cut(rest, ".")
	at, body, _ := strings.Cut(rest, ".")
	if method != m.Method || target != m.Target || gotID != id || !isTime(at) || body != string(m.Body) {
		t.Errorf("%q does not come apart into its message %+v", canonical, m)
	}
}

func fuzzOpenAPIV3(t *testing.T, canonical string, m Message, id string) {
	t.Helper()
	parts := strings.SplitN(canonical, "\n", 4)
	if len(parts) != 4 {
		t.Fatalf("%q has %d parts", canonical, len(parts))
	}
	a, err := ParseAuthorization(authorizationScheme + " " + parts[0] + ",sign=AA==")
	if err != nil {
		t.Fatalf("%q: %v", parts[0], err)
	}
	if a.AppID != id || a.Nonce != m.Nonce || atMillis(t, a.Timestamp).UnixMilli() != m.Time.UnixMilli() ||
		parts[1] != m.Method || parts[2] != m.Target || parts[3] != string(m.Body)+"\n" {
		t.Errorf("%q does not come apart into its message %+v", canonical, m)
	}
}

func fuzzOpenAPIV2(t *testing.T, s *OpenAPIV2, canonical string, m Message) {
	t.Helper()
	target, body, _, err := s.prepare(m)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(target, "?")
	var pairs []string
	for pair := range strings.SplitSeq(strings.Trim(query+"&"+string(body), "&"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil || value == "" {
			t.Fatalf("accepted the pair %q", pair)
		}
		pairs = append(pairs, name+"\x00"+value)
	}
	slices.Sort(pairs)
	want := strings.Join(pairs, "&")
	if got := strings.ReplaceAll(want, "\x00", "="); !strings.Contains(canonical, "\x00") && got != canonical {
		t.Errorf("canonical %q, plain reading %q", canonical, got)
	}
	again, err := s.Canonical(Message{Method: m.Method, Target: target, Body: body, Time: m.Time})
	if err != nil || again != canonical {
		t.Errorf("what is sent reads %q, %v; signed was %q", again, err, canonical)
	}
}

// FuzzParseSignatureHeader checks that what is accepted has one spelling, but for order and spaces.
func FuzzParseSignatureHeader(f *testing.F) {
	f.Add("algorithm=HMAC-SHA256,keyVersion=1,signature=AB4KJfV9Kv4FHSqDLWKa%2BWAoy1NSqDIapbUKxOvmh7o%3D")
	f.Add("signature=%2F%2F8%3D, keyVersion=2147483647, algorithm=RSA256")
	f.Add("algorithm=RSA256,keyVersion=01,signature=AB==")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := ParseSignature(header)
		if err != nil {
			return
		}
		if s.KeyVersion < 1 || len(s.Value) == 0 {
			t.Errorf("accepted %+v", s)
		}
		normal := func(header string) []string {
			parts := strings.Split(header, ",")
			for i := range parts {
				parts[i] = strings.TrimPrefix(parts[i], " ")
			}
			slices.Sort(parts)
			return parts
		}
		if written := string(s.Append(nil)); !slices.Equal(normal(written), normal(header)) {
			t.Errorf("%q is written as %q", header, written)
		}
	})
}

// FuzzParseAuthorization checks that what is accepted has one spelling.
func FuzzParseAuthorization(f *testing.F) {
	f.Add("ALIPAY-SHA256withRSA app_id=2021000000000001,nonce=c7ef77a5,timestamp=1795373053034,sign=lOe8mT4PyA==")
	f.Add("ALIPAY-SHA256withRSA app_id=1,app_cert_sn=ab,nonce=n,timestamp=1,sign=AA==")
	f.Add("ALIPAY-SHA256withRSA app_id=1,nonce=n,nonce=n,timestamp=1,sign=AA==,sign=AA==")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := ParseAuthorization(header)
		if err != nil {
			return
		}
		written := authorizationScheme + " " + a.authString() + ",sign="
		if sign, ok := strings.CutPrefix(header, written); !ok || must(decodeBase64(sign))(t) == nil {
			t.Errorf("%q is written as %q", header, written)
		}
	})
}
