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
	if !bytes.HasPrefix(buf[start:end], dataField) {
		return 0
	}
	start += len(dataField)
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

// Unframed is the event without the field that its data begin with once more: servers frame events themselves whose library does so as
// well (https://github.com/paiml/aprender/pull/2015, https://github.com/openclaw/openclaw/pull/97474). No JSON begins like that.
func (ev Event) Unframed() Event {
	data, framed := bytes.CutPrefix(ev.Data, dataField)
	if !framed {
		return ev
	}
	ev.Data = bytes.TrimSpace(data)
	var raw []byte
	if len(ev.Type) > 0 {
		raw = append(append(append(raw, "event: "...), ev.Type...), '\n')
	}
	ev.Raw = append(raw, asEvent(ev.Data, false).Raw...)
	return ev
}

var dataField = []byte("data:")

// WithoutDone is a whole answer without the end of a stream, of which some servers put one behind it, be a stream asked for or not
// (https://github.com/decolua/9router/issues/3492).
func WithoutDone(body []byte) []byte {
	answer, ended := bytes.CutSuffix(bytes.TrimRight(body, space), done)
	if !ended {
		return body
	}
	answer, ended = bytes.CutSuffix(bytes.TrimRight(answer, space), dataField)
	answer = bytes.TrimRight(answer, space)
	if !ended || !bytes.HasPrefix(bytes.TrimLeft(answer, space), []byte("{")) || !bytes.HasSuffix(answer, []byte("}")) {
		return body
	}
	return answer
}

const space = " \t\r\n"

// moved takes note of it that the buffer's contents have moved to its front.
func (d *dataLine) moved(by int) {
	if d.next > 0 {
		d.start, d.end, d.next = d.start-by, d.end-by, d.next-by
	}
}
