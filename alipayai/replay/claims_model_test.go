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
	// most is what it may take, in bytes; 0 for as much as it likes.
	most int64
	// steps counts what was done.
	steps int
}

type referenceRecord struct {
	owner   int
	request [32]byte
	state   state
	body    string
	ends    time.Duration
	lease   time.Duration // when a call that has left counts as held
	since   int           // the step of its state
}

func (r referenceRecord) size() int64 {
	if r.state != finished {
		return entryOverhead
	}
	answer := answerOf(r.body)
	return entryOverhead + answer.size()
}

// room takes answers away until there is room for size more bytes, the largest
// first, as each key has a tenant of its own, and of equal ones the oldest, unless
// all of them are not enough.
func (r *reference) room(size int64) bool {
	fits := func(used int64) bool { return r.most == 0 || used+size <= r.most }
	if !fits(int64(len(r.keys)) * entryOverhead) {
		return false
	}
	for {
		var used int64
		var next Key
		for key, kept := range r.keys {
			used += kept.size()
			first := r.keys[next]
			if kept.state == finished && (first.state != finished || kept.size() > first.size() || kept.size() == first.size() && kept.since < first.since) {
				next = key
			}
		}
		if fits(used) {
			return true
		}
		kept := r.keys[next]
		kept.state, kept.body = served, ""
		r.keys[next] = kept
	}
}

func (r *reference) pass(d time.Duration) {
	r.now += d
	maps.DeleteFunc(r.keys, func(_ Key, kept referenceRecord) bool { return kept.ends <= r.now })
}

func (r *reference) claim(owner int, key Key, request [32]byte, lease time.Duration) string {
	kept, taken := r.keys[key]
	switch {
	case !taken && !r.room(entryOverhead):
		return noRoom
	case !taken:
		r.keys[key] = referenceRecord{owner, request, inFlight, "", r.now + lease, 0, r.steps}
		return "claimed"
	case kept.request != request:
		return ErrMismatch.Error()
	case kept.state == inFlight, kept.state == left && r.now < kept.lease:
		return ErrInFlight.Error()
	case kept.state == left, kept.state == held:
		return ErrHeld.Error()
	case kept.state == served:
		return ErrNotKept.Error()
	}
	return "answer " + kept.body
}

func (r *reference) settle(owner int, key Key, request [32]byte, to state, body string, ttl time.Duration) string {
	kept, taken := r.keys[key]
	switch open := kept.state == inFlight || kept.state == left; {
	case taken && kept.owner == owner && kept.state == served && to == finished:
		return ErrTooLarge.Error()
	case taken && (kept.owner != owner || !open && kept.state != to):
		return ErrLost.Error()
	}
	if !taken && !r.room(entryOverhead) {
		return noRoom
	}
	delete(r.keys, key)
	settled, said := referenceRecord{owner, request, to, body, r.now + ttl, 0, r.steps}, "done"
	if to == finished && (r.most > 0 && settled.size() > r.most/8 || !r.room(settled.size())) {
		settled.state, settled.body, said = served, "", ErrTooLarge.Error()
	}
	r.keys[key] = settled
	return said
}

func (r *reference) leave(owner int, key Key, request [32]byte, mustExist bool, lease, ttl time.Duration) string {
	if _, taken := r.keys[key]; mustExist && !taken {
		return ErrLost.Error()
	}
	said := r.settle(owner, key, request, left, "", max(lease, ttl))
	if said == "done" {
		kept := r.keys[key]
		kept.lease = r.now + lease
		r.keys[key] = kept
	}
	return said
}

func (r *reference) release(owner int, key Key) string {
	if kept := r.keys[key]; kept.owner == owner && (kept.state == inFlight || kept.state == left) {
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
			playClaims(t, s, seed, 4, 0)
		}
	})
}

// In little memory keys lose their answers, and some calls cannot be claimed; none is served twice.
func TestClaimsInLittleMemoryAgainstReference(t *testing.T) {
	for seed := range uint64(40) {
		c := newClock()
		most := int64(8+seed%8) * entryOverhead
		playClaims(t, stores{Claims: NewMemoryClaims(c.now).Within(most), pass: func(d time.Duration) { c.time = c.time.Add(d) }}, seed, 16, most)
	}
}

// playClaims does random things to claims of so many keys, in the store and in the reference.
func playClaims(t *testing.T, s stores, seed uint64, keys int, most int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	want := &reference{keys: make(map[Key]referenceRecord), most: most}
	var claimants []claimant
	minutes := func() time.Duration { return time.Duration(1+random.IntN(20)) * time.Minute }
	for want.steps = 1; want.steps <= 600; want.steps++ {
		var op, got, should string
		if random.IntN(3) == 0 || len(claimants) == 0 {
			c := claimant{owner: want.steps, key: keyOf(random.IntN(keys)), request: requestOf(random.IntN(8) / 7)}
			lease := minutes()
			claim, answer, err := s.Claim(t.Context(), tenantOf(c.key), c.key, c.request, lease)
			op, got = "claim", outcome(answer, err)
			should = want.claim(c.owner, c.key, c.request, lease)
			if c.Claim = claim; claim != nil {
				claimants = append(claimants, c)
			}
		} else {
			// Most often one of the latest; those before are of interest for
			// what they must not do.
			i := max(0, len(claimants)-1-random.IntN(6))
			op, got, should = end(t, random.IntN(8), claimants[i], want, strconv.Itoa(want.steps), minutes(), minutes())
		}
		if got != should {
			t.Fatalf("seed %d, step %d, %s: %q, want %q", seed, want.steps, op, got, should)
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

// end does one thing to a claim, in the store and in the reference.
func end(t *testing.T, which int, c claimant, want *reference, body string, d, ttl time.Duration) (op, got, should string) {
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
		return "extend", said(c.Extend(t.Context(), d, ttl)), want.leave(c.owner, c.key, c.request, false, d, ttl)
	case 3, 4:
		return "leave", said(c.Leave(t.Context(), d, ttl)), want.leave(c.owner, c.key, c.request, true, d, ttl)
	case 5:
		return "served", said(c.Served(t.Context(), d)), want.settle(c.owner, c.key, c.request, served, "", d)
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
	m.expire(m.now())
	var bytes, answers int64
	with := 0
	for key, r := range m.records {
		if r.key != key || m.endings(r.state).at(r) != r || (r.holding.Value.of != nil) != (r.state == finished) {
			t.Fatalf("a record is not in its places: %+v", r)
		}
		bytes += r.size
		if r.state == finished {
			with++
			answers += r.size - entryOverhead
		}
	}
	held := 0
	for _, of := range m.finished.of {
		held += of.held.Len()
	}
	if bytes != m.bytes || answers != m.answers || m.leases.len()+m.others.len() != len(m.records) || held != with {
		t.Fatalf("%s", fmt.Sprintf("%d bytes, %d of answers, in %d records, %d with an answer; counted are %d, %d, %d, %d",
			bytes, answers, len(m.records), with, m.bytes, m.answers, m.leases.len()+m.others.len(), held))
	}
	if len(m.records) != most {
		t.Fatalf("%d records, want %d", len(m.records), most)
	}
}
