package failover

import (
	"context"
	_ "embed" // the scripts
	"encoding/binary"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed redis_breaker.lua
	breakerSource string
	//go:embed redis_changes.lua
	changesSource string
)

// scripts are what replicas say to Redis, about the breakers of one namespace.
type scripts struct {
	client           redis.UniversalClient
	breaker, changes *redis.Script
	keys             []string
	timeout          time.Duration // of an exchange
}

func newScripts(client redis.UniversalClient, namespace string, timeout time.Duration) scripts {
	// The braces are what a Cluster places both keys by.
	prefix := "alipayai:{" + hashed(namespace) + "}:"
	return scripts{
		client:  client,
		breaker: redis.NewScript(breakerSource),
		changes: redis.NewScript(changesSource),
		keys:    []string{prefix + "breakers", prefix + "breakers:changes"},
		timeout: timeout,
	}
}

// report is an event to tell of.
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
	values, err := s.exchange(s.breaker,
		string(r.event), hashed(r.key.Tenant, r.key.Provider), named(r.key.Tenant, r.key.Provider),
		binary.BigEndian.AppendUint64(nil, r.holder), version, age.Microseconds(),
		r.rule.Failures+1, r.rule.Within.Microseconds(), r.rule.OpenFor.Microseconds(), r.rule.ProbeFor.Microseconds(),
		remembered.Microseconds(), mostPairs)
	if err != nil {
		return history{}, false, err
	}
	value, _ := values[2].(string)
	if value == "" {
		return history{}, false, nil
	}
	_, h, err = decode(value, values[0].(int64), time.Now())
	return h, values[1] == int64(1), err
}

// change is a breaker that has changed.
type change struct {
	key     Key
	history history
}

// since is what has changed since a version, a page of it, and the version to
// ask with for the next one.
func (s scripts) since(version int64) (changes []change, latest int64, more bool, err error) {
	values, err := s.exchange(s.changes, version, pageSize)
	if err != nil {
		return nil, version, false, err
	}
	received := time.Now()
	latest, _ = values[1].(int64)
	for _, value := range values[2:] {
		text, _ := value.(string)
		if key, h, err := decode(text, values[0].(int64), received); err == nil {
			changes = append(changes, change{key, h})
		}
	}
	return changes, latest, len(values) == 2+pageSize, nil
}

// exchange runs a script, by EVALSHA, and by EVAL where the server has lost it.
// The answer begins with the server's time, and has three values or more if it is
// about a breaker.
func (s scripts) exchange(script *redis.Script, args ...any) ([]any, error) {
	// Not the context of a caller: one that leaves in the middle would cost a
	// connection and, as likely as not, the probe's place.
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	values, err := script.Run(ctx, s.client, s.keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	least := 2
	if script == s.breaker {
		least = 3
	}
	if len(values) < least {
		return nil, fmt.Errorf("script of the breakers returned %d values instead of %d", len(values), least)
	}
	if _, ok := values[0].(int64); !ok {
		return nil, fmt.Errorf("script of the breakers returned %T for the time", values[0])
	}
	return values, nil
}
