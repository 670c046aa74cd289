package calendar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/recordtest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What operators see of a provider whose keys are in each of the states.
func TestStatus(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	certificate := now.Add(5 * 24 * time.Hour)
	tests := map[string]struct {
		change func(*Config)
		want   string // signing; version, state, age in days and end of each; what ends next
	}{
		"activate checked": {nil, "2; 1 ready 10, 2 signs 9, 3 refused 8, 4 waiting 0; none"},
		"rotate": {func(c *Config) { c.RotateEvery = 20 * 24 * time.Hour },
			"2; 1 ready 10 2026-11-11, 2 signs 9 2026-11-12, 3 refused 8 2026-11-13, 4 waiting 0; key 2 2026-11-12 fine"},
		"certificate": {func(c *Config) { c.Certificate = certificate },
			"2; 1 ready 10, 2 signs 9, 3 refused 8, 4 waiting 0; app_certificate 2026-11-06 expiring"},
		"without activate": {func(c *Config) { c.Activate = false }, "4; 1 ready 10, 2 ready 9, 3 ready 8, 4 signs 0; none"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock := now
			v := &vendor{takes: map[int]bool{1: true, 2: true, 3: true}, asked: map[int]int{}}
			store := new(recordtest.Shelf)
			r := newReplica(t, v, store, &clock, tt.change)
			for version := range 3 {
				r.held[version+1] = now.Add(time.Duration(version-10) * 24 * time.Hour)
			}
			r.Look(t.Context())
			if r.Activate {
				r.Refused(3)
				r.Look(t.Context())
			}
			r.held[4] = time.Time{}
			r.Look(t.Context())
			s := r.Status()
			var keys []string
			for _, k := range s.Keys {
				text := fmt.Sprintf("%d %s %d", k.Version, k.State, k.Age/(24*60*60))
				if !k.Ends.IsZero() {
					text += " " + k.Ends.Format(time.DateOnly)
				}
				keys = append(keys, text)
				if k.Last == nil || k.Last.Taken != (k.Version < 4) || (k.State == Refused) == k.RefusedAt.IsZero() {
					t.Errorf("key %d: last check %+v, refused at %v", k.Version, k.Last, k.RefusedAt)
				}
			}
			next := "none"
			if s.Next != nil {
				next = fmt.Sprintf("%s %s %s", s.Next.What, s.Next.At.Format(time.DateOnly), s.Next.State)
			}
			if got := fmt.Sprintf("%d; %s; %s", s.Signing, strings.Join(keys, ", "), next); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			content, err := json.Marshal(s)
			if err != nil || strings.Contains(string(content), KeyID(1, [32]byte{1})) {
				t.Errorf("what identifies a key is in %s, %v", content, err)
			}
			if s.Away {
				t.Error("the store is taken for lost")
			}
			store.Err = errors.New("the store is away")
			r.Look(t.Context())
			if !r.Status().Away {
				t.Error("it is not seen that the store is lost")
			}
		})
	}
}

// A key that was refused while keys were activated by checks is refused no more once they are not.
func TestStatusAfterActivateIsTakenOut(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	v := &vendor{takes: map[int]bool{1: true, 2: true, 3: true}, asked: map[int]int{}}
	store := new(recordtest.Shelf)
	for _, activate := range []bool{true, false} {
		r := newReplica(t, v, store, &now, func(c *Config) { c.Activate = activate })
		r.held[1], r.held[2], r.held[3] = now, now, now
		r.Look(t.Context())
		if activate {
			r.Refused(2)
			r.Look(t.Context())
		}
		want := map[bool]KeyState{true: Refused, false: Ready}[activate]
		if s := r.Status(); s.Keys[1].State != want || s.Keys[1].RefusedAt.IsZero() || !s.Keys[1].Since.Equal(now) {
			t.Errorf("activate %t: %+v", activate, s.Keys[1])
		}
	}
}

// What a replica has found out while the store was away it does not forget, nor ask again, when the store is back with
// what it had: the key goes on to sign, and the others learn of it.
func TestStoreIsBack(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	v := &vendor{takes: map[int]bool{1: true, 2: true}, asked: map[int]int{}}
	store := new(recordtest.Shelf)
	r := newReplica(t, v, store, &now, nil)
	r.held[1] = now
	r.Look(t.Context())
	store.Err = errors.New("the store is away")
	r.held[2] = now
	now = now.Add(time.Minute)
	r.Look(t.Context())
	r.expect("without a store", 2, "[]", "[]")
	store.Err = nil
	now = now.Add(time.Minute)
	r.Look(t.Context())
	r.expect("the store is back", 2, "[]", "[]")
	other := newReplica(t, v, store, &now, nil)
	other.held[1], other.held[2] = now, now
	other.Begin(t.Context())
	other.expect("another replica", 2, "[]", "[]")
	if v.asked[1] != 1 || v.asked[2] != 1 {
		t.Errorf("asked %v", v.asked)
	}
	for _, heard := range r.heard {
		if heard == "signs 1 for 2" {
			t.Errorf("heard %v", r.heard)
		}
	}
}

// What was found out while the store was away is in it as soon as it is back, and not a minute later: others sign by it.
func TestStoreHasWhatItMissedSoon(t *testing.T) {
	for name, find := range map[string]func(r *replica){
		"a key that is taken":   func(r *replica) { r.held[3] = *r.clock; r.Wake() },
		"a key that is refused": func(r *replica) { r.Refused(2) },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				now := time.Now()
				v := &vendor{takes: map[int]bool{1: true, 2: true, 3: true}, asked: map[int]int{}}
				store := new(recordtest.Shelf)
				r := newReplica(t, v, store, &now, nil)
				r.held[1], r.held[2] = now, now
				ctx, cancel := context.WithCancel(t.Context())
				var ended sync.WaitGroup
				ended.Go(func() { r.Run(ctx) })
				synctest.Wait()
				store.Set(func() { store.Err = errors.New("the store is away") })
				find(r)
				testwait.Pass(2 * record.BusyEvery)
				store.Set(func() { store.Err = nil })
				testwait.Pass(record.BusyEvery)
				cancel()
				ended.Wait()
				other := newReplica(t, v, store, &now, nil)
				other.held = r.held
				other.Begin(t.Context())
				if other.Signing() != r.Signing() || r.Signing() == 2 {
					t.Errorf("key %d signs at another replica, and %d at the one that knows", other.Signing(), r.Signing())
				}
			})
		})
	}
}
