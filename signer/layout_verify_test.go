package signer

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every byte that was signed counts, in both directions, and each failure has its kind.
func TestLayoutVerify(t *testing.T) {
	config := asLayoutConfig("2026APP01", layoutKeys(t))
	config.Tolerance = time.Minute
	s := must(NewLayout(config))(t)
	if s.Traits().IgnoresAnswers || s.AnswerField() != "Signature" || s.Traits().Nonce {
		t.Error("does not know itself")
	}
	m := chatMessage()
	for name, c := range map[string]struct {
		change func(*Message, http.Header)
		want   error
	}{
		"as it is":          {func(*Message, http.Header) {}, nil},
		"within tolerance":  {func(m *Message, _ http.Header) { m.Time = m.Time.Add(time.Minute) }, nil},
		"too late":          {func(m *Message, _ http.Header) { m.Time = m.Time.Add(time.Minute + 1) }, ErrMalformed},
		"too early":         {func(m *Message, _ http.Header) { m.Time = m.Time.Add(-time.Minute - 1) }, ErrMalformed},
		"no clock":          {func(m *Message, _ http.Header) { m.Time = time.Time{} }, nil},
		"body":              {func(m *Message, _ http.Header) { m.Body = []byte("b") }, ErrBadSignature},
		"method":            {func(m *Message, _ http.Header) { m.Method = "PUT" }, ErrBadSignature},
		"path":              {func(m *Message, _ http.Header) { m.Target = "/v1" }, ErrBadSignature},
		"no signature":      {func(_ *Message, h http.Header) { h.Del("Signature") }, ErrUnsigned},
		"null":              {func(_ *Message, h http.Header) { h.Set("Signature", "null") }, ErrUnsigned},
		"two signatures":    {func(_ *Message, h http.Header) { h.Add("Signature", h.Get("Signature")) }, ErrMalformed},
		"more behind it":    {func(_ *Message, h http.Header) { h.Set("Signature", h.Get("Signature")+",") }, ErrMalformed},
		"another algorithm": {func(_ *Message, h http.Header) { h.Set("Signature", "algorithm=RSA256") }, ErrMalformed},
		"unknown version": {func(_ *Message, h http.Header) {
			h.Set("Signature", strings.Replace(h.Get("Signature"), "n=3", "n=2", 1))
		}, ErrUnknownKeyVersion},
		"the other key": {func(_ *Message, h http.Header) {
			h.Set("Signature", strings.Replace(h.Get("Signature"), "n=3", "n=1", 1))
		}, ErrBadSignature},
		"padded version": {func(_ *Message, h http.Header) {
			h.Set("Signature", strings.Replace(h.Get("Signature"), "n=3", "n=03", 1))
		}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			for direction, f := range map[string]struct {
				sign   func(Message) (Signed, error)
				verify func(Message, http.Header) error
			}{"request": {s.Sign, s.VerifyRequest}, "answer": {s.SignResponse, s.VerifyResponse}} {
				h := header(must(f.sign(m))(t).Fields)
				received := m
				c.change(&received, h)
				if err := f.verify(received, h); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%s: got %v, want %v", direction, err, c.want)
				}
			}
		})
	}
	sent := header(must(s.Sign(m))(t).Fields)
	sent.Set("Client-Id", "another")
	if err := s.VerifyRequest(m, sent); !errors.Is(err, ErrWrongIdentity) {
		t.Errorf("another client: %v", err)
	}
	back := header(must(s.Sign(m))(t).Fields)
	back.Set("Response-Time", back.Get("Request-Time"))
	if err := s.VerifyResponse(m, back); err != nil || !s.Reflects(back, back) {
		t.Errorf("a request that is sent back verifies (%v), so it must be seen to reflect", err)
	}
	if answer := header(must(s.SignResponse(Message{Method: "POST", Target: "/x", Body: []byte("{}"), Time: testTime}))(t).Fields); s.Reflects(back, answer) {
		t.Error("an answer of its own reflects")
	}
}

// Where no header says the key's version, every key held is tried, and an answer without a layout is unsigned.
func TestLayoutTriesEveryKey(t *testing.T) {
	old := ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("example-hmac-key-1"))})
	for _, content := range []string{"{body}", `{key_version}\n{body}`} {
		config := LayoutConfig{Keys: old, Content: content, Fields: []Field{{"X-Sig", "{hex}"}}}
		h := header(must(must(NewLayout(config))(t).Sign(chatMessage()))(t).Fields)
		config.Keys = layoutKeys(t)
		s := must(NewLayout(config))(t)
		if err := s.VerifyRequest(chatMessage(), h); err != nil {
			t.Errorf("%s: %v", content, err)
		}
		if err := s.VerifyResponse(chatMessage(), h); !errors.Is(err, ErrUnsigned) || s.AnswerField() != "" || s.Reflects(h, h) {
			t.Errorf("%s: an answer: %v", content, err)
		}
		if _, err := s.SignResponse(chatMessage()); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: an answer: %v", content, err)
		}
	}
}

// Every placeholder can be signed, sent, and read again.
func TestLayoutRoundTrip(t *testing.T) {
	for _, mac := range []string{"{hex}", "{base64}", "{base64url}", "{base64url}=", "sig={base64_escaped};alg=x"} {
		s := must(NewLayout(LayoutConfig{
			ClientID: "app-1", Keys: layoutKeys(t),
			Content: `{method}\n{uri}\n{path}\n{query}\n{header.Content-Type}\n{client_id}\n{time_ms} {time_s} {time_iso}\n{nonce}.{key_version}.{body_sha256}{body_sha256_base64}\{\}\t\\{body}\r`,
			Fields: []Field{
				{"X-Sig", mac}, {"X-Id", `id="{client_id}"`}, {"X-Times", "{time_s}{time_ms} {time_iso}"}, {"X-Rest", "{nonce}.{key_version}"},
				{"Content-Digest", "sha-256=:{body_sha256_base64}:"}, {"X-Hex", "{body_sha256}"},
			},
		}))(t)
		m := chatMessage()
		m.Header = http.Header{"Content-Type": {"application/json"}}
		signed := must(s.Sign(m))(t)
		h := header(signed.Fields)
		h.Set("Content-Type", "application/json")
		received := Message{Method: m.Method, Target: m.Target, Body: m.Body}
		if err := s.VerifyRequest(received, h); err != nil {
			t.Errorf("%s: %v", mac, err)
		}
		if got := must(s.Canonical(m))(t); !strings.Contains(got, "{}\t\\"+string(m.Body)+"\r") || !strings.Contains(got, "2026-01-02T03:00:00Z") {
			t.Errorf("signs %q", got)
		}
		for _, f := range signed.Fields {
			broken := h.Clone()
			broken.Set(f.Name, f.Value[:len(f.Value)-1])
			if err := s.VerifyRequest(received, broken); err == nil {
				t.Errorf("%s: verifies with %s cut", mac, f.Name)
			} else if strings.Contains(err.Error(), h.Get("X-Sig")) {
				t.Errorf("%s: tells the signature: %v", mac, err)
			}
		}
	}
}

// Whatever a template holds, it is parsed or refused, and what passes signs what it verifies.
func FuzzLayout(f *testing.F) {
	f.Add(`{method}\n{uri}\n{client_id}.{time_ms}.{body}`, "v1={hex}", "app", []byte("x"))
	f.Add(`{nonce}.{time_s}.{body}`, "t={time_s},n={nonce},{base64}", "a.b", []byte("\n"))
	f.Add(`\{{body}\}{time_iso}`, "{client_id}:{key_version}:{base64_escaped}", "a:", []byte("}"))
	f.Add(`{header.X-A}{`, "{hex", "", []byte(nil))
	keys := layoutKeys(f)
	f.Fuzz(func(t *testing.T, content, value, id string, body []byte) {
		s, err := NewLayout(LayoutConfig{
			ClientID: id, Keys: keys, Content: content,
			Fields: []Field{{"X-Sig", value}, {"X-Time", "{time_ms}"}, {"X-Nonce", "{nonce}"}},
		})
		if err != nil {
			return
		}
		m := Message{Method: "POST", Target: "/a?b=%20", Body: body, Time: testTime, Nonce: "n-1"}
		signed, err := s.Sign(m)
		if err != nil {
			t.Fatalf("%q, %q: %v", content, value, err)
		}
		if err := s.VerifyRequest(Message{Method: m.Method, Target: m.Target, Body: body}, header(signed.Fields)); err != nil {
			t.Errorf("%q, %q: %v", content, value, err)
		}
	})
}

// The field that holds the signature is read alone, whatever else the message is; of what is not like it there is none.
func TestSentSignature(t *testing.T) {
	l := must(NewLayout(LayoutConfig{
		ClientID: "app", Keys: layoutKeys(t), Content: "{time_ms}.{body}",
		Fields: []Field{{"Authorization", "OWN {client_id} {time_ms} {hex}"}}, AnswerContent: "{time_ms}.{body}", AnswerFields: []Field{{"X-Answer", "{time_ms}/{hex}"}},
	}))(t)
	mac := strings.Repeat("0a", 32)
	for value, want := range map[string]string{
		"OWN app 1767322800000 " + mac:                  mac,
		"OWN other 1767322800000 " + mac:                mac, // whoever it is for
		"OWN app 1767322800000 " + strings.ToUpper(mac): "",
		"OWN app 1767322800000 " + mac[1:]:              "",
		"OWN app 176732280000 " + mac:                   "",
		"Bearer " + mac:                                 "",
		"":                                              "",
	} {
		if got := l.SentSignature(http.Header{"Authorization": {value}}); got != want {
			t.Errorf("%q: got %q", value, got)
		}
		if got := l.Reflects(http.Header{"Authorization": {value}}, http.Header{"X-Answer": {"1767322800001/" + mac}}); got != (want != "") {
			t.Errorf("%q: reflected: %t", value, got)
		}
	}
	for name, h := range map[string]http.Header{"none": {}, "two": {"Authorization": {"OWN app 1767322800000 " + mac, "OWN app 1767322800000 " + mac}}} {
		if got := l.SentSignature(h); got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if l.AnswerField() != "X-Answer" || l.Traits().IgnoresAnswers || l.Traits().Nonce || strings.Join(l.Traits().Headers, " ") != "Authorization" {
		t.Errorf("answers in %q, headers %q", l.AnswerField(), l.Traits().Headers)
	}
}

// Of answers the layout verifies what it signs for their request, and nothing else.
func TestLayoutAnswersBelongToTheirRequests(t *testing.T) {
	l := must(NewLayout(LayoutConfig{
		Keys: layoutKeys(t), Content: `{method} {uri}\n{time_ms}.{body}`, Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}},
		AnswerContent: `{method} {uri}\n{time_ms}.{header.Content-Type}\n{body}`, AnswerFields: []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}},
	}))(t)
	request := Message{Method: "POST", Target: "/v1/chat?a=1", Body: []byte("ask"), Time: testTime}
	answer := Message{Method: request.Method, Target: request.Target, Body: []byte("said"), Time: testTime, Header: http.Header{"Content-Type": {"application/json"}}}
	received, h := sentAs(answer, must(l.SignResponse(answer))(t).Fields)
	if err := l.VerifyResponse(received, h); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Message, http.Header){
		"another request's method": func(m *Message, _ http.Header) { m.Method = "GET" },
		"another request's path":   func(m *Message, _ http.Header) { m.Target = "/v1/models" },
		"another request's query":  func(m *Message, _ http.Header) { m.Target = "/v1/chat?a=2" },
		"another body":             func(m *Message, _ http.Header) { m.Body = []byte("said so") },
		"another type":             func(_ *Message, h http.Header) { h.Set("Content-Type", "text/html") },
		"another time":             func(_ *Message, h http.Header) { h.Set("X-Time", "1767322800001") },
	} {
		changed, fields := received, h.Clone()
		change(&changed, fields)
		if err := l.VerifyResponse(changed, fields); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.VerifyRequest(received, h); err == nil {
		t.Error("an answer passes for a request")
	}
	for name, fields := range map[string]http.Header{"none": {}, "empty": {"X-Sig": {""}}, "null": {"X-Sig": {"null"}}} {
		if err := l.VerifyResponse(received, fields); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What two fields say of one thing has to agree, to the second where one says no more.
func TestLayoutFieldsAgree(t *testing.T) {
	l := must(NewLayout(LayoutConfig{
		Keys: layoutKeys(t), Content: "{time_ms}.{nonce}.{body}",
		Fields: []Field{{"X-Sig", "{hex}"}, {"X-Ms", "{time_ms}"}, {"X-S", "{time_s}"}, {"X-Iso", "{time_iso}"}, {"X-Nonce", "{nonce}"}, {"X-Again", "{nonce}"}},
	}))(t)
	m := goldenMessage()
	m.Header = nil
	received, h := sentAs(m, must(l.Sign(m))(t).Fields)
	if err := l.VerifyRequest(received, h); err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]string{"X-S": "1767322801", "X-Iso": "2026-01-02T03:00:01Z", "X-Ms": "1767322801123", "X-Again": "n-2", "X-Nonce": "n-2"} {
		changed := h.Clone()
		changed.Set(field, value)
		if err := l.VerifyRequest(received, changed); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "than the field before it") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
