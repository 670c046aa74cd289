package signer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// readV2 checks an openapi-v2 message and returns its query and the decoded parameters of query and form.
func readV2(m Message) (query string, params []Field, err error) {
	if err := m.check(); err != nil {
		return "", nil, err
	}
	_, query, _ = strings.Cut(m.Target, "?")
	if params, err = parseParams(nil, query); err != nil {
		return "", nil, err
	}
	parts, isForm, err := formParts(m.Header, m.Body)
	switch {
	case err != nil:
	case isForm:
		params, err = partParams(params, parts)
	default:
		params, err = parseParams(params, string(m.Body))
	}
	return query, params, err
}

// parseParams appends the decoded parameters of a form. It refuses what two readers could understand
// differently: repeated names, empty values (which the platform wants not to be sent) and odd names.
func parseParams(params []Field, form string) ([]Field, error) {
	if form == "" {
		return params, nil
	}
	for pair := range strings.SplitSeq(form, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || !isParamName(name) {
			return nil, fmt.Errorf("%w: query and body must be parameters, percent-encoded", ErrMalformed)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("%w: parameter %s must be percent-encoded", ErrMalformed, name)
		}
		if value == "" {
			return nil, fmt.Errorf("%w: parameter %s must not be empty", ErrMalformed, name)
		}
		if _, taken := lookup(params, name); taken {
			return nil, fmt.Errorf("%w: parameter %s comes more than once", ErrMalformed, name)
		}
		params = append(params, Field{name, value})
	}
	return params, nil
}

// dropParams returns a form, which parseParams has read, without the parameters of certain names. The others
// keep their bytes.
func dropParams(form string, drop func(name string) bool) string {
	pairs := slices.DeleteFunc(strings.Split(form, "&"), func(pair string) bool {
		rawName, _, _ := strings.Cut(pair, "=")
		name, _ := url.QueryUnescape(rawName)
		return drop(name)
	})
	return strings.Join(pairs, "&")
}

// canonicalV2 sorts parameters by the bytes of their names and joins all but sign.
func canonicalV2(params []Field) string {
	params = slices.Clone(params)
	slices.SortFunc(params, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, p := range params {
		if p.Name == "sign" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.Name)
		b.WriteByte('=')
		b.WriteString(p.Value)
	}
	return b.String()
}

// lookup returns the value of a parameter.
func lookup(params []Field, name string) (value string, ok bool) {
	for _, p := range params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// isParamName reports whether name is one that the platform could have: letters, digits, _, - and dots.
func isParamName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return name != ""
}

// plainParam is a parameter's name in the spelling that the platform's own names have, so that no other spelling
// passes for another parameter.
func plainParam(name string) string { return paramSpelling.Replace(strings.ToLower(name)) }

var paramSpelling = strings.NewReplacer("-", "_", ".", "_")
