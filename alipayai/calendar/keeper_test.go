package calendar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/recordtest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// vendor takes some versions, and counts with which it was asked.
type vendor struct {
	mu    sync.Mutex
	takes map[int]bool
	away  bool
	asked map[int]int
}

// replica is a keeper with a ring of its own, and what its observer has heard.
type replica struct {
	*Keeper
	t       *testing.T
	held    map[int]time.Time
	upTo    int
	clock   *time.Time
	heard   []string
	refused []int
	failing []int
	due     Due
}

func newReplica(t *testing.T, v *vendor, store record.Store, clock *time.Time, change func(*Config)) *replica {
	r := &replica{t: t, held: map[int]time.Time{}, clock: clock}
	c := Config{
		Every: 24 * time.Hour, Activate: true, Warnings: DefaultWarnings(),
		Held: func() (list []Key) {
			for version, since := range r.held {
				list = append(list, Key{Version: version, ID: KeyID(version, [32]byte{byte(version)}), Since: since})
			}
			return list
		},
		Signing: func() int {
			versions := slices.Sorted(maps.Keys(r.held))
			for _, version := range slices.Backward(versions) {
				if r.upTo == 0 || version <= r.upTo {
					return version
				}
			}
			return versions[0]
		},
		SignUpTo: func(version int) { r.upTo = version },
		Ask: func(_ context.Context, version int) Check {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.asked[version]++
			if v.away {
				return Check{At: *clock, Code: "upstream_unreachable"}
			}
			return Check{At: *clock, Taken: v.takes[version], Refused: !v.takes[version]}
		},
		Store: store, Observer: r, Now: func() time.Time { return *clock },
	}
	if change != nil {
		change(&c)
	}
	r.Keeper = NewKeeper(c)
	return r
}

func (r *replica) Due(d Due) { r.due = d }
func (r *replica) Checked(version int, c Check) {
	r.heard = append(r.heard, fmt.Sprintf("%d %v", version, c.Taken))
}
func (r *replica) Keys(refused, failing []int) { r.refused, r.failing = refused, failing }
func (r *replica) Signs(version, before int) {
	r.heard = append(r.heard, fmt.Sprintf("signs %d for %d", version, before))
}
func (r *replica) StoreFailed(error) { r.heard = append(r.heard, "store failed") }
func (r *replica) expect(step string, signing int, refused, failing string) {
	r.t.Helper()
	if got := r.Signing(); got != signing {
		r.t.Errorf("%s: key %d signs, want %d", step, got, signing)
	}
	if got := fmt.Sprint(slices.Sorted(slices.Values(r.refused))); got != refused {
		r.t.Errorf("%s: refused %s, want %s", step, got, refused)
	}
	if got := fmt.Sprint(slices.Sorted(slices.Values(r.failing))); got != failing {
		r.t.Errorf("%s: failing %s, want %s", step, got, failing)
	}
}

// A month of a key: a new version signs after the upstream has taken it, one that is refused in traffic gives way, and
// comes back when the upstream takes it again.
func TestRotation(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	v := &vendor{takes: map[int]bool{1: true}, asked: map[int]int{}}
	r := newReplica(t, v, new(recordtest.Shelf), &now, nil)
	r.held[1] = now
	look := func() { t.Helper(); r.Look(t.Context()) }

	look()
	r.expect("the first key", 1, "[]", "[]")
	r.held[2] = now
	r.Keeper.take(r.Record()) // as a reload of the folder does, by Look
	r.expect("a key is added", 1, "[]", "[]")
	look()
	r.expect("it is not taken yet", 1, "[]", "[2]")
	now = now.Add(askAgain - time.Second)
	look()
	if v.asked[2] != 1 {
		t.Errorf("asked %d times within ten minutes", v.asked[2])
	}
	v.takes[2] = true
	now = now.Add(time.Second)
	look()
	r.expect("it is taken", 2, "[]", "[]")

	v.takes[2] = false
	if !r.Refused(2) {
		t.Error("no other key signs after a refusal")
	}
	r.expect("it is refused in traffic", 1, "[]", "[]")
	now = now.Add(time.Second)
	if r.Refused(1) {
		t.Error("the only good key gave way")
	}
	look()
	v.takes[2] = true
	now = now.Add(askAgain)
	look()
	r.expect("both are taken again", 2, "[]", "[]")
	delete(r.held, 1)
	look()
	if _, kept := r.Record().Keys[KeyID(1, [32]byte{1})]; kept {
		t.Error("the record keeps a key that is gone")
	}
	signs := slices.DeleteFunc(r.heard, func(s string) bool { return !strings.HasPrefix(s, "signs") })
	if want := []string{"signs 2 for 1", "signs 1 for 2", "signs 2 for 1"}; !slices.Equal(signs, want) {
		t.Errorf("heard %v", signs)
	}
}

// Replicas ask once for all of them, follow what another has found out, and know it after a restart.
func TestReplicas(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	v := &vendor{takes: map[int]bool{1: true, 2: true}, asked: map[int]int{}}
	store := new(recordtest.Shelf)
	var fleet []*replica
	for range 3 {
		r := newReplica(t, v, store, &now, nil)
		r.held[1] = now
		fleet = append(fleet, r)
	}
	look := func() {
		for _, r := range fleet {
			r.Look(t.Context())
		}
	}
	for range 3 * 24 * 60 {
		look()
		now = now.Add(time.Minute)
	}
	if v.asked[1] != 3 {
		t.Errorf("asked %d times in three days, want 3", v.asked[1])
	}
	for _, r := range fleet {
		r.held[2] = now
	}
	fleet[0].Look(t.Context())
	fleet[0].expect("asked by the first", 2, "[]", "[]")
	fleet[1].Look(t.Context())
	fleet[1].expect("followed by the second", 2, "[]", "[]")
	if v.asked[2] != 1 {
		t.Errorf("asked %d times", v.asked[2])
	}

	fleet[1].Refused(2)
	fleet[1].Look(t.Context())
	fleet[0].Look(t.Context())
	fleet[0].expect("refused at the second", 1, "[2]", "[]")

	again := newReplica(t, v, store, &now, nil)
	again.held[1], again.held[2] = now, now
	again.Begin(t.Context())
	again.expect("after a restart", 1, "[]", "[]")
	if v.asked[2] != 1 {
		t.Error("a restart asked the upstream")
	}

	store.Content = nil // lost
	for _, r := range fleet {
		r.Look(t.Context())
		r.expect("the store has lost the record", 1, "[2]", "[]")
	}
	if len(store.Content) == 0 {
		t.Error("it was not written again")
	}

	store.Leased = time.Now().Add(time.Hour) // another replica is at it
	now = now.Add(25 * time.Hour)
	if fleet[2].Look(t.Context()) || v.asked[1] != 4 {
		t.Errorf("asked %d times beside another replica", v.asked[1])
	}
}

// What the upstream says, and what the store does, decide which key signs.
func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		takes   map[int]bool
		away    bool
		store   error
		change  func(*Config)
		signing int
		failing string
	}{
		"taken":                    {takes: map[int]bool{1: true, 2: true}, signing: 2, failing: "[]"},
		"refused":                  {takes: map[int]bool{1: true}, signing: 1, failing: "[2]"},
		"both refused":             {signing: 1, failing: "[1 2]"},
		"the upstream is away":     {away: true, signing: 1, failing: "[1 2]"},
		"the store is away":        {takes: map[int]bool{1: true, 2: true}, store: errors.New("away"), signing: 2, failing: "[]"},
		"store away, and refused":  {takes: map[int]bool{1: true}, store: errors.New("away"), signing: 1, failing: "[2]"},
		"without activate":         {takes: map[int]bool{1: true}, change: func(c *Config) { c.Activate = false }, signing: 2, failing: "[2]"},
		"without check":            {change: func(c *Config) { c.Activate, c.Every = false, 0 }, signing: 2, failing: "[]"},
		"unreadable, without JSON": {takes: map[int]bool{1: true, 2: true}, signing: 2, failing: "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			v := &vendor{takes: map[int]bool{1: true}, asked: map[int]int{}}
			store := new(recordtest.Shelf)
			if strings.HasPrefix(name, "unreadable") {
				store.Content = []byte("{")
			}
			r := newReplica(t, v, store, &now, c.change)
			r.held[1] = now
			r.Look(t.Context())
			v.takes, v.away, store.Err = c.takes, c.away, c.store
			now = now.Add(25 * time.Hour)
			r.held[2] = now
			r.Look(t.Context())
			r.Look(t.Context())
			if got := r.Signing(); got != c.signing {
				t.Errorf("key %d signs, want %d", got, c.signing)
			}
			if got := fmt.Sprint(slices.Sorted(slices.Values(r.failing))); got != c.failing {
				t.Errorf("failing %s, want %s", got, c.failing)
			}
			if heard := slices.Contains(r.heard, "store failed"); heard != (c.store != nil || strings.HasPrefix(name, "unreadable")) {
				t.Errorf("heard %v", r.heard)
			}
		})
	}
}

// A key that has the number of another one is another key.
func TestSameVersionAnotherKey(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	v := &vendor{takes: map[int]bool{1: true, 2: true}, asked: map[int]int{}}
	id := byte(2)
	r := newReplica(t, v, new(recordtest.Shelf), &now, nil)
	held := r.Held
	r.Held = func() []Key {
		keys := held()
		for i := range keys {
			if keys[i].Version == 2 {
				keys[i].ID = KeyID(2, [32]byte{id})
			}
		}
		return keys
	}
	r.held[1], r.held[2] = now, now
	r.Look(t.Context())
	r.expect("both are there", 2, "[]", "[]")
	id, v.takes[2] = 3, false
	r.Look(t.Context())
	r.expect("the second is another", 1, "[]", "[2]")
}

// Operators are told at each time to warn, and when it is too late.
func TestDueAt(t *testing.T) {
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		left   time.Duration
		level  Level
		warned time.Duration
	}{
		"a month":       {30 * day, Fine, 0},
		"just over":     {7*day + 1, Fine, 0},
		"a week":        {7 * day, Expiring, 7 * day},
		"two days":      {2 * day, Expiring, 7 * day},
		"a day":         {day, Expiring, day},
		"an hour":       {time.Hour, Expiring, day},
		"now":           {0, Overdue, 0},
		"yesterday":     {-day, Overdue, 0},
		"the last tick": {1, Expiring, day},
	} {
		if got := DueAt("key 1", end, end.Add(-c.left), DefaultWarnings()); got.Level != c.level || got.Warned != c.warned {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := DueAt("key 1", time.Time{}, end, DefaultWarnings()); got.Level != Fine {
		t.Errorf("without an end: %+v", got)
	}
}

// The key that signs counts, and the certificate where that ends first.
func TestDue(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	now := start
	v := &vendor{takes: map[int]bool{1: true, 2: true}, asked: map[int]int{}}
	r := newReplica(t, v, new(recordtest.Shelf), &now, func(c *Config) { c.RotateEvery = 30 * 24 * time.Hour })
	r.held[1] = start
	for _, step := range []struct {
		day   int
		level Level
		what  string
	}{{0, Fine, "key 1"}, {23, Expiring, "key 1"}, {30, Overdue, "key 1"}} {
		now = start.AddDate(0, 0, step.day)
		r.Look(t.Context())
		if r.due.Level != step.level || r.due.What != step.what {
			t.Errorf("day %d: %+v", step.day, r.due)
		}
	}
	r.held[2] = now
	r.Look(t.Context())
	if r.due.Level != Fine || r.due.What != "key 2" {
		t.Errorf("after the rotation: %+v", r.due)
	}
	r.Certificate = now.Add(time.Hour)
	r.Look(t.Context())
	if r.due.Level != Expiring || r.due.What != "app_certificate" {
		t.Errorf("with a certificate: %+v", r.due)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, text := range []string{"", "{}", `{"keys":{}}`, `{"keys":{"1-00":{"taken":true,"last":{"at":"2026-11-01T00:00:00Z","taken":true}}}}`, `{"keys":null}`, "[]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := ParseRecord(content)
		if err != nil {
			return
		}
		keys := []Key{{Version: 1, ID: "1-00"}, {Version: 2, ID: "2-00"}}
		if v := r.with(keys).signing(keys); v != 1 && v != 2 {
			t.Errorf("key %d signs", v)
		}
		again, err := ParseRecord(r.Marshal())
		if err != nil || again.begun() != r.begun() || len(again.Keys) != len(r.Keys) {
			t.Errorf("%q: %v", r.Marshal(), err)
		}
	})
}

// A keeper looks at once when it is woken, as by a key that was refused, and not with the next minute alone.
func TestKeeperIsWoken(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		now := time.Now()
		v := &vendor{takes: map[int]bool{1: true, 2: true}, asked: map[int]int{}}
		store := new(recordtest.Shelf)
		r := newReplica(t, v, store, &now, nil)
		r.held[1], r.held[2] = now, now
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		synctest.Wait()
		r.Refused(2)
		synctest.Wait()
		kept, err := ParseRecord(store.Content)
		if err != nil || kept.Keys[KeyID(2, [32]byte{2})].RefusedAt.IsZero() {
			t.Errorf("the refusal is not in the record: %+v, %v", kept, err)
		}
		cancel()
		<-ended
	})
}
