package limiter

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What no client waits for has no permit while a call of any class waits, and every one that is left.
func TestBackgroundGivesWay(t *testing.T) {
	for name, class := range map[string]Priority{"high": High, "normal": Normal, "low": Low} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				r := patient("a")
				h.call(t.Context(), "", r)
				served := make(map[Priority]int)
				of := func(p Priority) int { h.mu.Lock(); defer h.mu.Unlock(); return served[p] }
				backlog := func(p Priority, n int) {
					r.Priority = p
					h.backlog(n, r, func() { h.mu.Lock(); served[p]++; h.mu.Unlock() })
				}
				backlog(Background, 3)
				time.Sleep(10*time.Second + time.Second/2)
				if n := of(Background); n != 10 {
					t.Errorf("%d permits alone, want 10", n)
				}
				r.Priority = class
				if wait := h.Predict(r).Round(time.Second); wait > time.Second {
					t.Errorf("a call waits %v behind what no client waits for", wait)
				}
				backlog(class, 1)
				time.Sleep(100 * time.Second)
				if alone, wanted := of(Background), of(class); alone != 10 || wanted < 99 {
					t.Errorf("%d permits in 100 s that calls wanted, which had %d", alone-10, wanted)
				}
				h.Drain()
				synctest.Wait()
			})
		})
	}
}

// In a full queue it makes room for calls, and takes none of theirs.
func TestBackgroundMakesRoom(t *testing.T) {
	for name, bounds := range map[string]Request{
		"of calls": {MaxCount: 3, MaxBytes: 1000, Bytes: 10},
		"of bytes": {MaxCount: 100, MaxBytes: 30, Bytes: 10},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.call(t.Context(), "", patient("a"))
				call := func(name, tenant string, p Priority) {
					r := patient(tenant)
					r.MaxCount, r.MaxBytes, r.Bytes, r.Priority = bounds.MaxCount, bounds.MaxBytes, bounds.Bytes, p
					h.call(t.Context(), name, r)
				}
				call("background 1", "b", Background)
				call("background 2", "b", Background)
				call("call 1", "a", Low)
				call("call 2", "a", Low) // of a tenant that holds as much
				call("background 3", "c", Background)
				call("call 3", "a", Normal)
				call("background 4", "c", Background)
				time.Sleep(time.Minute)
				h.Drain()
				synctest.Wait()
				var served, full []string
				for _, o := range h.outcomes() {
					switch {
					case o.name == "":
					case o.err == nil:
						served = append(served, o.name)
					case o.reason() == QueueFull:
						full = append(full, o.name)
					default:
						t.Errorf("%s: %v", o.name, o.err)
					}
				}
				slices.Sort(full)
				if !slices.Equal(served, []string{"call 3", "call 1", "call 2"}) || !slices.Equal(full, []string{"background 1", "background 2", "background 3", "background 4"}) {
					t.Errorf("served %q, no room for %q", served, full)
				}
			})
		})
	}
}
