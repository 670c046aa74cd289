package evidence

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Redact returns the body without what readers of the log must not see:
//
//   - card numbers: 13 to 19 digits that pass the Luhn check (ISO/IEC 7812-1),
//   - resident ids: 17 digits and a digit or X with the right check character
//     (GB 11643-1999),
//   - mobile numbers of mainland China, with or without +86,
//     each of them also with spaces or dashes between the digits, however
//     grouped, and with other signs between them where the groups are those of
//     one number, as in 4111.1111.1111.1111;
//   - e-mail addresses;
//   - tokens, keys, signatures and passwords by their field's name, whether text,
//     number or object, and Bearer tokens.
//
// Images, audio and files, in OpenAI's and Anthropic's forms, and whatever
// else looks like a long base64 text, give way to type, length and SHA-256.
//
// Digits may be those of any script, have invisible characters between them, and
// be hidden in the escapes of JSON strings, of JSON within such strings, of URLs
// and of HTML. What is valid JSON stays so: a number that must go becomes a
// string. A body that is none, such as a stream of events, one that was cut, or a
// page of HTML, is read line by line, in part as JSON and else as text.
//
// It errs on the side of hiding, and cannot know a number that is spread over
// several fields or events, or one with other signs between digits that are
// grouped as in no such number: those stay, as lists and decimals do.
func Redact(body []byte) []byte {
	if out, ok := redactJSON(body); ok {
		return out
	}
	if bytes.IndexByte(body, '\n') < 0 {
		return redactLine(body)
	}
	// A number may be broken over two lines: the lines are JSON, or they are
	// text together.
	var out, text []byte
	for line := range bytes.Lines(body) {
		redacted, ok := redactEvent(line)
		if !ok {
			text = append(text, line...)
			continue
		}
		out = append(append(out, redactText(text)...), redacted...)
		text = text[:0]
	}
	return append(out, redactText(text)...)
}

func redactLine(line []byte) []byte {
	if out, ok := redactEvent(line); ok {
		return out
	}
	return redactText(line)
}

// redactEvent reads a line that is JSON, or the JSON data of an event.
func redactEvent(line []byte) ([]byte, bool) {
	content := bytes.TrimRight(line, "\r\n")
	end := line[len(content):]
	var field []byte
	if data, ok := bytes.CutPrefix(content, []byte("data:")); ok {
		field, content = []byte("data: "), data
	}
	out, ok := redactJSON(content)
	if !ok {
		return nil, false
	}
	return append(append(field, out...), end...), true
}

// lenient accepts what is JSON to others, too.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// redactJSON reads one JSON object or array; false if body is none.
func redactJSON(body []byte) ([]byte, bool) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return nil, false
	}
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)
	enc := jsontext.NewEncoder(&out, lenient...)
	var path fieldPath
	for {
		if dec.PeekKind() == '{' && path.secret() {
			if dec.SkipValue() != nil || enc.WriteToken(jsontext.String(secretLabel)) != nil {
				return nil, false
			}
			continue
		}
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) && dec.StackDepth() == 0 {
			return bytes.TrimRight(out.Bytes(), "\n"), true
		}
		// One value is a body; several are none.
		if err != nil || enc.StackDepth() == 0 && out.Len() > 0 {
			return nil, false
		}
		switch isName := path.step(dec, token); {
		case isName:
			token = jsontext.String(string(redactText([]byte(token.String()))))
		case token.Kind() == '"':
			token = jsontext.String(string(path.redactString([]byte(token.String()))))
		case token.Kind() == '0':
			if redacted, ok := path.redactNumber(token.String()); ok {
				token = jsontext.String(redacted)
			}
		}
		if enc.WriteToken(token) != nil {
			return nil, false
		}
	}
}
