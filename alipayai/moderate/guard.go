package moderate

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// DefaultWindow is how many characters a guard holds back for patterns.
const DefaultWindow = 64

// Guard holds an answer against rules while it streams. It keeps events back until nothing in them can be the beginning
// of what the rules refuse: of a word or a combination that is refused not one character is given out, nor of what a
// pattern matches within the window. It decides as a check of the whole answer would, however the text is split. It belongs to
// one goroutine.
type Guard struct {
	rules  *Rules
	window int
	// channels are the texts that go on from event to event, by their path.
	channels map[string]*channel
	// held are the events that are kept back, and marks where each ends.
	held  []byte
	marks []heldEvent
	// given says that a text was given out.
	given bool
}

// heldEvent is an event that is kept back.
type heldEvent struct {
	size int
	// texts are where its texts end.
	texts []mark
}

// mark is a place in a channel, in letters.
type mark struct {
	c  *channel
	at int
}

// Guard makes the guard of one answer; nil where there are no rules. It holds back at most HeldBack(window) characters.
func (r *Rules) Guard(window int) *Guard {
	if r.Empty() {
		return nil
	}
	return &Guard{rules: r, window: window, channels: make(map[string]*channel)}
}

// HeldBack is how many words a guard holds back at most, of Han each character, beside those of the event that they end in.
func (r *Rules) HeldBack(window int) int {
	if len(r.patterns) == 0 {
		window = 0
	}
	return max(r.span, window)
}

// maxChannels bounds the texts of one answer: no model makes so many.
const maxChannels = 1024

// Add takes the next events, whole ones in OpenAI's form, and appends to out those that may be given out now. policy is
// that of the rule that the answer breaks; empty for none. After that nothing more of it may be given out.
func (g *Guard) Add(out, events []byte) (released []byte, policy string) {
	unit := heldEvent{size: len(events)}
	g.held = append(g.held, events...)
	for data := range eachData(events) {
		err := wire.AnswerTexts(data, func(t wire.AnswerText) {
			if t.Path == nil {
				if found, _ := g.rules.checkEscaped(t.Value); policy == "" {
					policy = found
				}
				return
			}
			c := g.channels[string(t.Path)]
			if c == nil && len(g.channels) < maxChannels {
				c = new(channel)
				g.channels[string(t.Path)] = c
			}
			if c == nil {
				policy = "too-many-texts"
				return
			}
			if found := g.add(c, t.Value, &unit, maxEscapes); policy == "" {
				policy = found
			}
		})
		if err != nil { // the decoder has taken it: this cannot be
			policy = "unreadable"
		}
	}
	if policy != "" {
		return out, policy
	}
	g.marks = append(g.marks, unit)
	return g.release(out), ""
}

// End gives out what is left at the end of the answer, unless it breaks a rule.
func (g *Guard) End(out []byte) (released []byte, policy string) {
	for _, c := range g.channels {
		for ; c != nil; c = c.plain {
			if policy := c.end(g); policy != "" {
				return out, policy
			}
		}
	}
	out = append(out, g.held...)
	g.held, g.marks = nil, nil
	return out, ""
}

// GivenText reports whether a text has been given out.
func (g *Guard) GivenText() bool { return g.given }

// Held is how many bytes are kept back.
func (g *Guard) Held() int { return len(g.held) }

// release appends the events of which all texts are cleared.
func (g *Guard) release(out []byte) []byte {
	size := 0
	for len(g.marks) > 0 {
		first := &g.marks[0]
		for len(first.texts) > 0 && first.texts[0].at <= first.texts[0].c.cleared {
			first.texts, g.given = first.texts[1:], true
		}
		if len(first.texts) > 0 {
			break
		}
		size += first.size
		g.marks = g.marks[1:]
	}
	if size == 0 {
		return out
	}
	out = append(out, g.held[:size]...)
	g.held = g.held[:copy(g.held, g.held[size:])]
	return out
}

// channel is a text that goes on from event to event.
type channel struct {
	// tail is the end of the text, folded: what the rules may still have to do with. dropped is how many letters were before.
	tail    []byte
	dropped int
	// cleared is how many letters of the text may be given out.
	cleared int
	// plain is the same text with its escapes replaced, from the first on; escape is the beginning of one, and cut that of
	// a character.
	plain       *channel
	escape, cut string
	// tags is the same text as it reads with its tag characters, from the first on; nil for none.
	tags *[tagReadings]tagged
}

// add appends text to c, and to what its escapes stand for, of layers that many.
func (g *Guard) add(c *channel, text string, unit *heldEvent, layers int) (policy string) {
	text, c.cut = wholeCharacters(c.cut + text)
	if layers > 0 && (c.plain != nil || strings.IndexByte(text, '\\') >= 0) {
		if c.plain == nil {
			c.plain = &channel{tail: bytes.Clone(c.tail), dropped: c.dropped, cleared: c.cleared}
		}
		whole := c.escape + text
		end := unfinished(whole)
		c.escape = whole[end:]
		plain, _ := unescape(whole[:end])
		if policy = g.add(c.plain, plain, unit, layers-1); policy != "" {
			return policy
		}
	}
	if c.tags != nil || hasTags(text) {
		if policy = g.addTags(c, text, unit); policy != "" {
			return policy
		}
	}
	return g.fold(c, text, unit)
}

// fold appends text to c alone.
func (g *Guard) fold(c *channel, text string, unit *heldEvent) (policy string) {
	c.tail = Fold(c.tail, text)
	policy = c.check(g, false)
	unit.texts = append(unit.texts, mark{c, c.dropped + lettersOf(c.tail)})
	return policy
}

// wholeCharacters gives text without what may be the beginning of a character, and that.
func wholeCharacters(text string) (whole, cut string) {
	for at := len(text) - 1; at >= max(len(text)-utf8.UTFMax, 0); at-- {
		if utf8.RuneStart(text[at]) {
			if !utf8.FullRuneInString(text[at:]) {
				return text[:at], text[at:]
			}
			break
		}
	}
	return text, ""
}

// unfinished gives where an escape begins that text may have only the beginning of.
func unfinished(text string) int {
	const longest = len(`\ud83d\ude00`)
	from := max(len(text)-longest+1, 0)
	at := strings.IndexByte(text[from:], '\\')
	for at >= 0 {
		at += from
		_, size := escape(text[at:])
		begun := size == 0 && mayBeEscape(text[at:]) || size == 6 && isSurrogate(text[at:])
		if begun && len(text)-at < longest {
			return at
		}
		from = at + max(size, 1)
		at = strings.IndexByte(text[min(from, len(text)):], '\\')
	}
	return len(text)
}

// mayBeEscape reports whether text, which is no escape, could become one.
func mayBeEscape(text string) bool {
	return len(text) == 1 || text[1] == 'u' && len(text) < 6 && strings.Trim(text[2:], "0123456789abcdefABCDEF") == ""
}

func isSurrogate(text string) bool {
	r, ok := hex4(text[2:])
	return ok && 0xd800 <= r && r < 0xdc00 && (len(text) == 6 || strings.HasPrefix(text[6:], `\`))
}

// end holds against the rules what they could not decide before the end of the text.
func (c *channel) end(g *Guard) (policy string) {
	if policy = c.check(g, true); policy != "" || c.tags == nil {
		return policy
	}
	for i := range c.tags {
		if policy = c.tags[i].check(g, true); policy != "" {
			return policy
		}
	}
	return ""
}

// check holds what is new of the text against the rules, as far as they can decide; at the end of the text that is all of it.
func (c *channel) check(g *Guard, end bool) (policy string) {
	b := rooms.Get().(*room)
	defer b.release()
	b.words = Words(b.words[:0], c.tail)
	letters := lettersIn(b.words)
	decided := len(b.words)
	if !end {
		decided = lastWords(b.words, g.rules.span)
	}
	if g.rules.automaton != nil {
		from := 0
		if c.dropped > 0 {
			from = min(firstWords(b.words, g.rules.span), decided)
		}
		if policy, found := g.rules.checkWords(b, span{int32(from), int32(decided)}); found {
			return policy
		}
	}
	for _, p := range g.rules.patterns {
		if p.re.Match(c.tail) {
			return p.policy
		}
	}
	undecided := lettersIn(b.words[decided:])
	if len(g.rules.patterns) > 0 && !end {
		undecided = max(undecided, min(g.window, letters))
	}
	c.cleared = c.dropped + letters - undecided
	c.trim(2*8*g.rules.HeldBack(g.window) + utf8.UTFMax)
	return ""
}

// maxTail bounds the tail where it has hardly a letter, in bytes.
const maxTail = 64 << 10

// trim leaves as many letters of the tail as the rules may look at.
func (c *channel) trim(letters int) {
	if len(c.tail) < 2*letters*utf8.UTFMax && len(c.tail) <= maxTail {
		return
	}
	at := len(c.tail)
	for n := 0; n < letters && at > 0 && len(c.tail)-at < maxTail/2; {
		r, size := utf8.DecodeLastRune(c.tail[:at])
		at -= size
		if isLetter(r) {
			n++
		}
	}
	c.dropped += lettersOf(c.tail[:at])
	c.tail = c.tail[:copy(c.tail, c.tail[at:])]
}

// isLetter reports whether Words takes r, which is folded, for a letter.
func isLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}

// lettersOf counts those of a folded text, and lettersIn those of one in words.
func lettersOf(folded []byte) int {
	n := 0
	for i := 0; i < len(folded); {
		r, size := utf8.DecodeRune(folded[i:])
		i += size
		if isLetter(r) {
			n++
		}
	}
	return n
}

// lastWords gives where the last n words of a text in words begin, and firstWords where the first n end.
func lastWords(words []byte, n int) int {
	at, run := len(words), 0
	for ; at > 0; at-- {
		if counts(words[at-1], &run) {
			if n--; n < 0 {
				break
			}
		}
	}
	return at
}

func firstWords(words []byte, n int) int {
	run := 0
	for at, c := range words {
		if counts(c, &run) {
			if n--; n < 0 {
				return at
			}
		}
	}
	return len(words)
}

func lettersIn(words []byte) int {
	n := 0
	for _, c := range words {
		if c != ' ' && c&0xc0 != 0x80 {
			n++
		}
	}
	return n
}

// eachData gives the data of each event: its lines of data, put together.
func eachData(events []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var data []byte
		several, own := false, false // own: data is no part of events
		for line := range bytes.Lines(events) {
			line = bytes.TrimRight(line, "\r\n")
			value, ok := bytes.CutPrefix(line, []byte("data:"))
			switch {
			case ok && !several:
				data, several = bytes.TrimPrefix(value, []byte(" ")), true
			case ok:
				if !own {
					data, own = bytes.Clone(data), true
				}
				data = append(append(data, '\n'), bytes.TrimPrefix(value, []byte(" "))...)
			case len(line) == 0 && several:
				if !yield(data) {
					return
				}
				data, several, own = nil, false, false
			}
		}
		if several {
			yield(data)
		}
	}
}
