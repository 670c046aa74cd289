// Package redisstore is how the gateway talks to Redis: one exchange with one rule
// for repeating it, one way to name keys and one way to write numbers and texts in
// values. It knows none of what is kept there; limiter, failover, replay and token
// do.
//
// # What is known of an exchange that failed
//
//	Outcome         | when                                        | executed?
//	OutcomeUnknown  | it was sent, and no answer was understood   | it may be
//	NotSent         | no connection could be had                  | no
//	Refused         | the server answered that it does not serve  | no
//
// An error that a script itself raises, such as WRONGTYPE, leaves OutcomeUnknown:
// what the script had written before it stays written.
package redisstore

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Repeat says whether a use of Redis may be executed twice, and when it is.
type Repeat int

const (
	// Once is for what counts: executed twice it would count twice.
	Once Repeat = iota
	// Idempotent is for what comes to the same end when it is executed twice,
	// because it reads only, or because it names its own request or owner. It is
	// repeated at once after a failure other than a timeout, mostly because its
	// connection was closed while it idled.
	Idempotent
	// Patient is Idempotent, and repeated as well when it has had no answer for half of
	// its time: for what a call cannot go on without, where a connection broke unseen.
	Patient
)

// after says whether an attempt is repeated that ended with err and with time left.
func (r Repeat) after(err error) bool {
	switch {
	case r == Once, errors.Is(err, redis.ErrClosed): // for good, and not just away
		return false
	case r == Patient:
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return !errors.Is(err, context.DeadlineExceeded) && !(ok && timeout.Timeout())
}

// Exchange is how one use of Redis sends its commands.
type Exchange struct {
	// Client must repeat nothing by itself and keep to the deadline of a context.
	Client redis.UniversalClient
	// Timeout bounds an exchange, connecting and repeating included.
	Timeout time.Duration
	// Repeat says whether the exchange is repeated, once, when it has failed with
	// time left.
	Repeat Repeat
}

// Run runs a script, by EVALSHA, and by EVAL where the server does not have it. Its
// errors are of type *ExchangeError; they hold none of the arguments.
func (x Exchange) Run(ctx context.Context, script *redis.Script, keys []string, args ...any) (Reply, error) {
	var reply Reply
	err := x.Do(ctx, func(ctx context.Context) (err error) {
		reply.value, err = script.Run(ctx, x.Client, keys, args...).Result()
		return err
	})
	return reply, err
}

// Do lets send send one command. An answer of redis.Nil is returned as it is; other
// errors are of type *ExchangeError.
//
// The end of ctx does not end the exchange, which ends within the timeout anyway: a
// caller that leaves in the middle would cost a connection, and would not know what
// it has left behind.
func (x Exchange) Do(ctx context.Context, send func(context.Context) error) error {
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	err := x.sendFirst(ctx, send)
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	outcome := outcomeOf(err)
	if ctx.Err() == nil && x.Repeat.after(err) {
		if err = send(ctx); err == nil || errors.Is(err, redis.Nil) {
			return err
		}
		if outcome != OutcomeUnknown { // the first may have executed, whatever became of the second
			outcome = outcomeOf(err)
		}
	}
	if cluster, ok := x.Client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx) // another node may be master now; it does not wait
	}
	return &ExchangeError{Outcome: outcome, err: err}
}

// sendFirst sends, and leaves the time for a repeat that there may be.
func (x Exchange) sendFirst(ctx context.Context, send func(context.Context) error) error {
	if x.Repeat == Patient {
		first, cancel := context.WithTimeout(ctx, x.Timeout/2)
		defer cancel()
		ctx = first
	}
	return send(ctx)
}

// Outcome is what is known of an exchange that failed.
type Outcome int

// The outcomes.
const (
	OutcomeUnknown Outcome = iota
	NotSent
	Refused
)

// ExchangeError is an exchange that failed. Its text is that of the last error.
type ExchangeError struct {
	Outcome Outcome
	err     error
}

func (f *ExchangeError) Error() string { return f.err.Error() }

// Unwrap gives the error of the client or the server.
func (f *ExchangeError) Unwrap() error { return f.err }

// MayHaveExecuted says whether what was sent may have executed: always, unless
// err says that it was not.
func MayHaveExecuted(err error) bool {
	failure, ok := errors.AsType[*ExchangeError](err)
	return !ok || failure.Outcome == OutcomeUnknown
}

// scriptError begins the errors of scripts at Redis 5 and 6, and at Dragonfly, which have the error that a script has met behind the
// places of its lines: "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't …". Redis 7
// answers with that error alone.
const scriptError = "Error running script (call to "

// refusals begin the errors by which a server rejects a command, or the first write
// of a script, before anything is executed (redis.io/docs/latest/develop/reference/protocol-spec
// and src/server.c, processCommand, of Redis).
var refusals = []string{
	"ASK ", "BUSY ", "CLUSTERDOWN ", "CROSSSLOT ", "LOADING ", "MASTERDOWN ", "MISCONF ", "MOVED ", "NOAUTH ", "NOPERM ",
	"NOREPLICAS ", "NOSCRIPT ", "OOM ", "READONLY ", "TRYAGAIN ", "WRONGPASS ",
	"max number of clients reached",
}

// outcomeOf classifies the error of one attempt.
func outcomeOf(err error) Outcome {
	if answer, ok := errors.AsType[redis.Error](err); ok {
		text := strings.TrimPrefix(answer.Error(), "ERR ")
		if _, met, found := strings.Cut(text, ": -"); found && strings.HasPrefix(text, scriptError) {
			text = strings.TrimPrefix(met, "ERR ")
		}
		if slices.ContainsFunc(refusals, func(refusal string) bool { return strings.HasPrefix(text, refusal) }) {
			return Refused
		}
		return OutcomeUnknown
	}
	if errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return NotSent
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return NotSent
	}
	return OutcomeUnknown
}
