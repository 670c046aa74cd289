package alipayai_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What waits for the rate cap waits no longer to be packed, and all that has come together
// by the time of the permit leaves with it.
func TestAllThatWaitsLeavesWithOnePermit(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := new(model)
		p := newPacking(t, []*model{m}, capped(newCap(1, time.Second)))
		began := time.Now()
		var got []*reply
		got = append(got, p.ask(t.Context(), 0, "first"))
		for i := range 15 {
			got = append(got, p.ask(t.Context(), 100*time.Millisecond+time.Duration(i)*50*time.Millisecond, strconv.Itoa(i)))
		}
		testwait.Pass(5 * time.Second)
		wantText(t, got[0], "re: first")
		for i, one := range got[1:] {
			wantText(t, one, "re: "+strconv.Itoa(i))
			wantHeader(t, *one, "X-Alipayai-Packed", "15")
		}
		seen := m.sightings()
		if len(seen) != 2 || len(seen[1].texts) != 15 {
			t.Fatalf("%+v", seen)
		}
		first, second := seen[0].when.Sub(began), seen[1].when.Sub(began)
		if first != alipayai.DefaultPackWait {
			t.Errorf("the first left after %v, want %v", first, alipayai.DefaultPackWait)
		}
		if want := first + time.Second + upstream.DefaultGuard; second < want || second > want+5*time.Millisecond {
			t.Errorf("the pack left after %v, want %v: the window's next permit", second, want)
		}
	})
}

// A full pack does not wait, and one more begins another.
func TestAFullPackLeavesAtOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := new(model)
		p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls, g.Packs.MaxCharacters = 4, 100 })
		began := time.Now()
		for i := range 5 {
			p.ask(t.Context(), time.Duration(i), strconv.Itoa(i))
		}
		testwait.Pass(time.Second)
		for i := range 3 { // of which two are as much as fits
			p.ask(t.Context(), time.Duration(i), strings.Repeat(strconv.Itoa(i), 40))
		}
		testwait.Pass(time.Second)
		var sizes []int
		for _, s := range m.sightings() {
			sizes = append(sizes, len(s.texts))
		}
		if !slices.Equal(sizes, []int{4, 1, 2, 1}) || m.sightings()[0].when.Sub(began) > time.Millisecond {
			t.Errorf("packs of %v calls, the first after %v", sizes, m.sightings()[0].when.Sub(began))
		}
	})
}

// One client that leaves takes nothing from the others, before the pack has left and after;
// with the last one the upstream is cancelled.
func TestClientsThatLeave(t *testing.T) {
	for name, test := range map[string]struct {
		leave []time.Duration // when each client leaves; 0: it stays
		texts []string        // what is sent
		ended time.Duration   // when the upstream is cancelled; 0: not
	}{
		"one, before":          {[]time.Duration{10 * time.Millisecond, 0, 0}, []string{"1", "2"}, 0},
		"one, after":           {[]time.Duration{500 * time.Millisecond, 0, 0}, []string{"0", "1", "2"}, 0},
		"all but one, before":  {[]time.Duration{10 * time.Millisecond, 0, 10 * time.Millisecond}, []string{"1"}, 0},
		"all, one after other": {[]time.Duration{500 * time.Millisecond, 400 * time.Millisecond, 10 * time.Millisecond}, []string{"0", "1"}, 500 * time.Millisecond},
		"all, before":          {[]time.Duration{1, 2, 3}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				began := time.Now()
				var cancelled time.Duration
				m := &model{before: func(_ int, req *http.Request) (*http.Response, error) {
					leave(req)
					select {
					case <-time.After(time.Second):
						return nil, nil
					case <-req.Context().Done():
						cancelled = time.Since(began)
						return nil, req.Context().Err()
					}
				}}
				p := newPacking(t, []*model{m})
				var got []*reply
				for i, after := range test.leave {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if after > 0 {
						time.AfterFunc(after, cancel)
					}
					got = append(got, p.ask(ctx, 0, strconv.Itoa(i)))
				}
				testwait.Pass(3 * time.Second)
				var sent []string
				for _, s := range m.sightings() {
					sent = append(sent, s.texts...)
				}
				if !slices.Equal(sent, test.texts) || len(m.sightings()) > 1 {
					t.Errorf("sent %v, want %v", sent, test.texts)
				}
				if cancelled != test.ended {
					t.Errorf("cancelled after %v, want %v", cancelled, test.ended)
				}
				for i, after := range test.leave {
					if after == 0 {
						wantText(t, got[i], "re: "+strconv.Itoa(i))
					} else if got[i].status != 499 {
						t.Errorf("call %d ended with %d", i, got[i].status)
					}
				}
				// What the pack took is the calls' together, left or not.
				total := int64(0)
				for range test.leave {
					total += (<-p.seen.settled).Usage.Total
				}
				if want := int64(154); len(test.texts) > 0 && test.ended == 0 && total != want {
					t.Errorf("%d tokens in all, want %d", total, want)
				}
			})
		})
	}
}

// Each call of a pack has its own deadline, and the pack that of the last.
func TestEachCallHasItsDeadline(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m := &model{before: func(_ int, req *http.Request) (*http.Response, error) {
			leave(req)
			time.Sleep(9 * time.Second)
			return nil, nil
		}}
		k := newCap(1, 5*time.Second)
		p := newPacking(t, []*model{m}, capped(k), func(g *alipayai.Gateway) { g.Deadline = 12 * time.Second })
		p.ask(t.Context(), 0, "takes the permit")
		began := time.Now()
		early, late := p.ask(t.Context(), time.Second, "early"), p.ask(t.Context(), 4*time.Second, "late")
		testwait.Pass(13*time.Second + time.Millisecond)
		if wantError(t, *early, 504, "upstream_timeout"); early.header.Get("X-Should-Retry") != "false" {
			t.Errorf("a call that may have executed has the header %v", early.header)
		}
		testwait.Pass(3 * time.Second)
		wantText(t, late, "re: late")
		wantHeader(t, *late, "X-Alipayai-Packed", "2")
		if len(m.sightings()) != 2 || time.Since(began) > 17*time.Second {
			t.Errorf("%+v", m.sightings())
		}
	})
}

// Calls of many tenants and users that come interleaved, with clients that leave, never get
// another call's answer.
func TestNoAnswerIsCrossed(t *testing.T) {
	const calls, workers = 4000, 100
	m := new(model)
	s := perform(t, make([][]turn, 1), packed(), func(g *alipayai.Gateway) {
		g.Providers[0].Transport = m
		g.Packs.MaxWait = time.Millisecond
	})
	go func() {
		for range s.seen.settled {
		}
	}()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			tenant, user := "tenant"+strconv.Itoa(w%10), "user"+strconv.Itoa(w%20/10)
			for n := range calls / workers {
				text := tenant + " " + user + " " + strconv.Itoa(w) + " " + strconv.Itoa(n)
				ctx, cancel := context.WithCancel(t.Context())
				if n%10 == 9 {
					cancel() // this client has left
				}
				got := s.callWith(ctx, userBody(user, text), tenantHeader, tenant)
				cancel()
				if got.status == 499 && n%10 == 9 {
					continue
				}
				if said := saying(t, got); said != "re: "+text {
					t.Errorf("%q was answered %q", text, said)
				}
			}
		})
	}
	wg.Wait()
	close(s.seen.settled)
	packs := 0
	for _, seen := range m.sightings() {
		if seen.packed {
			packs++
		}
		owner, _, _ := strings.Cut(seen.texts[0], " user")
		for _, text := range seen.texts {
			if !strings.HasPrefix(text, owner+" user") || text[len(owner):len(owner)+6] != seen.texts[0][len(owner):len(owner)+6] {
				t.Fatalf("a request has the texts of several: %q", seen.texts)
			}
		}
	}
	if packs < 20 {
		t.Errorf("only %d packs", packs)
	}
}
