package ledger

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// A ledger that can be written tells of its lines, and of nothing else.
func TestAHealthyLedgerIsSilent(t *testing.T) {
	var written, dropped, lost atomic.Int64
	o := openAt(t, filepath.Join(t.TempDir(), "ledger.db"), func(o *Options) {
		o.Written = func(n, d int) { written.Add(int64(n)); dropped.Add(int64(d)) }
		o.Lost = func(int64, map[price.Currency]Totals) { lost.Add(1) }
	})
	for range 3 {
		o.End(o.Begin(lineAt(noon, "shop", 1)), lineAt(noon, "shop", 1))
	}
	o.has(t, 3)
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if written.Load() != 3 || dropped.Load() != 0 || lost.Load() != 0 || len(o.told) != 0 {
		t.Errorf("%d written, %d dropped, %d lost, told %v", written.Load(), dropped.Load(), lost.Load(), o.told)
	}
}

// A line that cannot be read is no end of the lines.
func TestALineThatCannotBeRead(t *testing.T) {
	o := openAt(t, filepath.Join(t.TempDir(), "ledger.db"))
	o.End(o.Begin(lineAt(noon, "shop", 1)), lineAt(noon, "shop", 1))
	o.has(t, 1)
	if err := o.file().Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketLines).Put(lineKey(noon.Add(time.Second), 9), []byte("{"))
	}); err != nil {
		t.Fatal(err)
	}
	if lines, err := o.Lines(t.Context(), Query{Limit: 9}); err == nil {
		t.Errorf("%d lines, and no error", len(lines))
	}
}
