package signer

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// forms are what {signature} and {time} stand for in a layout's templates, and what decides how long they are.
type forms struct {
	mac, time partKind
	hash      macHash
	zone      zone
}

// timeLayouts are the forms of times, by partKind, but for those that count since 1970: without what zone.suffix gives.
var timeLayouts = [partKinds]string{
	partTimeISO: "2006-01-02T15:04:05", partTimeISOMS: "2006-01-02T15:04:05.000", partTimeBasic: "20060102T150405",
	partTimeLocal: "2006-01-02 15:04:05", partTimeDigits: "20060102150405", partTimeRFC1123: http.TimeFormat,
	partTimeDate: "2006-01-02", partTimeDay: "20060102",
}

// zone is an offset from UTC.
type zone struct {
	ahead time.Duration
	// text is as ISO 8601 writes it, and basic as its basic form does.
	text, basic string
}

// suffix is what names the zone in a time of that kind.
func (z *zone) suffix(kind partKind) string {
	switch kind {
	case partTimeISO, partTimeISOMS:
		return z.text
	case partTimeBasic:
		return z.basic
	}
	return ""
}

// offset is how far a time of that kind is ahead of UTC.
func (z *zone) offset(kind partKind) time.Duration {
	if kind == partTimeRFC1123 {
		return 0
	}
	return z.ahead
}

// size gives how long what kind stands for is, in bytes; 0 where it differs from message to message.
func (f forms) size(kind partKind) int {
	mac := f.hash.size()
	switch {
	case kind == partHex, kind == partHexUpper:
		return hex.EncodedLen(mac)
	case kind == partBase64:
		return base64.StdEncoding.EncodedLen(mac)
	case kind == partBase64URL:
		return base64.RawURLEncoding.EncodedLen(mac)
	case timeLayouts[kind] != "":
		return len(timeLayouts[kind]) + len(f.zone.suffix(kind))
	}
	return placeholders[kind].size
}

// The names that LayoutConfig.Encoding and LayoutConfig.Time take; the first of each is the default.
var (
	encodings = []formName{
		{"hex", partHex}, {"HEX", partHexUpper}, {"base64", partBase64}, {"base64url", partBase64URL}, {"base64_escaped", partBase64Escaped},
	}
	timeForms = []formName{
		{"ms", partTimeMS}, {"s", partTimeS}, {"iso", partTimeISO}, {"iso_ms", partTimeISOMS}, {"basic", partTimeBasic},
		{"local", partTimeLocal}, {"digits", partTimeDigits}, {"rfc1123", partTimeRFC1123},
	}
)

type formName struct {
	name string
	kind partKind
}

// form is the name of the placeholder that name stands for.
func (f forms) form(name string) string {
	switch name {
	case "signature":
		return placeholders[f.mac].name
	case "time":
		return placeholders[f.time].name
	}
	return name
}

// forms reads the options Encoding, Time, Zone and Hash. A form that no template asks for is refused: it would change nothing.
func (c *LayoutConfig) forms() (f forms, err error) {
	if f.mac, err = c.formOf("encoding", c.Encoding, encodings, "signature"); err != nil {
		return f, err
	}
	if f.time, err = c.formOf("time", c.Time, timeForms, "time"); err != nil {
		return f, err
	}
	if f.zone, err = parseZone(c.Zone); err != nil {
		return f, err
	}
	if c.Zone != "" && !slices.ContainsFunc(kindsWhere(partKind.isZoned), func(k partKind) bool {
		return c.uses("{"+placeholders[k].name+"}") || f.time == k && c.uses("{time}")
	}) {
		return f, errors.New("zone: decides the form of {time_iso}, {time_iso_ms}, {time_basic}, {time_local}, {time_digits}, {time_date} and {time_day}, of which none is used")
	}
	for by := range hashes {
		if macHashes[by].name == c.Hash || c.Hash == "" && by == macSHA256 {
			f.hash = by
			return f, nil
		}
	}
	return f, fmt.Errorf("hash %q is unknown; use sha256, sha384, sha512 or sha1", c.Hash)
}

// isZoned reports whether the part is a time whose form depends on the zone.
func (k partKind) isZoned() bool { return timeLayouts[k] != "" && k != partTimeRFC1123 }

// parseZone reads an offset from UTC. Names of zones are not taken: with daylight saving time, an hour of the year would
// stand for two times.
func parseZone(text string) (zone, error) {
	if text == "" || text == "Z" {
		return zone{text: "Z", basic: "Z"}, nil
	}
	at, err := time.Parse("-07:00", text)
	if err != nil {
		return zone{}, fmt.Errorf("zone %q is no offset from UTC; write it like +08:00", text)
	}
	_, seconds := at.Zone()
	return zone{time.Duration(seconds) * time.Second, text, strings.Replace(text, ":", "", 1)}, nil
}

func (c *LayoutConfig) formOf(option, value string, known []formName, placeholder string) (partKind, error) {
	if value == "" {
		return known[0].kind, nil
	}
	var names []string
	for _, form := range known {
		if form.name != value {
			names = append(names, form.name)
			continue
		}
		if !c.uses("{" + placeholder + "}") {
			return 0, fmt.Errorf("%s: decides the form of {%s}, which stands in no header and no content", option, placeholder)
		}
		return form.kind, nil
	}
	last := len(names) - 1
	return 0, fmt.Errorf("%s %q is unknown; use %s or %s", option, value, strings.Join(names[:last], ", "), names[last])
}

// uses reports whether a template of c has the placeholder.
func (c *LayoutConfig) uses(placeholder string) bool {
	has := func(f Field) bool { return strings.Contains(f.Value, placeholder) }
	return strings.Contains(c.Content, placeholder) || strings.Contains(c.Canonical+strings.Join(c.Derive, ""), placeholder) ||
		strings.Contains(c.AnswerContent, placeholder) ||
		slices.ContainsFunc(c.Fields, has) || slices.ContainsFunc(c.AnswerFields, has)
}
