//go:build unix

package outgoing

import (
	"io"
	"os"
	"syscall"
)

// canLook says that nothingToRead knows.
const canLook = true

// nothingToRead reports whether a socket is open and nothing has come on it. What
// has come is lost.
func nothingToRead(fd uintptr) bool {
	var b [1]byte
	_, err := syscall.Read(int(fd), b[:])
	return err == syscall.EAGAIN
}

// readArrived reads what has come on a socket. The error is os.ErrDeadlineExceeded if nothing
// has, and io.EOF at its end.
func readArrived(fd uintptr, b []byte) (int, error) {
	n, err := syscall.Read(int(fd), b)
	switch {
	case err == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// setLowWater has a socket be readable, for who waits for it, when so many bytes have come, or its end.
func setLowWater(fd uintptr, bytes int) {
	_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
}
