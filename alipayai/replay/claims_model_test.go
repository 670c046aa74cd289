package replay

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// reference is what Claims should do, told as plainly as possible.
type reference struct {
	now  time.Duration
	keys map[Key]referenceRecord
}

type referenceRecord struct {
	owner   int
	request [32]byte
	state   state
	body    string
	ends    time.Duration
}

func (r *reference) pass(d time.Duration) {
	r.now += d
	maps.DeleteFunc(r.keys, func(_ Key, kept referenceRecord) bool { return kept.ends <= r.now })
}

func (r *reference) claim(owner int, key Key, request [32]byte, lease time.Duration) string {
	kept, taken := r.keys[key]
	switch {
	case !taken:
		r.keys[key] = referenceRecord{owner, request, inFlight, "", r.now + lease}
		return "claimed"
	case kept.request != request:
		return ErrMismatch.Error()
	case kept.state == inFlight:
		return ErrInFlight.Error()
	case kept.state == held:
		return ErrHeld.Error()
	}
	return "answer " + kept.body
}

func (r *reference) settle(owner int, key Key, request [32]byte, to state, body string, ttl time.Duration) string {
	kept, taken := r.keys[key]
	if taken && (kept.owner != owner || kept.state != inFlight && kept.state != to) {
		return ErrLost.Error()
	}
	r.keys[key] = referenceRecord{owner, request, to, body, r.now + ttl}
	return "done"
}

func (r *reference) release(owner int, key Key) string {
	if kept := r.keys[key]; kept.owner == owner && kept.state == inFlight {
		delete(r.keys, key)
	}
	return "done"
}

// claimant is a claim that was made, ended or not.
type claimant struct {
	Claim
	owner   int
	key     Key
	request [32]byte
}

func TestClaimsAgainstReference(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		for seed := range uint64(8) {
			random := rand.New(rand.NewPCG(seed, 7))
			want := &reference{keys: make(map[Key]referenceRecord)}
			var claimants []claimant
			minutes := func() time.Duration { return time.Duration(1+random.IntN(20)) * time.Minute }
			for step := 1; step <= 600; step++ {
				var op, got, should string
				if random.IntN(3) == 0 || len(claimants) == 0 {
					c := claimant{owner: step, key: keyOf(random.IntN(4)), request: requestOf(random.IntN(8) / 7)}
					lease := minutes()
					claim, answer, err := s.Claim(t.Context(), c.key, c.request, lease)
					op, got = "claim", outcome(answer, err)
					should = want.claim(c.owner, c.key, c.request, lease)
					if c.Claim = claim; claim != nil {
						claimants = append(claimants, c)
					}
				} else {
					// Most often one of the latest; those before are of interest for
					// what they must not do.
					i := max(0, len(claimants)-1-random.IntN(6))
					op, got, should = end(t, random.IntN(5), claimants[i], want, strconv.Itoa(step), minutes())
				}
				if got != should {
					t.Fatalf("seed %d, step %d, %s: %q, want %q", seed, step, op, got, should)
				}
				if random.IntN(4) == 0 {
					d := minutes()
					s.pass(d)
					want.pass(d)
				}
				checkBooks(t, s.Claims, len(want.keys))
			}
			s.pass(24 * time.Hour)
		}
	})
}

// end does one thing to a claim, in the store and in the reference.
func end(t *testing.T, which int, c claimant, want *reference, body string, d time.Duration) (op, got, should string) {
	said := func(err error) string {
		if err != nil {
			return err.Error()
		}
		return "done"
	}
	switch which {
	case 0:
		return "release", said(c.Release(t.Context())), want.release(c.owner, c.key)
	case 1:
		return "hold", said(c.Hold(t.Context(), d)), want.settle(c.owner, c.key, c.request, held, "", d)
	case 2:
		return "extend", said(c.Extend(t.Context(), d)), want.settle(c.owner, c.key, c.request, inFlight, "", d)
	default:
		return "finish", said(c.Finish(t.Context(), answerOf(body), d)), want.settle(c.owner, c.key, c.request, finished, body, d)
	}
}

// checkBooks counts what claims in memory hold, and fails where they have
// counted otherwise.
func checkBooks(t *testing.T, claims Claims, most int) {
	t.Helper()
	m, ok := claims.(memoryClaims)
	if !ok {
		return
	}
	m.expire()
	var bytes, answers int64
	with := 0
	for key, r := range m.records {
		if r.key != key || m.ending[r.index] != r || (r.element != nil) != (r.state == finished) {
			t.Fatalf("a record is not in its places: %+v", r)
		}
		bytes += r.size
		if r.state == finished {
			with++
			answers += r.size
		}
	}
	if bytes != m.bytes || answers != m.answers || len(m.ending) != len(m.records) || m.finished.Len() != with {
		t.Fatalf("%s", fmt.Sprintf("%d bytes, %d of answers, in %d records, %d with an answer; counted are %d, %d, %d, %d",
			bytes, answers, len(m.records), with, m.bytes, m.answers, len(m.ending), m.finished.Len()))
	}
	if len(m.records) != most {
		t.Fatalf("%d records, want %d", len(m.records), most)
	}
}
