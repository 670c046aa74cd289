package signer

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

func layoutKeys(t testing.TB) *Ring[*HMACKey] {
	return ring(t, map[int]*HMACKey{1: NewHMACKey([]byte("example-hmac-key-1")), 3: NewHMACKey([]byte("example-hmac-key-3"))})
}

// What a layout cannot be is refused with its option, and with what could stand there.
func TestNewLayoutRefuses(t *testing.T) {
	sig := Field{"X-Sig", "{hex}"}
	at := Field{"X-Time", "{time_ms}"}
	for name, c := range map[string]struct {
		content string
		fields  []Field
		want    []string
	}{
		"unknown placeholder":             {"{methd}", []Field{sig}, []string{"content: {methd} cannot stand there", "{method}", "{body_sha256}", "{header.<Name>}"}},
		"the signature in what is signed": {"{hex}", []Field{sig}, []string{"content: {hex} cannot stand there"}},
		"the body in a header":            {"{body}", []Field{{"X-Sig", "{hex}{body}"}}, []string{"header X-Sig: {body} cannot stand there", "{base64url}"}},
		"not closed":                      {"{body", []Field{sig}, []string{"content: a { is not closed"}},
		"not opened":                      {"body}", []Field{sig}, []string{"content: a } was not opened"}},
		"stray backslash":                 {`{body}\x`, []Field{sig}, []string{"content: a backslash stands before"}},
		"backslash at the end":            {`{body}\`, []Field{sig}, []string{"content: a backslash stands before"}},
		"no content":                      {"", []Field{sig}, []string{"content: must not be empty"}},
		"no header":                       {"{body}", nil, []string{"header: from 1 to 8"}},
		"no signature":                    {"{body}", []Field{at}, []string{"header: none holds the signature; write one like"}},
		"two signatures":                  {"{body}", []Field{sig, {"X-B", "{base64}"}}, []string{"header X-B: the signature stands in header X-Sig already"}},
		"two in one":                      {"{body}", []Field{{"X-B", "{hex},{hex}"}}, []string{"header X-B: holds the signature more than once"}},
		"a header twice":                  {"{body}", []Field{sig, {"x-sig", "{nonce}"}}, []string{"header x-sig: is given twice"}},
		"no header's name":                {"{body}", []Field{{"X Sig", "{hex}"}}, []string{"header X Sig: must be the name of an HTTP header"}},
		"no signed header's name":         {"{header.}", []Field{sig}, []string{"content: {header.}: must be the name"}},
		"line break in a header":          {"{body}", []Field{{"X-Sig", `a\nb{hex}`}}, []string{"header X-Sig: must hold visible ASCII"}},
		"time that no header says":        {"{time_s}.{body}", []Field{sig}, []string{"content: {time_s} is signed, but no header says it; add one like X-Time {time_s}"}},
		"milliseconds from seconds":       {"{time_ms}.{body}", []Field{sig, {"X-Time", "{time_s}"}}, []string{"content: {time_ms} is signed, but no header says it"}},
		"nonce that no header says":       {"{nonce}.{body}", []Field{sig}, []string{"content: {nonce} is signed, but no header says it"}},
		"its own header":                  {"{header.X-Time}\n{body}", []Field{sig, at}, []string{"content: {header.X-Time} is set by the layout itself"}},
		"unclear end in a header":         {"{body}", []Field{{"X-Sig", "{client_id}{key_version},{hex}"}}, []string{"header X-Sig: nothing tells where {client_id} ends"}},

		// Two messages could have one string.
		"method and target":        {"{method}{uri}", []Field{sig}, nil}, // which begins with a slash
		"a method's dot":           {"{method}.{uri}", []Field{sig}, nil},
		"target and method":        {"{uri}.{method}", []Field{sig}, []string{"where {uri} ends and {method} begins", `such as \n`, "allow_ambiguous"}},
		"target and body":          {"{time_ms}{method}{uri}{body}", []Field{sig, at}, []string{"where {uri} ends and {body} begins"}},
		"path and query":           {"{path}{query}", []Field{sig}, []string{"where {path} ends and {query} begins"}},
		"the body before the rest": {`{body}\n{method} {uri}`, []Field{sig}, nil}, // comes apart from the right
		"the body before a header": {`{body}\n{header.A}\n{uri}`, []Field{sig}, nil},
		"the body twice":           {`{body}\n{body}`, []Field{sig}, []string{"where {body} ends and {body} begins"}},
		"body amid headers":        {"{header.A}{body}", []Field{sig}, []string{"where {header.A} ends and {body} begins"}},
		"optional header":          {"{uri}{header.A}\n{body}", []Field{sig}, []string{"where {uri} ends and {header.A} begins"}},
		"a space in a header":      {"{header.A} {header.B}", []Field{sig}, []string{"where {header.A} ends and {header.B} begins"}},
		"client id and version":    {"{client_id}{key_version}\n{body}", []Field{sig}, []string{"where {client_id} ends and {key_version} begins"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewLayout(LayoutConfig{ClientID: "app", Keys: layoutKeys(t), Content: c.content, Fields: c.fields})
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestNewLayoutRefusesTheRest(t *testing.T) {
	good := asLayoutConfig("app", layoutKeys(t))
	for name, c := range map[string]struct {
		change func(*LayoutConfig)
		want   string
	}{
		"no keys":               {func(c *LayoutConfig) { c.Keys = nil }, "keys: a layout needs"},
		"tolerance":             {func(c *LayoutConfig) { c.Tolerance = -1 }, "tolerance: must not"},
		"separator in the id":   {func(c *LayoutConfig) { c.ClientID = "a.b" }, "client_id: must not contain '.'"},
		"no id":                 {func(c *LayoutConfig) { c.ClientID = "" }, "client_id: must not be empty"},
		"an answer's content":   {func(c *LayoutConfig) { c.AnswerContent = "{body}{uri}" }, "answer content: two different messages"},
		"an answer's header":    {func(c *LayoutConfig) { c.AnswerFields = nil }, "answer header: from 1"},
		"an answer's signature": {func(c *LayoutConfig) { c.AnswerFields = c.AnswerFields[:1] }, "answer header: none holds the signature"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			if l, err := NewLayout(config); l != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What a layout does not sign is told, since requests that differ in it have one signature.
func TestLayoutWarnings(t *testing.T) {
	sig := []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}, {"X-Nonce", "{nonce}"}}
	for content, want := range map[string]string{
		`{method} {uri}\n{time_ms}.{body}`:                 "",
		`{method} {uri}\n{time_ms}.{time_s}.{body}`:        "",
		`{method} {uri}\n{nonce}.{time_s}.{body}`:          "",
		`{method} {uri}\n{time_s}.{body}`:                  "seconds",
		`{method} {path}\n{query}\n{nonce}\n{body_sha256}`: "",
		`{body}`:                              "method path query time",
		`{method} {path}\n{time_iso}\n{body}`: "query seconds",
		`{method} {uri}\n{time_s}`:            "body seconds",
	} {
		s := must(NewLayout(LayoutConfig{Keys: layoutKeys(t), Content: content, Fields: sig}))(t)
		got := strings.Join(s.Traits().Warnings, "\n")
		words := strings.Fields(want)
		if n := len(s.Traits().Warnings); n != len(words) {
			t.Errorf("%s: warns of\n%s", content, got)
		}
		for _, word := range words {
			if !strings.Contains(got, "does not hold the "+word) && !strings.Contains(got, "holds the time in "+word) {
				t.Errorf("%s: no word of the %s:\n%s", content, word, got)
			}
		}
	}
}

// Random messages that differ in something that the layout signs differ in their strings, under every random layout
// that passes. Their values are made of few bytes, separators among them, so that collisions are likely.
func TestLayoutsThatPassAreInjective(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := layoutKeys(t)
	parts := []string{
		"{method}", "{uri}", "{path}", "{query}", "{body}", "{body_sha256}", "{header.A}", "{header.B}", "{time_ms}", "{time_s}",
		"{time_iso}", "{nonce}", "\\n", ".", "-", "a", "?", " ", "1", ":", "a\\n", "\\n\\n",
	}
	fields := []Field{{"X-Sig", "{hex}"}, {"X-Time", "{time_ms}"}, {"X-Nonce", "{nonce}"}}
	text := func(set string, least int) string {
		b := make([]byte, least+r.IntN(3))
		for i := range b {
			b[i] = set[r.IntN(len(set))]
		}
		return string(b)
	}
	message := func() Message {
		m := Message{
			Method: text("A.-1", 1), Target: "/" + text("a?.-:1", 0), Body: []byte(text("a\n.-1?: ", 0)), Nonce: text("a-1", 1),
			Time: time.UnixMilli(firstTime + int64(r.IntN(2))*1000), Header: http.Header{},
		}
		for _, name := range []string{"A", "B"} {
			if value := text("a1 .:-", 0); value != "" {
				m.Header[name] = []string{value}
			}
		}
		return m
	}
	seen := func(content string, m Message) string { // what the layout signs of m, apart
		path, query, _ := strings.Cut(m.Target, "?")
		var b strings.Builder
		for name, value := range map[string]string{
			"{method}": m.Method, "{uri}": m.Target, "{path}": path, "{query}": query, "{body": string(m.Body), "{header.A}": m.Header.Get("A"),
			"{header.B}": m.Header.Get("B"), "{time": m.Time.String(), "{nonce}": m.Nonce,
		} {
			if strings.Contains(content, name) {
				b.WriteString(name + "\x00" + value + "\x00")
			}
		}
		return canonicalParts(b.String())
	}
	passed, refused, compared := 0, 0, 0
	for passed < 400 {
		var content string
		for range 1 + r.IntN(6) {
			content += parts[r.IntN(len(parts))]
		}
		s, err := NewLayout(LayoutConfig{Keys: keys, Content: content, Fields: fields})
		if err != nil {
			refused++
			continue
		}
		passed++
		of := make(map[string]string)
		for range 200 {
			m := message()
			canonical, err := s.Canonical(m)
			if err != nil {
				continue
			}
			compared++
			what := seen(content, m)
			if other, ok := of[canonical]; ok && other != what {
				t.Fatalf("layout %q: one string %q of two messages\n%q\n%q", content, canonical, what, other)
			}
			of[canonical] = what
		}
	}
	if refused < passed/4 || compared < 10_000 {
		t.Errorf("%d layouts refused, %d passed, %d strings compared: too few to mean anything", refused, passed, compared)
	}
}

// canonicalParts sorts what a map gave in any order.
func canonicalParts(text string) string {
	pairs := strings.Split(text, "\x00")
	out := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	var b strings.Builder
	for _, name := range []string{"{method}", "{uri}", "{path}", "{query}", "{body", "{header.A}", "{header.B}", "{time", "{nonce}"} {
		b.WriteString(out[name] + "\x00")
	}
	return b.String()
}

// What is refused with a word on two messages has such messages: the refusal is not for safety's sake alone.
func TestRefusedLayoutsCollide(t *testing.T) {
	for name, c := range map[string]struct {
		content  string
		one, two Message
	}{
		"method and nonce": {"{method}{nonce}", Message{Method: "GETa", Nonce: "b"}, Message{Method: "GET", Nonce: "ab"}},
		"target and body":  {"{method}{uri}{body}", Message{Method: "PUT", Target: "/a", Body: []byte("b")}, Message{Method: "PUT", Target: "/ab"}},
		"path and query":   {"{path}{query}", Message{Target: "/a?b"}, Message{Target: "/ab"}},
		"header and body":  {"{header.A}{body}", Message{Header: http.Header{"A": {"x"}}, Body: []byte("y")}, Message{Body: []byte("xy")}},
	} {
		parsed := must((forms{}).parse("content", c.content, func(p placeholder) bool { return p.signed }))(t)
		if parsed.checkUnambiguous("content") == nil {
			t.Errorf("%s passes", name)
		}
		if a, b := parsed.text(&values{m: &c.one, nonce: c.one.Nonce}), parsed.text(&values{m: &c.two, nonce: c.two.Nonce}); a != b {
			t.Errorf("%s: %q, %q", name, a, b)
		}
	}
}

// A vendor's contract may be ambiguous: whoever says so gets a warning in the place of the refusal.
func TestLayoutAllowsAmbiguous(t *testing.T) {
	config := asLayoutConfig("app", layoutKeys(t))
	config.Content, config.AllowAmbiguous = "{time_ms}{method}{uri}{body}", true
	config.AnswerContent = "{path}{body}"
	s := must(NewLayout(config))(t)
	warnings := strings.Join(s.Traits().Warnings, "\n")
	for _, want := range []string{"content: two different messages", "{uri} ends and {body} begins", "answer content: two different messages"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no %q in\n%s", want, warnings)
		}
	}
	h := header(must(s.Sign(chatMessage()))(t).Fields)
	if err := s.VerifyRequest(chatMessage(), h); err != nil {
		t.Error(err)
	}
}

// A message that the layout could not tell from another one is not signed.
func TestLayoutRefusesMessages(t *testing.T) {
	s := must(NewLayout(LayoutConfig{
		Keys: layoutKeys(t), Content: `{method}\n{path}\n{query}\n{header.X-A}\n{nonce}.{time_ms}.{body}`,
		Fields: []Field{{"X-Sig", "{base64url}"}, {"X-At", "{nonce} {time_ms}"}},
	}))(t)
	good := Message{Method: "POST", Target: "/a?b", Nonce: "n-1", Time: testTime, Body: []byte("x"), Header: http.Header{"X-A": {"a b"}}}
	if _, err := s.Sign(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Message){
		"an empty query":   func(m *Message) { m.Target = "/a?" },
		"an empty header":  func(m *Message) { m.Header = http.Header{"X-A": {""}} },
		"a padded header":  func(m *Message) { m.Header = http.Header{"X-A": {"a "}} },
		"a broken header":  func(m *Message) { m.Header = http.Header{"X-A": {"a\nb"}} },
		"a header twice":   func(m *Message) { m.Header = http.Header{"X-A": {"a", "b"}} },
		"no nonce":         func(m *Message) { m.Nonce = "" },
		"a nonce's dot":    func(m *Message) { m.Nonce = "a.b" },
		"no time":          func(m *Message) { m.Time = time.Time{} },
		"a time too early": func(m *Message) { m.Time = time.UnixMilli(firstTime - 1) },
		"a time too late":  func(m *Message) { m.Time = time.UnixMilli(lastTime + 1) },
		"a method's space": func(m *Message) { m.Method = "A B" },
		"a target's break": func(m *Message) { m.Target = "/a\nb" },
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			change(&m)
			if _, err := s.Sign(m); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Caddy's adapter writes the names of its placeholders out where a template stands in a site block.
func TestLayoutKnowsCaddysNames(t *testing.T) {
	short := must((forms{}).parse("content", `{method} {uri} {path} {query} {header.X-A} {body}`, func(p placeholder) bool { return p.signed }))(t)
	long := must((forms{}).parse("content", `{http.request.method} {http.request.uri} {http.request.uri.path} {http.request.uri.query} {http.request.header.X-A} {http.request.body}`,
		func(p placeholder) bool { return p.signed }))(t)
	if short.String() != long.String() {
		t.Errorf("%s, %s", short, long)
	}
}

func TestKeyEncoding(t *testing.T) {
	const hexed = "00112233445566778899aabbccddeeff"
	for name, c := range map[string]struct {
		encoding KeyEncoding
		text     string
		want     error
	}{
		"text":            {"", "sixteen-bytes-or", nil},
		"hex":             {KeyHex, hexed, nil},
		"base64":          {KeyBase64, "ABEiM0RVZneImaq7zN3u/w==", nil},
		"prefixed base64": {KeyBase64, "whsec_ABEiM0RVZneImaq7zN3u/w==", nil},
		"short":           {KeyHex, hexed[2:], ErrKeyTooShort},
		"no hex":          {KeyHex, "zz" + hexed, ErrKeyFormat},
		"no base64":       {KeyBase64, "%" + hexed, ErrKeyFormat},
		"empty":           {KeyBase64, "whsec_", ErrKeyTooShort},
	} {
		key, err := c.encoding.Parse([]byte(c.text))
		if !errors.Is(err, c.want) || (err == nil) != (key != nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: tells the secret", name)
		}
	}
	if err := KeyEncoding("utf8").Check(); err == nil || !strings.Contains(err.Error(), "use text, hex or base64") {
		t.Errorf("got %v", err)
	}
	if _, err := KeyEncoding("utf8").Parse([]byte(hexed)); err == nil {
		t.Error("an unknown encoding parses")
	}
}
