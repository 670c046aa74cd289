// Package recordtest has a store of a record for tests of what shares one.
package recordtest

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
)

// Shelf is a store in memory that several may share. Its fields are for Set, while others use it.
type Shelf struct {
	mu sync.Mutex
	// Content is the record.
	Content []byte
	// Leased is until when one has it.
	Leased time.Time
	// Err is that of each use; nil for none.
	Err error
}

// Set changes it.
func (s *Shelf) Set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Load implements record.Store.
func (s *Shelf) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Content, s.Err
}

// Save implements record.Store.
func (s *Shelf) Save(_ context.Context, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err == nil {
		s.Content = content
	}
	return s.Err
}

// Lease implements record.Store.
func (s *Shelf) Lease(_ context.Context, life time.Duration) (release func(), ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil || time.Now().Before(s.Leased) {
		return nil, false, s.Err
	}
	s.Leased = time.Now().Add(life)
	return func() { s.Set(func() { s.Leased = time.Time{} }) }, true, nil
}

// Interface guards
var _ record.Store = (*Shelf)(nil)
