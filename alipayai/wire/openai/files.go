package openai

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Files says how a vendor takes a part of type file: it gives the part in the vendor's form, nil for as it is, and false for one that
// the vendor does not take.
type Files func(f translate.File) (part []byte, ok bool)

// pdfFiles takes what OpenAI's chat completions take: "Chat Completions accepts only PDF files", external URLs "Not supported"
// (https://developers.openai.com/api/docs/guides/file-inputs), or one that is kept there.
//
// It wants a data: URL: "Expected a base64-encoded data URL with an application/pdf MIME type" (https://github.com/vercel/ai/issues/7266).
func pdfFiles(f translate.File) (part []byte, ok bool) {
	data, pdf := f.PDF()
	if pdf && data == translate.Unquote(f.Data) { // Base64 alone
		return translate.AppendFile(nil, translate.PDFData(data), f.Name), true
	}
	return nil, pdf || len(translate.Characters(f.ID)) > 0
}

// documentURLs is Mistral's way, of a PDF at an address or in a data: URL: DocumentURLChunk in https://docs.mistral.ai/openapi.yaml, and
// packages/mistral/src/convert-to-mistral-chat-messages.ts of vercel/ai.
func documentURLs(f translate.File) (part []byte, ok bool) {
	data, pdf := f.PDF()
	_, address, at := f.Address()
	switch {
	case pdf:
		part = append([]byte(`{"type":"document_url","document_url":`), translate.PDFData(data)...)
	case at:
		part = append([]byte(`{"type":"document_url","document_url":`), quote(address)...)
	default:
		return nil, false
	}
	if len(translate.Characters(f.Name)) > 0 {
		part = append(append(part, `,"document_name":`...), f.Name...)
	}
	return append(part, '}'), true
}

// fileURLs is GLM's way, of a document at an address: https://docs.z.ai/api-reference/llm/chat-completion.
func fileURLs(f translate.File) (part []byte, ok bool) {
	_, address, ok := f.Address()
	return slices.Concat([]byte(`{"type":"file_url","file_url":{"url":`), quote(address), []byte(`}}`)), ok
}

// file gives the part of type file at a place as the dialect takes it, nil for as it is; ok is false for one that it does not take. A
// text is one everywhere: "To use text from a file in Chat Completions, read the file in your application and send its contents as a
// text content part" (https://developers.openai.com/api/docs/guides/file-inputs).
func (e *editor) file(part span) (as []byte, ok bool) {
	var f translate.File
	for _, m := range e.members(part) {
		if m.name == "file" {
			f, _ = translate.ReadFile("", e.text(m.value), func(string, jsontext.Value) {})
		}
	}
	if e.Files != nil {
		if as, ok = e.Files(f); ok {
			return as, true
		}
	}
	text, ok := f.Text()
	if !ok {
		return nil, false
	}
	if name := translate.Unquote(f.Name); name != "" {
		text = name + "\n\n" + text
	}
	return slices.Concat([]byte(`{"type":"text","text":`), quote(text), []byte(`}`)), true
}
