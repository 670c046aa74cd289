package anthropic

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxTitle is how many characters the API lets the title of a document have.
const maxTitle = 500

// file gives the block of the file that stands at path: a PDF, or a text. Of others, and of those that are kept at OpenAI,
// there is none.
//
// Source: https://platform.claude.com/docs/en/build-with-claude/pdf-support
func (r *request) file(path string, v jsontext.Value) ([]byte, error) {
	if len(v) == 0 {
		return nil, translate.Missing(path, "an object")
	}
	var data, name jsontext.Value
	err := translate.Object(path, v, func(member string, v jsontext.Value) error {
		switch member {
		case "file_data":
			data = v
		case "filename":
			name = v
		case "file_id":
		default:
			r.left.Leave(path, member, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rest, _ := strings.CutPrefix(translate.Unquote(data), "data:")
	if pdf, ok := pdfData(rest); ok {
		return documentBlock(pdf, name), nil
	}
	meta, encoded, _ := strings.Cut(rest, ",")
	mediaType, encoding, _ := strings.Cut(strings.ToLower(meta), ";")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if mediaType != "text/plain" || !strings.HasSuffix(encoding, "base64") || err != nil || len(text) == 0 || !utf8.Valid(text) {
		r.left.LeaveOut(path)
		return nil, nil
	}
	source := translate.Quote([]byte(`{"type":"text","media_type":"text/plain","data":`), string(text))
	return document(append(source, '}'), name), nil
}

// pdfData gives the data of what follows data: in an address, if it is a PDF in base64.
func pdfData(rest string) (data string, ok bool) {
	meta, data, _ := strings.Cut(rest, ",")
	mediaType, encoding, _ := strings.Cut(strings.ToLower(meta), ";")
	return data, mediaType == "application/pdf" && data != "" && (encoding == "base64" || strings.HasSuffix(encoding, ";base64"))
}

// documentBlock gives the block of a PDF.
func documentBlock(data string, name jsontext.Value) []byte {
	return document(append(translate.Quote([]byte(`{"type":"base64","media_type":"application/pdf","data":`), data), '}'), name)
}

// document gives the block of a document with that source, under its file's name.
func document(source []byte, name jsontext.Value) []byte {
	block := append([]byte(`{"type":"document","source":`), source...)
	if title := translate.Unquote(name); strings.TrimSpace(title) != "" && utf8.RuneCountInString(title) <= maxTitle {
		block = append(append(block, `,"title":`...), name...)
	}
	return append(block, '}')
}
