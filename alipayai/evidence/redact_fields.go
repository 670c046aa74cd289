package evidence

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// fieldPath knows in which fields of a JSON text the reader is.
type fieldPath struct {
	names []string // of the open objects and arrays; an array has the name of its field
	name  string   // the name read last in the innermost object
}

// step takes what was just read and reports whether it was a member's name.
func (p *fieldPath) step(dec *jsontext.Decoder, token jsontext.Token) (isName bool) {
	switch kind := token.Kind(); kind {
	case '{', '[':
		p.names = append(p.names, p.name)
		if kind == '{' {
			p.name = ""
		}
	case '}', ']':
		p.name = p.names[len(p.names)-1]
		p.names = p.names[:len(p.names)-1]
	case '"':
		// Inside an object, every second value is a value.
		if in, length := dec.StackIndex(dec.StackDepth()); in == '{' && length%2 == 1 {
			p.name = strings.ToLower(string(plainView([]byte(token.String())).text))
			return true
		}
	}
	return false
}

// parent is the name of the field whose object the reader is in.
func (p *fieldPath) parent() string {
	if len(p.names) == 0 {
		return ""
	}
	return p.names[len(p.names)-1]
}

// media reports whether the field holds base64: OpenAI's input_audio.data,
// file.file_data and b64_json, and the source.data of Anthropic's images and
// documents. Data URLs are known by themselves.
func (p *fieldPath) media() bool {
	switch p.name {
	case "file_data", "b64_json":
		return true
	case "data":
		return p.parent() == "input_audio" || p.parent() == "source" || p.parent() == "audio"
	}
	return false
}

// secret reports whether the field holds a credential or a signature.
func (p *fieldPath) secret() bool { return isSecretField(p.name) }

// isSecretField reports whether a field of this name holds a credential or a
// signature, however its words are joined.
func isSecretField(name string) bool {
	var joined [len("proxyauthorization")]byte
	n := 0
	for _, c := range []byte(name) {
		if !isAlphanumeric(c) {
			continue
		}
		if n == len(joined) {
			return false
		}
		joined[n] = c | 0x20 // as a small letter
		n++
	}
	return secretFields[string(joined[:n])]
}

var secretFields = map[string]bool{
	"sign": true, "signature": true, "authorization": true, "proxyauthorization": true,
	"password": true, "passwd": true, "cvv": true, "cvc": true,
	"secret": true, "clientsecret": true, "appsecret": true,
	"privatekey": true, "accesskey": true, "sessionkey": true, "apikey": true, "xapikey": true,
	"token": true, "accesstoken": true, "refreshtoken": true, "authtoken": true, "appauthtoken": true, "idtoken": true,
}

// redactString is what stays of a string in this field.
func (p *fieldPath) redactString(text []byte) []byte {
	switch {
	case len(text) == 0:
		return text
	case p.secret():
		return []byte(secretLabel)
	case p.media() && !bytes.HasPrefix(text, []byte("data:")), isLongBase64(text):
		return describeMedia("", text)
	}
	return redactText(text)
}

// redactNumber gives what stands for a number that must not be read.
func (p *fieldPath) redactNumber(number string) (string, bool) {
	if p.secret() {
		return secretLabel, true
	}
	text := []byte(number)
	if whole, ok := wholeNumber(text); ok {
		text = whole
	}
	redacted := redactText(text)
	return string(redacted), !bytes.Equal(redacted, text)
}

// wholeNumber gives the digits of a JSON number that is written with an
// exponent or a fraction although it is whole, as 4.111111111111111e15. Longer
// ones than anything that is looked for do not count.
func wholeNumber(number []byte) ([]byte, bool) {
	const longest = 24
	mantissa, exponent := number, 0
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		mantissa = number[:i]
		negative := false
		for _, c := range number[i+1:] {
			switch {
			case c == '-':
				negative = true
			case c != '+':
				exponent = min(exponent*10+int(c-'0'), 1<<20)
			}
		}
		if negative {
			exponent = -exponent
		}
	}
	whole, fraction, _ := bytes.Cut(bytes.TrimPrefix(mantissa, []byte("-")), []byte("."))
	digits := append(append([]byte(nil), whole...), fraction...)
	point := len(whole) + exponent // where it stands in digits
	if point > longest || point <= 0 {
		return nil, false
	}
	for len(digits) < point {
		digits = append(digits, '0')
	}
	if len(bytes.Trim(digits[point:], "0")) > 0 {
		return nil, false
	}
	return bytes.TrimLeft(digits[:point], "0"), true
}
