package failover

import (
	"errors"
	"math"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// errForeign is a value in Redis that no script of this version has written.
var errForeign = errors.New("value in redis is no breaker")

// decode reads a breaker as the script has it, which said so when it was now at
// the server and received here. No time of it comes out earlier than it was.
func decode(value string, now int64, received time.Time) (Key, history, error) {
	local := func(at float64) time.Time {
		if at == 0 {
			return time.Time{}
		}
		age := math.Max(-maxAge, math.Min(float64(now)-at, maxAge))
		return received.Add(-time.Duration(age) * time.Microsecond)
	}
	r := redisstore.NewReader(value)
	var h history
	h.version = r.Whole(redisstore.MaxWhole)
	h.opened = local(r.Double())
	h.probe.until = local(r.Double())
	h.probe.holder = r.Uint64()
	if n := r.Count(8); n > 0 {
		h.failures = make([]time.Time, n)
	}
	for i := range h.failures {
		h.failures[i] = local(r.Double())
	}
	key := Key{Tenant: r.Text(), Provider: r.Text()}
	if !r.End() {
		return Key{}, history{}, errForeign
	}
	return key, h, nil
}

// maxAge in microseconds keeps times that a broken clock has written in bounds.
const maxAge = float64(24 * time.Hour / time.Microsecond)
