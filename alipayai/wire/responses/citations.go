package responses

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

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

// appendCitation appends an annotation in the form of the Responses API: that has the members of url_citation in the annotation itself.
func appendCitation(dst []byte, c translate.Citation) []byte {
	dst = strconv.AppendInt(append(dst, `{"type":"url_citation","start_index":`...), c.Start, 10)
	dst = strconv.AppendInt(append(dst, `,"end_index":`...), c.End, 10)
	dst = append(append(append(dst, `,"url":`...), c.URL...), `,"title":"`...)
	return append(append(dst, translate.Characters(c.Title)...), `"}`...)
}

// cite writes what the open text cites.
func (w *ClientWriter) cite(dst []byte, annotations jsontext.Value) []byte {
	s := w.stream
	s.cited.Add(annotations, appendCitation)
	if s.open != outputText {
		return dst
	}
	for _, one := range s.cited.Take() {
		dst = w.content(w.place(s.head(dst, "response.output_text.annotation.added", ""), "msg"))
		dst = strconv.AppendInt(append(dst, `,"annotation_index":`...), int64(s.cites.count), 10)
		dst = s.tail(append(append(dst, `,"annotation":`...), one...))
		s.cites.add(one)
	}
	return dst
}
