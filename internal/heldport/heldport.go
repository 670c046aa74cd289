//go:build unix

// Package heldport gives servers that take a port by its number one that stays
// theirs. A port that was found by opening and closing a listener may belong to
// another process by the time it is used.
package heldport

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Hold takes a free port of loopback, and keeps it by a socket that is bound and
// does not listen: connections are refused, the system gives the port to no other
// that asks for any, and a server of this user that sets SO_REUSEADDR or SO_REUSEPORT
// (Caddy, Go, Redis) can listen there, again and again.
func Hold() (port int, release func(), err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, nil, fmt.Errorf("socket to hold a port: %w", err)
	}
	unix.CloseOnExec(socket)
	release = func() { _ = unix.Close(socket) }
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(socket, unix.SOL_SOCKET, option, 1))
		}
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(socket)
	}
	if err != nil {
		release()
		return 0, nil, fmt.Errorf("holding a port: %w", err)
	}
	return name.(*unix.SockaddrInet4).Port, release, nil
}

// TB is what Addr needs of a test.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Addr holds a port until a test ends, and gives its host:port.
func Addr(tb TB) string {
	tb.Helper()
	port, release, err := Hold()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
