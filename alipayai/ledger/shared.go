package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed" // the script
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

const (
	// shareEvery is the time between two exchanges with Redis.
	shareEvery = 500 * time.Millisecond
	// shareTimeout bounds one of them. No call waits for it.
	shareTimeout = time.Second
	// keepShared is how long a day's totals are kept in Redis after the last addition.
	keepShared = 400 * 24 * time.Hour
	// maxShared bounds the groups that wait while Redis is away; what is more is in the
	// file of its replica alone.
	maxShared = 10_000
	// maxBatch bounds the groups of one exchange: a larger one might never end in time, and keeps Redis from other uses.
	maxBatch = 500
)

//go:embed shared.lua
var sharedSource string

// Shared adds the totals of all replicas up, in Redis, version 5 or later. Lines stay
// with the replica that has made them. The names of tenants are sealed there.
type Shared struct {
	exchange redisstore.Exchange
	client   redis.UniversalClient
	script   *redis.Script
	keys     redisstore.Keys
	seal     *seal.Seal
	zone     *time.Location
	process  string

	// Lost, if set before the first Record, is called by Close with what Redis has not said that it has: how many attempts,
	// and their totals by currency. They are in the file of this replica alone.
	Lost func(attempts int64, totals map[price.Currency]Totals)

	mu   sync.Mutex
	sums map[string]map[Group]Totals // by day, not sent yet
	over sums                        // by currency: what was more than maxShared

	// Those below belong to the goroutine of share.
	seq     int64
	sending map[string][]sharing // by day: what may have been sent already is first

	start sync.Once
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	done  chan struct{}
}

// sharing is a batch on its way: until it is known to be there, it is sent again as it is.
type sharing struct {
	seq  int64
	sums map[Group]Totals
}

// NewShared makes the totals of a replica; days are those of zone. The client must repeat
// nothing by itself and keep to the deadline of a context; it stays the caller's. Start
// begins the sharing and Close ends it.
func NewShared(client redis.UniversalClient, s *seal.Seal, zone *time.Location) *Shared {
	ctx, stop := context.WithCancel(context.Background())
	return &Shared{
		exchange: redisstore.Exchange{Client: client, Timeout: shareTimeout, Repeat: redisstore.Patient},
		client:   client, script: redis.NewScript(sharedSource), keys: redisstore.KeysOf("ledger"), seal: s, zone: zone, process: rand.Text(),
		sums: make(map[string]map[Group]Totals), sending: make(map[string][]sharing),
		ctx: ctx, stop: stop, done: make(chan struct{}),
	}
}

// Start begins the sharing; a second time changes nothing.
func (s *Shared) Start() { s.start.Do(func() { go s.share() }) }

// Close sends what is there and ends the sharing.
func (s *Shared) Close() error {
	s.stop()
	s.start.Do(func() { s.lose(); close(s.done) }) // it never began
	<-s.done
	return nil
}

// Record adds a line. It does not wait.
func (s *Shared) Record(l Line) {
	g := l.group(s.zone)
	s.mu.Lock()
	defer s.mu.Unlock()
	day := s.sums[g.Day]
	if day == nil {
		day = make(map[Group]Totals)
		s.sums[g.Day] = day
	}
	sum, known := day[g]
	if !known && len(day) >= maxShared {
		s.over.add(Group{Currency: g.Currency}, l.totals())
		return
	}
	sum.Add(l.totals())
	day[g] = sum
}

func (s *Shared) share() {
	defer close(s.done)
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			if s.send(); len(s.sending) == 0 {
				s.send() // what has come since a batch of its day was made
			}
			s.lose()
			return
		case <-tick.C:
			s.send()
		}
	}
}

// lose says what was not sent.
func (s *Shared) lose() {
	s.mu.Lock()
	lost := make(sums)
	for g, t := range s.over {
		lost.add(g, t)
	}
	for _, day := range s.sums {
		for g, t := range day {
			lost.add(g, t)
		}
	}
	s.mu.Unlock()
	for _, batches := range s.sending {
		for _, batch := range batches {
			for g, t := range batch.sums {
				lost.add(g, t)
			}
		}
	}
	if len(lost) > 0 && s.Lost != nil {
		s.Lost(lost.byCurrency())
	}
}

// send sends what has come, in batches for each day. What fails is sent again, with the same
// number, before anything else of its day.
func (s *Shared) send() {
	s.mu.Lock()
	for day, sums := range s.sums {
		if len(s.sending[day]) == 0 {
			s.sending[day] = s.batches(sums)
			delete(s.sums, day)
		}
	}
	s.mu.Unlock()
	for day, batches := range s.sending {
		for len(batches) > 0 && s.sendDay(day, batches[0]) == nil {
			batches = batches[1:]
		}
		if s.sending[day] = batches; len(batches) == 0 {
			delete(s.sending, day)
		}
	}
}

// batches numbers what is to be sent of a day, so many groups at a time.
func (s *Shared) batches(of map[Group]Totals) (batches []sharing) {
	for g, t := range of {
		if last := len(batches) - 1; last < 0 || len(batches[last].sums) == maxBatch {
			s.seq++
			batches = append(batches, sharing{s.seq, make(map[Group]Totals, min(len(of), maxBatch))})
		}
		batches[len(batches)-1].sums[g] = t
	}
	return batches
}

func (s *Shared) sendDay(day string, batch sharing) error {
	args := []any{day, dayNumber(day), keepShared.Milliseconds(), s.process, batch.seq, len(new(Totals).numbers())}
	for g, t := range batch.sums {
		name := groupKey(g)[len(time.DateOnly):] // the same each day
		args = append(args, redisstore.Digest(name), s.seal.Seal("ledger", name))
		for _, n := range t.numbers() {
			args = append(args, *n)
		}
	}
	reply, err := s.exchange.Run(context.WithoutCancel(s.ctx), s.script, s.dayKeys(day), args...)
	if err == nil {
		_, err = reply.Integer()
	}
	return err
}

func (s *Shared) dayKeys(day string) []string {
	return []string{s.keys.Key("day:" + day), s.keys.Key("names"), s.keys.Key("days")}
}

func dayNumber(day string) int64 {
	t, _ := time.Parse(time.DateOnly, day) // as it was written
	return t.Unix() / (24 * 60 * 60)
}

// numbers are those of the totals, in the order in which Redis has them.
func (t *Totals) numbers() []*int64 {
	return []*int64{
		&t.Attempts, &t.Prompt, &t.Cached, &t.Completion,
		(*int64)(&t.Amount), (*int64)(&t.Floor), (*int64)(&t.Estimated), (*int64)(&t.Unknown), &t.UnknownAttempts,
	}
}

// Unreadable is the tenant, the provider and the model of totals whose names were sealed with another key: they are counted
// without amounts, also in reports of one tenant, provider or model, whose they may be, so that no report looks as if it were
// all.
const Unreadable = "(unreadable)"

// Totals gives those of all replicas. What came in the last half second may be missing.
func (s *Shared) Totals(ctx context.Context, q Query) (found []GroupTotals, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*shareTimeout)
	defer cancel()
	keys := s.dayKeys("")
	days, err := s.client.ZRange(ctx, keys[2], 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("asking Redis: %w", err)
	}
	sealed, err := s.client.HGetAll(ctx, keys[1]).Result()
	if err != nil {
		return nil, fmt.Errorf("asking Redis: %w", err)
	}
	names := make(map[string]Group, len(sealed))
	for digest, text := range sealed {
		name, err := s.seal.Open("ledger", []byte(text))
		if err != nil { // under another encryption_key: the next line of the group brings its name anew
			names[digest] = Group{Tenant: Unreadable, Provider: Unreadable, Model: Unreadable}
			continue
		}
		if g, ok := parseGroupKey(append([]byte(time.DateOnly), name...)); ok {
			names[digest] = g
		}
	}
	for _, day := range days {
		if day < q.From || q.To != "" && day > q.To {
			continue
		}
		fields, err := s.client.HGetAll(ctx, s.dayKeys(day)[0]).Result()
		if err != nil {
			return nil, fmt.Errorf("asking Redis: %w", err)
		}
		found = append(found, readDay(day, fields, names, q)...)
	}
	slices.SortFunc(found, func(a, b GroupTotals) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(hex.EncodeToString(groupKey(a.Group)), hex.EncodeToString(groupKey(b.Group))))
	})
	return found, nil
}

// takesShared is takes, for groups of which some have no names.
func (q Query) takesShared(g Group) bool {
	if g.Tenant == Unreadable {
		q.Tenant, q.Provider, q.Model = "", "", ""
	}
	return q.takes(g)
}

// readDay reads the numbers of a day.
func readDay(day string, fields map[string]string, names map[string]Group, q Query) (found []GroupTotals) {
	sums := make(map[string]*Totals)
	for field, value := range fields {
		digest, index, _ := strings.Cut(field, ":")
		i, err := strconv.Atoi(index)
		n, err2 := strconv.ParseInt(value, 10, 64)
		if _, ok := names[digest]; !ok || err != nil || err2 != nil || i < 1 {
			continue
		}
		if sums[digest] == nil {
			sums[digest] = new(Totals)
		}
		if numbers := sums[digest].numbers(); i <= len(numbers) {
			*numbers[i-1] = n
		}
	}
	for digest, t := range sums {
		g := names[digest]
		if g.Tenant == Unreadable { // in which currency is not known
			t.Amount, t.Floor, t.Estimated, t.Unknown = 0, 0, 0, 0
		}
		if g.Day = day; q.takesShared(g) {
			found = append(found, GroupTotals{g, *t})
		}
	}
	return found
}
