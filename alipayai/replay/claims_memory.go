package replay

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryClaims holds the claims of one process. It is used through Within.
type MemoryClaims struct {
	now func() time.Time

	mu       sync.Mutex
	records  map[Key]*record
	leases   endings[*record] // of those whose calls are under way
	others   endings[*record] // of the others
	finished shares[*record]  // those with an answer, of each tenant the oldest in front
	bytes    int64            // of all
	answers  int64            // of the answers alone
	// keys are how many each tenant has.
	keys map[string]int64
}

// record is a claimed key. It is its owner's as long as it is under the key.
type record struct {
	key     Key
	tenant  string
	request [32]byte
	state   state
	answer  Answer // of a call under way an empty body, in the memory of one that was removed
	size    int64  // 0 while it is not under the key
	ending  ending[*record]
	lease   time.Time        // when a call that has left counts as held
	holding holding[*record] // in finished, while there is an answer
}

// kept reports whether it is under its key, sooner than a look there.
func (r *record) kept() bool { return r.size > 0 }

// NewMemoryClaims makes an empty one.
func NewMemoryClaims(now func() time.Time) *MemoryClaims {
	of := func(r *record) *ending[*record] { return &r.ending }
	return &MemoryClaims{
		now: now, records: make(map[Key]*record), keys: make(map[string]int64), leases: newEndings(of), others: newEndings(of),
	}
}

// Within are the claims as ones that may take maxBytes. Where there is no room,
// the oldest answers go first, of the tenant whose answers take the most, and
// their keys stay served for the time that was left to them: no key is free before
// its time. An answer of more than an eighth of the room is not kept.
//
// A tenant may take no more room for keys than that leaves for others: half of it
// when it is alone, a third when there are two that take all they can get. Beyond
// that it can claim nothing new, while others still can.
func (m *MemoryClaims) Within(maxBytes int64) Claims { return memoryClaims{m, maxBytes} }

// memoryClaims are MemoryClaims under a budget.
type memoryClaims struct {
	*MemoryClaims
	maxBytes int64
}

// errFull is a budget that keys without their answers have used up.
var errFull = fmt.Errorf("%w: the memory for claims has no room for more keys of this tenant", ErrUnavailable)

// Claim implements Claims.
func (m memoryClaims) Claim(ctx context.Context, tenant string, key Key, request [32]byte, lease time.Duration) (Claim, *Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	spare := m.expire(now)
	r, taken := m.records[key]
	switch {
	case !taken:
		claim := &memoryClaim{claims: m, record: record{key: key, tenant: tenant, request: request}}
		if !m.roomForKey(tenant, m.maxBytes) {
			return nil, nil, errFull
		}
		m.insert(&claim.record, inFlight, Answer{Body: spare[:0]}, entryOverhead, now.Add(wholeMillis(lease)))
		return claim, nil, nil
	case r.request != request:
		return nil, nil, ErrMismatch
	case r.state == left && !now.Before(r.lease):
		return nil, nil, ErrHeld
	case r.state != finished:
		return nil, nil, r.state.err()
	}
	answer := r.answer
	answer.Body = bytes.Clone(answer.Body) // the record's own is written over some time
	return nil, &answer, nil
}

// memoryClaim is a Claim in memory, in one piece with its record.
type memoryClaim struct {
	claims memoryClaims
	record record
}

// Leave implements Claim.
func (c *memoryClaim) Leave(_ context.Context, lease, ttl time.Duration) error {
	m := c.claims
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if !c.record.kept() {
		return ErrLost
	}
	return c.leave(now, lease, ttl)
}

// Extend implements Claim.
func (c *memoryClaim) Extend(_ context.Context, lease, ttl time.Duration) error {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	return c.leave(c.claims.now(), lease, ttl)
}

func (c *memoryClaim) leave(now time.Time, lease, ttl time.Duration) error {
	err := c.settle(now, left, Answer{}, max(lease, ttl))
	if err == nil {
		c.record.lease = now.Add(wholeMillis(lease))
	}
	return err
}

// Finish implements Claim.
func (c *memoryClaim) Finish(_ context.Context, answer Answer, ttl time.Duration) error {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	return c.settle(c.claims.now(), finished, answer, ttl)
}

// Served implements Claim.
func (c *memoryClaim) Served(_ context.Context, ttl time.Duration) error {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	return c.settle(c.claims.now(), served, Answer{}, ttl)
}

// Hold implements Claim.
func (c *memoryClaim) Hold(_ context.Context, ttl time.Duration) error {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	return c.settle(c.claims.now(), held, Answer{}, ttl)
}

// Release implements Claim.
func (c *memoryClaim) Release(context.Context) error {
	m, r := c.claims, &c.record
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.kept() && r.state.open() {
		m.remove(r)
	}
	return nil
}

// settle runs under the mutex.
func (c *memoryClaim) settle(now time.Time, to state, answer Answer, ttl time.Duration) error {
	m, r := c.claims, &c.record
	ends := now.Add(wholeMillis(ttl))
	var spare []byte // see record.answer
	if r.state.open() {
		spare = r.answer.Body
	}
	m.expire(now)
	switch {
	case !r.kept() && m.records[r.key] != nil:
		return ErrLost
	case !r.kept():
		if !m.roomForKey(r.tenant, m.maxBytes) {
			return errFull
		}
	case r.state == served && to == finished:
		return ErrTooLarge
	case !r.state.open() && r.state != to:
		return ErrLost
	default:
		m.forget(r) // and it keeps its place
		m.bytes -= r.size
	}
	size := entryOverhead + answer.size()
	if to == finished && (size > m.maxBytes/8 || !m.room(r.tenant, size, m.maxBytes)) {
		m.insert(r, served, Answer{}, entryOverhead, ends)
		return ErrTooLarge
	}
	switch to {
	case finished:
		answer.Body = bodyIn(spare, answer.Body)
	case left:
		answer.Body = spare
	}
	m.insert(r, to, answer, size, ends)
	return nil
}

// roomForKey lets the oldest answers go until there is room for one more key of
// the tenant.
func (m *MemoryClaims) roomForKey(tenant string, maxBytes int64) bool {
	left := maxBytes - int64(len(m.records))*entryOverhead
	return (m.keys[tenant]+1)*entryOverhead <= left && m.room(tenant, entryOverhead, maxBytes)
}

// room lets the oldest answers go until there is room for size more bytes of the
// tenant. It lets none go if that is of no use.
func (m *MemoryClaims) room(tenant string, size, maxBytes int64) bool {
	if m.bytes-m.answers+size > maxBytes {
		return false
	}
	for m.bytes+size > maxBytes {
		r := m.finished.next(tenant, size)
		m.forget(r)
		r.state = served
	}
	return true
}

// forget drops the answer of a record, if it has one.
func (m *MemoryClaims) forget(r *record) {
	if r.state != finished {
		return
	}
	m.finished.drop(&r.holding)
	m.answers -= r.size - entryOverhead
	m.bytes -= r.size - entryOverhead
	r.answer, r.size = Answer{}, entryOverhead
}

// maxSpare is the most, in bytes, that a call under way holds of an answer that was removed.
const maxSpare = 4 << 10

// expire removes what has ended, and gives the memory of an answer's body among it; nil for none.
func (m *MemoryClaims) expire(now time.Time) (spare []byte) {
	for _, of := range [...]*endings[*record]{&m.leases, &m.others} {
		for r, ok := of.ended(now); ok; r, ok = of.ended(now) {
			if r.state == finished && cap(r.answer.Body) <= maxSpare {
				spare = r.answer.Body
			}
			m.remove(r)
		}
	}
	return spare
}

// endings gives those that a record in a state is in.
func (m *MemoryClaims) endings(s state) *endings[*record] {
	if s.open() {
		return &m.leases
	}
	return &m.others
}

// insert puts a record, which takes size, under its key until it ends, or changes the one that is there, of which
// m.bytes counts nothing then.
func (m *MemoryClaims) insert(r *record, to state, answer Answer, size int64, ends time.Time) {
	if r.kept() {
		m.endings(r.state).remove(r)
	} else {
		m.records[r.key] = r
		m.keys[r.tenant]++
	}
	r.state, r.answer, r.size = to, answer, size
	m.endings(to).put(r, ends)
	m.bytes += r.size
	if to == finished {
		m.finished.hold(r.tenant, &r.holding, r, r.size-entryOverhead)
		m.answers += r.size - entryOverhead
	}
}

func (m *MemoryClaims) remove(r *record) {
	m.forget(r)
	delete(m.records, r.key)
	if m.keys[r.tenant]--; m.keys[r.tenant] == 0 {
		delete(m.keys, r.tenant)
	}
	m.endings(r.state).remove(r)
	m.bytes -= r.size
	r.size = 0
}

// Interface guards
var (
	_ Claims = memoryClaims{}
	_ Claim  = (*memoryClaim)(nil)
)
