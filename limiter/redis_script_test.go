package limiter

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// quietLogger drops what the client says of servers that tests have broken.
type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quietLogger{})
	os.Exit(m.Run())
}

// newTestClient is a client as windows use it.
func newTestClient(t testing.TB, o RedisOptions) redis.UniversalClient {
	t.Helper()
	client, err := NewRedisClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newPatientClient is a client for what is no matter of time.
func newPatientClient(t testing.TB, server *redistest.Server) redis.UniversalClient {
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: patience, WriteTimeout: patience, DialTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// scriptUnderTest runs the script with times of its own choice, in microseconds.
type scriptUnderTest struct {
	t             *testing.T
	client        redis.UniversalClient
	script        *redis.Script
	quiet, settle int64
	seen          int64
	late          int64
}

const scriptKey = "{test}:window"

func newScriptUnderTest(t *testing.T) *scriptUnderTest {
	client := newPatientClient(t, redistest.Start(t))
	return &scriptUnderTest{t: t, client: client, script: redis.NewScript(redisWindowScript), quiet: 1_000_000}
}

func (s *scriptUnderTest) run(op string, requests int, span int64, arg any) redisAnswer {
	s.t.Helper()
	ctx := s.t.Context()
	packed, err := s.script.Run(ctx, s.client, []string{scriptKey},
		op, arg, redisstore.Doubles(int64(requests), span, s.quiet, s.settle, s.seen, s.late)).Text()
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := parseAnswer(packed)
	if err != nil {
		s.t.Fatal(err)
	}
	s.seen = answer.now
	return answer
}

// do sends another command.
func (s *scriptUnderTest) do(args ...any) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// header are the numbers that the script keeps.
type header struct{ Alive, Opened, Closed, Left, Forgotten, Heard float64 }

// edit changes what the script keeps, and leaves its permits if keep is set.
func (s *scriptUnderTest) edit(keep bool, change func(*header)) {
	s.t.Helper()
	stored, err := s.client.Get(s.t.Context(), scriptKey).Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	var h header
	n, err := binary.Decode(stored, binary.BigEndian, &h)
	if err != nil {
		s.t.Fatal(err)
	}
	change(&h)
	edited, err := binary.Append(nil, binary.BigEndian, h)
	if err != nil {
		s.t.Fatal(err)
	}
	if keep {
		edited = append(edited, stored[n:]...)
	}
	s.do("SET", scriptKey, edited)
}

// id names a slot.
func id(n int) string { return fmt.Sprintf("id%06d", n) }

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

func TestScriptBeginsAnew(t *testing.T) {
	const span = int64(1_000_000)
	tests := map[string]struct {
		fault func(s *scriptUnderTest, now int64)
		want  bool
	}{
		"nothing happened": {func(*scriptUnderTest, int64) {}, false},
		"empty":            {func(s *scriptUnderTest, _ int64) { s.do("FLUSHALL") }, true},
		"no run for a window": {func(s *scriptUnderTest, now int64) {
			s.edit(true, func(h *header) { h.Alive = float64(now - 1_500_000) })
		}, true},
		"no run for less": {func(s *scriptUnderTest, now int64) {
			s.seen = 0
			s.edit(true, func(h *header) { h.Alive = float64(now - 500_000) })
		}, false},
		"no answer for a window": {func(s *scriptUnderTest, now int64) {
			s.seen = now - 1_500_000
			s.edit(true, func(h *header) { h.Heard = float64(now - 1_200_000) })
		}, true},
		"no answer for less": {func(s *scriptUnderTest, now int64) {
			s.seen = now - 1_500_000
			s.edit(true, func(h *header) { h.Heard = float64(now - 500_000) })
		}, false},
		"answers to another replica": {func(s *scriptUnderTest, now int64) {
			s.seen = 0
			s.edit(true, func(h *header) { h.Heard = float64(now - 500_000) })
		}, false},
		"answers again": {func(s *scriptUnderTest, now int64) {
			s.edit(true, func(h *header) { h.Heard = float64(now - 1_500_000) })
		}, false},
		"last writes lost": {func(s *scriptUnderTest, now int64) {
			s.edit(true, func(h *header) { h.Alive = float64(now - 500_000) })
		}, true},
		"clock set back by far": {func(s *scriptUnderTest, now int64) {
			s.edit(true, func(h *header) { h.Alive = float64(now + 3600_000_000) })
		}, true},
		"clock set back a little": {func(s *scriptUnderTest, now int64) {
			s.edit(true, func(h *header) { h.Alive = float64(now + 300_000) })
		}, false},
	}
	s := newScriptUnderTest(t)
	s.settle = 250_000
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s.do("FLUSHALL")
			s.seen = 0 // of another fleet
			a := s.run(opReserve, 2, span, id(1))
			if want := a.now + s.quiet + s.settle; a.slot != want {
				t.Fatalf("the first slot is %d µs from what it should be", a.slot-want)
			}
			// As if that were long past.
			s.edit(false, func(h *header) { h.Opened -= 10_000_000 })
			test.fault(s, a.now)
			b := s.run(opReserve, 2, span, id(2))
			anew := b.opened > a.opened
			if anew != test.want {
				t.Errorf("a new history: %t, want %t", anew, test.want)
			}
			if silent := b.slot >= b.now+s.quiet+s.settle; silent != test.want {
				t.Errorf("silent: %t, want %t", silent, test.want)
			}
		})
	}
}

func TestScriptBeginsAnewOnceForAllReplicas(t *testing.T) {
	s := newScriptUnderTest(t)
	s.settle = 5_000_000
	a := s.run(opLook, 2, 1_000_000, "")
	s.edit(true, func(h *header) {
		h.Alive = float64(a.now - 900_000)
		h.Opened = float64(a.now - 60_000_000)
	})
	b := s.run(opLook, 2, 1_000_000, "")
	if b.opened == a.opened {
		t.Fatal("lost writes go unnoticed")
	}
	s.seen = b.now + 500_000 // another replica has been told more
	if c := s.run(opLook, 2, 1_000_000, ""); c.opened != b.opened {
		t.Error("the second replica that comes back begins yet another history")
	}
}

// While no answer arrives, no run leaves a history that would be trusted afterwards.
func TestScriptBeginsAnewUntilAnAnswerArrives(t *testing.T) {
	s := newScriptUnderTest(t)
	s.settle = 5_000_000
	told := s.run(opLook, 2, 1_000_000, "").now
	s.edit(true, func(h *header) { h.Heard = float64(told - 1_200_000) })
	opened := int64(0)
	for i := range 3 {
		s.seen = told - 1_200_000
		a := s.run(opReserve, 2, 1_000_000, id(i))
		if a.opened <= opened || a.slot != a.opened+s.quiet+s.settle {
			t.Errorf("run %d: a history that opened %d µs after the one before, and a slot %d µs after that", i, a.opened-opened, a.slot-a.opened)
		}
		opened = a.opened
	}
	if a := s.run(opReserve, 2, 1_000_000, id(3)); a.opened != opened {
		t.Error("yet another history is begun although an answer has arrived")
	}
}

// A replica of a version that keeps five numbers shares the window during an update.
func TestScriptReadsAHistoryOfFiveNumbers(t *testing.T) {
	for name, slots := range map[string]int{"empty": 0, "with permits": 2} {
		t.Run(name, func(t *testing.T) {
			s := newScriptUnderTest(t)
			a := s.run(opLook, 2, 1_000_000, "")
			for i := range slots {
				s.run(opReserve, 2, 1_000_000, id(i))
			}
			stored, err := s.client.Get(t.Context(), scriptKey).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			s.do("SET", scriptKey, slices.Delete(stored, 5*8, 6*8))
			b := s.run(opReserve, 2, 1_000_000, id(slots))
			if want := a.opened + s.quiet + int64(slots/2)*1_000_000; b.opened != a.opened || b.slot != want {
				t.Errorf("opened %d then %d, slot %d µs from where it should be", a.opened, b.opened, b.slot-want)
			}
			if again := s.run(opReserve, 2, 1_000_000, id(slots)); again.slot != b.slot {
				t.Errorf("a repeated run is given %d, was %d", again.slot, b.slot)
			}
		})
	}
}

func TestScriptKeepsAThrottleThroughANewHistory(t *testing.T) {
	s := newScriptUnderTest(t)
	s.run(opLook, 10, 1_000_000, "")
	a := s.run(opThrottle, 10, 1_000_000, 30_000_000)
	s.edit(true, func(h *header) { h.Alive = float64(a.now - 2_000_000) })
	b := s.run(opReserve, 10, 1_000_000, id(1))
	if b.opened == a.opened || b.closed != a.closed || b.slot != a.closed {
		t.Errorf("opened %d then %d, closed until %d then %d, slot %d", a.opened, b.opened, a.closed, b.closed, b.slot)
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
