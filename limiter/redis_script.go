package limiter

import (
	"context"
	_ "embed" // the script
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed redis_window.lua
var redisWindowScript string

// Commands of the script.
const (
	opReserve  = "reserve"
	opReturn   = "return"
	opThrottle = "throttle"
	opLook     = "look"
)

// redisScript runs the script at one key.
type redisScript struct {
	client redis.UniversalClient
	script *redis.Script
	keys   []string
}

func newRedisScript(client redis.UniversalClient, key string) redisScript {
	return redisScript{client, redis.NewScript(redisWindowScript), []string{key}}
}

// redisAnswer is what the script says; times are in microseconds of the server.
type redisAnswer struct {
	now    int64
	slot   int64 // what was reserved
	free   int64 // the next free departure
	opened int64 // when the history began
	closed int64 // until when the window is closed
	share  int64 // of the cap at present, in ppm
}

// run lets the script work with the limit l. What it takes is bounded by
// redisTimeout; it goes by EVALSHA, and by EVAL where the server has lost the
// script. After an error that is not a timeout, such as a connection that was
// closed while it idled, it is repeated once: the script recognises a slot it
// has given.
func (s redisScript) run(op string, l Limit, seen int64, arg any) (redisAnswer, error) {
	// Not the context of a caller: one that leaves in the middle would cost a
	// connection and, as likely as not, a slot.
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	args := []any{op, arg, pack(
		int64(l.Requests), l.Span().Microseconds(), quiet(l).Microseconds(), settle.Microseconds(), seen,
	)}
	answer, err := s.script.Run(ctx, s.client, s.keys, args...).Text()
	if err != nil && ctx.Err() == nil && !isTimeout(err) {
		answer, err = s.script.Run(ctx, s.client, s.keys, args...).Text()
	}
	if err != nil {
		return redisAnswer{}, err
	}
	return parseAnswer(answer)
}

// pack makes the string of numbers that the script unpacks: big-endian doubles.
func pack(numbers ...int64) []byte {
	b := make([]byte, 0, 8*len(numbers))
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(float64(n)))
	}
	return b
}

// parseAnswer reads what the script has packed.
func parseAnswer(s string) (redisAnswer, error) {
	var v [6]int64
	if len(s) != 8*len(v) {
		return redisAnswer{}, fmt.Errorf("script of the window returned %d bytes instead of %d", len(s), 8*len(v))
	}
	for i := range v {
		f := math.Float64frombits(binary.BigEndian.Uint64([]byte(s[8*i : 8*i+8])))
		if !(f >= 0 && f <= maxServerTime) { // also if it is not a number
			return redisAnswer{}, fmt.Errorf("script of the window returned %g, which is no time", f)
		}
		v[i] = int64(f)
	}
	if v[5] > ppm {
		return redisAnswer{}, fmt.Errorf("script of the window returned a share of %d ppm, more than %d", v[5], ppm)
	}
	return redisAnswer{v[0], v[1], v[2], v[3], v[4], v[5]}, nil
}

// maxServerTime is the latest time of a server that is believed, in microseconds,
// in the year 2200: what follows from it is nanoseconds that fit.
const maxServerTime = 7_258_118_400_000_000

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// redisTime converts times of the server to clock time, never to an earlier one.
// The server read its clock between the sending of a call and its answer. What
// the quickest answers say about the distance of the clocks stays true for the
// others, but for the drift since.
type redisTime struct {
	ahead int64 // the most that the clock may be ahead of the server's, in ns
	at    int64 // clock time of the last observation
	known bool
}

// drift is how much faster than the server's the clock may run, as one part in
// so many: 500 ppm, the most that NTP slews.
const drift = 2000

// observe takes note that the server said now between two times of the clock.
func (r *redisTime) observe(sent, received, now int64) {
	now *= int64(time.Microsecond)
	r.ahead += (received - r.at) / drift
	if !r.known || sent-now > r.ahead {
		r.ahead, r.known = received-now, true // unknown, or set back
	}
	r.ahead, r.at = min(r.ahead, received-now), received
}

// local is the clock time that is not before t at the server.
func (r *redisTime) local(t int64) int64 { return t*int64(time.Microsecond) + r.ahead }
