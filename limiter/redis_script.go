package limiter

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
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

// redisScript runs the script at one key. The script recognises a slot that it has
// given, so that a run may be repeated.
type redisScript struct {
	redisstore.Exchange
	script *redis.Script
	keys   []string
}

func newRedisScript(client redis.UniversalClient, key string) redisScript {
	return redisScript{
		redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent},
		redis.NewScript(redisWindowScript), []string{key},
	}
}

// redisAnswer is what the script says; times are in microseconds of the server.
type redisAnswer struct {
	now    int64
	slot   int64 // what was reserved
	free   int64 // the next free permit
	opened int64 // when the history began
	closed int64 // until when the window is closed
	share  int64 // of the cap at present, in ppm
}

// run lets the script work with the limit l. It takes no context: a caller that
// leaves in the middle would cost, as likely as not, a slot.
func (s redisScript) run(op string, l Limit, seen, late int64, arg any) (redisAnswer, error) {
	reply, err := s.Run(context.Background(), s.script, s.keys, op, arg, redisstore.Doubles(
		int64(l.Requests), l.Span().Microseconds(), quiet(l).Microseconds(), settle.Microseconds(), seen, late,
	))
	if err != nil {
		return redisAnswer{}, err
	}
	answer, err := reply.Text()
	if err != nil {
		return redisAnswer{}, err
	}
	return parseAnswer(answer)
}

// parseAnswer reads what the script has packed.
func parseAnswer(s string) (redisAnswer, error) {
	r := redisstore.NewReader(s)
	a := redisAnswer{
		now:    r.Whole(maxServerTime),
		slot:   r.Whole(maxServerTime),
		free:   r.Whole(maxServerTime),
		opened: r.Whole(maxServerTime),
		closed: r.Whole(maxServerTime),
		share:  r.Whole(ppm),
	}
	if !r.End() {
		return redisAnswer{}, fmt.Errorf("%w: %d bytes that are not the times of a window", redisstore.ErrReply, len(s))
	}
	return a, nil
}

// maxServerTime is the latest time of a server that is believed, in microseconds,
// in the year 2200: what follows from it is nanoseconds that fit.
const maxServerTime = 7_258_118_400_000_000

// redisTime converts times of the server to clock time, never to an earlier one.
// The server read its clock between the sending of a call and its answer. What all
// answers together say about the distance of the clocks stays true, but for the
// drift since.
type redisTime struct {
	ahead int64 // the most that the clock may be ahead of the server's, in ns
	least int64 // and the least
	at    int64 // clock time of the last observation
	known bool
	ppm   int64 // how much faster or slower than the server's the clock may run
}

// drift is the most, in ppm, that NTP slews.
const drift = 500

func (r *redisTime) drifted(since int64) int64 { return since * r.ppm / 1_000_000 }

// observe takes note that the server said now, in whole microseconds, between two
// times of the clock.
func (r *redisTime) observe(sent, received, now int64) {
	ahead, least := received-now*int64(time.Microsecond), sent-now*int64(time.Microsecond)
	drifted := r.drifted(received - r.at)
	r.ahead += drifted
	r.least -= drifted
	r.at = received
	if !r.known || least > r.ahead || ahead < r.least {
		r.ahead, r.least, r.known = ahead, least, true // unknown, or set
		return
	}
	r.ahead, r.least = min(r.ahead, ahead), max(r.least, least)
}

// local is the clock time that is not before t at the server.
func (r *redisTime) local(t int64) int64 { return t*int64(time.Microsecond) + r.ahead }

// late is by how much local may be after t at the server, as far as is known.
func (r *redisTime) late() int64 { return r.ahead - r.least }

// latest is what late may be, in microseconds, when the next exchange has ended;
// before the first one as much as that may take.
func (r *redisTime) latest(now int64) int64 {
	if !r.known {
		return redisTimeout.Microseconds()
	}
	late := r.late() + 2*r.drifted(now+int64(redisTimeout)-r.at)
	return (late + int64(time.Microsecond) - 1) / int64(time.Microsecond)
}
