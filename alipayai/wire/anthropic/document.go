package anthropic

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxTitle is how many characters the API lets the title of a document have.
const maxTitle = 500

// file gives the block of the file that stands at path: a PDF, also at an address, or a text. Of others, and of those that are kept at
// OpenAI, there is none. The API fetches by https only: see [request.imageAt].
//
// Source: https://platform.claude.com/docs/en/build-with-claude/pdf-support
func (r *request) file(path string, v jsontext.Value) ([]byte, error) {
	if len(v) == 0 {
		return nil, translate.Missing(path, "an object")
	}
	f, err := translate.ReadFile(path, v, func(name string, v jsontext.Value) { r.left.Leave(path, name, v) })
	if err != nil {
		return nil, err
	}
	if pdf, ok := f.PDF(); ok {
		return documentBlock(pdf, f.Name), nil
	}
	if scheme, address, ok := f.Address(); ok && scheme == "https" {
		source := translate.Quote([]byte(`{"type":"url","url":`), address)
		return document(append(source, '}'), f.Name), nil
	}
	text, ok := f.Text()
	if !ok || strings.TrimSpace(text) == "" {
		r.left.LeaveOut(path)
		return nil, nil
	}
	source := translate.Quote([]byte(`{"type":"text","media_type":"text/plain","data":`), text)
	return document(append(source, '}'), f.Name), nil
}

// documentBlock gives the block of a PDF.
func documentBlock(data string, name jsontext.Value) []byte {
	return document(append(translate.Quote([]byte(`{"type":"base64","media_type":"application/pdf","data":`), wire.Base64(data)), '}'), name)
}

// document gives the block of a document with that source, under its file's name.
func document(source []byte, name jsontext.Value) []byte {
	block := append([]byte(`{"type":"document","source":`), source...)
	if title := translate.Unquote(name); strings.TrimSpace(title) != "" && utf8.RuneCountInString(title) <= maxTitle {
		block = append(append(block, `,"title":`...), name...)
	}
	return append(block, '}')
}
