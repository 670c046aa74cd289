package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ParseRefusal reads the body of an answer whose status says that it is a failure, in whatever form it comes: one of those
// that [ParseBody] knows, an object that has a message alone, or text. Of HTML, which proxies answer with, nothing is
// kept.
func ParseRefusal(body []byte) Failure {
	if e := (envelope{isError: true}); parseEnvelope(body, Limits{}, &e) == nil {
		return *e.Failure
	}
	text := bytes.TrimLeft(body, " \t\r\n")
	if len(text) == 0 {
		return Failure{}
	}
	switch text[0] {
	case '<': // HTML
		return Failure{}
	case 'd', 'e', ':':
		if event, ok := firstEvent(text); ok {
			return ParseRefusal(event)
		}
	case '{', '[', '"':
		if !json.Valid(text) {
			return Failure{}
		}
		return Failure{Message: strings.TrimSpace(words(jsontext.Value(bytes.TrimRight(text, " \t\r\n"))))}
	}
	return Failure{Message: plainWords(text)}
}

// firstEvent gives the data of the first event of a stream that has some: there are servers that keep to the form of a
// stream that was asked for under a status of failure as well.
func firstEvent(text []byte) (data []byte, ok bool) {
	for {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		field, value, named := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(":"))
		switch {
		case named && string(field) == "data":
			value = bytes.TrimSpace(value)
			whole := bytes.HasPrefix(text, []byte("\n")) || bytes.HasPrefix(text, []byte("\r\n")) // else it is cut
			return value, whole && len(value) > 0 && (value[0] == '{' || value[0] == '[' || value[0] == '"')
		case len(text) == 0, len(line) > 0 && (!named || len(field) > len("event")):
			return nil, false
		}
	}
}

// plainWords is text that may not be valid UTF-8, for people.
func plainWords(text []byte) string {
	text = text[:min(len(text), 4*maxMessage)]
	return strings.TrimSpace(cleanText(strings.ToValidUTF8(string(text), "\uFFFD"), maxMessage))
}

// maxWordsDepth is how deep words looks into a value.
const maxWordsDepth = 6

// words gives what a value says for people, cleaned and cut. Vendors put their words into a string, an object or an array:
//
//	"text"
//	{"message":..} or another of wordNames
//	[{"loc":["body","tools",0],"msg":"Field required"}]    FastAPI's, which Mistral and vLLM use
//	["text", ..]
//
// A text that is JSON itself, as proxies put what a server behind them has said into a message, is one of these forms once
// more. What was sent ("input" of FastAPI's form) is not among them.
func words(v jsontext.Value) string {
	switch v.Kind() {
	case '"', '{', '[':
		var said []string
		collectWords(&said, json.RawMessage(v), maxWordsDepth)
		return cleanText(strings.Join(said, "; "), maxMessage)
	}
	return ""
}

// wordNames are the members in which words for people stand, the best first: OpenAI's, DashScope's and FastAPI's, then
// those of API gateways that stand before a model (AWS, Apigee, Kong, Cloudflare) and of OAuth.
var wordNames = []string{
	"message", "msg", "detail", "details", "error", "errors", "messages", "error_message", "errorMessage", "error_msg", "errorMsg",
	"err", "error_description", "reason", "description", "title", "Message", "faultstring", "fault",
}

// maxSaid is how many parts of an array are heard.
const maxSaid = 20

func collectWords(said *[]string, v json.RawMessage, depth int) {
	if depth == 0 || len(*said) >= maxSaid {
		return
	}
	switch jsontext.Value(v).Kind() {
	case '"':
		text := unquote(jsontext.Value(v))
		if inner := strings.TrimSpace(text); strings.HasPrefix(inner, "{") || strings.HasPrefix(inner, "[") {
			if json.Valid([]byte(inner)) {
				collectWords(said, json.RawMessage(inner), depth-1)
				return
			}
		}
		if text = cleanText(text, maxMessage); text != "" {
			*said = append(*said, text)
		}
	case '[':
		var elements []json.RawMessage
		if json.Unmarshal(v, &elements) != nil {
			return
		}
		for _, element := range elements[:min(len(elements), maxSaid)] {
			collectWords(said, element, depth-1)
		}
	case '{':
		var o object
		if json.Unmarshal(v, &o) != nil {
			return
		}
		for _, name := range wordNames {
			before := len(*said)
			collectWords(said, o[name], depth-1)
			if len(*said) > before {
				if at := location(o["loc"]); at != "" {
					(*said)[before] = at + ": " + (*said)[before]
				}
				return
			}
		}
	}
}

// location gives the place that FastAPI names as an array of keys and positions, with dots between them.
func location(v json.RawMessage) string {
	var parts []json.RawMessage
	if json.Unmarshal(v, &parts) != nil {
		return ""
	}
	names := make([]string, 0, len(parts))
	for _, part := range parts[:min(len(parts), maxSaid)] {
		if v := jsontext.Value(part); v.Kind() == '"' || v.Kind() == '0' {
			names = append(names, clean(v, maxWord))
		}
	}
	return strings.Join(names, ".")
}

// firstCode is the code of the first element that has one, as in {"errors":[{"code":10000,"message":".."}]}.
func firstCode(v jsontext.Value) string {
	var elements []object
	if v.Kind() != '[' || json.Unmarshal(v, &elements) != nil {
		return ""
	}
	for _, element := range elements {
		if c := code(jsontext.Value(element["code"])); c != "" {
			return c
		}
	}
	return ""
}

// statusNumber is v as text if it is a number, or a string of one, that is an HTTP status of an error.
func statusNumber(v jsontext.Value) string {
	text := code(v)
	if n, err := strconv.Atoi(text); err == nil && n >= 400 && n <= 599 {
		return text
	}
	return ""
}

// code decodes a string or number for programs; any other value, and Python's None as LiteLLM writes it, is none.
func code(v jsontext.Value) string {
	if v.Kind() != '"' && v.Kind() != '0' {
		return ""
	}
	text := clean(v, maxWord)
	switch text {
	case "None", "null":
		return ""
	}
	return text
}

// isFilled reports whether v is a string with a character, or an object or array with something in it.
func isFilled(v jsontext.Value) bool {
	switch v.Kind() {
	case '"':
		return len(v) > len(`""`)
	case '{', '[':
		return len(bytes.TrimSpace(v[1:len(v)-1])) > 0
	}
	return false
}

// clean decodes a string or number for people and logs: at most limit bytes, cut between characters, without control
// characters. In messages, those that part words become a space.
func clean(v jsontext.Value, limit int) string {
	text := string(v)
	if v.Kind() == '"' {
		text = unquote(v)
	}
	return cleanText(text, limit)
}

func cleanText(text string, limit int) string {
	var b strings.Builder
	parted, last := false, ' '
	for _, r := range text {
		if unicode.IsControl(r) {
			parted = parted || limit > maxWord && unicode.IsSpace(r)
			continue
		}
		if parted && last != ' ' && r != ' ' && b.Len() < limit {
			b.WriteByte(' ')
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
		parted, last = false, r
	}
	return b.String()
}
