package budget

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Memory is the store of a process that counts alone: what is spent is forgotten when
// it ends.
type Memory struct{}

// Take implements Store.
func (Memory) Take(_ context.Context, _ Key, amount, limit price.Amount, _ time.Time) (others price.Amount, ok bool, err error) {
	return 0, amount <= limit, nil
}

// Share implements Store: there is no other who could have a share.
func (Memory) Share() price.Amount { return 1 }

// Forget implements Store.
func (Memory) Forget(Key) {}

// Recall implements Store.
func (Memory) Recall(context.Context, Key) bool { return false }

// Disk is where a File store writes.
type Disk interface {
	// Budget gives what was written last under a name; 0 for nothing.
	Budget(name string) (price.Amount, error)
	// PutBudget writes it, and returns when it will survive the process. It may be
	// forgotten after end.
	PutBudget(ctx context.Context, name string, amount price.Amount, end time.Time) error
}

// File is the store of a process that counts alone and writes down how much it has
// taken, so that its budgets outlive it. What it cannot write it counts in memory:
// calls go on where a disk is full, and whoever keeps the disk says so.
type File struct {
	disk Disk

	mu     sync.Mutex
	before map[Key]price.Amount // what processes before this one have taken, until Forget
}

// NewFile makes a store on a disk.
func NewFile(disk Disk) *File { return &File{disk: disk, before: make(map[Key]price.Amount)} }

// Take implements Store.
func (f *File) Take(ctx context.Context, key Key, amount, limit price.Amount, end time.Time) (others price.Amount, ok bool, err error) {
	name := fileName(key)
	f.mu.Lock()
	before, known := f.before[key]
	f.mu.Unlock()
	if !known {
		if before, err = f.disk.Budget(name); err != nil {
			return 0, amount <= limit, nil // what is on the disk must not be overwritten unseen
		}
		f.mu.Lock()
		f.before[key] = before
		f.mu.Unlock()
	}
	if amount.Plus(before) > limit {
		return before, false, nil
	}
	// Whoever waits for a call has left where ctx has ended; what is taken is written
	// all the same.
	_ = f.disk.PutBudget(context.WithoutCancel(ctx), name, amount.Plus(before), end)
	return before, true, nil
}

// Forget implements Store. What this process has taken is on the disk, and is read as what was taken before.
func (f *File) Forget(key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.before, key)
}

// Share implements Store: a sixty-fourth of what is left is written down as taken ahead
// of its use. That much is lost, at most, when the process is killed.
func (*File) Share() price.Amount { return 64 }

// Recall implements Store.
func (*File) Recall(context.Context, Key) bool { return false }

// fileName hides nothing, but has a bounded length; parts have theirs before them.
func fileName(key Key) string {
	h := sha256.New()
	for _, part := range key.parts() {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Interface guards
var (
	_ Store = Memory{}
	_ Store = (*File)(nil)
)
