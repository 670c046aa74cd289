package alipaycaddy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // where the system has none

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Ledger says where it is kept what calls have cost.
type Ledger struct {
	// The file, made if it is not there. One process can have it open at a time. It may
	// be a placeholder. Default: `alipayai/ledger.db` in Caddy's data folder
	Path string `json:"path,omitempty" placeholder:"whole"`

	// How long the line of each attempt is kept. The totals of days stay. Default: for ever.
	Keep caddy.Duration `json:"keep,omitempty"`

	// The time zone of the days that totals are kept by, such as `Asia/Shanghai`. Default: `UTC`
	Zone string `json:"zone,omitempty"`

	// Disables the ledger. Without one, budgets are forgotten when the process ends,
	// unless replicas share them. Default: false
	Off bool `json:"off,omitempty"`
}

// wanted reports whether a ledger is configured by itself.
func (l *Ledger) wanted() bool { return l != nil && !l.Off }

// defaultLedger is where the ledger is by default.
func defaultLedger() string { return filepath.Join(caddy.AppDataDir(), "alipayai", "ledger.db") }

// resolve gives the file and the time zone.
func (l *Ledger) resolve(s secrets) (path string, zone *time.Location, err error) {
	if l == nil {
		l = new(Ledger)
	}
	if l.Keep < 0 {
		return "", nil, errors.New("keep must be positive")
	}
	path = defaultLedger()
	if l.Path != "" {
		if path, err = s.public("path", l.Path); err != nil {
			return "", nil, err
		}
	}
	zone, err = parseZone(l.Zone)
	return path, zone, err
}

// checkLedgerFile refuses what is no ledger, and never was one: a file that is broken is set aside, and that of something
// else must not be.
func checkLedgerFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil //nolint:nilerr // it is made, or calls go on without it
	case info.IsDir():
		return errors.New("it is a folder; name a file in it, as ledger.db")
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file; name another")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil //nolint:nilerr // calls go on without it
	}
	defer file.Close()
	head := make([]byte, 4096)
	n, _ := io.ReadFull(file, head)
	if head = head[:n]; n > 0 && !bytes.ContainsRune(head, 0) {
		return errors.New("it is the file of something else, and no ledger; name another, which is made")
	}
	return nil
}

// parseZone finds a time zone by its name; UTC for none.
func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("time zone %q is unknown; write it like Asia/Shanghai or UTC", name)
	}
	return zone, nil
}

// ledgerFile is a ledger's file in the pool: a reload must not close it, since only one process can have it open, and the
// new configuration opens it before the old one ends.
type ledgerFile struct {
	once sync.Once
	*ledger.Ledger
	path string

	mu    sync.Mutex
	keeps []*time.Duration // of the configurations that use it
	// sharing are the totals of all replicas that configurations which have started keep, the latest last: with another
	// store, or another password for it, they are others.
	sharing []sharedLedger
}

// Destruct implements caddy.Destructor: it writes what is pending.
func (f *ledgerFile) Destruct() error {
	if f.Ledger == nil {
		return nil
	}
	return f.Close()
}

// use has lines kept for as long as the configuration says, 0 for ever, until leave. While a configuration replaces another
// the longer time holds: one that is rejected must not delete what the other keeps.
func (f *ledgerFile) use(keep time.Duration) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keeps = append(f.keeps, &keep)
	f.keepLongest()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keeps = slices.DeleteFunc(f.keeps, func(k *time.Duration) bool { return k == &keep })
		f.keepLongest()
	})
}

// keepLongest has lines kept for the longest time; where no configuration is left, as before. f.mu is held.
func (f *ledgerFile) keepLongest() {
	if len(f.keeps) == 0 {
		return
	}
	longest := *f.keeps[0]
	for _, keep := range f.keeps {
		if longest = max(longest, *keep); *keep == 0 {
			f.Keep(0)
			return
		}
	}
	f.Keep(longest)
}

// share has the lines that a process before this one has left go to those totals too, until leave.
func (f *ledgerFile) share(to sharedLedger) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sharing = append(f.sharing, to)
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i := slices.Index(f.sharing, to); i >= 0 {
			f.sharing = slices.Delete(f.sharing, i, i+1)
		}
	})
}

// left takes the lines of attempts that a process before this one has not ended, to the totals of all replicas and the log.
func (f *ledgerFile) left(lines []ledger.Line) {
	f.mu.Lock()
	if n := len(f.sharing); n > 0 {
		for _, l := range lines {
			f.sharing[n-1].Record(l)
		}
	}
	f.mu.Unlock()
	live.Log(caddy.Log()).Named("alipayai.ledger").Warn("attempts were under way when the process ended before: what they cost at most is in the ledger",
		zap.String("file", f.path), zap.Int("attempts", len(lines)))
}

// otherHas reports whether the ledger of another configuration of this process has the file: one of the same zone would be f
// itself.
func (f *ledgerFile) otherHas() (has bool) {
	pool.Range(func(_, value any) bool {
		other, ok := value.(*ledgerFile)
		has = ok && other != f && other.path == f.path
		return !has
	})
	return has
}

// ledgerState is a ledger in the pool: a file, and what replicas share of it in a store. With another store, another password
// for it, or another encryption_key, it is another one over the same file.
type ledgerState struct {
	once sync.Once
	*ledgerFile
	// shared are the totals of all replicas; nil where they share none.
	shared sharedLedger
	// begin is for the first start, leave ends what that has begun, and acquired is the file and what shared is kept in.
	begin    sync.Once
	leave    func()
	acquired acquired
}

// End implements alipayai.Ledger.
func (s *ledgerState) End(number uint64, l ledger.Line) {
	s.Ledger.End(number, l)
	if s.shared != nil {
		s.shared.Record(l)
	}
}

// Totals implements ledger.Source: those of all replicas, where they are shared.
func (s *ledgerState) Totals(ctx context.Context, q ledger.Query) ([]ledger.GroupTotals, error) {
	if s.shared != nil {
		return s.shared.Totals(ctx, q)
	}
	return s.Ledger.Totals(ctx, q)
}

// start opens what the ledger is kept in; it may be called at any time.
func (s *ledgerState) start() {
	if s.shared != nil {
		s.begin.Do(func() { s.leave = s.share(s.shared) })
		s.shared.Start()
	}
	s.Open()
}

// Destruct implements caddy.Destructor: it sends what is pending.
func (s *ledgerState) Destruct() (err error) {
	if s.shared != nil {
		s.begin.Do(func() { s.leave = func() {} })
		s.leave()
		err = s.shared.Close()
	}
	s.acquired.release()
	return err
}

// openLedger prepares the ledger, unless it is off. It opens its file when the configuration starts.
func (a *accounts) openLedger(o *Ledger) error {
	if o != nil && o.Off {
		return nil
	}
	path, zone, err := o.resolve(a.secrets)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := checkLedgerFile(path); err != nil {
		return fmt.Errorf("ledger %s: %w", path, err)
	}
	a.acquireLedger = func() (*ledgerState, func()) {
		state, release := acquire[ledgerState]("ledger", path, zone.String(), a.store.identity, a.sealing.Identity())
		state.once.Do(func() {
			file := acquireFor[ledgerFile](&state.acquired, "ledger file", path, zone.String())
			file.once.Do(func() {
				file.path = path
				file.Ledger = ledger.New(ledger.Options{Path: path, Zone: zone, LockWait: pace.ledger, Changed: file.changed, Lost: tellLost(path), Left: file.left, Written: a.metrics.ledgerWrote})
			})
			state.ledgerFile = file
			if state.shared = a.store.ledger(a.sealing, zone); state.shared != nil {
				state.acquired.add(a.store.hold())
			}
		})
		return state, release
	}
	state, release := a.acquireLedger()
	a.acquired.add(release)
	a.ledger = state
	var keep time.Duration
	if o != nil {
		keep = time.Duration(o.Keep)
	}
	a.acquired.add(state.use(keep))
	a.checks = append(a.checks, func() error {
		state.start()
		// Two gateways that wrote by turns, or counted budgets without each other, would both be wrong.
		if err := state.Err(); errors.Is(err, ledger.ErrLocked) {
			if state.otherHas() {
				return fmt.Errorf("ledger %s: this gateway has the file open with another zone, which a reload does not change: restart it, or name another file", path)
			}
			return fmt.Errorf("ledger %s: %w", path, err)
		}
		return nil
	})
	return nil
}

// tellLost tells of what a ledger that ends could not write: the log is the last place for it.
func tellLost(path string) func(int64, map[price.Currency]ledger.Totals) {
	return func(attempts int64, totals map[price.Currency]ledger.Totals) {
		logger := live.Log(caddy.Log()).Named("alipayai.ledger").With(zap.String("file", path))
		for _, currency := range slices.Sorted(maps.Keys(totals)) {
			t := totals[currency]
			logger.Error("what attempts have cost is lost: the ledger could not be written before it was closed",
				zap.String("currency", string(currency)), zap.String("amount", t.Amount.String()), zap.String("unknown_at_most", t.Unknown.String()),
				zap.Int64("attempts", t.Attempts), zap.Int64("of_all_attempts", attempts))
		}
	}
}

// tellNotShared tells of what Redis has not had of a ledger that ends.
func tellNotShared(attempts int64, totals map[price.Currency]ledger.Totals) {
	logger := live.Log(caddy.Log()).Named("alipayai.ledger")
	for _, currency := range slices.Sorted(maps.Keys(totals)) {
		t := totals[currency]
		logger.Error("what attempts have cost is missing in the totals of all replicas: Redis could not be reached before the ledger was closed",
			zap.String("currency", string(currency)), zap.String("amount", t.Amount.String()), zap.String("unknown_at_most", t.Unknown.String()),
			zap.Int64("attempts", t.Attempts), zap.Int64("of_all_attempts", attempts))
	}
}

// changed tells of the ledger's file through the process's log: the ledger outlives
// the configuration that made it.
func (f *ledgerFile) changed(err error, aside string) {
	logger := live.Log(caddy.Log()).Named("alipayai.ledger").With(zap.String("file", f.path))
	switch {
	case aside != "":
		logger.Error("the ledger's file is broken: it was set aside, and a new one is begun", zap.String("set_aside", aside), zap.Error(err))
	case errors.Is(err, ledger.ErrLocked) && f.otherHas(): // this process has it, which the refusal of the configuration says
	case errors.Is(err, ledger.ErrLocked): // a configuration that starts is refused
		logger.Error("the ledger's file cannot be opened", zap.Error(err))
	case err != nil:
		logger.Error("the ledger cannot be written: calls go on, and their lines wait in memory", zap.Error(err))
	default:
		logger.Info("the ledger is written again")
	}
}

// unmarshalLedger reads `ledger [<path>]` and its block, or `ledger off`.
func (a *App) unmarshalLedger(d *caddyfile.Dispenser) error {
	l := new(Ledger)
	a.Ledger = l
	given := d.RemainingArgs()
	if len(given) > 1 {
		return errArguments
	}
	if len(given) == 1 && given[0] == "off" {
		l.Off = true
		return block(d, "ledger off")
	}
	if len(given) == 1 {
		l.Path = given[0]
	}
	err := block(d, "ledger",
		option{form: "keep <duration>, as keep 90d", read: durationLike(&l.Keep, "90d")},
		option{form: "zone <time zone>, as zone Asia/Shanghai", read: text(&l.Zone)},
	)
	if err != nil {
		return err
	}
	if _, err := parseZone(l.Zone); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
