package outgoing

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// silent reports whether a connection that has idled is open, and nothing has come
// on it that the next request would take for its answer. Over TLS there may be what is
// none, such as the tickets that follow a handshake.
func (c *connection) silent() bool {
	if c.raw == nil {
		return false
	}
	if c.arrived != nil {
		var b [1]byte
		c.arrived.only = true
		_, err := c.Conn.Read(b[:])
		c.arrived.only = false
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	c.nothing = false
	return c.raw.Read(c.look) == nil && c.nothing
}

// arrived is a socket that can be read without waiting, where it has raw.
type arrived struct {
	net.Conn
	raw   syscall.RawConn
	only  bool // what has arrived
	burst *burst

	read func(fd uintptr) bool // reads into b
	b    []byte
	n    int
	err  error
}

func newArrived(conn net.Conn, raw syscall.RawConn) *arrived {
	a := &arrived{Conn: conn, raw: raw}
	a.read = func(fd uintptr) bool {
		a.n, a.err = readArrived(fd, a.b)
		return true
	}
	return a
}

// Read implements [io.Reader]. Where it would have to wait and must not, that is an error after
// which crypto/tls goes on, as after a deadline.
func (a *arrived) Read(b []byte) (int, error) {
	if !a.only {
		a.burst.before()
		n, err := a.Conn.Read(b)
		a.burst.after(n == len(b))
		return n, err
	}
	a.b, a.n = b, 0
	if err := a.raw.Read(a.read); err != nil {
		return 0, err
	}
	a.b = nil
	return a.n, a.err
}
