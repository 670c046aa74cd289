package toolcheck

import (
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxPattern bounds the text of a pattern, in bytes, and maxProgram what the patterns of a schema are compiled to,
	// in instructions: a few bytes of one may be millions of those.
	maxPattern = 1 << 10
	maxProgram = 4 << 10
)

// pattern is a regular expression of a schema, whose matching is counted as all else is.
type pattern struct {
	*regexp.Regexp
	of   *schema
	size int
}

// MatchString implements jsonschema.Regexp. It takes at most a step for each byte and instruction.
func (p pattern) MatchString(text string) bool {
	p.of.pay(p.size * (1 + len(text)) / 64)
	return p.Regexp.MatchString(text)
}

// pattern compiles one of the schema's, within what is left of maxProgram.
func (s *schema) pattern(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, errUncheckable
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := sizeOfPattern(parsed)
	if s.program += size; s.program > maxProgram {
		return nil, errUncheckable
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return pattern{compiled, s, size}, nil
}

// sizeOfPattern is about how many instructions it is compiled to, at most a little more than maxProgram.
func sizeOfPattern(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		size += sizeOfPattern(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxProgram+1)
}
