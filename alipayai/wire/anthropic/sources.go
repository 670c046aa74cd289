package anthropic

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxCited bounds the citations of an answer that are carried, and maxCitedBytes what they have together: more than any search finds.
const (
	maxCited      = 1 << 10
	maxCitedBytes = 4 << 20
)

// sources are what the texts of a message cite, as chat completions have its annotations: where in the content, and the URL. Citations of a
// document that the client has sent have none, and no counterpart.
//
// See https://platform.claude.com/docs/en/build-with-claude/citations and platform.openai.com/docs/api-reference/chat/object.
type sources struct {
	list  []byte // with commas between them
	count int
	size  int // of all that have come, in bytes
	// said is how long the content is so far, in characters, and began how long it was before the open text.
	said, began int
	// open are the citations of the open text.
	open []jsontext.Value
}

// say takes more of the content, which is a string in JSON.
func (a *sources) say(text jsontext.Value) {
	if characters := translate.Characters(text); bytes.IndexByte(characters, '\\') < 0 {
		a.said += utf8.RuneCount(characters)
	} else {
		a.said += utf8.RuneCountInString(translate.Unquote(text))
	}
}

// cite takes a citation of the open text.
func (a *sources) cite(citation jsontext.Value) {
	if a.count+len(a.open) < maxCited && a.size+len(citation) <= maxCitedBytes {
		a.size += len(citation)
		a.open = append(a.open, citation)
	}
}

// leave ends the open text: it is all of the text that a citation is for.
func (a *sources) leave() {
	for _, citation := range a.open {
		var url, title, cited jsontext.Value
		_ = translate.Generated(citation, func(name string, v jsontext.Value) error { // which has been read before
			switch name {
			case "url":
				url = v
			case "title":
				title = v
			case "cited_text":
				cited = v
			}
			return nil
		})
		if len(translate.Characters(url)) == 0 {
			continue
		}
		one := strconv.AppendInt([]byte(`{"type":"url_citation","url_citation":{"start_index":`), int64(a.began), 10)
		one = strconv.AppendInt(append(one, `,"end_index":`...), int64(a.said), 10)
		one = append(append(append(one, `,"url":`...), url...), `,"title":"`...)
		one = append(append(one, translate.Characters(title)...), '"')
		if len(translate.Characters(cited)) > 0 {
			one = append(append(one, `,"content":`...), cited...)
		}
		a.list = translate.Join(a.list, append(one, "}}"...))
		a.count++
	}
	a.open, a.began = nil, a.said
}

// take gives those of the texts that have ended, as an array; nil for none. They are given once.
func (a *sources) take() []byte {
	if len(a.list) == 0 {
		return nil
	}
	array := append(append([]byte{'['}, a.list...), ']')
	a.list = nil
	return array
}
