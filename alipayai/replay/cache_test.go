package replay

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

func TestCacheKeepsTheLastAnswerForItsTime(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		if got := bodyOf(t, s, keyOf(1)); got != "" {
			t.Errorf("at first there is %q", got)
		}
		first := answerOf("first")
		if err := s.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), first, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := s.Get(t.Context(), tenantOf(keyOf(1)), keyOf(1)); !ok || !reflect.DeepEqual(got, first) {
			t.Errorf("kept is %+v, %t, want %+v (%v)", got, ok, first, err)
		}
		if got := bodyOf(t, s, keyOf(2)); got != "" {
			t.Errorf("another key has %q", got)
		}
		s.pass(40 * time.Minute)
		if err := s.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), answerOf("second"), time.Hour); err != nil {
			t.Fatal(err)
		}
		s.pass(40 * time.Minute)
		if got := bodyOf(t, s, keyOf(1)); got != "second" {
			t.Errorf("within the second's time there is %q", got)
		}
		s.pass(20 * time.Minute)
		if got := bodyOf(t, s, keyOf(1)); got != "" {
			t.Errorf("after the second's time there is %q", got)
		}
	})
}

// What is kept with an answer is kept as long.
func TestCacheKeepsSeveralAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		tenant := tenantOf(keyOf(1))
		has := func(step string, want ...string) {
			t.Helper()
			for i, body := range want {
				got, _, err := s.Get(t.Context(), tenant, keyOf(1+i))
				if string(got.Body) != body || err != nil {
					t.Errorf("%s: under key %d is %q, want %q (%v)", step, 1+i, got.Body, body, err)
				}
			}
		}
		var also []Entry
		for i, body := range []string{"b", "c", "b again"} {
			also = append(also, Entry{keyOf(2 + i%2), answerOf(body)})
		}
		if err := s.Put(t.Context(), tenant, keyOf(1), answerOf("a"), time.Hour, also...); err != nil {
			t.Fatal(err)
		}
		has("at first", "a", "b again", "c")
		s.pass(time.Hour)
		has("after their time", "", "", "")
	})
}

// Behind what is too large nothing is kept.
func TestCacheKeepsNothingBehindWhatIsTooLarge(t *testing.T) {
	o := patientOptions(t, redistest.Start(t).Addr)
	o.TenantBytes = 80_000
	for kind, cache := range map[string]Cache{"memory": NewMemoryCache(time.Now).Within(80_000), "redis": NewRedisCache(o)} {
		err := cache.Put(t.Context(), "acme", keyOf(1), answerOf("a"), time.Hour, Entry{keyOf(2), longAnswer(10_000)}, Entry{keyOf(3), answerOf("c")})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", kind, err)
		}
		for n, want := range map[int]string{1: "a", 2: "", 3: ""} {
			if got, _, _ := cache.Get(t.Context(), "acme", keyOf(n)); string(got.Body) != want {
				t.Errorf("%s: under key %d is %q, want %q", kind, n, got.Body, want)
			}
		}
	}
}

func TestCacheKeepsNothingWithoutATime(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		for _, ttl := range []time.Duration{-time.Hour, 0, time.Millisecond - 1} {
			if err := s.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), answerOf("x"), ttl); err != nil {
				t.Errorf("for %v: %v", ttl, err)
			}
			if got := bodyOf(t, s, keyOf(1)); got != "" {
				t.Errorf("for %v %q is kept", ttl, got)
			}
		}
	})
}

func TestCacheAndContextsThatHaveEnded(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, tenantOf(keyOf(1)), keyOf(1), answerOf("kept"), time.Hour); err != nil {
			t.Errorf("put: %v", err)
		}
		if _, ok, err := s.Get(ctx, tenantOf(keyOf(1)), keyOf(1)); ok || !errors.Is(err, context.Canceled) {
			t.Errorf("get: %t, %v", ok, err)
		}
		if got := bodyOf(t, s, keyOf(1)); got != "kept" {
			t.Errorf("%q is kept", got)
		}
	})
}

func TestMemoryCacheLetsGoWhatWasUsedLeastRecently(t *testing.T) {
	answer := longAnswer(1000)
	one := entryOverhead + answer.size()
	c := NewMemoryCache(newClock().now)
	cache := c.Within(10 * one)
	put := func(cache Cache, n int) {
		t.Helper()
		if err := cache.Put(t.Context(), tenantOf(keyOf(n)), keyOf(n), answer, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	want := func(numbers ...int) {
		t.Helper()
		if len(c.answers) != len(numbers) || c.endings.len() != len(numbers) || c.bytes != int64(len(numbers))*one {
			t.Errorf("%d entries, %d that end, %d bytes, want %d of %d bytes", len(c.answers), c.endings.len(), c.bytes, len(numbers), one)
		}
		for _, n := range numbers {
			if _, ok := c.answers[keyOf(n)]; !ok {
				t.Errorf("answer %d is not kept", n)
			}
		}
	}
	for n := range 10 {
		put(cache, n)
	}
	want(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	bodyOf(t, cache, keyOf(0))
	put(cache, 10)
	put(cache, 2)
	put(cache, 11)
	want(0, 2, 4, 5, 6, 7, 8, 9, 10, 11)
	// A budget that is smaller by a reload counts from the next use on.
	put(c.Within(8*one), 12)
	want(0, 2, 7, 8, 9, 10, 11, 12)
	put(cache, 13)
	want(0, 2, 7, 8, 9, 10, 11, 12, 13)
}

func TestMemoryCacheKeepsNoAnswerOfMoreThanAnEighth(t *testing.T) {
	const budget = 80_000
	cache := NewMemoryCache(newClock().now).Within(budget)
	small := answerOf("")
	most := 0
	for room := budget/8 - entryOverhead - int(small.size()); most+1+spareRoom(most+1) <= room; {
		most++
	}
	if err := cache.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), longAnswer(most), time.Hour); err != nil {
		t.Errorf("an eighth: %v", err)
	}
	for name, answer := range map[string]Answer{
		"a byte more":           longAnswer(most + 1),
		"a byte more elsewhere": {Provider: string(make([]byte, budget/8))},
	} {
		if err := cache.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), answer, time.Hour); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := bodyOf(t, cache, keyOf(1)); len(got) != most {
		t.Errorf("what was kept before is now %d bytes, want %d", len(got), most)
	}
	if err := NewMemoryCache(time.Now).Within(0).Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), small, time.Hour); !errors.Is(err, ErrTooLarge) {
		t.Errorf("without a budget: %v", err)
	}
}

// heap is what is in use after a collection.
func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestBudgetsAreBytesOfMemory(t *testing.T) {
	const budget = 16 << 20
	smallest := func(int) Answer { return Answer{Status: 200} }
	usual := func(n int) Answer { return answerOf("body " + strconv.Itoa(n)) }
	cache, claims := NewMemoryCache(time.Now), NewMemoryClaims(time.Now)
	for name, fill := range map[string]func(n int){
		"cache, smallest answers": func(n int) {
			_ = cache.Within(budget).Put(t.Context(), tenantOf(keyOf(n)), keyOf(n), smallest(n), time.Hour)
		},
		"cache, usual answers": func(n int) {
			_ = cache.Within(budget).Put(t.Context(), tenantOf(keyOf(n)), keyOf(n), usual(n), time.Hour)
		},
		"claims, usual answers": func(n int) {
			if claim, _, _ := claims.Within(budget).Claim(t.Context(), tenantOf(keyOf(n)), keyOf(n), requestOf(n), time.Hour); claim != nil {
				_ = claim.Finish(t.Context(), usual(n), time.Hour)
			}
		},
		"claims, open": func(n int) {
			_, _, _ = claims.Within(budget).Claim(t.Context(), tenantOf(keyOf(n)), keyOf(n), requestOf(n), time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache, claims = nil, nil
			before := heapBytes()
			cache, claims = NewMemoryCache(time.Now), NewMemoryClaims(time.Now)
			for n := range budget / 400 {
				fill(n)
			}
			used := heapBytes() - before
			t.Logf("%d bytes for a budget of %d", used, budget)
			if used < budget/4 || used > budget*11/10 {
				t.Errorf("%d bytes are used for a budget of %d", used, budget)
			}
			runtime.KeepAlive(cache)
			runtime.KeepAlive(claims)
		})
	}
}

func TestMemoryCacheIsSafeForConcurrentUse(t *testing.T) {
	c := NewMemoryCache(time.Now)
	const small, large = 20_000, 60_000
	var workers sync.WaitGroup
	for worker := range 8 {
		cache := c.Within([]int64{small, large}[worker%2])
		workers.Go(func() {
			for i := range 2000 {
				n := random(uint64(worker*10_000+i), 100)
				answer, ok, err := cache.Get(t.Context(), tenantOf(keyOf(n)), keyOf(n))
				if err != nil || ok && string(answer.Body) != strconv.Itoa(n) {
					t.Errorf("under %d: %q, %v", n, answer.Body, err)
				}
				_ = cache.Put(t.Context(), tenantOf(keyOf(n)), keyOf(n), answerOf(strconv.Itoa(n)), time.Duration(i%3)*time.Millisecond)
			}
		})
	}
	workers.Wait()
	var bytes int64
	entries := 0
	for _, kept := range c.answers {
		bytes += entryOverhead + kept.answer.size()
		entries++
	}
	if bytes != c.bytes || entries != c.endings.len() || bytes > large {
		t.Errorf("%d bytes in %d entries, counted are %d in %d", bytes, entries, c.bytes, c.endings.len())
	}
}

// Stores work in the memory of what they have removed. Whoever was given that, or gives something now, notices nothing of it.
func TestBodiesAreTheirOwners(t *testing.T) {
	type given struct{ body, was []byte }
	for name, open := range memories {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			clock := newClock()
			put, get := open(t, clock.now, 8*(entryOverhead+1500))
			var answers []given
			for n := range 500 {
				own := bytes.Repeat([]byte{byte('a' + n%26)}, 900+random.IntN(100))
				if err := put("acme", n, Answer{Status: 200, Body: own}); err != nil {
					t.Fatal(err)
				}
				want := bytes.Clone(own)
				clear(own) // the caller goes on with it
				got, kept := get("acme", n)
				if !kept || !bytes.Equal(got, want) {
					t.Fatalf("%q was kept of %q", got, want)
				}
				answers = append(answers, given{got, want})
				clock.time = clock.time.Add(time.Duration(random.IntN(20)) * time.Minute)
			}
			for i, a := range answers {
				if !bytes.Equal(a.body, a.was) {
					t.Fatalf("answer %d has become %q", i, a.body)
				}
			}
		})
	}
}

// A call whose lease has ended keeps the memory that it has for its answer, and no other call gets that.
func TestLateAnswersAreTheirOwners(t *testing.T) {
	clock := newClock()
	claims := NewMemoryClaims(clock.now).Within(1 << 20)
	finish := func(claim Claim, text string) {
		t.Helper()
		if err := claim.Finish(t.Context(), answerOf(text), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	finish(mustClaim(t, claims, keyOf(0), requestOf(0), time.Minute), "an answer to be removed")
	clock.time = clock.time.Add(time.Hour)
	late := mustClaim(t, claims, keyOf(1), requestOf(1), time.Minute)
	clock.time = clock.time.Add(time.Minute)
	next := mustClaim(t, claims, keyOf(2), requestOf(2), time.Minute)
	finish(late, "what came late, for one")
	finish(next, "what came soon, for two")
	wantClaim(t, claims, keyOf(1), requestOf(1), "answer what came late, for one")
	wantClaim(t, claims, keyOf(2), requestOf(2), "answer what came soon, for two")
}

// What a cache has removed is kept alive by nothing in it: an answer may be large, and its time is over.
func TestMemoryCacheForgetsWhatItRemoves(t *testing.T) {
	for name, remove := range map[string]func(c Cache, clock *clock){
		"expired, and looked up": func(c Cache, clock *clock) {
			clock.time = clock.time.Add(2 * time.Hour)
			_, _, _ = c.Get(t.Context(), tenantOf(keyOf(1)), keyOf(1))
		},
		"expired, and another put": func(c Cache, clock *clock) {
			clock.time = clock.time.Add(2 * time.Hour)
			_ = c.Put(t.Context(), tenantOf(keyOf(2)), keyOf(2), answerOf("y"), time.Hour)
		},
		"in place of it": func(c Cache, _ *clock) {
			_ = c.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), answerOf("y"), time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			memory := NewMemoryCache(clock.now)
			c := memory.Within(1 << 20)
			if err := c.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), longAnswer(100_000), time.Hour); err != nil {
				t.Fatal(err)
			}
			kept := weak.Make(&memory.answers[keyOf(1)].answer.Body[0])
			runtime.GC()
			if kept.Value() == nil {
				t.Fatal("it was not kept")
			}
			remove(c, clock)
			runtime.GC()
			if kept.Value() != nil {
				t.Error("its body is still there")
			}
			runtime.KeepAlive(c)
		})
	}
}
