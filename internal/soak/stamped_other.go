//go:build !linux

package main

import (
	"net"
	"time"
)

// stampedByKernel says that the times of arrivals are the kernel's.
const stampedByKernel = false

// stamps gives connections that take for an arrival when they are asked for it.
func stamps(l *net.TCPListener) (net.Listener, error) { return stampingListener{l}, nil }

type stampingListener struct{ *net.TCPListener }

// Accept implements [net.Listener].
func (l stampingListener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	return &stampedConn{conn}, err
}

type stampedConn struct{ net.Conn }

func (*stampedConn) arrivedAt() time.Time { return time.Now() }
