package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// far is an upstream of OpenAI's form over TLS, behind a network with a long round trip.
type far struct {
	trip, service time.Duration
	addr          string // of the network's near end
	connections   atomic.Int64
	server        *http.Server
	near          net.Listener
	passing       sync.WaitGroup
}

// newFar starts one. A connection that is not used for so long is closed.
func newFar(trip, service, idle time.Duration) (*far, error) {
	f := &far{trip: trip, service: service}
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if f.near, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f.addr = f.near.Addr().String()
	answers := upstream()
	f.server = &http.Server{
		IdleTimeout: idle, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS13},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != tokenPath {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				time.Sleep(f.service)
			}
			answers.ServeHTTP(w, r)
		}),
	}
	go func() { _ = f.server.ServeTLS(l, "", "") }() // ends with close
	go f.accept(l.Addr().String())
	return f, nil
}

func (f *far) close() {
	_ = f.near.Close()
	_ = f.server.Close()
	f.passing.Wait()
}

// accept passes on what comes. A connection is there at once on loopback; what it brings first
// waits for the round trip that the handshake of TCP takes on a network.
func (f *far) accept(target string) {
	for {
		near, err := f.near.Accept()
		if err != nil {
			return
		}
		f.connections.Add(1)
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = near.Close()
			continue
		}
		made := time.Now().Add(f.trip)
		f.passing.Go(func() { pass(near, server, f.trip/2, made) })
		f.passing.Go(func() { pass(server, near, f.trip/2, made) })
	}
}

// pass copies what comes, each piece so much later, and at the end closes both. Pieces that are on the
// way do not keep others back.
func pass(from, to net.Conn, later time.Duration, made time.Time) {
	type piece struct {
		due  time.Time
		data []byte
	}
	way := make(chan piece, 1<<10)
	var passing sync.WaitGroup
	passing.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.data)
		}
		_ = to.Close()
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if now := time.Now(); n > 0 {
			if now.Before(made) {
				now = made
			}
			way <- piece{now.Add(later), bytes.Clone(buffer[:n])}
		}
		if err != nil {
			break
		}
	}
	close(way)
	passing.Wait()
	_ = from.Close()
}

// selfSigned makes a certificate that is not verified.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
