package stored

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// heldStorage is a storage in which another process has the lock of some files.
type heldStorage struct {
	certmagic.Storage
	held map[string]bool

	mu      sync.Mutex
	waiting map[string]int // by file, how many wait for its lock
}

func (s *heldStorage) Lock(ctx context.Context, name string) error {
	if !s.held[name] {
		return s.Storage.Lock(ctx, name)
	}
	s.mu.Lock()
	s.waiting[name]++
	s.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// Where another process has the lock of one user's consent, those of other users are not waited for; who waits for it lets
// go when its request ends, and takes no lock any more; and of one process one alone asks the storage for it.
func TestConsentsWaitForTheirOwnFileOnly(t *testing.T) {
	for name, use := range map[string]func(context.Context, consent.Store, string) (bool, error){
		"replace": func(ctx context.Context, s consent.Store, user string) (bool, error) {
			return s.Replace(ctx, user, nil, []byte("sealed"), time.Hour)
		},
		"lease": func(ctx context.Context, s consent.Store, user string) (bool, error) {
			_, ok, err := s.Lease(user).Take(ctx, time.Hour)
			return ok, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			held := consentFile("slow")
			if name == "lease" {
				held += leaseSuffix
			}
			storage := &heldStorage{Storage: &certmagic.FileStorage{Path: t.TempDir()}, held: map[string]bool{held: true}, waiting: make(map[string]int)}
			s := NewConsents(storage)
			testwait.Bubble(t, func(t *testing.T) {
				began := time.Now()
				first, end := context.WithCancel(t.Context())
				results := make(chan error, 2)
				go func() { _, err := use(first, s, "slow"); results <- err }()
				synctest.Wait()
				second, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				go func() { _, err := use(second, s, "slow"); results <- err }()
				synctest.Wait()
				if n := storage.waiting[held]; n != 1 {
					t.Errorf("%d wait for the storage's lock, want 1", n)
				}
				if ok, err := use(t.Context(), s, "other"); !ok || err != nil || time.Since(began) > 0 {
					t.Errorf("another user's: %v, %v after %v", ok, err, time.Since(began))
				}
				if err := <-results; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, consent.ErrStore) || time.Since(began) != time.Second {
					t.Errorf("whose request has ended: %v after %v", err, time.Since(began))
				}
				end()
				if err := <-results; !errors.Is(err, context.Canceled) {
					t.Errorf("who had its turn: %v", err)
				}
				if storage.waiting[held] != 1 {
					t.Error("one whose request had ended asked for the lock")
				}
				if len(s.turns) != 0 {
					t.Errorf("kept are the turns at %v", s.turns)
				}
				testwait.Pass(time.Minute) // by which the storage notices that it has given its locks back
			})
		})
	}
}
