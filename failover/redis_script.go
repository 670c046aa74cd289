package failover

import (
	"context"
	_ "embed" // the scripts
	"encoding/binary"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

var (
	//go:embed redis_breaker.lua
	breakerSource string
	//go:embed redis_changes.lua
	changesSource string
)

// scripts are what replicas say to Redis, about the breakers of one namespace.
type scripts struct {
	// A failure that is reported twice counts twice.
	reports redisstore.Exchange
	// That the changes are read twice does no harm.
	reads            redisstore.Exchange
	breaker, changes *redis.Script
	keys             []string // the last one for changes alone
}

func newScripts(client redis.UniversalClient, namespace string, timeout time.Duration) scripts {
	keys := redisstore.KeysOf(string(redisstore.Texts(namespace)))
	return scripts{
		reports: redisstore.Exchange{Client: client, Timeout: timeout, Repeat: redisstore.Once},
		reads:   redisstore.Exchange{Client: client, Timeout: timeout, Repeat: redisstore.Idempotent},
		breaker: redis.NewScript(breakerSource),
		changes: redis.NewScript(changesSource),
		keys:    []string{keys.Key("breakers"), keys.Key("breakers:changes"), keys.Key("breakers:written")},
	}
}

// report is an event of a breaker, for the other replicas.
type report struct {
	event  event
	key    Key
	rule   Rule
	holder uint64    // of the probe's lease, if it is about the probe
	opened time.Time // for the replica, if the breaker is open
	pair   *pair     // where the report is counted; nil for nowhere
}

// run lets an event happen to the breaker, of which the caller knows the version.
// The history is what came of it; did says that the event has opened the breaker
// or been granted the lease.
func (s scripts) run(r report, version int64) (h history, did bool, err error) {
	var age time.Duration
	if !r.opened.IsZero() {
		age = max(0, time.Since(r.opened))
	}
	name := redisstore.Texts(r.key.Tenant, r.key.Provider)
	reply, err := s.reports.Run(context.Background(), s.breaker, s.keys[:2],
		string(r.event), redisstore.Digest(name), name,
		binary.BigEndian.AppendUint64(nil, r.holder), version, age.Microseconds(),
		r.rule.Failures+1, r.rule.Within.Microseconds(), r.rule.OpenFor.Microseconds(), r.rule.ProbeFor.Microseconds(),
		remembered.Microseconds(), mostPairs)
	if err != nil {
		return history{}, false, err
	}
	values, err := reply.List(3)
	if err != nil {
		return history{}, false, err
	}
	now, err := values.Integer(0)
	acted, err1 := values.Integer(1)
	value, err2 := values.Text(2)
	if err := errors.Join(err, err1, err2); err != nil || value == "" {
		return history{}, false, err
	}
	_, h, err = decode(value, now, time.Now())
	return h, acted == 1, err
}

// change is a breaker that has changed.
type change struct {
	key     Key
	history history
}

// since is what has changed since a version, a page of it, and the version to
// ask with for the next one. With write it fails as well where the server takes no writes, being out of memory, a
// replica or unable to save: nothing else of the gateway can go on there.
func (s scripts) since(version int64, write bool) (changes []change, latest int64, more bool, err error) {
	var life int64
	if write {
		life = writtenFor.Milliseconds()
	}
	reply, err := s.reads.Run(context.Background(), s.changes, s.keys, version, pageSize, life)
	if err != nil {
		return nil, version, false, err
	}
	received := time.Now()
	values, err := reply.List(2)
	if err != nil {
		return nil, version, false, err
	}
	now, err := values.Integer(0)
	latest, err1 := values.Integer(1)
	if err := errors.Join(err, err1); err != nil {
		return nil, version, false, err
	}
	for i := range values[2:] {
		text, err := values.Text(2 + i)
		if err != nil {
			continue
		}
		if key, h, err := decode(text, now, received); err == nil {
			changes = append(changes, change{key, h})
		}
	}
	return changes, latest, len(values) == 2+pageSize, nil
}
