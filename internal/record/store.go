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
