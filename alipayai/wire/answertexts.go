package wire

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// AnswerText is one text of an answer, or of one chunk of its stream.
type AnswerText struct {
	// Path says where it stands: texts of chunks with the same path go together. It is valid until the next one.
	Path []byte
	// Value is the text, unescaped.
	Value string
}

// AnswerTexts calls each for every text of an answer in OpenAI's form, or of a chunk, that a client may show or act on:
// of its choices every string that is not known to be something else, in their order. It fails with [ErrMalformed],
// as [ParseBody] does.
func AnswerTexts(data []byte, each func(AnswerText)) error {
	if bytes.HasPrefix(data, done) {
		return nil
	}
	s := newScanner(data, Limits{}, lenient...)
	defer s.release()
	t := answerTexts{s: s, each: each}
	err := s.document(func(name []byte) error {
		if string(name) != "choices" {
			_, err := s.skip()
			return err
		}
		return t.value(nil)
	})
	if err != nil {
		return s.malformed(err)
	}
	return nil
}

type answerTexts struct {
	s    *scanner
	each func(AnswerText)
}

func (t *answerTexts) value(path []byte) error {
	switch {
	case t.s.is('"'):
		v, err := t.s.scalar()
		if err == nil && len(v) > len(`""`) {
			t.each(AnswerText{Path: path, Value: unquoted(v)})
		}
		return err
	case t.s.is('['):
		n := -1
		return t.s.array(func() error {
			n++
			return t.value(appendIndex(path, t.index(path, n)))
		})
	case !t.s.is('{'):
		_, err := t.s.skip()
		return err
	}
	return t.s.object(func(name []byte) error {
		switch string(name) {
		case "role", "id", "type", "object", "finish_reason", "native_finish_reason", "stop_reason", "index", "logprobs":
			_, err := t.s.skip()
			return err
		case "delta", "message": // the same, in a chunk and in an answer
			return t.value(path)
		}
		return t.value(append(append(slices.Clip(path), '.'), name...))
	})
}

// index is the number by which the element of path that comes next goes together with those of other chunks: that of
// choices and tool calls is their "index", and else its place n.
func (t *answerTexts) index(path []byte, n int) int64 {
	if len(path) > 0 && !bytes.HasSuffix(path, []byte(".tool_calls")) || !t.s.is('{') {
		return int64(n)
	}
	rest := t.s.text[t.s.dec.InputOffset():]
	rest = rest[max(bytes.IndexByte(rest, '{'), 0):]
	if digits, ok := bytes.CutPrefix(rest, []byte(`{"index":`)); ok { // as most are written
		end := 0
		for end < len(digits) && end < 9 && '0' <= digits[end] && digits[end] <= '9' {
			end++
		}
		if end > 0 && end < len(digits) && (digits[end] == ',' || digits[end] == '}') {
			i, _ := TokenCount(digits[:end])
			return i
		}
	}
	dec := jsontext.NewDecoder(bytes.NewReader(rest), lenient...)
	if _, err := dec.ReadToken(); err != nil {
		return int64(n)
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil || name.String() != "index" {
			if err != nil || dec.SkipValue() != nil {
				break
			}
			continue
		}
		v, err := dec.ReadValue()
		if i, ok := TokenCount(v); err == nil && ok {
			return i
		}
		break
	}
	return int64(n)
}

func appendIndex(path []byte, n int64) []byte {
	path = append(slices.Clip(path), '#')
	for ; n > 0; n >>= 7 {
		path = append(path, byte(n&0x7f)|0x80)
	}
	return path
}
