package moderate

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Tag characters, U+E0020 to U+E007E, are ASCII that shows nothing (Unicode Standard, section 23.9). Variation selectors, U+FE00 to
// U+FE0F and U+E0100 to U+E01EF, show nothing either, and stand for the 256 bytes where text is hidden in them
// (https://paulbutler.org/2025/smuggling-arbitrary-data-through-an-emoji/). Models read it, so that rules look at a text as Fold
// gives it, without them, and as it reads with them.
type tagReading uint8

// The readings.
const (
	// tagsInPlace has ASCII in the place of tags, for words that both make up.
	tagsInPlace tagReading = iota
	// tagsApart is tagsInPlace with a space where tags begin and end, for words that do.
	tagsApart
	// tagsAlone has what tags spell, without what stands between them.
	tagsAlone
	tagReadings
)

// hasTags reports whether text may have tags: characters in UTF-8 that begin as they do are hardly in any other. The first 16
// variation selectors, which emoji have, stand for control characters, and spell nothing alone.
func hasTags(text string) bool { return strings.Contains(text, "\xf3\xa0") }

// read appends text to dst. in says whether what was before it ended in a tag.
func (r tagReading) read(dst []byte, text string, in *bool) []byte {
	for _, c := range text {
		b, tag := hidden(c)
		if r == tagsApart && tag != *in {
			dst = append(dst, ' ')
		}
		*in = tag
		switch {
		case tag:
			dst = append(dst, b)
		case r != tagsAlone:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return dst
}

// hidden gives the byte that a character stands for which shows nothing; ok is false for all others.
func hidden(c rune) (b byte, ok bool) {
	switch {
	case 0xe0020 <= c && c <= 0xe007e:
		return byte(c - 0xe0000), true
	case 0xfe00 <= c && c <= 0xfe0f:
		return byte(c - 0xfe00), true
	case 0xe0100 <= c && c <= 0xe01ef:
		return byte(c - 0xe0100 + 16), true
	}
	return 0, false
}

// checkTags checks how text, which has tags, reads with them.
func (r *Rules) checkTags(text string) (Finding, bool) {
	for _, reading := range [...]tagReading{tagsInPlace, tagsApart, tagsAlone} {
		if f, found := r.check(string(reading.read(nil, text, new(bool)))); found {
			return f, true
		}
	}
	return Finding{}, false
}

// tagged is a channel as it reads with its tags.
type tagged struct {
	channel
	in bool
}

// addTags appends text to how c reads with its tags. What they spell alone holds no event back: a flag, which has tags, would
// keep back all that follows it.
func (g *Guard) addTags(c *channel, text string, unit *heldEvent) (policy string) {
	if c.tags == nil {
		c.tags = new([tagReadings]tagged)
		for reading := range tagsAlone {
			c.tags[reading].channel = channel{tail: bytes.Clone(c.tail), dropped: c.dropped, cleared: c.cleared}
		}
	}
	for reading := range tagReadings {
		with := &c.tags[reading]
		of := unit
		if reading == tagsAlone {
			of = new(heldEvent)
		}
		if policy = g.fold(&with.channel, string(reading.read(nil, text, &with.in)), of); policy != "" {
			return policy
		}
	}
	return ""
}
