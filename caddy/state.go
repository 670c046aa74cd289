package alipaycaddy

import (
	"crypto/sha256"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// pool holds what outlives a configuration: tokens, clocks, counters. While a
// new configuration replaces an old one both hold a reference, so nothing is
// lost; what only a rejected one asked for goes when it is cleaned up. The
// values are history only: no limits, no logger, no context.
var pool = caddy.NewUsagePool()

// stateKey names a pooled value by its kind and the hash of what it belongs to.
type stateKey struct {
	kind string
	hash [sha256.Size]byte
}

// acquire gives the value of that kind that belongs to identity, made new
// where there is none yet, and the function that gives the reference back.
// Calling release again does nothing.
func acquire[T any](kind string, identity ...string) (value *T, release func()) {
	key := stateKey{kind: kind, hash: hashAll(identity)}
	v, _ := pool.LoadOrStore(key, new(T))
	return v.(*T), sync.OnceFunc(func() {
		// The only error there is comes from a destructor, at the end of
		// everything: nothing could be done about it.
		_, _ = pool.Delete(key)
	})
}

// acquireFor is acquire for what is to give the reference back with all else that it has acquired.
func acquireFor[T any](by *acquired, kind string, identity ...string) *T {
	value, release := acquire[T](kind, identity...)
	by.add(release)
	return value
}

// hashAll hashes the parts with their lengths, so that no two lists of parts
// give the same bytes.
func hashAll(parts []string) [sha256.Size]byte { return replay.NewKey(parts...) }

// inFlight counts the calls in flight of a handler. They outlive its configuration.
type inFlight struct {
	mu    sync.Mutex
	calls int
	ended []func()
}

func (f *inFlight) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
}

func (f *inFlight) end() { f.change(-1, nil) }

// serve counts a call of a client's, and gives its server for endOf.
func (f *inFlight) serve(r *http.Request) server {
	of := serverOf(r)
	f.beginOf(of)
	return of
}

// beginOf counts a call of that server until endOf, for the end of the process too, which then waits for what is given back with
// the call: the last reference to a ledger writes it.
func (f *inFlight) beginOf(of server) {
	f.begin()
	if of != nil {
		serving.enter(of)
	}
}

func (f *inFlight) endOf(of server) {
	f.end()
	if of != nil {
		serving.leave(of)
	}
}

// whenEnded calls do, once, as soon as no call is in flight.
func (f *inFlight) whenEnded(do func()) { f.change(0, do) }

// change adds to the calls, and to what is to be done when none is left. What is to be done then may take as long as a disk does, and
// the next call must not wait for that: it is done without the lock.
func (f *inFlight) change(calls int, do func()) {
	for _, do := range f.ending(calls, do) {
		do()
	}
}

// ending gives what is to be done after a change.
func (f *inFlight) ending(calls int, do func()) []func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += calls
	if do != nil {
		f.ended = append(f.ended, do)
	}
	if f.calls > 0 {
		return nil
	}
	ended := f.ended
	f.ended = nil
	return ended
}
