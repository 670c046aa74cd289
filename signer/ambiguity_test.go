package signer

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// smallMessage is one of a small world, whose values are short and made of few bytes, those of content among them.
func smallMessage(r *rand.Rand, content template) Message {
	bytes := "A1"
	for _, p := range content {
		if p.kind == partText {
			bytes += p.text
		}
	}
	text := func(kind partKind, least int) string {
		var b []byte
		for n := least + r.IntN(3); len(b) < n; {
			if c := bytes[r.IntN(len(bytes))]; placeholders[kind].alphabet[c] {
				b = append(b, c)
			}
		}
		return string(b)
	}
	m := Message{
		Method: text(partMethod, 1), Target: "/" + text(partPath, 0), Nonce: text(partNonce, 1), Body: []byte(text(partBody, 0)),
		Time: time.UnixMilli(firstTime + r.Int64N(2)*1001), Header: http.Header{},
	}
	if r.IntN(2) == 0 {
		m.Target += "?" + text(partQuery, 0)
	}
	if header := strings.TrimSpace(text(partHeader, 0)); header != "" {
		m.Header["A"] = []string{header}
	}
	return m
}

// heldBy is what a content holds of a message, each part with its length.
func heldBy(content template, m Message) string {
	var b strings.Builder
	v := values{m: &m, nonce: m.Nonce, ms: m.Time.UnixMilli(), clientID: "c"}
	for i := range content {
		switch content[i].kind {
		case partText:
		case partBody:
			fmt.Fprintf(&b, "%d:%s", len(m.Body), m.Body)
		default:
			part := v.append(nil, &content[i])
			fmt.Fprintf(&b, "%d:%s", len(part), part)
		}
	}
	return b.String()
}

// Of contents of up to three parts, and of longer ones, none that passes gives two messages of the small world one string;
// and many of those that are refused do.
func TestAmbiguityBySearch(t *testing.T) {
	parts := []string{"{method}", "{uri}", "{path}", "{query}", "{body}", "{header.A}", "{time_ms}", "{time_s}", "{nonce}", `\n`, ".", "?", "/", "1", "A", "-"}
	var contents []string
	for _, a := range parts {
		for _, b := range append(parts, "") {
			for _, c := range append(parts, "") {
				contents = append(contents, a+b+c)
			}
		}
	}
	r := rand.New(rand.NewPCG(7, 8))
	r.Shuffle(len(contents), func(i, k int) { contents[i], contents[k] = contents[k], contents[i] })
	contents = contents[:400]
	for range 200 {
		content := ""
		for range 4 + r.IntN(4) {
			content += parts[r.IntN(len(parts))]
		}
		contents = append(contents, content)
	}
	keys := layoutKeys(t)
	fields := []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}, {"X-Nonce", "{nonce}"}}
	passed, refused, collided := 0, 0, 0
	for _, content := range contents {
		l, err := NewLayout(LayoutConfig{ClientID: "c", Keys: keys, Content: content, Fields: fields, AllowAmbiguous: true})
		if err != nil {
			continue // not for its ambiguity
		}
		ambiguous := l.request.content.checkUnambiguous("content") != nil
		of := make(map[string]string)
		collision := ""
		for range 1500 {
			m := smallMessage(r, l.request.content)
			canonical, err := l.Canonical(m)
			if err != nil {
				continue
			}
			what := heldBy(l.request.content, m)
			if other, ok := of[canonical]; ok && other != what {
				collision = fmt.Sprintf("one string %q of two messages\n%q\n%q", canonical, other, what)
				break
			}
			of[canonical] = what
		}
		switch {
		case !ambiguous && collision != "":
			t.Errorf("%q passes, with %s", content, collision)
		case !ambiguous:
			passed++
		default:
			refused++
			if collision != "" {
				collided++
			}
		}
	}
	if passed < 100 || refused < 100 || collided < refused/2 {
		t.Errorf("%d contents passed, %d were refused, %d of these collide: too few to mean anything", passed, refused, collided)
	}
	t.Logf("%d contents passed, %d were refused, %d of these collide", passed, refused, collided)
}
