package signer

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// randomLayouts gives layouts of which everything that is sent is signed, and everything that is signed is sent or
// known: what a vendor's contract may be, with its parts in any order and form.
func randomLayouts(t *testing.T, r *rand.Rand, n int) []*Layout {
	t.Helper()
	keys := layoutKeys(t)
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var all []*Layout
	for len(all) < n {
		at := pick("{time_ms}", "{time_s}", "{time_iso}", "{time_iso_ms}", "{time_basic}", "{time_local}", "{time_digits}", "{time_rfc1123}")
		zone := ""
		if !strings.HasPrefix(at, "{time_ms") && at != "{time_s}" && at != "{time_rfc1123}" {
			zone = pick("", "Z", "+08:00", "-03:30")
		}
		content := []string{"{method}", pick("{uri}", `{path}\n{query}`), "{client_id}", at, "{nonce}", "{key_version}", "{header.Content-Type}", pick("{body_sha256}", "{body_sha256_base64}", "{body_sha512}", "{body_sha512_base64}")}
		r.Shuffle(len(content), func(i, k int) { content[i], content[k] = content[k], content[i] })
		if r.IntN(2) == 0 {
			content = append(content, "{body}")
		}
		mac := pick("{hex}", "{HEX}", "{base64}", "{base64url}", "{base64_escaped}")
		sent := []string{"{client_id}", at, "{nonce}", "{key_version}", mac}
		if r.IntN(3) == 0 {
			sent = append(sent, pick("{body_sha256_base64}", "{body_md5_base64}", "{body_sha512}"))
		}
		r.Shuffle(len(sent), func(i, k int) { sent[i], sent[k] = sent[k], sent[i] })
		var fields []Field
		if r.IntN(2) == 0 {
			fields = append(fields, Field{"Authorization", pick("OWN ", "v1=", "") + strings.Join(sent, pick(", ", ";", " ; "))})
		} else {
			for i, p := range sent {
				fields = append(fields, Field{fmt.Sprintf("X-Own-%d", i), pick("", "v=", `"`) + p + pick("", ";", `"`)})
			}
		}
		l, err := NewLayout(LayoutConfig{ClientID: "app_1", Keys: keys, Content: strings.Join(content, pick(`\n`, `\t\n`, `\r\n`)), Fields: fields, AnswerContent: "{body}\n" + at, AnswerFields: fields, Zone: zone, Hash: pick("", "sha256", "sha384", "sha512", "sha1")})
		if err != nil {
			continue // such as a nonce before a separator that it may hold
		}
		all = append(all, l)
	}
	return all
}

func randomMessage(r *rand.Rand) Message {
	text := func(set string, least, most int) string {
		b := make([]byte, least+r.IntN(most-least+1))
		for i := range b {
			b[i] = set[r.IntN(len(set))]
		}
		return string(b)
	}
	m := Message{
		Method: text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1, 7), Target: "/" + text("ab/%20", 0, 12), Nonce: text("abcXYZ019-_", 1, 40),
		Body: []byte(text("\x00\n\r .{}\"ab\xff", 0, 30)), Time: time.UnixMilli(firstTime + r.Int64N(lastTime-firstTime)),
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}
	if r.IntN(2) == 0 {
		m.Target += "?" + text("ab=&?", 1, 12)
	}
	return m
}

// sentAs is m as it arrives, with the fields of its signature.
func sentAs(m Message, fields []Field) (Message, http.Header) {
	h := header(fields)
	maps.Copy(h, m.Header)
	return Message{Method: m.Method, Target: m.Target, Body: m.Body}, h
}

// What any layout signs it verifies, and no message that differs in anything; each value that is sent has one spelling, so
// that a changed, added or missing byte of it does not verify.
func TestRandomLayoutsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, l := range randomLayouts(t, r, 60) {
		m := randomMessage(r)
		signed := must(l.Sign(m))(t)
		received, h := sentAs(m, signed.Fields)
		if err := l.VerifyRequest(received, h); err != nil {
			t.Fatalf("%s, %v: %v", l.request.content, signed.Fields, err)
		}
		if got := l.SentSignature(h); len(got) < 27 || !strings.Contains(fmt.Sprint(signed.Fields), got) {
			t.Errorf("%s: the signature that was sent is %q", l.request.content, got)
		}
		refuses := func(what string, m Message, h http.Header) {
			t.Helper()
			if err := l.VerifyRequest(m, h); err == nil {
				t.Errorf("%s, %v: verifies with %s", l.request.content, signed.Fields, what)
			} else if errors.Is(err, ErrUnsigned) && !strings.Contains(what, "without") {
				t.Errorf("%s: %s passes for unsigned: %v", l.request.content, what, err)
			}
		}
		for _, f := range signed.Fields {
			for i := range len(f.Value) + 1 {
				for _, c := range []string{"0", "A", "a", "=", "%", "+", "-", ";", " ", "\t"} {
					edited := h.Clone()
					edited[f.Name] = []string{f.Value[:i] + c + f.Value[i:]}
					refuses(fmt.Sprintf("%q in %s at %d", c, f.Name, i), received, edited)
					if i < len(f.Value) && f.Value[i:i+1] != c {
						edited[f.Name] = []string{f.Value[:i] + c + f.Value[i+1:]}
						refuses(fmt.Sprintf("%q for %s's byte %d", c, f.Name, i), received, edited)
					}
				}
				if i < len(f.Value) {
					edited := h.Clone()
					edited[f.Name] = []string{f.Value[:i] + f.Value[i+1:]}
					refuses(fmt.Sprintf("%s without byte %d", f.Name, i), received, edited)
				}
			}
			twice, none := h.Clone(), h.Clone()
			twice.Add(f.Name, f.Value)
			delete(none, f.Name)
			refuses(f.Name+" twice", received, twice)
			refuses("without "+f.Name, received, none)
		}
		for what, change := range map[string]func(*Message, http.Header){
			"another method": func(m *Message, _ http.Header) { m.Method += "X" },
			"another path":   func(m *Message, _ http.Header) { m.Target = "/x" + m.Target },
			"another query":  func(m *Message, _ http.Header) { m.Target += "&x" },
			"another body":   func(m *Message, _ http.Header) { m.Body = append([]byte("x"), m.Body...) },
			"another type":   func(_ *Message, h http.Header) { h.Set("Content-Type", "text/plain") },
			"two types":      func(_ *Message, h http.Header) { h.Add("Content-Type", "text/plain") },
			"no type":        func(_ *Message, h http.Header) { h.Del("Content-Type") },
		} {
			changed, header := received, h.Clone()
			change(&changed, header)
			refuses(what, changed, header)
		}
	}
}

// A layout's fields arrive as they were sent, over HTTP/1.1 and HTTP/2, whatever the transport does to names and values.
func TestRandomLayoutsOverHTTP(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			var l *Layout
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body := make([]byte, req.ContentLength)
				if _, err := req.Body.Read(body); len(body) > 0 && err != nil && err.Error() != "EOF" {
					t.Error(err)
				}
				if req.ProtoMajor == 2 != http2 {
					t.Errorf("it arrived over %s", req.Proto)
				}
				if err := l.VerifyRequest(Message{Method: req.Method, Target: req.RequestURI, Body: body}, req.Header); err != nil {
					http.Error(w, err.Error(), http.StatusUnauthorized)
				}
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			for _, l = range randomLayouts(t, r, 20) {
				m := randomMessage(r)
				m.Method, m.Target = "POST", strings.ReplaceAll(m.Target, "%", "%25")
				req := must(http.NewRequestWithContext(t.Context(), m.Method, server.URL+m.Target, strings.NewReader(string(m.Body))))(t)
				for _, f := range must(l.Sign(m))(t).Fields {
					req.Header.Set(f.Name, f.Value)
				}
				req.Header.Set("Content-Type", m.Header.Get("Content-Type"))
				resp := must(server.Client().Do(req))(t)
				if resp.Body.Close(); resp.StatusCode != http.StatusOK {
					t.Errorf("%s, %v: status %d", l.request.content, req.Header, resp.StatusCode)
				}
			}
		})
	}
}

// A value that HTTP would not carry as it is, with spaces around it, is refused.
func TestLayoutFieldsThatHTTPAlters(t *testing.T) {
	for _, value := range []string{"{hex} ", " {hex}", "  {hex}  ", "{hex}\t", "v1={hex} ", " v1={hex}", "{hex}\n", "{hex}\x00", "{hex}é"} {
		if _, err := NewLayout(LayoutConfig{Keys: layoutKeys(t), Content: "{body}", Fields: []Field{{"X-Sig", value}}}); err == nil || !strings.Contains(err.Error(), "header X-Sig") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// The time has bounds, to the millisecond, in every form; and so has how far away it may be.
func TestLayoutClock(t *testing.T) {
	const tolerance = 5 * time.Minute
	for at, unit := range map[string]time.Duration{
		"{time_ms}": time.Millisecond, "{time_s}": time.Second, "{time_iso}": time.Second, "{time_iso_ms}": time.Millisecond, "{time_basic}": time.Second,
		"{time_local}": time.Second, "{time_digits}": time.Second, "{time_rfc1123}": time.Second,
	} {
		l := must(NewLayout(LayoutConfig{Keys: layoutKeys(t), Content: at + ".{body}", Fields: []Field{{"X-Sig", "{hex}"}, {"X-Time", at}}, Tolerance: tolerance}))(t)
		for ms, signs := range map[int64]bool{firstTime - 1: false, firstTime: true, lastTime: true, lastTime + 1: false, 0: false, -1: false} {
			if _, err := l.Sign(Message{Method: "GET", Target: "/", Time: time.UnixMilli(ms)}); (err == nil) != signs {
				t.Errorf("%s: signs %d: %v", at, ms, err)
			}
		}
		sent := testTime.Add(999 * time.Millisecond)
		h := header(must(l.Sign(Message{Method: "GET", Target: "/", Time: sent}))(t).Fields)
		said := sent.Truncate(unit)
		for away, takes := range map[time.Duration]bool{
			0: true, tolerance: true, -tolerance: true, tolerance + time.Nanosecond: false, -tolerance - time.Nanosecond: false, 24 * time.Hour: false,
		} {
			if err := l.VerifyRequest(Message{Method: "GET", Target: "/", Time: said.Add(away)}, h); (err == nil) != takes {
				t.Errorf("%s: %v away: %v", at, away, err)
			}
		}
		if err := l.VerifyRequest(Message{Method: "GET", Target: "/"}, h); err != nil {
			t.Errorf("%s: without a clock: %v", at, err)
		}
	}
}

// Equal requests of different times have different signatures, so that a receiver can tell a replay from the next request, or
// the layout warns.
func TestLayoutsWarnOfReplays(t *testing.T) {
	for at, fields := range map[string][]Field{
		"{time_ms}":          {{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}},
		"{time_s}":           {{"X-Sig", "{hex}"}, {"X-Time", "{time_s}"}},
		"{time_iso}":         {{"X-Sig", "{hex}"}, {"X-Time", "{time_iso}"}},
		"{time_iso_ms}":      {{"X-Sig", "{hex}"}, {"X-Time", "{time_iso_ms}"}},
		"{time_basic}":       {{"X-Sig", "{hex}"}, {"X-Time", "{time_basic}"}},
		"{time_local}":       {{"X-Sig", "{hex}"}, {"X-Time", "{time_local}"}},
		"{time_digits}":      {{"X-Sig", "{hex}"}, {"X-Time", "{time_digits}"}},
		"{time_rfc1123}":     {{"X-Sig", "{hex}"}, {"Date", "{time_rfc1123}"}},
		"{nonce}":            {{"X-Sig", "{hex}"}, {"X-Nonce", "{nonce}"}},
		"{nonce}.{time_iso}": {{"X-Sig", "{hex}"}, {"X-Time", "{time_iso}"}, {"X-Nonce", "{nonce}"}},
		"none":               {{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}},
	} {
		l := must(NewLayout(LayoutConfig{Keys: layoutKeys(t), Content: `{method} {uri}\n` + at + `.{body}`, Fields: fields}))(t)
		sign := func(at time.Time, nonce string) string {
			m := Message{Method: "GET", Target: "/", Time: at, Nonce: nonce}
			return l.SentSignature(header(must(l.Sign(m))(t).Fields))
		}
		repeats := sign(testTime, "n1") == sign(testTime.Add(time.Millisecond), "n2")
		if warned := len(l.Traits().Warnings) > 0; warned != repeats {
			t.Errorf("%s: one signature of two requests: %t, warned: %q", at, repeats, l.Traits().Warnings)
		}
	}
}

// Every placeholder that content takes is in what is signed, in its own form, and in no other place.
func TestEveryPlaceholderIsSigned(t *testing.T) {
	fields := []Field{{"X-Sig", "{hex}"}, {"X-Times", "{time_ms} {time_s} {time_iso} {time_iso_ms} {time_basic} {time_local} {time_digits} {time_rfc1123}"}, {"X-Nonce", "{nonce}"}}
	m := Message{Method: "PUT", Target: "/a/b?c=%20&c", Body: []byte("abc"), Time: time.UnixMilli(1767322800123), Nonce: "n-1", Header: http.Header{"X-A": {"a b"}}}
	for kind, want := range map[partKind]string{
		partMethod: "PUT", partURI: "/a/b?c=%20&c", partPath: "/a/b", partQuery: "c=%20&c", partBody: "abc", partHeader: "a b",
		partBodySHA256:       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		partBodySHA256Base64: "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
		partClientID:         "app", partTimeMS: "1767322800123", partTimeS: "1767322800", partTimeISO: "2026-01-02T03:00:00Z", partNonce: "n-1", partKeyVersion: "2",
		partTimeISOMS: "2026-01-02T03:00:00.123Z", partTimeBasic: "20260102T030000Z", partTimeLocal: "2026-01-02 03:00:00", partTimeDigits: "20260102030000",
		partTimeRFC1123: "Fri, 02 Jan 2026 03:00:00 GMT", partBodyMD5: "900150983cd24fb0d6963f7d28e17f72", partBodyMD5Base64: "kAFQmDzST7DWlj99KOF/cg==",
		partBodySHA512:       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		partBodySHA512Base64: "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
	} {
		name := "{" + placeholders[kind].name + "}"
		if kind == partHeader {
			name = "{header.x-a}"
		}
		l := must(NewLayout(LayoutConfig{ClientID: "app", Keys: ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("k1")), 2: NewHMACKey([]byte("k2"))}), Content: "<" + name + ">", Fields: fields}))(t)
		if got := must(l.Canonical(m))(t); got != "<"+want+">" {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for kind := partText + 1; kind < partKinds; kind++ {
		if p := placeholders[kind]; p.signed == kind.isMAC() {
			t.Errorf("{%s}: signed %t", p.name, p.signed)
		}
	}
}
