package alipayai

import (
	"math"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// What prompt and answer cannot have taken is replaced by an estimate.
func TestImplausibleUsageIsEstimated(t *testing.T) {
	for name, test := range map[string]struct {
		usage     wire.Usage
		estimated bool
	}{
		"none":                    {wire.Usage{}, false},
		"not to be counted":       {wire.Usage{Implausible: true}, true},
		"plausible":               {wire.Usage{Prompt: 100, Completion: 50, Total: 150, OK: true}, false},
		"reasoning and images":    {wire.Usage{Prompt: 200_000, Completion: 100_000, Total: 300_000, OK: true}, false},
		"one more than allowed":   {wire.Usage{Total: 1200 + unseenTokens + 1, OK: true}, true},
		"2^40":                    {wire.Usage{Total: 1 << 40, OK: true}, true},
		"largest":                 {wire.Usage{Prompt: math.MaxInt64, Completion: math.MaxInt64, Total: math.MaxInt64, OK: true}, true},
		"large prompt alone":      {wire.Usage{Prompt: 1 << 40, OK: true}, true},
		"large completion alone":  {wire.Usage{Completion: 1 << 40, OK: true}, true},
		"sum that has overflowed": {wire.Usage{Prompt: math.MaxInt64, Completion: 1, Total: math.MinInt64, OK: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, estimated := (&taken{answered: 800}).check(test.usage, wire.Request{Body: make([]byte, 400)})
			want := test.usage
			if test.estimated {
				want = wire.Usage{Prompt: 100, Completion: 200, Total: 300, OK: true}
			}
			if got != want || estimated != test.estimated {
				t.Errorf("%+v, estimated %t; want %+v", got, estimated, want)
			}
		})
	}
}
