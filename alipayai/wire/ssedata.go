package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// dataLine is the first data line of the event that is being read, and where the next line begins; the zero value for none.
type dataLine struct {
	start, end, next int
	passed           bool // there is a second one, with which the event goes on
}

// endBefore takes note of the line buf[start:end], and gives where the event before it ends if it begins another one: where the
// data so far are a whole JSON object, to which nothing can be added, and it has data as well. Servers leave out the blank line
// between them: https://github.com/rexxars/eventsource-parser/pull/31 of GLM and Kimi. 0 where it does not.
func (d *dataLine) endBefore(buf []byte, start, end, next int) int {
	if !bytes.HasPrefix(buf[start:end], []byte("data:")) {
		return 0
	}
	start += len("data:")
	if d.next == 0 {
		*d = dataLine{start: start, end: end, next: next}
		return 0
	}
	if d.passed {
		return 0
	}
	d.passed = true
	more := bytes.TrimPrefix(buf[start:end], []byte(" "))
	if !bytes.HasPrefix(more, []byte("{")) && !bytes.HasPrefix(more, done) {
		return 0
	}
	first := bytes.TrimSpace(buf[d.start:d.end])
	if !bytes.HasPrefix(first, []byte("{")) || !bytes.HasSuffix(first, []byte("}")) || !jsontext.Value(first).IsValid(lenient...) {
		return 0
	}
	return d.next
}

// moved takes note of it that the buffer's contents have moved to its front.
func (d *dataLine) moved(by int) {
	if d.next > 0 {
		d.start, d.end, d.next = d.start-by, d.end-by, d.next-by
	}
}
