package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// stampedByKernel says that the times of arrivals are the kernel's.
const stampedByKernel = true

// stamps has the kernel note when the bytes of a listener's connections arrive. The upstream's own goroutines may get to them
// much later where the machine is busy, and all that waited there would seem to have come at once.
func stamps(l *net.TCPListener) (net.Listener, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var set error
	err = raw.Control(func(fd uintptr) { // its connections inherit it
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	return stampingListener{l}, errors.Join(err, set)
}

type stampingListener struct{ *net.TCPListener }

// Accept implements [net.Listener].
func (l stampingListener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	return &stampedConn{Conn: conn, raw: raw}, err
}

// stampedConn knows when the last bytes that were read of it came to the machine.
type stampedConn struct {
	net.Conn
	raw syscall.RawConn
	at  atomic.Int64 // in nanoseconds since 1970
}

// Read implements [net.Conn].
func (c *stampedConn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	var control [64]byte // more than a time takes
	var held int
	waiting := c.raw.Read(func(fd uintptr) bool {
		n, held, _, _, err = syscall.Recvmsg(int(fd), b, control[:], 0)
		return !errors.Is(err, syscall.EAGAIN)
	})
	switch {
	case waiting != nil:
		return 0, waiting
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	c.at.Store(stampOf(control[:held]).UnixNano())
	return n, nil
}

// stampOf reads a time among control messages. There is none as long as the kernel has not begun to take them.
func stampOf(control []byte) time.Time {
	messages, _ := syscall.ParseSocketControlMessage(control)
	for _, m := range messages {
		const size = 16 // of a struct timespec
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS && len(m.Data) >= size {
			seconds, nanoseconds := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[size/2:])
			return time.Unix(int64(seconds), int64(nanoseconds))
		}
	}
	return time.Now()
}

// arrivedAt is when the last bytes that were read came.
func (c *stampedConn) arrivedAt() time.Time { return time.Unix(0, c.at.Load()) }
