package responses

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// citations are annotations of one text, in the form of the Responses API.
type citations struct {
	list  []byte // with commas between them
	count int
}

func (c *citations) add(one []byte) {
	c.list = translate.Join(c.list, one)
	c.count++
}

// eachCitation calls cite for each URL that annotations of chat completions cite, once, in the form of the Responses API: that
// has the members of url_citation in the annotation itself. Providers that search write them so, OpenAI's search models and
// OpenRouter among them: https://github.com/NVIDIA-NeMo/Switchyard/pull/730.
func eachCitation(annotations jsontext.Value, cite func(one []byte)) {
	if annotations.Kind() != '[' {
		return
	}
	_ = translate.Elements(annotations, func(_ int, v jsontext.Value) error {
		var c citation
		if c.read(v, true); len(translate.Characters(c.url)) > 0 {
			cite(c.append(nil))
		}
		return nil
	})
}

// citation is where a text cites a URL, as written.
type citation struct {
	url, title jsontext.Value
	start, end int64
}

// read reads an annotation: outer, or its member url_citation.
func (c *citation) read(v jsontext.Value, outer bool) {
	_ = translate.Generated(v, func(name string, v jsontext.Value) error { // which has been read before
		switch n, ok := wire.TokenCount(v); {
		case name == "url_citation" && outer:
			c.read(v, false)
		case name == "url" && v.Kind() == '"':
			c.url = v
		case name == "title" && v.Kind() == '"':
			c.title = v
		case name == "start_index" && ok:
			c.start = n
		case name == "end_index" && ok:
			c.end = n
		}
		return nil
	})
}

func (c *citation) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"type":"url_citation","start_index":`...), c.start, 10)
	dst = strconv.AppendInt(append(dst, `,"end_index":`...), c.end, 10)
	dst = append(append(append(dst, `,"url":`...), c.url...), `,"title":"`...)
	return append(append(dst, translate.Characters(c.title)...), `"}`...)
}

// cite writes what the open text cites. What comes while no text is open is of the next one, and what some providers repeat with
// each chunk counts once.
func (w *ClientWriter) cite(dst []byte, annotations jsontext.Value) []byte {
	s := w.stream
	eachCitation(annotations, func(one []byte) {
		if _, known := s.cited[string(one)]; known {
			return
		}
		if s.cited == nil {
			s.cited = make(map[string]struct{})
		}
		s.cited[string(one)] = struct{}{}
		s.toCite = append(s.toCite, one)
	})
	if s.open != outputText {
		return dst
	}
	for _, one := range s.toCite {
		dst = w.content(w.place(s.head(dst, "response.output_text.annotation.added", ""), "msg"))
		dst = strconv.AppendInt(append(dst, `,"annotation_index":`...), int64(s.cites.count), 10)
		dst = s.tail(append(append(dst, `,"annotation":`...), one...))
		s.cites.add(one)
	}
	s.toCite = nil
	return dst
}
