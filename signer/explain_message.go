package signer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

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
func messageVariants(m Message) []messageVariant {
	return slices.Concat(bodyVariants(m), targetVariants(m), methodVariants(m))
}

func bodyVariants(m Message) (list []messageVariant) {
	change := func(what string, body []byte) {
		if !bytes.Equal(body, m.Body) {
			changed := m
			changed.Body = body
			list = append(list, messageVariant{what, changed})
		}
	}
	change("the body has no line break at its end", bytes.TrimRight(m.Body, "\r\n"))
	change("the body has a line break at its end", append(bytes.Clone(m.Body), '\n'))
	change("the body has no white space around it", bytes.TrimSpace(m.Body))
	change("the body's lines end in LF, not CRLF", bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")))
	change("the body's lines end in CRLF, not LF", bytes.ReplaceAll(bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")))
	change("the body has no byte order mark", bytes.TrimPrefix(m.Body, []byte("\xef\xbb\xbf")))
	change("the body is empty", nil)
	var compact, indented bytes.Buffer
	if json.Compact(&compact, m.Body) != nil {
		return list
	}
	change("the body's JSON has no white space", compact.Bytes())
	for _, indent := range []string{"  ", "    ", "\t"} {
		if !indentable(compact.Bytes(), len(indent)) {
			continue
		}
		indented.Reset()
		if json.Indent(&indented, compact.Bytes(), "", indent) == nil {
			change("the body's JSON is indented", bytes.Clone(indented.Bytes()))
		}
	}
	return list
}

func targetVariants(m Message) (list []messageVariant) {
	change := func(what, target string) {
		if target != m.Target && target != "" {
			changed := m
			changed.Target = target
			list = append(list, messageVariant{what, changed})
		}
	}
	path, query, _ := strings.Cut(m.Target, "?")
	change("the target has no query", path)
	withQuery := func(path string) string { return path + strings.TrimPrefix(m.Target, m.path()) }
	change("the path has no slash at its end", withQuery(strings.TrimSuffix(path, "/")))
	change("the path has a slash at its end", withQuery(path+"/"))
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	if len(pairs) > 1 {
		change("the query's parameters are sorted", path+"?"+strings.Join(pairs, "&"))
	}
	segments := 0
	for i := 1; i < len(path) && segments < maxSegments; i++ {
		if path[i] == '/' {
			segments++
			change(fmt.Sprintf("the path begins at %s", path[i:]), withQuery(path[i:]))
		}
	}
	return list
}

func methodVariants(m Message) (list []messageVariant) {
	for _, method := range []string{strings.ToUpper(m.Method), strings.ToLower(m.Method), "POST", "GET"} {
		if method != m.Method {
			changed := m
			changed.Method = method
			list = append(list, messageVariant{"the method is " + method, changed})
		}
	}
	return list
}
