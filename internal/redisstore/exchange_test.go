package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// refusal is an error that a server answers with.
type refusal string

func (r refusal) Error() string { return string(r) }
func (r refusal) RedisError()   {}

// What is repeated, and what is known of it afterwards, follows from the use and the
// errors alone.
func TestExchange(t *testing.T) {
	readTimeout := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	loading := refusal("LOADING Redis is loading the dataset in memory")
	for name, tt := range map[string]struct {
		repeat Repeat
		errs   []error // of the attempts
		want   int     // attempts
		known  Outcome
	}{
		"good":                                        {Patient, []error{nil}, 1, 0},
		"nothing there":                               {Patient, []error{redis.Nil}, 1, 0},
		"counts, and its connection closed":           {Once, []error{io.EOF}, 1, OutcomeUnknown},
		"counts, and was refused":                     {Once, []error{loading}, 1, Refused},
		"its connection closed":                       {Idempotent, []error{io.EOF, nil}, 2, 0},
		"both connections closed":                     {Idempotent, []error{io.EOF, io.EOF}, 2, OutcomeUnknown},
		"timed out":                                   {Idempotent, []error{readTimeout}, 1, OutcomeUnknown},
		"timed out by the context":                    {Idempotent, []error{context.DeadlineExceeded}, 1, OutcomeUnknown},
		"a network error that is no timeout":          {Idempotent, []error{&net.OpError{Op: "read", Err: io.EOF}, nil}, 2, 0},
		"patient, and timed out":                      {Patient, []error{readTimeout, nil}, 2, 0},
		"patient, and timed out twice":                {Patient, []error{readTimeout, readTimeout}, 2, OutcomeUnknown},
		"no connection":                               {Idempotent, []error{dial, dial}, 2, NotSent},
		"no connection, then a reply is lost":         {Idempotent, []error{dial, io.EOF}, 2, OutcomeUnknown},
		"a reply is lost, then no connection":         {Idempotent, []error{io.EOF, dial}, 2, OutcomeUnknown},
		"a reply is lost, then it is refused":         {Idempotent, []error{io.EOF, loading}, 2, OutcomeUnknown},
		"refused twice":                               {Patient, []error{loading, loading}, 2, Refused},
		"the client is closed":                        {Patient, []error{redis.ErrClosed}, 1, NotSent},
		"all connections in use":                      {Once, []error{redis.ErrPoolTimeout}, 1, NotSent},
		"out of memory":                               {Once, []error{refusal("OOM command not allowed when used memory > 'maxmemory'.")}, 1, Refused},
		"a replica":                                   {Once, []error{refusal("READONLY You can't write against a read only replica.")}, 1, Refused},
		"a replica, of Redis 6":                       {Once, []error{refusal("ERR Error running script (call to f_1028a5dba704e1d8a01fd96efeba25bb78f62df2): @user_script:4: @user_script: 4: -READONLY You can't write against a read only replica. ")}, 1, Refused},
		"a replica, of Dragonfly":                     {Once, []error{refusal("ERR Error running script (call to 149c5a8bf18676fd99e9e6e24923bd64d9b62f94): @user_script:2: -READONLY You can't write against a read only replica.")}, 1, Refused},
		"out of memory, of Redis 6":                   {Once, []error{refusal("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'. ")}, 1, Refused},
		"the script failed in the middle, of Redis 6": {Once, []error{refusal("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -WRONGTYPE Operation against a key holding the wrong kind of value ")}, 1, OutcomeUnknown},
		"the script failed by Lua, of Redis 6":        {Once, []error{refusal("ERR Error running script (call to f_1): @user_script:3: user_script:3: attempt to index a nil value")}, 1, OutcomeUnknown},
		"a text with those words":                     {Once, []error{refusal("ERR of another kind: -READONLY ")}, 1, OutcomeUnknown},
		"too many clients":                            {Once, []error{refusal("ERR max number of clients reached")}, 1, Refused},
		"the script failed in the middle":             {Once, []error{refusal("WRONGTYPE Operation against a key holding the wrong kind of value")}, 1, OutcomeUnknown},
		"the script failed in the middle by Lua":      {Once, []error{refusal("ERR user_script:3: attempt to index a nil value")}, 1, OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0
			err := Exchange{Timeout: time.Minute, Repeat: tt.repeat}.Do(t.Context(), func(context.Context) error {
				attempts++
				return tt.errs[attempts-1]
			})
			if attempts != tt.want {
				t.Errorf("%d attempts, want %d", attempts, tt.want)
			}
			last := tt.errs[len(tt.errs)-1]
			if !errors.Is(err, last) {
				t.Errorf("error %v, want %v", err, last)
			}
			if failure, failed := errors.AsType[*ExchangeError](err); failed != (last != nil && !errors.Is(last, redis.Nil)) {
				t.Errorf("a failure: %t, %v", failed, err)
			} else if failed && (failure.Outcome != tt.known || MayHaveExecuted(err) != (tt.known == OutcomeUnknown) || err.Error() != last.Error()) {
				t.Errorf("outcome %d of %q, want %d of %q", failure.Outcome, err, tt.known, last)
			}
		})
	}
}

// An exchange ends with its own time, and not with its caller, whose values it keeps.
func TestExchangeAndItsContext(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		type key struct{}
		gone, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		cancel()
		x := Exchange{Timeout: time.Millisecond, Repeat: Idempotent}
		attempts := 0
		err := x.Do(gone, func(ctx context.Context) error {
			attempts++
			if ctx.Err() != nil || ctx.Value(key{}) != "value" {
				t.Errorf("the exchange has ended with its caller: %v, or lost its values", ctx.Err())
			}
			<-ctx.Done()
			return io.EOF
		})
		if attempts != 1 || !errors.Is(err, io.EOF) {
			t.Errorf("%d attempts, %v; want one that takes all the time", attempts, err)
		}
	})
}

// What is patient is asked a second time when half of its time has passed.
func TestPatientExchangeAsksTwice(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		x := Exchange{Timeout: time.Second, Repeat: Patient}
		var ends []time.Duration
		began := time.Now()
		err := x.Do(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			ends = append(ends, time.Since(began))
			return ctx.Err()
		})
		if !slices.Equal(ends, []time.Duration{time.Second / 2, time.Second}) || !MayHaveExecuted(err) {
			t.Errorf("attempts end after %v, %v", ends, err)
		}
	})
}

// A server that has lost a script is given it again, and replies are read strictly.
func TestRunAtAServer(t *testing.T) {
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	x := Exchange{Client: client, Timeout: 20 * time.Second, Repeat: Once}
	run := func(source string, args ...any) (Reply, error) {
		return x.Run(t.Context(), redis.NewScript(source), []string{"{a}:key"}, args...)
	}
	for range 2 {
		reply, err := run(`return {1, ARGV[1], KEYS[1]}`, "text")
		if err != nil {
			t.Fatal(err)
		}
		list, err := reply.List(3)
		if err != nil {
			t.Fatal(err)
		}
		n, err0 := list.Integer(0)
		text, err1 := list.Text(1)
		_, notInteger := list.Integer(2)
		_, notText := list.Text(0)
		if errors.Join(err0, err1) != nil || n != 1 || text != "text" || !errors.Is(notInteger, ErrReply) || !errors.Is(notText, ErrReply) {
			t.Errorf("reply %v: %v, %v, %v, %v", list, err0, err1, notInteger, notText)
		}
		if _, err := reply.List(4); !errors.Is(err, ErrReply) {
			t.Errorf("a list that is too short: %v", err)
		}
		if _, err := reply.Text(); !errors.Is(err, ErrReply) {
			t.Errorf("a list as a text: %v", err)
		}
		if _, err := server.Do("SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := run(`redis.call('SET', KEYS[1], '1') return redis.call('LPUSH', KEYS[1], ARGV[1])`, "the-secret")
	if got, _ := server.Do("GET", "{a}:key"); got != "1" || !MayHaveExecuted(err) || strings.Contains(fmt.Sprint(err), "the-secret") {
		t.Errorf("a script that failed after it wrote %q: %v", got, err)
	}
}
