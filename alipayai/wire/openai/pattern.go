package openai

import "strings"

// isPortable reports whether a regular expression of a JSON schema means the same in JavaScript, in whose words schemas are written, and
// in Python's re, by which OpenAI compiles them: it refuses the whole request for "not a 'regex'" and for "regex lookaround is not
// supported". Claude Code has such a one in a tool that it always offers, and zod in its addresses of mail. See
// https://github.com/BerriAI/litellm/pull/40485, https://github.com/router-for-me/CLIProxyAPI/issues/5644,
// https://github.com/vercel/ai/pull/21037 and https://github.com/tombii/better-ccflare/issues/357. What is not known to be fine is not.
func isPortable(pattern string) bool {
	p := regex{rest: pattern}
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == '\\':
			if _, ok := p.escape(false); !ok {
				return false
			}
		case c == '[':
			if !p.class() {
				return false
			}
		case c == '(' && strings.HasPrefix(p.rest, "(?") && !strings.HasPrefix(p.rest, "(?:"):
			return false // looks around, has a name, or a flag
		default:
			p.rest = p.rest[1:]
		}
	}
	return true
}

// regex is what is left of a regular expression.
type regex struct{ rest string }

// escape reads what begins with a backslash, in a class or outside of one. set says that it stands for several characters.
func (p *regex) escape(class bool) (set, ok bool) {
	if len(p.rest) < len(`\d`) {
		return false, false
	}
	c := p.rest[1]
	p.rest = p.rest[len(`\d`):]
	switch {
	case strings.IndexByte("dDsSwW", c) >= 0:
		return true, true
	case strings.IndexByte("fnrtvb", c) >= 0:
		return false, true
	case c == 'B':
		return false, !class
	case c == 'x':
		return false, p.digits(2)
	case c == 'u':
		return false, p.digits(4)
	case c == '0':
		return false, p.rest == "" || p.rest[0] < '0' || '9' < p.rest[0]
	}
	isLetter := 'a' <= c|0x20 && c|0x20 <= 'z'
	return false, !isLetter && (c < '0' || '9' < c) // neither a property nor a reference
}

// digits reads n hexadecimal digits.
func (p *regex) digits(n int) bool {
	if len(p.rest) < n || strings.Trim(p.rest[:n], "0123456789abcdefABCDEF") != "" {
		return false
	}
	p.rest = p.rest[n:]
	return true
}

// class reads a class, which has something in it, and no range that begins or ends with several characters.
func (p *regex) class() bool {
	p.rest = strings.TrimPrefix(p.rest[len("["):], "^")
	if strings.HasPrefix(p.rest, "]") {
		return false // the end to one, and a character to the other
	}
	ranged := false // what comes next ends a range
	for p.rest != "" && p.rest[0] != ']' {
		set, ok := false, true
		if p.rest[0] == '\\' {
			set, ok = p.escape(true)
		} else {
			p.rest = p.rest[1:]
		}
		begins := !ranged && len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']'
		if !ok || set && (begins || ranged) {
			return false
		}
		if ranged = begins; begins {
			p.rest = p.rest[1:]
		}
	}
	if p.rest == "" {
		return false
	}
	p.rest = p.rest[len("]"):]
	return true
}
