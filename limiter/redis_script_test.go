package limiter

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quietLogger{})
	os.Exit(m.Run())
}

func TestScriptAgainstReference(t *testing.T) {
	s := newScriptUnderTest(t)
	s.quiet = 100_000_000 // a pause of the test is no reason to start anew
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 3))
		requests, span := 1+random.IntN(60), 200+random.Int64N(20_000)
		want := newReference()
		s.do("DEL", scriptKey)
		first := s.run(opLook, requests, span, "")
		s.edit(true, func(h *header) { h.Opened -= float64(s.quiet) })
		want.closed = first.opened
		var members []string
		at := make(map[string]int64)
		for step := range 600 {
			switch random.IntN(12) {
			case 0:
				if random.IntN(20) == 0 {
					d := 1 + random.Int64N(2*span)
					a := s.run(opThrottle, requests, span, d)
					want.throttle(a.now, d, span)
				}
			case 1:
				if len(members) > 0 {
					i := max(0, len(members)-1-random.IntN(3))
					s.run(opReturn, requests, span, members[i])
					want.giveBack(at[members[i]])
					members = slices.Delete(members, i, i+1)
				}
			case 2:
				if len(members) > 0 { // a repeated run
					last := members[len(members)-1]
					if a := s.run(opReserve, requests, span, last); a.slot != at[last] {
						t.Fatalf("seed %d, step %d: a repeated run is given %d, was %d", seed, step, a.slot, at[last])
					}
				}
			default:
				member := id(step)
				a := s.run(opReserve, requests, span, member)
				if slot := want.reserve(a.now, requests, span); a.slot != slot {
					t.Fatalf("seed %d, step %d: slot at now%+d, reference says now%+d", seed, step, a.slot-a.now, slot-a.now)
				}
				members, at[member] = append(members, member), a.slot
			}
		}
		overfull(t, want.all, requests, span)
	}
}

// Callers that may be late for their slots, each by another time, keep their distance
// from each other even where one is as late as can be, and one a window after it is not.
func TestScriptKeepsTheDistanceOfCallersThatAreLate(t *testing.T) {
	s := newScriptUnderTest(t)
	s.quiet = 100_000_000
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 5))
		requests, span := 1+random.IntN(20), 200+random.Int64N(20_000)
		s.do("DEL", scriptKey)
		s.run(opLook, requests, span, "")
		s.edit(true, func(h *header) { h.Opened -= float64(s.quiet) })
		type booked struct{ from, until int64 }
		var permits []booked
		for step := range 300 {
			s.late = random.Int64N(span / 2)
			from := s.run(opReserve, requests, span, id(step)).slot
			switch random.IntN(6) {
			case 0:
				if again := s.run(opReserve, requests, span, id(step)).slot; again != from {
					t.Fatalf("seed %d, step %d: a repeated run is given %d, was %d", seed, step, again, from)
				}
			case 1:
				s.run(opReturn, requests, span, id(step))
				continue
			}
			permits = append(permits, booked{from, from + s.late})
		}
		for i := requests; i < len(permits); i++ {
			if permits[i].until < permits[i-1].until {
				t.Fatalf("seed %d: permit %d is booked out of order", seed, i)
			}
			if gap := permits[i].from - permits[i-requests].until; gap < span {
				t.Fatalf("seed %d: %d µs from permit %d to the one %d later, want %d", seed, gap, i-requests, requests, span)
			}
		}
	}
}

func TestScriptPredictsTheNextSlot(t *testing.T) {
	s := newScriptUnderTest(t)
	a := s.run(opReserve, 2, 1_000_000, id(0))
	for i := range 7 {
		next := s.run(opReserve, 2, 1_000_000, id(i+1))
		if next.slot != a.free {
			t.Errorf("slot %d is %d µs after what was predicted", i, next.slot-a.free)
		}
		a = next
	}
}

func TestScriptBoundsWhatItKeeps(t *testing.T) {
	s := newScriptUnderTest(t)
	for i := range 500 {
		s.run(opReserve, 50, 1_000, id(i))
	}
	n, err := s.client.StrLen(t.Context(), scriptKey).Result()
	if want := int64(6*8 + (50+8)*16); err != nil || n != want {
		t.Errorf("%d bytes kept for a cap of 50, want %d, %v", n, want, err)
	}
	ttl, err := s.client.PTTL(t.Context(), scriptKey).Result()
	if err != nil || ttl <= 0 || ttl > time.Minute {
		t.Errorf("time to live %s, %v", ttl, err)
	}
}

func TestRedisTimeIsNeverEarly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 4))
	r := redisTime{ppm: drift}
	if got := r.latest(0); got != redisTimeout.Microseconds() {
		t.Errorf("before the first answer it may be %d µs late", got)
	}
	ahead := int64(5_000_000_000) // of the server, truly
	for step := range 5000 {
		if step%1000 == 999 {
			ahead += random.Int64N(4_000_000_000) - 2_000_000_000 // the server's clock is set
		}
		sent := int64(step) * 10_000_000
		there, back := random.Int64N(2_000_000), random.Int64N(2_000_000)
		read := (sent + there - ahead) / 1000 * 1000 // it tells microseconds
		received := sent + there + back
		r.observe(sent, received, read/1000)
		slot := read/1000 + random.Int64N(1_000_000)
		if late := r.local(slot) - (slot*1000 + ahead); late < 0 {
			t.Fatalf("step %d: %d ns too early", step, -late)
		} else if step%1000 > 100 && late > 4_000_000 {
			t.Fatalf("step %d: %d ns late", step, late)
		} else if most := r.latest(received)*1000 + 1000; step%1000 > 100 && late > most {
			t.Fatalf("step %d: %d ns late, at most %d are booked", step, late, most)
		}
	}
}

// Replicas of the version before share the same window.
func TestKeyIsThatOfRunningReplicas(t *testing.T) {
	if got, want := redisKey("acme at alipay"), "alipayai:{b8ec894d6044eea348fe6981fc1e4247}:window"; got != want {
		t.Errorf("key %q, want %q", got, want)
	}
}
