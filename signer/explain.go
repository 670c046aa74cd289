package signer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Explain says what is wrong with a message that s does not verify: an answer, or else a request. It tries what
// implementations commonly do otherwise, and names what would have to differ for the signature to match, such
// as "the body has no line break at its end". It gives nothing where the message verifies, and an empty list of
// its own where nothing that it tries matches. What it gives holds no signature and nothing of a key; but for
// whoever may not sign it is an oracle all the same, so it belongs to no HTTP route.
func Explain(s Scheme, m Message, h http.Header, answer bool) (matches []string) {
	verify := Scheme.VerifyRequest
	if answer {
		verify = Scheme.VerifyResponse
	}
	verifies := func(s Scheme, m Message) bool { return verify(s, m, h) == nil }
	if verifies(s, m) {
		return nil
	}
	found := func(what string) {
		if !slices.Contains(matches, what) {
			matches = append(matches, what)
		}
	}
	matches = []string{}
	for _, v := range messageVariants(m) {
		if verifies(s, v.m) {
			found(v.what)
		}
	}
	for _, what := range cutTimes(h, len(m.Body), func(h http.Header) bool { return verify(s, m, h) == nil }) {
		found(what)
	}
	varied, ok := s.(interface {
		variants(http.Header) []schemeVariant
	})
	if !ok {
		return matches
	}
	for _, v := range varied.variants(h) {
		if verifies(v.scheme, m) {
			found(v.what)
		}
	}
	return matches
}

// maxSegments bounds at how many places of a path it is tried to begin, and maxGrowth how many times as large JSON may be
// indented: the white space of deep JSON grows with the square of its size.
const (
	maxSegments = 16
	maxGrowth   = 8
)

// indentable reports whether JSON without white space stays within maxGrowth where it is indented by so many bytes.
func indentable(compact []byte, indent int) bool {
	size, depth, inText := len(compact), 0, false
	for i := 0; i < len(compact) && size <= maxGrowth*len(compact); i++ {
		switch c := compact[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			depth++
			size += 1 + depth*indent
		case c == '}' || c == ']':
			depth--
			size += 1 + depth*indent
		case c == ',':
			size += 1 + depth*indent
		}
	}
	return size <= maxGrowth*len(compact)
}

type messageVariant struct {
	what string
	m    Message
}

// messageVariants are m as other implementations see it. What they do not change is left out.
func messageVariants(m Message) (list []messageVariant) {
	body := func(what string, b []byte) {
		if !bytes.Equal(b, m.Body) {
			changed := m
			changed.Body = b
			list = append(list, messageVariant{what, changed})
		}
	}
	target := func(what, t string) {
		if t != m.Target && t != "" {
			changed := m
			changed.Target = t
			list = append(list, messageVariant{what, changed})
		}
	}
	body("the body has no line break at its end", bytes.TrimRight(m.Body, "\r\n"))
	body("the body has a line break at its end", append(bytes.Clone(m.Body), '\n'))
	body("the body has no white space around it", bytes.TrimSpace(m.Body))
	body("the body's lines end in LF, not CRLF", bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")))
	body("the body's lines end in CRLF, not LF", bytes.ReplaceAll(bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")))
	body("the body has no byte order mark", bytes.TrimPrefix(m.Body, []byte("\xef\xbb\xbf")))
	body("the body is empty", nil)
	var compact, indented bytes.Buffer
	if json.Compact(&compact, m.Body) == nil {
		body("the body's JSON has no white space", compact.Bytes())
		for _, indent := range []string{"  ", "    ", "\t"} {
			if !indentable(compact.Bytes(), len(indent)) {
				continue
			}
			indented.Reset()
			if json.Indent(&indented, compact.Bytes(), "", indent) == nil {
				body("the body's JSON is indented", bytes.Clone(indented.Bytes()))
			}
		}
	}
	path, query, _ := strings.Cut(m.Target, "?")
	target("the target has no query", path)
	withQuery := func(path string) string { return path + strings.TrimPrefix(m.Target, m.path()) }
	target("the path has no slash at its end", withQuery(strings.TrimSuffix(path, "/")))
	target("the path has a slash at its end", withQuery(path+"/"))
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	if len(pairs) > 1 {
		target("the query's parameters are sorted", path+"?"+strings.Join(pairs, "&"))
	}
	segments := 0
	for i := 1; i < len(path) && segments < maxSegments; i++ {
		if path[i] == '/' {
			segments++
			target(fmt.Sprintf("the path begins at %s", path[i:]), withQuery(path[i:]))
		}
	}
	for _, method := range []string{strings.ToUpper(m.Method), strings.ToLower(m.Method), "POST", "GET"} {
		if method != m.Method {
			changed := m
			changed.Method = method
			list = append(list, messageVariant{"the method is " + method, changed})
		}
	}
	return list
}

// What is tried of times in seconds, where milliseconds were signed, is bounded: each of a second's costs a signature over the
// whole body.
const (
	maxTimedBody = 64 << 10
	maxTimes     = 4
)

// cutTimes names the fields that hold the signed time without its milliseconds.
func cutTimes(h http.Header, body int, verifies func(http.Header) bool) (list []string) {
	if body > maxTimedBody {
		return nil
	}
	times := 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := h.Get(name)
		if _, err := strconv.ParseUint(value, 10, 64); err != nil || len(value) != len("1769860800") || len(h[name]) != 1 || times == maxTimes {
			continue
		}
		changed := maps.Clone(h)
		times++
		for ms := range 1000 {
			changed[name] = []string{fmt.Sprintf("%s%03d", value, ms)}
			if verifies(changed) {
				list = append(list, name+" is in milliseconds, not in seconds")
				break
			}
		}
	}
	return list
}

type schemeVariant struct {
	what   string
	scheme Scheme
}

// variants are the layouts that are the built-in one but for one thing.
func (s *HMAC) variants(h http.Header) []schemeVariant {
	names := s.layout.headers
	signature := Field{names.Signature, "algorithm=" + AlgorithmHMAC + ",keyVersion={key_version},signature={base64_escaped}"}
	l, err := NewLayout(LayoutConfig{
		ClientID: s.layout.id, Keys: s.keys,
		Content:       `{method} {uri}\n{client_id}.{time_ms}.{body}`,
		Fields:        []Field{{names.ClientID, "{client_id}"}, {names.RequestTime, "{time_ms}"}, signature},
		AnswerContent: `{method} {path}\n{client_id}.{time_ms}.{body}`,
		AnswerFields:  []Field{{names.ResponseTime, "{time_ms}"}, signature},
	})
	if err != nil {
		return nil
	}
	return l.variants(h)
}

// said of what is signed, and of a field of the message.
var (
	saidOfContent = map[partKind]string{
		partTimeMS: "the time is signed in milliseconds", partTimeS: "the time is signed in seconds", partTimeISO: "the time is signed as ISO 8601",
		partTimeISOMS: "the time is signed as ISO 8601 with milliseconds", partTimeBasic: "the time is signed as ISO 8601's basic form",
		partTimeLocal: "the time is signed like 2026-01-31 12:00:00", partTimeDigits: "the time is signed like 20260131120000", partTimeRFC1123: "the time is signed as RFC 1123",
		partBodySHA512: "the body's SHA-512 is signed in hex", partBodySHA512Base64: "the body's SHA-512 is signed in base64",
		partBodyMD5: "the body's MD5 is signed in hex", partBodyMD5Base64: "the body's MD5 is signed in base64",
		partURI: "the target is signed with its query", partPath: "the target is signed without its query",
		partBody: "the body itself is signed", partBodySHA256: "the body's SHA-256 is signed in hex", partBodySHA256Base64: "the body's SHA-256 is signed in base64",
	}
	saidOfField = map[partKind]string{
		partTimeMS: "its time is in milliseconds", partTimeS: "its time is in seconds", partTimeISO: "its time is in ISO 8601",
		partTimeISOMS: "its time is in ISO 8601 with milliseconds", partTimeBasic: "its time is in ISO 8601's basic form",
		partTimeLocal: "its time is like 2026-01-31 12:00:00", partTimeDigits: "its time is like 20260131120000", partTimeRFC1123: "its time is in RFC 1123",
		partHex: "its signature is in hex", partHexUpper: "its signature is in upper-case hex", partBase64: "its signature is in base64", partBase64URL: "its signature is in URL-safe base64",
		partBase64Escaped: "its signature is in percent-encoded base64",
	}
	interchangeable = [][]partKind{
		kindsWhere(partKind.isTime),
		{partURI, partPath},
		kindsWhere(func(k partKind) bool { return k == partBody || k.isDigest() }),
		{partHex, partHexUpper, partBase64, partBase64URL, partBase64Escaped},
	}
)

// variants are l with one thing changed. They are not checked: they only verify.
func (l *Layout) variants(h http.Header) (list []schemeVariant) {
	change := func(what string, f func(l *Layout)) {
		changed := *l
		changed.request, changed.answer = l.request.clone(), l.answer.clone()
		f(&changed)
		list = append(list, schemeVariant{what, &changed})
	}
	both := func(f func(*direction)) func(*Layout) {
		return func(l *Layout) {
			f(&l.request)
			f(&l.answer)
		}
	}
	for _, kinds := range interchangeable {
		for _, to := range kinds {
			inContent := func(d *direction) { d.content.replace(kinds, to, l.forms); d.digest = true }
			inFields := func(d *direction) {
				for _, f := range d.fields {
					f.value.replace(kinds, to, l.forms)
				}
			}
			content, field := saidOfContent[to], saidOfField[to]
			if content != "" {
				change(content, both(inContent))
			}
			if field != "" {
				change(field, both(inFields))
			}
			if content != "" && field != "" {
				change(content+", and "+field, both(func(d *direction) { inContent(d); inFields(d) }))
			}
		}
	}
	change("what is signed has a line break at its end", both(func(d *direction) { d.content = append(d.content, textPart("\n")) }))
	for by := range hashes {
		if by != l.forms.hash {
			change("it is signed with HMAC and "+macHashes[by].name, func(l *Layout) {
				l.forms.hash = by
				for _, d := range []*direction{&l.request, &l.answer} {
					for _, f := range d.fields {
						for _, kind := range kindsWhere(partKind.isMAC) {
							f.value.replace([]partKind{kind}, kind, l.forms)
						}
					}
				}
			})
		}
	}
	for _, text := range []string{"Z", "+08:00"} {
		if at, err := parseZone(text); err == nil && at != l.forms.zone {
			change("its time is in the zone "+text, func(l *Layout) {
				l.forms.zone = at
				for _, d := range []*direction{&l.request, &l.answer} {
					for _, kind := range kindsWhere(partKind.isZoned) {
						d.content.replace([]partKind{kind}, kind, l.forms)
						for _, f := range d.fields {
							f.value.replace([]partKind{kind}, kind, l.forms)
						}
					}
				}
			})
		}
	}
	change("another key version has signed it than it says", both(func(d *direction) { d.version = false }))
	for name := range h {
		for _, f := range slices.Concat(l.request.fields, l.answer.fields) {
			if f.name != name || len(f.value) != 1 || f.value[0].kind != partClientID || h.Get(name) == l.clientID {
				continue
			}
			change("it is for the client that its header "+name+" names", func(changed *Layout) { changed.clientID = h.Get(name) })
		}
	}
	change("what is signed has the configured client id, while the header has another", both(func(d *direction) {
		d.fields = slices.DeleteFunc(d.fields, func(f layoutField) bool { return len(f.value) == 1 && f.value[0].kind == partClientID })
		d.mac = slices.IndexFunc(d.fields, func(f layoutField) bool {
			return slices.ContainsFunc(f.value, func(p part) bool { return p.kind.isMAC() })
		})
	}))
	return list
}

func (d *direction) clone() direction {
	c := *d
	c.content = slices.Clone(d.content)
	c.fields = slices.Clone(d.fields)
	for i := range c.fields {
		c.fields[i].value = slices.Clone(c.fields[i].value)
	}
	return c
}

// replace puts one kind in the place of any of kinds.
func (t template) replace(kinds []partKind, to partKind, f forms) {
	for i := range t {
		if slices.Contains(kinds, t[i].kind) {
			t[i].kind, t[i].size = to, f.size(to)
		}
	}
}

// Reason puts an error of VerifyRequest or VerifyResponse into words, without the sentinel's.
func Reason(err error) string {
	switch {
	case err == nil:
		return "the signature matches"
	case errors.Is(err, ErrUnsigned):
		return "it carries no signature"
	case errors.Is(err, ErrBadSignature):
		return "the signature does not match"
	}
	return err.Error()
}
