package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/recordtest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// vendor answers after a while, and counts what it was asked.
type vendor struct {
	mu    sync.Mutex
	took  time.Duration
	fails map[string]bool
	asked map[string]int
}

func (v *vendor) ask(ctx context.Context, p *Prompt) *Answer {
	v.mu.Lock()
	v.asked[p.ID]++
	fails := v.fails[p.ID]
	v.mu.Unlock()
	select {
	case <-time.After(v.took):
	case <-ctx.Done():
		return &Answer{Code: "client_gone"}
	}
	if fails {
		return &Answer{Code: "COMPLIANCE_BLOCKED", Blocked: true}
	}
	return &Answer{Text: "an answer"}
}

// total is how often prompts were asked, and most how often one of them was.
func (v *vendor) total() (total, most int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.asked {
		total, most = total+n, max(most, n)
	}
	return total, most
}

// replica is a schedule with what its observer has heard.
type replica struct {
	*Schedule
	mu    sync.Mutex
	heard []string
}

func (r *replica) hear(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, text)
}

func (r *replica) Ended(report *Report) {
	r.hear(fmt.Sprintf("ended %d/%d %v", report.Count(Pass), len(report.Results), report.Changes))
}
func (r *replica) Elsewhere(*Report) { r.hear("elsewhere") }
func (r *replica) StoreFailed(error) { r.hear("store failed") }

func (r *replica) wants(t *testing.T, step string, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.heard) != fmt.Sprint(want) {
		t.Errorf("%s: heard %q, want %q", step, r.heard, want)
	}
	r.heard = nil
}

func newReplica(s *Suite, v *vendor, store *recordtest.Shelf, known *Record, keep func(Record)) *replica {
	r := new(replica)
	r.Schedule = NewSchedule(Config{
		Name: "law", Provider: "alipay", Suite: s, Every: 6 * time.Hour, Concurrency: 2, Ask: v.ask,
		Store: store, Observer: r, Known: known, Keep: keep, Now: time.Now,
	})
	return r
}

// run runs the schedule for a while.
func (r *replica) run(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r.Run(ctx)
}

func newVendor(took time.Duration) *vendor {
	return &vendor{took: took, fails: map[string]bool{}, asked: map[string]int{}}
}

// Three replicas ask each prompt once every six hours together, and the one that did tells what has changed.
func TestScheduleOfReplicas(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store, s := newVendor(time.Second), new(recordtest.Shelf), numbered(10)
		var replicas [3]*replica
		for i := range replicas {
			replicas[i] = newReplica(s, v, store, nil, nil)
		}
		all := func(d time.Duration) {
			var wait sync.WaitGroup
			for _, r := range replicas {
				wait.Go(func() { r.run(t, d) })
			}
			wait.Wait()
		}
		heard := func(step string, want map[string]int) {
			t.Helper()
			got := make(map[string]int)
			for _, r := range replicas {
				for _, text := range r.heard {
					got[text]++
				}
				r.heard = nil
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: heard %v, want %v", step, got, want)
			}
		}
		all(5*time.Hour + 59*time.Minute)
		if total, most := v.total(); total != 10 || most != 1 {
			t.Errorf("%d prompts were asked, one of them %d times", total, most)
		}
		heard("the first run", map[string]int{"ended 10/10 []": 1, "elsewhere": 2})
		v.fails["p4"] = true
		all(3 * time.Minute)
		if total, most := v.total(); total != 20 || most != 2 {
			t.Errorf("after six hours %d prompts were asked, one of them %d times", total, most)
		}
		heard("the second run", map[string]int{"ended 9/10 [{p4 pass fail}]": 1, "elsewhere": 2})
		all(6 * time.Hour)
		heard("the third run", map[string]int{"ended 9/10 []": 1, "elsewhere": 2})
		v.fails["p4"] = false
		all(6 * time.Hour)
		heard("the fourth run", map[string]int{"ended 10/10 [{p4 fail pass}]": 1, "elsewhere": 2})
	})
}

// A run that reloads break off goes on, and only what was under way is asked again; of a process that is killed, what it
// asked in its last second as well.
func TestScheduleGoesOn(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store, s := newVendor(time.Second), new(recordtest.Shelf), numbered(100)
		var known Record
		keep := func(r Record) { known = r }
		newReplica(s, v, store, nil, keep).run(t, 10500*time.Millisecond)
		if total, most := v.total(); total != 22 || most != 1 {
			t.Errorf("before the reload %d prompts were asked, one of them %d times", total, most)
		}
		before := known
		second := newReplica(s, v, store, &before, keep)
		second.run(t, 10500*time.Millisecond)
		if total, most := v.total(); total != 44 || most != 2 {
			t.Errorf("after the reload %d prompts were asked, one of them %d times", total, most)
		}
		second.wants(t, "the second")
		var content []byte
		go func() {
			time.Sleep(5200 * time.Millisecond)
			store.Set(func() { content = store.Content })
		}()
		third := newReplica(s, v, store, nil, nil) // a restart: nothing but the store knows
		third.run(t, 10*time.Minute)
		third.wants(t, "the third", "ended 100/100 []")
		if total, most := v.total(); total != 104 || most != 2 {
			t.Errorf("in the end %d prompts were asked, one of them %d times", total, most)
		}

		// Killed while it held the lease: the record is that of a second before.
		store.Set(func() { store.Content, store.Leased = content, time.Now().Add(time.Minute) })
		fourth := newReplica(s, v, store, nil, nil)
		fourth.run(t, 50*time.Second)
		if total, _ := v.total(); total != 104 {
			t.Error("a run goes on under another's lease")
		}
		fourth.run(t, 10*time.Minute)
		fourth.wants(t, "the fourth", "ended 100/100 []")
		if total, _ := v.total(); total != 104+51 { // 49 were written: 40 of the first two, and 9 until the fifth second
			t.Errorf("after the kill %d prompts were asked in all, want 155", total)
		}
	})
}

// A run that takes longer than a turn goes on until its end, under a lease that is taken anew.
func TestScheduleOfALongRun(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(50*time.Second), new(recordtest.Shelf)
		r := newReplica(numbered(30), v, store, nil, nil)
		r.run(t, time.Hour)
		r.wants(t, "the run", "ended 30/30 []")
		if total, most := v.total(); total != 30 || most != 1 {
			t.Errorf("%d prompts were asked, one of them %d times", total, most)
		}
	})
}

// What came of a run is written soon after the store is back, however often it was looked in vain before that.
func TestScheduleWritesWhenTheStoreIsBack(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(time.Second), new(recordtest.Shelf)
		r := newReplica(numbered(10), v, store, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		testwait.Pass(2500 * time.Millisecond)
		store.Set(func() { store.Err = errors.New("away") })
		testwait.Pass(4 * record.BusyEvery)
		r.wants(t, "without the store", "store failed", "ended 10/10 []")
		store.Set(func() { store.Err, store.Content, store.Leased = nil, nil, time.Time{} })
		testwait.Pass(record.BusyEvery + time.Second)
		store.Set(func() {
			if kept := ParseRecord(store.Content); kept.Last == nil || kept.Running != nil {
				t.Errorf("the store has %s", store.Content)
			}
		})
		cancel()
		<-ended
	})
}

// While the store is away no run begins, since another replica may be at it. One that is under way ends, and what came of
// it is written when the store is back, also where that has lost everything.
func TestScheduleWithoutStore(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(time.Second), &recordtest.Shelf{Err: errors.New("away")}
		r := newReplica(numbered(10), v, store, nil, nil)
		r.run(t, time.Hour)
		if total, _ := v.total(); total != 0 {
			t.Errorf("%d prompts were asked without the store", total)
		}
		r.wants(t, "without", "store failed")
		store.Set(func() { store.Err = nil })
		go func() {
			time.Sleep(2500 * time.Millisecond)
			store.Set(func() { store.Err, store.Content, store.Leased = errors.New("killed"), nil, time.Time{} })
			time.Sleep(time.Hour)
			store.Set(func() { store.Err = nil })
		}()
		r.run(t, 2*time.Hour)
		r.wants(t, "killed", "store failed", "ended 10/10 []")
		if total, most := v.total(); total != 10 || most != 1 {
			t.Errorf("%d prompts were asked, one of them %d times", total, most)
		}
		var kept Record
		if err := json.Unmarshal(store.Content, &kept); err != nil || kept.Last == nil || len(kept.Last.Results) != 10 || kept.Running != nil {
			t.Errorf("the store has %s", store.Content)
		}
		other := newReplica(numbered(10), v, store, nil, nil)
		other.run(t, time.Hour)
		if total, _ := v.total(); total != 10 {
			t.Error("another replica asks again what the store knows")
		}
	})
}

// A store that is killed during a run, and comes back empty while the run goes on or when it has ended, does not have
// another replica ask the same.
func TestScheduleOfReplicasWithoutStore(t *testing.T) {
	for name, away := range map[string]time.Duration{"for a moment": 2 * time.Second, "until the run is over": 30 * time.Second, "for long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				v, store := newVendor(time.Second), new(recordtest.Shelf)
				var replicas [3]*replica
				var wait sync.WaitGroup
				for i := range replicas {
					replicas[i] = newReplica(numbered(20), v, store, nil, nil)
					wait.Go(func() { replicas[i].run(t, 3*time.Hour) })
				}
				time.Sleep(5500 * time.Millisecond) // all have seen the run, or that it is under way
				store.Set(func() { store.Err, store.Content, store.Leased = errors.New("killed"), nil, time.Time{} })
				time.Sleep(away)
				store.Set(func() { store.Err = nil })
				wait.Wait()
				if total, most := v.total(); total != 20 || most != 1 {
					t.Errorf("%d prompts were asked, one of them %d times", total, most)
				}
				for i, r := range replicas {
					if last := r.Record().Last; last == nil || last.Count(Pass) != 20 {
						t.Errorf("replica %d does not know of the run", i)
					}
				}
			})
		})
	}
}

// Replicas that have different files, as while an update is rolled out, do not break off each other's runs, nor run again
// for that.
func TestScheduleOfTwoFiles(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(20*time.Second), new(recordtest.Shelf)
		var wait sync.WaitGroup
		var replicas []*replica
		for _, n := range []int{30, 31} {
			r := newReplica(numbered(n), v, store, nil, nil)
			replicas = append(replicas, r)
			wait.Go(func() { r.run(t, 5*time.Hour) })
		}
		wait.Wait()
		ended := 0
		for _, r := range replicas {
			ended += len(r.heard)
		}
		if total, most := v.total(); most != 1 || total != 30 && total != 31 || ended != 2 {
			t.Errorf("%d prompts were asked, one of them %d times, and %d things heard", total, most, ended)
		}
		// One that was given up makes way.
		store.Set(func() {
			now := time.Now().Format(time.RFC3339)
			store.Content = fmt.Appendf(nil, `{"running":{"suite":"law","version":"old","provider":"alipay","began":%q,"results":[]},"touched":%q}`, now, now)
		})
		r := newReplica(numbered(3), v, store, nil, nil)
		r.run(t, 9*time.Minute)
		r.wants(t, "too early")
		r.run(t, 10*time.Minute)
		r.wants(t, "given up", "ended 3/3 []")
	})
}

// A record that cannot be read, and a clock that was put back, do not end the schedule.
func TestScheduleRecovers(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(time.Second), &recordtest.Shelf{Content: []byte("{")}
		r := newReplica(numbered(2), v, store, nil, nil)
		r.run(t, time.Hour)
		r.wants(t, "broken", "ended 2/2 []")
		store.Set(func() {
			store.Content = []byte(`{"last":{"suite":"law","version":"old","provider":"alipay","began":"2099-01-01T00:00:00Z","results":[]}}`)
		})
		r.run(t, time.Hour)
		r.wants(t, "the future", "elsewhere", "ended 2/2 []")
	})
}

// What a configuration keeps of a run that has ended is its end, for the one that comes after.
func TestScheduleKeepsTheEnd(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var known Record
		r := newReplica(numbered(2), newVendor(time.Second), new(recordtest.Shelf), nil, func(r Record) { known = r })
		r.run(t, 10*time.Second)
		if known.Last == nil || known.Running != nil || len(known.Last.Results) != 2 || known.Last.Ended.IsZero() {
			t.Errorf("known is %+v", known)
		}
	})
}

// A run of others that was over before the store was reached first is no news.
func TestScheduleFindsWhatIsOver(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		v, store := newVendor(time.Second), new(recordtest.Shelf)
		newReplica(numbered(2), v, store, nil, nil).run(t, 10*time.Second)
		store.Set(func() { store.Err = errors.New("away") })
		r := newReplica(numbered(2), v, store, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		testwait.Pass(time.Minute)
		store.Set(func() { store.Err = nil })
		testwait.Pass(10 * time.Minute)
		cancel()
		<-ended
		r.wants(t, "the store is back", "store failed")
	})
}

// A schema whose comparison fails is not met: a fault of the library must not let an answer pass.
func TestASchemaThatCannotBeCompared(t *testing.T) {
	if why := breaks(nil, "1"); why != "the text cannot be compared" {
		t.Errorf("%q", why)
	}
}
