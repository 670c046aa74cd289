package outgoing

import (
	"net/http"
	"strings"
	"syscall"
	"time"
)

// burstPause is how long the events of a burst are left to come together.
const burstPause = time.Millisecond

// burstBytes is how much of a burst may come before the process is woken for it: all that a reader holds.
const burstBytes = 16 << 10

// burst has the events of a stream that come right after one another be read together. Some upstreams send many at a time, each by
// itself: to wake up, read and write for each takes more than everything else of a call. An event before which the upstream
// paused is never held, nor is the first one, nor what has come already where that is more than one read takes. Its reads are
// those of the socket: what is encrypted comes in records, of which a read of theirs gives one, however many have come.
type burst struct {
	raw syscall.RawConn
	// on says that the last read, which began then, took all there was, and had to wait for less than burstPause.
	on    bool
	began time.Time
	// limit sets how many bytes make the socket readable.
	limit func(fd uintptr)
	bytes int
}

// of makes b, a connection's, that of an answer's body. It gives nil, which does nothing, if that is no event stream.
func (b *burst) of(header http.Header, raw syscall.RawConn) *burst {
	const events = "text/event-stream"
	if kind := header["Content-Type"]; len(kind) != 1 || len(kind[0]) < len(events) || !strings.EqualFold(kind[0][:len(events)], events) {
		return nil
	}
	b.raw, b.on = raw, false
	if b.limit == nil {
		b.limit = func(fd uintptr) { setLowWater(fd, b.bytes) }
	}
	return b
}

// before waits, before a read, for what else a burst brings.
func (b *burst) before() {
	if b == nil {
		return
	}
	if b.on {
		b.wake(burstBytes)
		time.Sleep(burstPause)
		b.wake(1)
	}
	b.began = time.Now()
}

// after learns from a read whether this is a burst. full says that there may be more than it took.
func (b *burst) after(full bool) {
	if b != nil {
		b.on = !full && time.Since(b.began) < burstPause
	}
}

// wake sets how many bytes have to come before the process is woken, which it would be for each event while it sleeps.
func (b *burst) wake(bytes int) {
	if b.raw != nil {
		b.bytes = bytes
		_ = b.raw.Control(b.limit) // where that cannot be set the process wakes more often
	}
}
