package wire

import (
	"bytes"
	"crypto/sha256"

	"github.com/go-json-experiment/json/jsontext"
)

// AnswerText is one text of an answer, or of one chunk of its stream.
type AnswerText struct {
	// Path says where it stands: texts of chunks with the same path go together. It is valid until the next one. It is nil
	// for one that is whole.
	Path []byte
	// Value is the text, unescaped.
	Value string
}

// AnswerTexts calls each for every text of an answer in OpenAI's form, or of a chunk, that a client may show or act on:
// of its choices every string that is not known to be something else, in their order. The tokens of logprobs are one text,
// which repeats that of the choice, or says what was taken out of it; so are their bytes, which may end within a character.
// Beside the choices are what servers have searched for, and questions to go on with, whole in each chunk. It fails with [ErrMalformed], as [ParseBody] does.
func AnswerTexts(data []byte, each func(AnswerText)) error {
	if bytes.HasPrefix(data, done) {
		return nil
	}
	s := newScanner(data, Limits{}, lenient...)
	defer s.release()
	t := answerTexts{s: s, each: each}
	whole := answerTexts{s: s, each: func(a AnswerText) { each(AnswerText{Value: a.Value}) }}
	err := s.document(func(name []byte) error {
		switch string(name) {
		case "choices":
			return t.value(append(s.room(), choicesPath...))
		case "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "provider":
			_, err := s.skip()
			return err
		case "obfuscation": // random letters of OpenAI's, which are no text
			if s.is('"') {
				return whole.word()
			}
		}
		return whole.value(s.room())
	})
	if err != nil {
		return s.malformed(err)
	}
	return nil
}

// OwnTexts calls each for every string of an answer in its client's own form, or of an event of its stream, where the
// Messages and Responses APIs have what is generated, and what their hosted tools have found: some of that has no place in
// OpenAI's form. Pictures and files among that are not texts. It fails with [ErrMalformed].
func OwnTexts(data []byte, each func(text string)) error {
	s := newScanner(data, Limits{}, lenient...)
	defer s.release()
	t := answerTexts{s: s, each: func(a AnswerText) {
		if len(a.Value) < leastData || !isReference(a.Value) {
			each(a.Value)
		}
	}}
	err := s.document(func(name []byte) error {
		switch string(name) {
		case "content", "content_block", "output", "item":
			return t.value(s.room())
		}
		_, err := s.skip()
		return err
	})
	if err != nil {
		return s.malformed(err)
	}
	return nil
}

// leastData is how long the shortest data is that is no text for being Base64, in bytes.
const leastData = 1 << 10

// choicesPath is that of the choices, below which all texts have one.
const choicesPath = "choices"

type answerTexts struct {
	s    *scanner
	each func(AnswerText)
}

func (t *answerTexts) value(path []byte) error {
	switch t.s.dec.PeekKind() {
	case '"':
		v, err := t.s.scalar()
		if err == nil && len(v) > len(`""`) {
			t.each(AnswerText{Path: path, Value: unquoted(v)})
		}
		return err
	case '[':
		n := -1
		return t.s.array(func() error {
			n++
			return t.value(appendIndex(path, t.index(path, n)))
		})
	case '{':
		return t.object(path)
	}
	_, err := t.s.skip()
	return err
}

func (t *answerTexts) object(path []byte) error {
	return t.s.object(func(name []byte) error {
		switch string(name) {
		case "role", "id", "type", "object", "finish_reason", "native_finish_reason", "stop_reason", "index", "signature", "encrypted_content":
			if t.s.is('"') {
				return t.word()
			}
		case "logprobs":
			return t.logprobs(append(path, ".logprobs"...))
		case "delta", "message": // the same, in a chunk and in an answer
			return t.value(path)
		}
		return t.value(appendName(path, name))
	})
}

// word reads a string that should be a word of the API's, or an identifier, and collects it where it is none.
func (t *answerTexts) word() error {
	v, err := t.s.scalar()
	if err != nil || isReference(v[1:len(v)-1]) {
		return err
	}
	if said := unquoted(v); !isReference(said) {
		t.each(AnswerText{Value: said})
	}
	return nil
}

// logprobs collects the tokens of each list: those of OpenAI's chat completions have "token" and "bytes", and in the older
// form "tokens" are strings. Not collected are top_logprobs: what a token could have been instead, each for itself.
func (t *answerTexts) logprobs(path []byte) error {
	return t.s.eachMember(func(name []byte) error {
		if !t.s.is('[') || string(name) == "top_logprobs" {
			_, err := t.s.skip()
			return err
		}
		path := appendName(path, name)
		var tokens, raw []byte
		err := t.s.array(func() error {
			if t.s.is('"') {
				return t.appendToken(&tokens)
			}
			return t.s.eachMember(func(name []byte) error {
				switch {
				case string(name) == "token" && t.s.is('"'):
					return t.appendToken(&tokens)
				case string(name) == "bytes" && t.s.is('['):
					return t.s.array(func() error {
						v, err := t.s.scalar()
						if n, ok := TokenCount(v); ok && n <= 0xff {
							raw = append(raw, byte(n))
						}
						return err
					})
				}
				_, err := t.s.skip()
				return err
			})
		})
		if err == nil && len(tokens) > 0 {
			t.each(AnswerText{Path: path, Value: string(tokens)})
		}
		if err == nil && len(raw) > 0 {
			t.each(AnswerText{Path: append(path, ".bytes"...), Value: string(raw)})
		}
		return err
	})
}

// appendToken reads a token, which is a string.
func (t *answerTexts) appendToken(to *[]byte) error {
	v, err := t.s.scalar()
	if err == nil {
		*to = append(*to, unquoted(v)...)
	}
	return err
}

// index is the number by which the element of path that comes next goes together with those of other chunks: that of
// choices and tool calls is their "index", and else its place n.
func (t *answerTexts) index(path []byte, n int) int64 {
	if len(path) != len(choicesPath) && !bytes.HasSuffix(path, []byte(".tool_calls")) || !t.s.is('{') {
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

// maxName bounds a name in a path, in bytes: every element of what has that name has a path of its own.
const maxName = 64

// appendName gives the path of a member; of a long name its hash, which tells it from others as well.
func appendName(path, name []byte) []byte {
	if len(name) > maxName {
		sum := sha256.Sum256(name)
		name = sum[:]
	}
	return append(append(path, '.'), name...)
}

func appendIndex(path []byte, n int64) []byte {
	path = append(path, '#')
	for ; n > 0; n >>= 7 {
		path = append(path, byte(n&0x7f)|0x80)
	}
	return path
}
