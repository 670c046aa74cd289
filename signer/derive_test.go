package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// tc3 is Tencent Cloud's signature v3 over the two fields that must be signed.
// https://www.tencentcloud.com/zh/document/api/1021/34193
func tc3(service, host string) LayoutConfig {
	return LayoutConfig{
		ClientID:  "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
		Content:   `TC3-HMAC-SHA256\n{time_s}\n{time_date}/` + service + `/tc3_request\n{canonical_sha256}`,
		Canonical: `{method}\n/\n{query}\ncontent-type:{header.Content-Type}\nhost:` + host + `\n\ncontent-type;host\n{body_sha256}`,
		Derive:    []string{"TC3", "{time_date}", service, "tc3_request"},
		Fields: []Field{
			{"Authorization", "TC3-HMAC-SHA256 Credential={client_id}/{time_date}/" + service + "/tc3_request, SignedHeaders=content-type;host, Signature={hex}"},
			{"X-TC-Timestamp", "{time_s}"},
		},
	}
}

func derivedLayout(t testing.TB, c LayoutConfig, secret string) *Layout {
	t.Helper()
	keys, err := NewRing(map[int]*HMACKey{1: NewHMACKey([]byte(secret))})
	if err != nil {
		t.Fatal(err)
	}
	c.Keys = keys
	l, err := NewLayout(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A key is that of its day: the first signature of the next one is made with another.
func TestDerivedKeyChangesWithTheDay(t *testing.T) {
	const secret = "secret-of-the-vendor"
	l := derivedLayout(t, LayoutConfig{
		Content: "{time_ms}{time_day}{body_sha256}", Derive: []string{"", "{time_day}"}, AllowAmbiguous: true, Zone: "+08:00",
		Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}},
	}, secret)
	midnight := time.Date(2026, 1, 31, 16, 0, 0, 0, time.UTC) // in China
	for at, day := range map[time.Time]string{midnight.Add(-time.Millisecond): "20260131", midnight: "20260201", midnight.Add(24 * time.Hour): "20260202"} {
		s, err := l.Sign(Message{Method: "POST", Target: "/", Time: at, Body: []byte("b")})
		if err != nil {
			t.Fatal(err)
		}
		mac := func(key, text string) string {
			h := hmac.New(sha256.New, []byte(key))
			h.Write([]byte(text))
			return string(h.Sum(nil))
		}
		want := hex.EncodeToString([]byte(mac(mac(secret, day), fmt.Sprintf("%d%s%x", at.UnixMilli(), day, sha256.Sum256([]byte("b"))))))
		if s.Fields[0].Value != want {
			t.Errorf("%v: %s, want %s", at, s.Fields[0].Value, want)
		}
	}
}

// Whatever of a signed message changes, a derived key's signature is not good for it.
func TestDerivedKeyVerifies(t *testing.T) {
	l := derivedLayout(t, tc3("hunyuan", "h.example"), "secret-of-the-vendor")
	m := Message{Method: "POST", Target: "/", Time: time.Unix(1551113065, 0), Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}")}
	s, err := l.Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	header := func() http.Header {
		h := m.Header.Clone()
		for _, f := range s.Fields {
			h.Set(f.Name, f.Value)
		}
		return h
	}
	if err := l.VerifyRequest(m, header()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Message, http.Header){
		"the body":          func(m *Message, _ http.Header) { m.Body = []byte("[]") },
		"the method":        func(m *Message, _ http.Header) { m.Method = "PUT" },
		"the query":         func(m *Message, _ http.Header) { m.Target = "/?a=b" },
		"a signed field":    func(_ *Message, h http.Header) { h.Set("Content-Type", "text/plain") },
		"the time":          func(_ *Message, h http.Header) { h.Set("X-TC-Timestamp", "1551113066") },
		"another day":       func(_ *Message, h http.Header) { h.Set("X-TC-Timestamp", "1551213066") },
		"the day alone":     replaceIn("Authorization", "2019-02-25", "2019-02-26"),
		"a day that is not": replaceIn("Authorization", "2019-02-25", "2019-02-31"),
		"the service":       replaceIn("Authorization", "/hunyuan/", "/cvm/"),
		"the client":        replaceIn("Authorization", "AKID", "akid"),
		"the signature":     replaceIn("Authorization", "Signature=", "Signature=0"),
	} {
		t.Run(name, func(t *testing.T) {
			changed, h := m, header()
			change(&changed, h)
			if err := l.VerifyRequest(changed, h); err == nil {
				t.Error("is verified all the same")
			}
		})
	}
}

func replaceIn(field, from, to string) func(*Message, http.Header) {
	return func(_ *Message, h http.Header) { h.Set(field, strings.Replace(h.Get(field), from, to, 1)) }
}

// What could not be derived, or would be hashed and signed nowhere, is refused by the option's name.
func TestDerivedKeyRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*LayoutConfig)
		want   string
	}{
		"no step":                 {func(c *LayoutConfig) { c.Derive = []string{"TC3"} }, "derive: needs"},
		"too many steps":          {func(c *LayoutConfig) { c.Derive = strings.Split("TC3 a b c d e f g h", " ") }, "derive: needs"},
		"a step over the body":    {func(c *LayoutConfig) { c.Derive = []string{"", "{body}"} }, "derive: step 1: {body} cannot stand there"},
		"a step over a nonce":     {func(c *LayoutConfig) { c.Derive = []string{"", "a", "{nonce}"} }, "derive: step 2: {nonce} cannot stand there"},
		"a step over a field":     {func(c *LayoutConfig) { c.Derive = []string{"", "{header.X}"} }, "derive: step 1: {header.X} cannot stand there"},
		"an empty step":           {func(c *LayoutConfig) { c.Derive = []string{"", ""} }, "derive: step 1: must not be empty"},
		"a canonical that is not": {func(c *LayoutConfig) { c.Canonical = "" }, "canonical"},
		"a canonical unsigned":    {func(c *LayoutConfig) { c.Content = "{time_s}" }, "canonical"},
		"a canonical in itself":   {func(c *LayoutConfig) { c.Canonical = "{canonical_sha256}" }, "canonical: {canonical_sha256} cannot stand there"},
		"an ambiguous canonical":  {func(c *LayoutConfig) { c.Canonical = "{method}{path}{query}{body}" }, "canonical: two different messages"},
		"a day without a time":    {func(c *LayoutConfig) { c.Fields = c.Fields[:1]; c.Content = "{time_date}{canonical_sha256}" }, "no header says it"},
		"another zone, unused": {func(c *LayoutConfig) {
			*c = LayoutConfig{Content: "{body}", Fields: []Field{{"X-S", "{hex}"}}, Zone: "+08:00"}
		}, "zone"},
	} {
		t.Run(name, func(t *testing.T) {
			config := tc3("hunyuan", "h.example")
			c.change(&config)
			config.Keys, _ = NewRing(map[int]*HMACKey{1: NewHMACKey([]byte("secret"))})
			_, err := NewLayout(config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A message without a time has no key of a day.
func TestDerivedKeyNeedsATime(t *testing.T) {
	l := derivedLayout(t, LayoutConfig{Content: "{body}", Derive: []string{"", "{time_day}"}, Fields: []Field{{"X-Sig", "{hex}"}}}, "secret")
	if _, err := l.Sign(Message{Method: "POST", Target: "/"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// FuzzDerivedKey holds that what is signed is verified, and that of two messages which differ in what is signed one
// signature is never good for both.
func FuzzDerivedKey(f *testing.F) {
	f.Add("POST", "", "application/json", []byte("{}"), int64(1551113065), []byte("x"), int64(1))
	f.Add("GET", "a=b", "", []byte{}, int64(1767225599), []byte{0, '\n'}, int64(86400))
	f.Add("PUT", "a=b\nhost:x", "text/plain", []byte("\n\n"), int64(4102444799), []byte("\n"), int64(-1))
	f.Fuzz(func(t *testing.T, method, query, kind string, body []byte, at int64, otherBody []byte, later int64) {
		l := derivedLayout(t, tc3("s", "h.example"), "secret-of-the-vendor")
		m := Message{Method: method, Target: "/", Time: time.Unix(at, 0), Header: http.Header{}, Body: body}
		if query != "" {
			m.Target += "?" + query
		}
		if kind != "" {
			m.Header.Set("Content-Type", kind)
		}
		s, err := l.Sign(m)
		if err != nil {
			return // no message that could be sent
		}
		h := m.Header.Clone()
		for _, f := range s.Fields {
			h.Set(f.Name, f.Value)
		}
		if err := l.VerifyRequest(m, h); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		other := m
		if other.Body = otherBody; string(otherBody) != string(body) && l.VerifyRequest(other, h) == nil {
			t.Errorf("one signature for the bodies %q and %q", body, otherBody)
		}
		moved := h.Clone()
		if moved.Set("X-TC-Timestamp", fmt.Sprint(at+later)); later != 0 && l.VerifyRequest(m, moved) == nil {
			t.Errorf("one signature for the times %d and %d", at, at+later)
		}
	})
}
