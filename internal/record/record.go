// Package record keeps what replicas know together and find out by turns, such as when a provider's keys were checked
// last: one document under a name, written whole by the replica that has the lease.
package record

import (
	"context"
	"time"
)

// Store keeps one record. It is safe for concurrent use.
type Store interface {
	// Load gives what Save has kept last; nothing where there is none.
	Load(ctx context.Context) ([]byte, error)
	// Save keeps content in place of what was there.
	Save(ctx context.Context, content []byte) error
	// Lease takes the record for this replica, for at most that long; ok is false while another one has it.
	Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error)
}

const (
	// LookEvery is how often a record is read, so that a replica follows what another one has found out.
	LookEvery = time.Minute
	// BusyEvery is how soon it is looked again while there is more to do, or another replica is at it.
	BusyEvery = 5 * time.Second
)

// Run looks at once, then each LookEvery, after BusyEvery where look reports that something is left to do, and whenever
// something comes from wake, which may be nil, until ctx ends.
func Run(ctx context.Context, wake <-chan struct{}, look func(ctx context.Context) (done bool)) {
	for {
		wait := LookEvery
		if !look(ctx) {
			wait = BusyEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-wake:
			timer.Stop()
		}
	}
}

// Health is how a store fares, as one replica sees it. It is not safe for concurrent use.
type Health struct {
	// Fails says that it did not answer last, and WellSince when it was back; zero where it was never away.
	Fails     bool
	WellSince time.Time
}

// Note notes what came of an exchange, and reports whether it is the first that failed since the store did well.
func (h *Health) Note(err error, now time.Time) (first bool) {
	first = err != nil && !h.Fails
	if err == nil && h.Fails {
		h.WellSince = now
	}
	h.Fails = err != nil
	return first
}
