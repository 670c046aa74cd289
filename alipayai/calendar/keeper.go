package calendar

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/internal/record"
)

// Observer hears what operators are to know. Its methods return at once.
type Observer interface {
	// Due: what ends first of the key that signs and the certificate.
	Due(d Due)
	// Checked: the upstream was asked with that version.
	Checked(version int, c Check)
	// Keys: refused are the versions that the upstream has refused in traffic, failing those that it has not taken
	// when it was asked last; none of them where all is well.
	Keys(refused, failing []int)
	// Signs: that version signs from now on, in place of before.
	Signs(version, before int)
	// StoreFailed: the record cannot be read or kept, and this replica goes by its own.
	StoreFailed(err error)
}

// Config is what a [Keeper] works on. Its functions are safe for concurrent use.
type Config struct {
	// Every is how often the upstream is asked with each version; 0 for never.
	Every time.Duration
	// Activate says that a version signs only after the upstream has taken it, and that one which is refused in
	// traffic gives way to the last good one.
	Activate bool
	// RotateEvery is how long a key may be used; 0 for ever. Warnings are the times before that, and before
	// Certificate, at which operators are told.
	RotateEvery time.Duration
	Warnings    []time.Duration
	// Certificate is the end of the client's certificate; zero for none.
	Certificate time.Time

	// Held lists the versions that are held, and Signing gives the one that signs.
	Held    func() []Key
	Signing func() int
	// SignUpTo holds higher versions back from signing.
	SignUpTo func(version int)
	// Ask asks the upstream with a version, within its rate cap and behind all clients.
	Ask func(ctx context.Context, version int) Check

	Store    record.Store
	Observer Observer
	// Known is what was known before; nil for nothing. Keep gets what is known from now on; it may be nil.
	Known *Record
	Keep  func(Record)
	// Now is the local time.
	Now func() time.Time
}

// Keeper keeps the calendar of one provider. It is safe for concurrent use.
type Keeper struct {
	Config
	wake chan struct{}

	mu     sync.Mutex
	record Record
	// refused are IDs of keys that were refused in traffic and are not in the shared record yet.
	refused map[string]time.Time
	store   record.Health
	// unwritten says that the store does not know all of the record.
	unwritten bool
}

// NewKeeper makes a keeper. It starts nothing.
func NewKeeper(c Config) *Keeper {
	k := &Keeper{Config: c, wake: make(chan struct{}, 1), refused: make(map[string]time.Time)}
	if c.Known != nil {
		k.take(*c.Known)
	}
	return k
}

// leaseLife bounds how long a replica may ask before another one does.
const leaseLife = 2 * time.Minute

// Run looks at once, then each minute and whenever it is woken, until ctx ends.
func (k *Keeper) Run(ctx context.Context) { record.Run(ctx, k.wake, k.Look) }

// Wake lets Run look now: the keys have changed.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Begin reads the record and applies it, without asking anything.
func (k *Keeper) Begin(ctx context.Context) {
	r, _ := k.load(ctx)
	k.take(r)
}

// Record gives what is known.
func (k *Keeper) Record() Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record
}

// Look reads the record, asks the upstream with the keys that are due, keeps what came of it, and tells the observer. It
// reports whether nothing is left to do just now: another replica may be at it, or the store not have taken what came of it.
func (k *Keeper) Look(ctx context.Context) bool {
	keys := k.Held()
	if len(keys) == 0 {
		return true
	}
	shared, ok := k.load(ctx)
	k.take(shared)
	done := ok || !k.isUnwritten()
	if k.changes(keys, shared, ok) {
		done = k.update(ctx, keys)
	}
	k.tell(keys)
	return done || ctx.Err() != nil
}

// changes reports whether there is anything to ask or to write.
func (k *Keeper) changes(keys []Key, shared Record, loaded bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.refused) > 0 || len(k.record.due(keys, k.Every, k.Now())) > 0 {
		return true
	}
	for _, key := range keys {
		known, ok := shared.Keys[key.ID]
		if loaded && (k.Every > 0 || k.Activate) && (!ok || known.Last.At.Before(k.record.Keys[key.ID].Last.At)) {
			return true
		}
	}
	return false
}

// update changes the record under the lease, and reports whether the store has it.
func (k *Keeper) update(ctx context.Context, keys []Key) bool {
	release, ok, err := k.Store.Lease(ctx, leaseLife)
	if err == nil && !ok {
		return false
	}
	if err != nil {
		k.stored(err) // each replica asks for itself then, as often as it would alone
	} else {
		defer release()
		r, _ := k.load(ctx)
		k.take(r)
	}
	asking, cancel := context.WithTimeout(ctx, leaseLife/2)
	defer cancel()
	for i, key := range k.Record().due(keys, k.Every, k.Now()) {
		if asking.Err() != nil {
			break
		}
		c := k.Ask(asking, key.Version)
		if asking.Err() != nil && (i > 0 || ctx.Err() != nil) {
			break // what the upstream would have said is not known: only the first had all the time that there is
		}
		k.Observer.Checked(key.Version, c)
		k.take(k.Record().checked(key.ID, c))
	}
	r := k.Record()
	kept := k.stored(k.Store.Save(ctx, r.Marshal()))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unwritten = !kept
	for id := range k.refused {
		if _, noted := r.Keys[id]; noted && kept {
			delete(k.refused, id)
		}
	}
	return kept
}

func (k *Keeper) isUnwritten() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unwritten
}

// load reads the shared record.
func (k *Keeper) load(ctx context.Context) (Record, bool) {
	content, err := k.Store.Load(ctx)
	var r Record
	if err == nil {
		r, err = ParseRecord(content)
	}
	return r, k.stored(err)
}

// stored notes how the store fares, and reports whether it does well.
func (k *Keeper) stored(err error) bool {
	k.mu.Lock()
	first := k.store.Note(err, k.Now())
	k.mu.Unlock()
	if first {
		k.Observer.StoreFailed(err)
	}
	return err == nil
}

// take goes by r from now on; where it is empty, since the store is out of reach or has lost it, by what is known.
func (k *Keeper) take(r Record) {
	keys := k.Held()
	if len(keys) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !r.begun() {
		r = k.record
	}
	r = r.with(keys).and(k.record)
	for id, at := range k.refused {
		if !r.Keys[id].Last.At.After(at) {
			r = r.refused(id, at)
		}
	}
	k.know(r, keys)
}

// know goes by r, and lets the right version sign. The keeper is locked.
func (k *Keeper) know(r Record, keys []Key) {
	k.record = r
	if k.Keep != nil {
		k.Keep(r)
	}
	if !k.Activate {
		return
	}
	before := k.Signing()
	k.SignUpTo(r.signing(keys))
	if now := k.Signing(); now != before {
		k.Observer.Signs(now, before)
	}
}

// Refused notes that the upstream has refused a signature of that version, and reports whether another one signs
// from now on.
func (k *Keeper) Refused(version int) (changed bool) {
	if !k.Activate {
		return false
	}
	keys := k.Held()
	at := slices.IndexFunc(keys, func(key Key) bool { return key.Version == version })
	if at < 0 {
		return true // it is not held any more
	}
	id := keys[at].ID
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.record.Keys[id].RefusedAt.IsZero() {
		k.refused[id] = k.Now()
		k.know(k.record.with(keys).refused(id, k.Now()), keys)
		k.Wake()
	}
	return k.Signing() != version
}

// tell tells the observer how the keys are.
func (k *Keeper) tell(keys []Key) {
	r := k.Record()
	var refused, failing []int
	for _, key := range keys {
		entry := r.Keys[key.ID]
		if !entry.RefusedAt.IsZero() {
			refused = append(refused, key.Version)
		}
		if !entry.Last.At.IsZero() && !entry.Last.Taken {
			failing = append(failing, key.Version)
		}
	}
	k.Observer.Due(k.Due())
	k.Observer.Keys(refused, failing)
}

// Due says what ends first of the key that signs and the certificate.
func (k *Keeper) Due() Due {
	now, signing := k.Now(), k.Signing()
	first := DueAt("app_certificate", k.Certificate, now, k.Warnings)
	for _, key := range k.Held() {
		if key.Version != signing || k.RotateEvery == 0 || key.Since.IsZero() {
			continue
		}
		if end := key.Since.Add(k.RotateEvery); first.At.IsZero() || end.Before(first.At) {
			first = DueAt("key "+strconv.Itoa(signing), end, now, k.Warnings)
		}
	}
	return first
}
