package limiter

import (
	"slices"
	"testing"
)

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
