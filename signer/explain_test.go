package signer

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// What differs is named, for the built-in layout and one's own, and nothing else is.
func TestExplain(t *testing.T) {
	built := newHMAC(t, "2026APP01")
	config := asLayoutConfig("2026APP01", built.keys)
	layout := func(change func(*LayoutConfig)) *Layout {
		c := asLayoutConfig("2026APP01", built.keys)
		change(&c)
		return must(NewLayout(c))(t)
	}
	m := chatMessage()
	m.Target, m.Body = "/ai/v1/chat?b=1&a=2", []byte("{\"a\": 1}\n")
	sent := func(s Scheme, change func(*Message)) http.Header {
		signed := m
		change(&signed)
		return header(must(s.Sign(signed))(t).Fields)
	}
	same := func(*Message) {}
	other := newHMAC(t, "2026APP02")
	for name, c := range map[string]struct {
		h    http.Header
		want string
	}{
		"nothing":           {sent(built, same), ""},
		"a line break":      {sent(built, func(m *Message) { m.Body = []byte("{\"a\": 1}") }), "the body has no line break at its end"},
		"white space":       {sent(built, func(m *Message) { m.Body = []byte(`{"a":1}`) }), "the body's JSON has no white space"},
		"CRLF":              {sent(built, func(m *Message) { m.Body = []byte("{\"a\": 1}\r\n") }), "the body's lines end in CRLF, not LF"},
		"no body":           {sent(built, func(m *Message) { m.Body = nil }), "the body is empty"},
		"no query":          {sent(built, func(m *Message) { m.Target = "/ai/v1/chat" }), "the target has no query"},
		"a sorted query":    {sent(built, func(m *Message) { m.Target = "/ai/v1/chat?a=2&b=1" }), "the query's parameters are sorted"},
		"a path of its own": {sent(built, func(m *Message) { m.Target = "/v1/chat?b=1&a=2" }), "the path begins at /v1/chat"},
		"a slash":           {sent(built, func(m *Message) { m.Target = "/ai/v1/chat/?b=1&a=2" }), "the path has a slash at its end"},
		"the method":        {sent(built, func(m *Message) { m.Method = "GET" }), "the method is GET"},
		"seconds, signed":   {sent(layout(func(c *LayoutConfig) { c.Content = strings.Replace(c.Content, "time_ms", "time_s", 1) }), same), "the time is signed in seconds"},
		"seconds throughout": {sent(layout(func(c *LayoutConfig) {
			c.Content = strings.Replace(c.Content, "time_ms", "time_s", 1)
			c.Fields[1].Value = "{time_s}"
		}), same), "the time is signed in seconds, and its time is in seconds"},
		"a digest": {sent(layout(func(c *LayoutConfig) { c.Content = strings.Replace(c.Content, "body", "body_sha256", 1) }), same), "the body's SHA-256 is signed in hex"},
		"hex": {sent(layout(func(c *LayoutConfig) {
			c.Fields[2].Value = strings.Replace(c.Fields[2].Value, "base64_escaped", "hex", 1)
		}), same), "its signature is in hex"},
		"base64":   {sent(layout(func(c *LayoutConfig) { c.Fields[2].Value = strings.Replace(c.Fields[2].Value, "_escaped", "", 1) }), same), "its signature is in base64"},
		"a line":   {sent(layout(func(c *LayoutConfig) { c.Content += `\n` }), same), "what is signed has a line break at its end"},
		"a client": {sent(other, same), "it is for the client that its header Client-Id names"},
		"seconds, sent": {func() http.Header {
			h := sent(built, same)
			h.Set("Request-Time", h.Get("Request-Time")[:10])
			return h
		}(), "Request-Time is in milliseconds, not in seconds"},
		"a version": {func() http.Header {
			h := sent(built, same)
			h.Set("Signature", strings.Replace(h.Get("Signature"), "n=2", "n=1", 1))
			return h
		}(), "another key version has signed it than it says"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []Scheme{built, must(NewLayout(config))(t)} {
				got := Explain(s, m, c.h, false)
				if s.VerifyRequest(m, c.h) == nil { // as the built-in takes any unit of time that header and string agree in
					if _, own := s.(*Layout); got != nil || own && c.want != "" {
						t.Errorf("verifies, and is explained by %q", got)
					}
					continue
				}
				if !slices.Contains(got, c.want) {
					t.Errorf("%T: got %q, want %q", s, got, c.want)
				}
				for _, value := range c.h {
					if strings.Contains(strings.Join(got, ""), value[0][len(value[0])-8:]) {
						t.Errorf("tells a signature: %q", got)
					}
				}
			}
		})
	}
	strange := sent(built, func(m *Message) { m.Body = []byte("something else") })
	if got := Explain(built, m, strange, false); got == nil || len(got) != 0 {
		t.Errorf("of something else: %q", got)
	}
	answer := header(must(built.SignResponse(Message{Method: "POST", Target: m.Target, Body: []byte("{}"), Time: testTime}))(t).Fields)
	received := m
	received.Body = []byte("{}\n")
	if got := Explain(built, received, answer, true); !slices.Contains(got, "the body has no line break at its end") {
		t.Errorf("of an answer: %q", got)
	}
	if got := Explain(must(NewBearer(ring(t, map[int]string{1: "sk"})))(t), m, http.Header{"Authorization": {"Bearer x"}}, false); len(got) != 0 {
		t.Errorf("of a token: %q", got)
	}
	if got := Reason(ErrUnsigned) + Reason(ErrBadSignature) + Reason(nil) + Reason(ErrNoKeys); got != "it carries no signaturethe signature does not matchthe signature matchesno keys" {
		t.Errorf("got %q", got)
	}
}

// What Explain tries is bounded by the size of a message, however it is made: a path of slashes, or JSON that grows without
// measure where it is indented.
func TestExplainIsBounded(t *testing.T) {
	keys, err := NewRing(map[int]*HMACKey{1: NewHMACKey([]byte("secret-of-the-test"))})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewHMAC(HMACConfig{ClientID: "app", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Client-Id": {"app"}, "Request-Time": {"1767322800000"}, "Signature": {"algorithm=HMAC256,keyVersion=1,signature=AAAA"}}
	for name, m := range map[string]Message{
		"a path of slashes": {Method: "POST", Target: strings.Repeat("/", 10_000), Body: []byte("{}")},
		"a deep array":      {Method: "POST", Target: "/", Body: []byte(strings.Repeat("[", 1000) + strings.Repeat("1,", 20_000) + "1" + strings.Repeat("]", 1000))},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			matches := Explain(s, m, h, false)
			runtime.ReadMemStats(&after)
			size := uint64(len(m.Target) + len(m.Body))
			if used := after.TotalAlloc - before.TotalAlloc; len(matches) != 0 || used > 200*size+1<<20 {
				t.Errorf("%v: %d bytes for a message of %d", matches, used, size)
			}
		})
	}
}
