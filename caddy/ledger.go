package alipaycaddy

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// Ledger says where it is kept what calls have cost.
type Ledger struct {
	// The file, made if it is not there. One process can have it open at a time. It may
	// be a placeholder. Default: `alipayai/ledger.db` in Caddy's data folder
	Path string `json:"path,omitempty"`

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

// parseZone finds a time zone by its name; UTC for none.
func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("time zone %q is unknown; write it like Asia/Shanghai or UTC", name)
	}
	return zone, nil
}

// ledgerState is a ledger in the pool: a reload must not close its file, which only one
// process can have open, and which the new configuration opens before the old one ends.
type ledgerState struct {
	once sync.Once
	*ledger.Ledger
	path string
	zone *time.Location
}

// Destruct implements caddy.Destructor: it writes what is pending.
func (s *ledgerState) Destruct() error {
	if s.Ledger == nil {
		return nil
	}
	return s.Close()
}

// openLedger acquires the ledger, if one is wanted: wherever prices are known, unless it
// is off. It opens its file when the configuration starts.
func (a *App) openLedger() error {
	if a.priced == nil || a.Ledger != nil && a.Ledger.Off {
		return nil
	}
	path, zone, err := a.Ledger.resolve(newSecrets(a.InsecureLiterals))
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	state, release := acquireLedger(path, zone, a.metrics)
	a.releases = append(a.releases, release)
	a.ledger = state
	var keep time.Duration
	if a.Ledger != nil {
		keep = time.Duration(a.Ledger.Keep)
	}
	a.opens = append(a.opens, func() {
		state.Keep(keep)
		state.Open()
	})
	return nil
}

// acquireLedger gives the ledger of a file.
func acquireLedger(path string, zone *time.Location, m *metrics) (state *ledgerState, release func()) {
	state, release = acquire[ledgerState]("ledger", path, zone.String())
	state.once.Do(func() {
		state.path, state.zone = path, zone
		state.Ledger = ledger.New(ledger.Options{Path: path, Zone: zone, Changed: tellLedger(path), Written: m.ledgerWrote})
	})
	return state, release
}

// tellLedger tells of the ledger's file through the process's log: the ledger outlives
// the configuration that made it.
func tellLedger(path string) func(err error, aside string) {
	return func(err error, aside string) {
		logger := live.Log(caddy.Log()).Named("alipayai.ledger").With(zap.String("file", path))
		switch {
		case aside != "":
			logger.Error("the ledger's file is broken: it was set aside, and a new one is begun", zap.String("set_aside", aside), zap.Error(err))
		case err != nil:
			logger.Error("the ledger cannot be written: calls go on, and their lines wait in memory", zap.Error(err))
		default:
			logger.Info("the ledger is written again")
		}
	}
}

// unmarshalLedger reads `ledger [<path>]` and its block, or `ledger off`; see parseApp.
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
		option{form: "keep <duration>, as keep 90d", read: duration(&l.Keep)},
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
