package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// DefaultMaxDepth is the nesting accepted when [Limits.MaxDepth] is unset.
const DefaultMaxDepth = 64

// Limits bounds what a parser accepts. The size of the text is the caller's to bound, before it is read into memory.
type Limits struct {
	// MaxDepth is how deep objects and arrays may nest, the outermost counting as 1. Zero means [DefaultMaxDepth].
	MaxDepth int
}

var (
	errTooDeep   = errors.New("nested too deep")
	errNotObject = errors.New("not an object")
	errTrailing  = errors.New("something follows the object")
	errRepeated  = errors.New("a key that decides is repeated")

	errInvalidUTF8 = errors.New("invalid UTF-8")
)

// scanner walks one complete JSON text. It wraps a pooled decoder that reads the caller's bytes where they are: a strict
// one for requests, a lenient one for answers.
type scanner struct {
	dec      jsontext.Decoder
	src      bytes.Buffer
	text     []byte
	maxDepth int
	name     []byte // scratch for member names written with escapes
	key      []byte // that of [ParseMembers]
	at       []byte // that of paths of texts: a value's goes on behind that of what it stands in
	path     []step // where a request is read: see typed
	model    string // the last model name seen, see intern
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// lenient takes lone surrogates and repeated keys, which what has been generated, and paid for, may hold: JSON.parse,
// Python's json and Go's encoding/json take both. It would take invalid UTF-8 as well, which parseEnvelope refuses, since
// OpenAI's Python SDK does.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// newScanner returns a scanner over text, which must not change until release.
func newScanner(text []byte, lim Limits, options ...jsontext.Options) *scanner {
	s := scanners.Get().(*scanner)
	s.text = text
	s.maxDepth, s.path = lim.MaxDepth, s.path[:0]
	if s.maxDepth <= 0 {
		s.maxDepth = DefaultMaxDepth
	}
	s.src = *bytes.NewBuffer(text)
	s.dec.Reset(&s.src, options...)
	return s
}

// release returns the scanner to the pool without its text, which a pooled scanner must not keep alive.
func (s *scanner) release() {
	s.text, s.src = nil, bytes.Buffer{}
	s.dec.Reset(&s.src)
	scanners.Put(s)
}

// room gives the scratch for a path, which has enough for most.
func (s *scanner) room() []byte {
	if s.at == nil {
		s.at = make([]byte, 0, 128)
	}
	return s.at
}

// document reads the whole text as one object with nothing after it and calls member for each name, as object does.
func (s *scanner) document(member func(name []byte) error) error {
	if k := s.dec.PeekKind(); k != '{' && k != jsontext.KindInvalid {
		return errNotObject
	}
	if err := s.object(member); err != nil {
		return err
	}
	return s.end()
}

// end reads the end of the text.
func (s *scanner) end() error {
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// object reads the object that comes next. For each member it calls member, which must read exactly the value;
// name is unescaped and valid only until that read.
func (s *scanner) object(member func(name []byte) error) error {
	if err := s.open(); err != nil {
		return err
	}
	for s.dec.PeekKind() != '}' {
		quoted, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		name := []byte(quoted[1 : len(quoted)-1])
		if bytes.IndexByte(name, '\\') >= 0 {
			// The error only says that a lone surrogate was replaced.
			s.name, _ = jsontext.AppendUnquote(s.name[:0], quoted)
			name = s.name
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := s.dec.ReadToken()
	return err
}

// array reads the array that comes next and calls element before each element, which element must read.
func (s *scanner) array(element func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	for {
		switch s.dec.PeekKind() {
		case ']', jsontext.KindInvalid:
			_, err := s.dec.ReadToken()
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

// open reads the start of an object or array and holds the depth limit.
func (s *scanner) open() error {
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	if s.dec.StackDepth() > s.maxDepth {
		return errTooDeep
	}
	return nil
}

// is reports whether the next value is of that kind: '{', '[', '"', '0', 't', 'f' or 'n'.
func (s *scanner) is(kind jsontext.Kind) bool { return s.dec.PeekKind() == kind }

// skip reads the next value and reports whether it holds anything: a string with a character, an object with a member,
// an array with an element. It walks tokens, since reading the value whole would not hold the depth limit.
func (s *scanner) skip() (filled bool, err error) {
	if s.is('"') {
		v, err := s.dec.ReadValue()
		return len(v) > len(`""`), err
	}
	outside := s.dec.StackDepth()
	for tokens := 1; ; tokens++ {
		tok, err := s.dec.ReadToken()
		if err != nil {
			return false, err
		}
		depth := s.dec.StackDepth()
		if depth == outside {
			return tokens > len("{}"), nil
		}
		if depth > s.maxDepth && (tok.Kind() == '{' || tok.Kind() == '[') {
			return false, errTooDeep
		}
	}
}

// scalar reads the next value and returns its text as written, a part of the scanned text; nil for an object or array.
func (s *scanner) scalar() (jsontext.Value, error) {
	if s.is('{') || s.is('[') {
		_, err := s.skip()
		return nil, err
	}
	v, err := s.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(s.dec.InputOffset())
	return s.text[end-len(v) : end : end], nil
}

// raw reads the next value, whatever it is, and returns its text as written, a part of the scanned text.
func (s *scanner) raw() (jsontext.Value, error) {
	start := s.dec.InputOffset()
	if _, err := s.skip(); err != nil {
		return nil, err
	}
	return bytes.TrimLeft(s.text[start:s.dec.InputOffset()], ": \t\r\n"), nil
}

// rawFilled is raw and skip together.
func (s *scanner) rawFilled() (filled bool, v jsontext.Value, err error) {
	v, err = s.raw()
	return err == nil && isFilled(v), v, err
}

// intern returns the decoded string v without allocating when it is the model name that this scanner saw last: the same
// few names come again with every chunk of every stream.
func (s *scanner) intern(v jsontext.Value) string {
	plain := v[1 : len(v)-1]
	if string(plain) == s.model {
		return s.model
	}
	if bytes.IndexByte(plain, '\\') >= 0 {
		return unquote(v)
	}
	s.model = string(plain)
	return s.model
}

// unquote decodes a JSON string that the decoder has accepted.
func unquote(v jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b)
}

// equals reports whether v is the JSON string want, however it is escaped.
func equals(v jsontext.Value, want string) bool {
	if v.Kind() != '"' {
		return false
	}
	plain := v[1 : len(v)-1]
	return string(plain) == want || bytes.IndexByte(plain, '\\') >= 0 && unquote(v) == want
}
