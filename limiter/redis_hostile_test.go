package limiter

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// What is no time of a server is no answer: it would be reckoned with.
func TestAnswerOfTheScriptIsBounded(t *testing.T) {
	for name, bad := range map[string]float64{
		"not a number": math.NaN(), "endless": math.Inf(1), "endless back": math.Inf(-1),
		"negative": -1, "2^63": 1 << 63, "1e308": 1e308, "beyond the years of a duration": 1 << 54,
	} {
		t.Run(name, func(t *testing.T) {
			for field := range 6 {
				var b []byte
				for i := range 6 {
					v := 1.0
					if i == field {
						v = bad
					}
					b = binary.BigEndian.AppendUint64(b, math.Float64bits(v))
				}
				if a, err := parseAnswer(string(b)); err == nil {
					t.Errorf("field %d: %+v", field, a)
				}
			}
		})
	}
}

func FuzzAnswerOfTheScript(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 48))
	f.Add(redisstore.Doubles(1e15, 1e15, 1e15, 0, 0, ppm))
	f.Add(redisstore.Doubles(math.MaxInt64, math.MinInt64, 0, 0, 0, ppm))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(string(b))
		if err != nil {
			return
		}
		var r redisTime
		r.observe(0, 1000, a.now)
		for _, v := range []int64{a.now, a.slot, a.free, a.opened, a.closed} {
			if v < 0 || v > maxServerTime || r.local(v) < math.MinInt64/2 {
				t.Errorf("%d is taken", v)
			}
		}
		if a.share < 0 || a.share > ppm {
			t.Errorf("a share of %d ppm is taken", a.share)
		}
	})
}
