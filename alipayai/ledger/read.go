package ledger

import (
	"context"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Read opens a file that no process has open, for reports.
func Read(path string, zone *time.Location, report func(Source) error) error {
	db, err := openFile(path, true, lockWait)
	if err != nil {
		return err
	}
	defer func() { _ = guarded(db.Close) }()
	return report(&closed{db, zone})
}

// Source is where reports are made from.
type Source interface {
	Totals(ctx context.Context, q Query) ([]GroupTotals, error)
	Lines(ctx context.Context, q Query) ([]Line, error)
}

// closed is a file that nothing writes.
type closed struct {
	db   *bolt.DB
	zone *time.Location
}

func (c *closed) Totals(_ context.Context, q Query) ([]GroupTotals, error) {
	return readTotals(c.db, q)
}

func (c *closed) Lines(ctx context.Context, q Query) ([]Line, error) {
	return readLines(ctx, c.db, q, c.zone)
}

// Interface guards
var _ Source = (*closed)(nil)
