//go:build unix

package outgoing

import "syscall"

// canLook says that nothingToRead knows.
const canLook = true

// nothingToRead reports whether a socket is open and nothing has come on it. What
// has come is lost.
func nothingToRead(fd uintptr) bool {
	var b [1]byte
	_, err := syscall.Read(int(fd), b[:])
	return err == syscall.EAGAIN
}
