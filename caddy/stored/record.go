package stored

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-alipayai/gateway/internal/record"
)

// Record keeps a record in a storage. It is a [record.Store].
type Record struct {
	storage certmagic.Storage
	key     string // in the storage
}

// NewRecord makes the place in a storage of the record of that kind and name.
func NewRecord(storage certmagic.Storage, kind, name string) *Record {
	return &Record{storage: storage, key: path.Join("alipayai", kind, hex.EncodeToString([]byte(name)[:16])+".json")}
}

// Load implements record.Store.
func (s *Record) Load(ctx context.Context) ([]byte, error) {
	content, err := s.storage.Load(ctx, s.key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// Save implements record.Store.
func (s *Record) Save(ctx context.Context, content []byte) error {
	return s.storage.Store(ctx, s.key, content)
}

// leaseWait is how long the storage's lock is waited for.
const leaseWait = time.Second

// Lease implements record.Store, by the storage's own lock, which the storage keeps as long as this process lives.
func (s *Record) Lease(ctx context.Context, _ time.Duration) (release func(), ok bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	if err := s.storage.Lock(waiting, s.key); err != nil {
		if waiting.Err() != nil {
			return nil, false, nil
		}
		return nil, false, err
	}
	return func() { _ = s.storage.Unlock(context.WithoutCancel(ctx), s.key) }, true, nil
}

// Interface guards
var _ record.Store = (*Record)(nil)
