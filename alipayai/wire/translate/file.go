package translate

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// File is what a part of type file has in chat completions' form, as written. Its data is a data: URL or, in the form of OpenRouter
// (https://openrouter.ai/docs/features/multimodal/pdfs), the address of a document; OpenAI's own has no addresses.
type File struct{ Data, Name, ID jsontext.Value }

// ReadFile reads the object of such a part that stands at path; other is called for members that are not known.
func ReadFile(path string, v jsontext.Value, other func(name string, v jsontext.Value)) (f File, err error) {
	err = Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "file_data":
			f.Data = v
		case "filename":
			f.Name = v
		case "file_id":
			f.ID = v
		default:
			other(name, v)
		}
		return nil
	})
	return f, err
}

// PDF gives the Base64 of a PDF.
func (f File) PDF() (data string, ok bool) { return wire.PDFFile(Unquote(f.Data)) }

// Text gives the text of a file that is one.
func (f File) Text() (text string, ok bool) { return wire.TextFile(Unquote(f.Data)) }

// Address gives the address of a document, with its scheme in lower case.
func (f File) Address() (scheme, address string, ok bool) {
	address = Unquote(f.Data)
	scheme, _, _ = strings.Cut(address, ":")
	scheme = strings.ToLower(scheme)
	return scheme, address, scheme == "http" || scheme == "https"
}

// AppendFile appends the part of a file with those data, and its name unless that is empty.
func AppendFile(dst, data []byte, name jsontext.Value) []byte {
	dst = append(append(dst, `{"type":"file","file":{"file_data":`...), data...)
	if len(Characters(name)) > 0 {
		dst = append(append(dst, `,"filename":`...), name...)
	}
	return append(dst, "}}"...)
}

// PDFData gives the data: URL of a PDF, a string in JSON.
func PDFData(base64 string) []byte { return Quote(nil, "data:application/pdf;base64,"+base64) }

// LeftOut gives the word that stands in the place of a part that is left out, so that a message does not become empty, or another one,
// by that. kind is none of a client's own words.
func LeftOut(kind string) jsontext.Value { return jsontext.Value(`"[` + kind + ` left out]"`) }
