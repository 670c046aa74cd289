package expiring

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A Map does what a plain map and a list of its keys, the one used last at the end, do.
func TestMapKeepsWhatIsRecentAndNotOver(t *testing.T) {
	type kept struct {
		value   int
		size    int64
		expires time.Time
	}
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(0, 0)
	var m Map[int, int]
	model, used := map[int]kept{}, []int(nil)
	forget := func(key int) {
		delete(model, key)
		used = slices.DeleteFunc(used, func(k int) bool { return k == key })
	}
	for i := range 20_000 {
		key := random.IntN(12)
		switch random.IntN(5) {
		case 0:
			size, expires := random.Int64N(9), now.Add(time.Duration(random.IntN(20)))
			m.Put(key, i, size, expires)
			forget(key)
			model[key], used = kept{i, size, expires}, append(used, key)
		case 1:
			want, ok := model[key]
			if ok = ok && now.Before(want.expires); !ok {
				forget(key)
				want.value = 0
			} else {
				used = append(slices.DeleteFunc(used, func(k int) bool { return k == key }), key)
			}
			if got, found := m.Get(key, now); got != want.value || found != ok {
				t.Fatalf("step %d: Get gives %d %t, want %d %t", i, got, found, want.value, ok)
			}
		case 2:
			want, ok := model[key]
			if got, found := m.Remove(key); got != want.value || found != ok {
				t.Fatalf("step %d: Remove gives %d %t, want %d %t", i, got, found, want.value, ok)
			}
			forget(key)
		case 3:
			want, ok := 0, len(used) > 0
			if ok {
				want = model[used[0]].value
				forget(used[0])
			}
			if got, found := m.RemoveOldest(); got != want || found != ok {
				t.Fatalf("step %d: RemoveOldest gives %d %t, want %d %t", i, got, found, want, ok)
			}
		default:
			now = now.Add(1)
		}
		var size int64
		for _, k := range model {
			size += k.size
		}
		if m.Size() != size || m.Len() != len(model) || m.recent.Len() != len(model) {
			t.Fatalf("step %d: %d values of %d, %d in the list, want %d of %d", i, m.Len(), m.Size(), m.recent.Len(), len(model), size)
		}
	}
}

// A full map puts a value in the place of the one that it forgets for that.
func TestFullMapAllocatesNothing(t *testing.T) {
	var m Map[int, [16]int]
	key := 0
	put := func() {
		if m.Len() == 100 {
			m.RemoveOldest()
		}
		m.Put(key, [16]int{key}, 1, time.Time{})
		key++
	}
	for range 1000 {
		put()
	}
	if n := testing.AllocsPerRun(1000, put); n != 0 {
		t.Errorf("%v allocations for a value, want none", n)
	}
}
