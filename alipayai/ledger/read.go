package ledger

import (
	"cmp"
	"context"
	"slices"
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
	found, err := readTotals(c.db, q)
	if err != nil {
		return nil, err
	}
	begun, err := readBegun(c.db, q, c.zone)
	for i := range begun {
		g := begun[i].group(c.zone)
		at := slices.IndexFunc(found, func(of GroupTotals) bool { return of.Group == g })
		if at < 0 {
			at, found = len(found), append(found, GroupTotals{Group: g})
		}
		found[at].Add(begun[i].totals())
	}
	return found, err
}

func (c *closed) Lines(ctx context.Context, q Query) ([]Line, error) {
	found, err := readLines(ctx, c.db, q, c.zone)
	if err != nil {
		return nil, err
	}
	begun, err := readBegun(c.db, q, c.zone)
	found = append(found, begun...)
	slices.SortStableFunc(found, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return found[:min(len(found), cmp.Or(max(q.Limit, 0), defaultLimit))], err
}

// Interface guards
var _ Source = (*closed)(nil)
