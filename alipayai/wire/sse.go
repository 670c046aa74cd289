package wire

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
)

// MaxEventBytes is the size of the largest event accepted when [NewEventReader] is given none.
const MaxEventBytes = 1 << 20

const (
	firstBuffer = 16 << 10 // holds fifty chat chunks
	keepBuffer  = 64 << 10 // larger ones are left to the garbage collector
)

// ErrEventTooLarge means that an event is longer than the reader accepts.
var ErrEventTooLarge = errors.New("event is larger than the reader accepts")

// Event is one block of a text/event-stream. Its slices are valid until the next call of Next or Release.
type Event struct {
	// Type is the value of the event's last "event" line, nil when it has none.
	Type []byte
	// Data is the values of the event's "data" lines joined by \n. It is nil when there are none, as in a block that
	// holds a comment only (": ping") or an extra blank line: nothing to read, but still to be forwarded.
	Data []byte
	// Raw is the exact bytes of the event with the blank line that ends it. The Raws of a stream, in order, are the stream
	// without the byte order mark that may come first, which is no part of it, and with the blank lines that it lacks.
	Raw []byte
	// HasID says that it has an "id" line, which readers keep for the events that follow.
	HasID bool
	// succeeded says that the envelope around Data called it a success: see [AnswerForm.OpenEvent].
	succeeded bool
}

// EventReader splits a text/event-stream into events, as the WHATWG HTML standard, section 9.2.6 "Interpreting an event
// stream", has it: lines end in LF, CRLF or CR, a byte order mark may come first. How the bytes arrive makes no
// difference to the events. It is for one goroutine at a time.
//
// A blank line that ends in CR raises a question: is the event complete, or is this the first half of a CRLF? The reader
// goes by the line before. If that one ended in a bare CR, the event is complete and is delivered at once, and an LF that
// may follow is a blank line of its own, which means nothing. Otherwise the upstream writes LFs, the second half is under
// way, and the reader waits for that one byte: an event forwarded without it would leave clients that split on "\r\n\r\n"
// waiting until the next event. Only a stream that mixes LF lines with CR blank lines could suffer from this, by a delay
// until its next byte.
type EventReader struct {
	r      io.Reader
	err    error   // what reading ended with
	pooled *[]byte // where buf came from
	buf    []byte  // buf[:filled] holds bytes of the stream
	joined []byte  // data of events with several data lines
	max    int

	start, end int // the event given out last is buf[start:end]
	line       int // the line being read begins here
	scanned    int // no line ends in buf[line:scanned]
	filled     int
	framed     int  // the next event ends here; 0 when that is not known yet
	bareCR     bool // the line before ended in CR alone
	begun      bool // a byte order mark has been found or can no longer come
	large      int  // before the buffer grows beyond this, grower is asked once; 0: never
	grower     Grower
	mark       int // length of the byte order mark at the front of the event to be parsed
	data       dataLine
	cut        bool   // the framed event has no blank line
	ended      []byte // it with one
	values     valueFrame
}

var eventBuffers = sync.Pool{New: func() any {
	b := make([]byte, firstBuffer)
	return &b
}}

// NewEventReader returns a reader of the events in r. An event of more than maxEvent bytes, its line ends included, is
// refused with [ErrEventTooLarge]; maxEvent 0 means [MaxEventBytes]. Call Release when done.
func NewEventReader(r io.Reader, maxEvent int) *EventReader {
	events := new(EventReader)
	events.Reset(r, maxEvent)
	return events
}

// EventsIn returns a reader of the events in a stream that is there as a whole: each is as large as it may be.
func EventsIn(stream []byte) *EventReader {
	return NewEventReader(bytes.NewReader(stream), len(stream)+1)
}

// Reset makes of r what NewEventReader makes. It must be a new one, or released.
func (r *EventReader) Reset(from io.Reader, maxEvent int) {
	if maxEvent <= 0 {
		maxEvent = MaxEventBytes
	}
	pooled := eventBuffers.Get().(*[]byte)
	*r = EventReader{r: from, max: maxEvent, pooled: pooled, buf: *pooled}
}

// Grower permits a buffer to grow.
type Grower interface {
	BeforeGrowing() error
}

// BeforeGrowing has g asked once before the buffer grows beyond size bytes, which is for one event. Its error is then the
// reader's.
func (r *EventReader) BeforeGrowing(size int, g Grower) { r.large, r.grower = size, g }

// Beginning is what a body begins with.
type Beginning int

// The beginnings.
const (
	// BeginsOther is text that is neither of the others, or nothing.
	BeginsOther Beginning = iota
	// BeginsEvents is a field of an event stream, or a comment.
	BeginsEvents
	// BeginsJSON is an object or array.
	BeginsJSON
)

// fields are those that an event begins with.
var fields = [][]byte{[]byte(":"), []byte("data:"), []byte("event:"), []byte("id:"), []byte("retry:")}

// Begins reads until it can say what the body begins with. Call it before Next.
func (r *EventReader) Begins() Beginning {
	for {
		head := bytes.TrimLeft(bytes.TrimPrefix(r.buf[:r.filled], byteOrderMark), " \t\r\n")
		if len(head) > 0 && (head[0] == '{' || head[0] == '[') {
			return BeginsJSON
		}
		maybe := len(head) == 0
		for _, field := range fields {
			if bytes.HasPrefix(head, field) {
				return BeginsEvents
			}
			maybe = maybe || bytes.HasPrefix(field, head)
		}
		if !maybe || r.err != nil || r.filled >= firstBuffer {
			return BeginsOther
		}
		r.fill()
	}
}

// Rest gives body, which r has begun to read, as a whole, and releases r.
func (r *EventReader) Rest(body io.ReadCloser) io.ReadCloser {
	whole := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(bytes.Clone(r.buf[:r.filled])), ended{body, r.err}), body}
	r.Release()
	return whole
}

// ended is a body that has ended already, where err says so.
type ended struct {
	io.Reader
	err error
}

func (e ended) Read(b []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return e.Reader.Read(b)
}

// Release gives the reader's buffer back. Next fails afterwards, and events given out before are no longer valid. It does
// not close the underlying reader. A second call does nothing.
func (r *EventReader) Release() {
	if r.pooled == nil {
		return
	}
	if len(r.buf) <= keepBuffer {
		*r.pooled = r.buf
		eventBuffers.Put(r.pooled)
	}
	*r = EventReader{err: io.ErrClosedPipe}
}

// Next returns the next event, reading until it is complete. At the end of the stream it returns io.EOF if the last event
// was complete, and io.ErrUnexpectedEOF, together with what there is of the event, if it was not. Other errors are
// ErrEventTooLarge and those of the underlying reader. Errors are final.
func (r *EventReader) Next() (Event, error) {
	r.start = r.end
	for !r.frame() {
		if r.filled-r.start > r.max {
			r.err = ErrEventTooLarge
		}
		if r.err != nil {
			return r.finish()
		}
		r.fill()
	}
	if r.framed-r.start > r.max {
		r.err = ErrEventTooLarge
		return Event{}, r.err
	}
	r.end, r.framed = r.framed, 0
	raw := r.buf[r.start:r.end]
	if r.values.on {
		return parseValue(raw), nil
	}
	if r.cut {
		r.cut = false
		r.ended = append(append(r.ended[:0], raw...), raw[len(raw)-1]) // another line end of the kind
		raw = r.ended
	}
	return r.parse(raw), nil
}

// Buffered reports whether a complete event is buffered already, so that Next will not read. When it is false, a
// forwarder should flush what it has written before it calls Next, which may block.
func (r *EventReader) Buffered() bool { return r.frame() }

// Await reads once where nothing has come after the event that Next gave last.
func (r *EventReader) Await() {
	if r.end == r.filled && r.err == nil {
		r.start = r.end
		r.fill()
	}
}

// Unread is what has come after the event that Next gave last, as much as one event may be. It is valid as that is.
func (r *EventReader) Unread() []byte { return r.buf[r.end:min(r.filled, r.end+r.max)] }

// Skip passes over so many bytes of Unread, which are whole events that end in LF.
func (r *EventReader) Skip(n int) {
	r.end += n
	r.line, r.scanned, r.framed, r.bareCR = r.end, r.end, 0, false
}

// Ended reports whether the end of the stream has come, so that nothing follows what is buffered.
func (r *EventReader) Ended() bool { return r.err != nil }

// finish returns the reader's error, and at an early end of the stream the rest of it.
func (r *EventReader) finish() (Event, error) {
	if r.values.on {
		return r.finishValues()
	}
	if !errors.Is(r.err, io.EOF) || r.start == r.filled {
		return Event{}, r.err
	}
	rest := r.buf[r.start:r.filled]
	r.err = io.ErrUnexpectedEOF
	return r.parse(rest), r.err
}

// frame looks for the end of the event that begins at r.end, from where it stopped the last time, and reports whether
// the event is complete.
func (r *EventReader) frame() bool {
	if r.values.on {
		return r.frameValue()
	}
	if !r.begun && r.filled >= len(byteOrderMark) {
		r.begun = true
		if bytes.HasPrefix(r.buf[:r.filled], byteOrderMark) {
			r.mark = len(byteOrderMark)
			r.line, r.scanned = r.mark, r.mark
		}
	}
	for r.framed == 0 {
		i := lineEnd(r.buf[r.scanned:r.filled])
		if i < 0 {
			r.scanned = r.filled
			return false
		}
		eol := r.scanned + i
		blank := eol == r.line
		next, cr := eol+1, r.buf[eol] == '\r'
		if cr && !(blank && r.bareCR) {
			switch {
			case next < r.filled:
				if r.buf[next] == '\n' {
					next, cr = next+1, false
				}
			case r.err == nil: // the LF, if there is one, has not come yet
				r.scanned = eol
				return false
			}
		}
		if blank {
			r.framed, r.data = next, dataLine{}
		} else if end := r.data.endBefore(r.buf, r.line, eol, next); end > 0 {
			r.framed, r.cut, r.data = end, true, dataLine{}
			if next-r.end > r.max { // more has to be read than one event may be, before it is known where this one ends
				r.framed = next
			}
			next, cr = end, false
		}
		r.line, r.scanned = next, next
		r.bareCR, r.begun = cr, true
	}
	return true
}

// fill makes room and reads once. The event given out last is overwritten.
func (r *EventReader) fill() {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.filled])
		r.line -= r.start
		r.scanned -= r.start
		r.data.moved(r.start)
		r.filled -= r.start
		r.start, r.end = 0, 0
	}
	if r.filled == len(r.buf) {
		size := min(2*len(r.buf), max(r.max, firstBuffer)+firstBuffer) // room to see that it is too large
		if r.grower != nil && size > r.large {
			if r.err = r.grower.BeforeGrowing(); r.err != nil {
				return
			}
			r.grower = nil
		}
		grown := make([]byte, size)
		copy(grown, r.buf)
		r.buf = grown
	}
	for range 100 {
		n, err := r.r.Read(r.buf[r.filled:])
		r.filled += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// parse reads the fields of a block.
func (r *EventReader) parse(raw []byte) Event {
	raw = raw[r.mark:]
	r.mark = 0
	ev, rest := Event{Raw: raw}, raw
	several := false
	for len(rest) > 0 {
		line := rest
		if i := lineEnd(rest); i >= 0 {
			line, rest = rest[:i], rest[i+1:] // the LF of a CRLF then is a blank line, which has no field either
		} else {
			rest = nil
		}
		name, value, _ := bytes.Cut(line, colon)
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		switch string(name) {
		case "event":
			ev.Type = value
		case "id":
			ev.HasID = true
		case "data":
			switch {
			case ev.Data == nil:
				ev.Data = slices.Clip(value)
				if value == nil {
					ev.Data = []byte{}
				}
			case !several:
				several = true
				r.joined = append(append(append(r.joined[:0], ev.Data...), '\n'), value...)
				ev.Data = r.joined
			default:
				r.joined = append(append(r.joined, '\n'), value...)
				ev.Data = r.joined
			}
		}
	}
	return ev
}

var (
	colon         = []byte(":")
	byteOrderMark = []byte("\xEF\xBB\xBF")
)

// lineEnd returns the index of the first CR or LF in b, -1 when there is none. It goes in steps, so that a stream of
// short CR lines in a large buffer does not have it look for an LF to the end of the buffer at each of them.
func lineEnd(b []byte) int {
	const step = 512
	for at := 0; at < len(b); at += step {
		part := b[at:min(at+step, len(b))]
		lf := bytes.IndexByte(part, '\n')
		if lf >= 0 {
			part = part[:lf]
		}
		if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
			return at + cr
		}
		if lf >= 0 {
			return at + lf
		}
	}
	return -1
}
