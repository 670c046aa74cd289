package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// unsigned is the member of a citation that another provider than Anthropic has made. The API hands out an index of its own search
// there, which it wants back: https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool.
const unsigned = `"encrypted_index":""`

// emptyText is the block of a text that begins.
const emptyText = `{"type":"text","text":""}`

// appendCitation appends a citation in the form of the Messages API: of a URL it has what a search has found alone.
func appendCitation(dst []byte, c translate.Citation) []byte {
	dst = append(append(dst, `{"type":"web_search_result_location","url":`...), c.URL...)
	dst = append(append(dst, `,"title":"`...), translate.Characters(c.Title)...)
	dst = append(append(dst, `","cited_text":"`...), translate.Characters(c.Content)...)
	return append(append(dst, `",`...), unsigned+"}"...)
}

// appendCitations appends the member of a text that has what it cites; nothing where that is nothing.
func appendCitations(dst []byte, annotations jsontext.Value) []byte {
	var list []byte
	translate.EachCitation(annotations, func(c translate.Citation) { list = translate.Join(list, appendCitation(nil, c)) })
	if len(list) == 0 {
		return dst
	}
	return append(append(append(dst, `,"citations":[`...), list...), ']')
}

// cite writes what the open text cites.
func (s *clientStream) cite(dst []byte, annotations jsontext.Value) []byte {
	s.cited.Add(annotations, appendCitation)
	if s.open != "text" {
		return dst
	}
	for _, one := range s.cited.Take() {
		dst = s.delta(dst, `{"type":"citations_delta","citation":`, one)
	}
	return dst
}

// citeLate writes what has been cited behind the last text, when that had ended: of an empty one, since a block that has ended takes no
// more, and a source is better there than lost. An empty text goes to no provider: see [ClientRequest.Sendable].
func (s *clientStream) citeLate(dst []byte) []byte {
	if s.open == "text" || !s.spoke || !s.cited.Waits() {
		return dst
	}
	return s.cite(s.enter(dst, "text", emptyText), nil)
}

// isUnsigned reports whether a citation is one that a translated answer has had.
func isUnsigned(citation jsontext.Value) (is bool) {
	_ = translate.Members(citation, func(name string, v jsontext.Value) error { // which has been read before
		is = is || name == "encrypted_index" && len(translate.Characters(v)) == 0
		return nil
	})
	return is
}

// hasUnsigned reports whether one of the citations of a text is.
func hasUnsigned(citations jsontext.Value) (has bool) {
	if citations.Kind() == '[' {
		_ = translate.Elements(citations, func(_ int, v jsontext.Value) error {
			has = has || isUnsigned(v)
			return nil
		})
	}
	return has
}

// withoutUnsigned gives the block of a text without such citations.
func withoutUnsigned(block jsontext.Value) jsontext.Value {
	out := []byte{'{'}
	_ = translate.Members(block, func(name string, v jsontext.Value) error {
		if name == "citations" && hasUnsigned(v) {
			if v = filtered(v, func(citation jsontext.Value) jsontext.Value {
				if isUnsigned(citation) {
					return nil
				}
				return citation
			}); len(v) == len("[]") {
				return nil
			}
		}
		out = appendMember(out, name, v)
		return nil
	})
	return append(out, '}')
}
