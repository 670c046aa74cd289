package stored

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// Consents keeps the consents of tenants' users in a storage. What is kept there is sealed, behind the time until which it
// counts.
type Consents struct {
	storage certmagic.Storage

	mu sync.Mutex
	// turns are those at files that are being changed: of this process one alone is at the storage's lock of a file, which
	// polls once a second for one that another has.
	turns map[string]*turn
}

// NewConsents keeps them in that one.
func NewConsents(in certmagic.Storage) *Consents { return &Consents{storage: in} }

// turn is whose turn it is at a file.
type turn struct {
	taken chan struct{}
	users int // who has it or waits for it
}

// consentsFolder is where they are.
const consentsFolder = "alipayai/consents"

// leaseSuffix ends the names of leases.
const leaseSuffix = ".lease"

func consentFile(key string) string {
	name := replay.NewKey(key)
	return path.Join(consentsFolder, hex.EncodeToString(name[:16]))
}

// read gives what counts of a file; nil for nothing.
func (s *Consents) read(ctx context.Context, file string) ([]byte, error) {
	kept, err := s.storage.Load(ctx, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", consent.ErrStore, err)
	case len(kept) < 8 || int64(binary.BigEndian.Uint64(kept)) <= time.Now().UnixMilli():
		return nil, nil
	}
	return kept[8:], nil
}

func (s *Consents) write(ctx context.Context, file string, value []byte, life time.Duration) error {
	until := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(life).UnixMilli()))
	if err := s.storage.Store(ctx, file, append(until, value...)); err != nil {
		return fmt.Errorf("%w: %w", consent.ErrStore, err)
	}
	return nil
}

// locked runs do while nothing else changes the file. Other files are not waited for, and ctx ends the waiting.
func (s *Consents) locked(ctx context.Context, file string, do func() error) error {
	leave, err := s.await(ctx, file)
	if err != nil {
		return fmt.Errorf("%w: %w", consent.ErrStore, err)
	}
	defer leave()
	if err := s.storage.Lock(ctx, file); err != nil {
		return fmt.Errorf("%w: %w", consent.ErrStore, err)
	}
	defer func() { _ = s.storage.Unlock(context.WithoutCancel(ctx), file) }()
	return do()
}

// await waits for the turn at a file in this process.
func (s *Consents) await(ctx context.Context, file string) (leave func(), err error) {
	s.mu.Lock()
	t := s.turns[file]
	if t == nil {
		if s.turns == nil {
			s.turns = make(map[string]*turn)
		}
		t = &turn{taken: make(chan struct{}, 1)}
		s.turns[file] = t
	}
	t.users++
	s.mu.Unlock()
	forget := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, file)
		}
	}
	select {
	case t.taken <- struct{}{}:
		return func() { <-t.taken; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}

// Get implements [consent.Store].
func (s *Consents) Get(ctx context.Context, key string) ([]byte, error) {
	return s.read(ctx, consentFile(key))
}

// Replace implements [consent.Store].
func (s *Consents) Replace(ctx context.Context, key string, old, value []byte, life time.Duration) (done bool, err error) {
	file := consentFile(key)
	err = s.locked(ctx, file, func() error {
		is, err := s.read(ctx, file)
		if err != nil || !bytes.Equal(is, old) {
			return err
		}
		done = true
		return s.write(ctx, file, value, life)
	})
	return done && err == nil, err
}

// Lease implements [consent.Store].
func (s *Consents) Lease(key string) consent.Lease {
	return &storedLease{s, consentFile(key) + leaseSuffix, []byte(rand.Text())}
}

type storedLease struct {
	in    *Consents
	file  string
	owner []byte
}

// Take implements [consent.Lease].
func (l *storedLease) Take(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	err = l.in.locked(ctx, l.file, func() error {
		owner, err := l.in.read(ctx, l.file)
		if err != nil || owner != nil && !bytes.Equal(owner, l.owner) {
			return err
		}
		ok = true
		return l.in.write(ctx, l.file, l.owner, life)
	})
	if err != nil || !ok {
		return nil, false, err
	}
	return func() {
		ctx := context.WithoutCancel(ctx)
		_ = l.in.locked(ctx, l.file, func() error {
			if owner, err := l.in.read(ctx, l.file); err != nil || !bytes.Equal(owner, l.owner) {
				return err
			}
			return l.in.storage.Delete(ctx, l.file)
		})
	}, true, nil
}

// sweepEvery is how often what counts no more is deleted.
const sweepEvery = time.Hour

// Run deletes what counts no more, until ctx is done.
func (s *Consents) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Consents) sweep(ctx context.Context) {
	files, err := s.storage.List(ctx, consentsFolder, false)
	if err != nil {
		return // nothing was kept yet
	}
	for _, file := range files {
		if ctx.Err() != nil {
			return
		}
		if kept, err := s.read(ctx, file); err == nil && kept == nil {
			_ = s.locked(ctx, file, func() error {
				if kept, err := s.read(ctx, file); err != nil || kept != nil {
					return err
				}
				return s.storage.Delete(ctx, file)
			})
		}
	}
}

// Interface guards
var (
	_ consent.Store = (*Consents)(nil)
	_ consent.Lease = (*storedLease)(nil)
)
