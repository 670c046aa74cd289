package signer

import (
	"net/http"
	"slices"
)

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
func (l *Layout) variants(h http.Header) []schemeVariant {
	return slices.Concat(l.partVariants(), l.hashVariants(), l.zoneVariants(), l.identityVariants(h))
}

// changed is l after change.
func (l *Layout) changed(what string, change func(l *Layout)) schemeVariant {
	changed := *l
	changed.request, changed.answer = l.request.clone(), l.answer.clone()
	change(&changed)
	return schemeVariant{what, &changed}
}

// changedBoth is l after the same change of requests and of answers.
func (l *Layout) changedBoth(what string, change func(d *direction)) schemeVariant {
	return l.changed(what, func(l *Layout) {
		change(&l.request)
		change(&l.answer)
	})
}

// partVariants have another part where one stands that is easily taken for it.
func (l *Layout) partVariants() (list []schemeVariant) {
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
				list = append(list, l.changedBoth(content, inContent))
			}
			if field != "" {
				list = append(list, l.changedBoth(field, inFields))
			}
			if content != "" && field != "" {
				list = append(list, l.changedBoth(content+", and "+field, func(d *direction) { inContent(d); inFields(d) }))
			}
		}
	}
	return append(list, l.changedBoth("what is signed has a line break at its end", func(d *direction) { d.content = append(d.content, textPart("\n")) }))
}

// hashVariants are signed with another hash.
func (l *Layout) hashVariants() (list []schemeVariant) {
	for by := range hashes {
		if by == l.forms.hash {
			continue
		}
		list = append(list, l.changed("it is signed with HMAC and "+macHashes[by].name, func(l *Layout) {
			l.forms.hash = by
			for _, d := range []*direction{&l.request, &l.answer} {
				d.resize(kindsWhere(partKind.isMAC), l.forms)
			}
		}))
	}
	return list
}

// zoneVariants have times of another zone.
func (l *Layout) zoneVariants() (list []schemeVariant) {
	for _, text := range []string{"Z", "+08:00"} {
		at, err := parseZone(text)
		if err != nil || at == l.forms.zone {
			continue
		}
		list = append(list, l.changed("its time is in the zone "+text, func(l *Layout) {
			l.forms.zone = at
			for _, d := range []*direction{&l.request, &l.answer} {
				d.resize(kindsWhere(partKind.isZoned), l.forms)
			}
		}))
	}
	return list
}

// identityVariants are of another client, or of another key than the header says.
func (l *Layout) identityVariants(h http.Header) []schemeVariant {
	list := []schemeVariant{l.changedBoth("another key version has signed it than it says", func(d *direction) { d.version = false })}
	for name := range h {
		for _, f := range slices.Concat(l.request.fields, l.answer.fields) {
			if f.name != name || len(f.value) != 1 || f.value[0].kind != partClientID || h.Get(name) == l.clientID {
				continue
			}
			list = append(list, l.changed("it is for the client that its header "+name+" names", func(changed *Layout) { changed.clientID = h.Get(name) }))
		}
	}
	return append(list, l.changedBoth("what is signed has the configured client id, while the header has another", func(d *direction) {
		d.fields = slices.DeleteFunc(d.fields, func(f layoutField) bool { return len(f.value) == 1 && f.value[0].kind == partClientID })
		d.mac = slices.IndexFunc(d.fields, func(f layoutField) bool {
			return slices.ContainsFunc(f.value, func(p part) bool { return p.kind.isMAC() })
		})
	}))
}

// resize has parts of these kinds be as long as other forms make them.
func (d *direction) resize(kinds []partKind, f forms) {
	for _, kind := range kinds {
		d.content.replace([]partKind{kind}, kind, f)
		for _, field := range d.fields {
			field.value.replace([]partKind{kind}, kind, f)
		}
	}
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
