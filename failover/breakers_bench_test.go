package failover

import (
	"strconv"
	"testing"
)

// BenchmarkClosed is a call through a closed breaker: most are of tenants about
// whom nothing is remembered, all while others' breakers have something to.
func BenchmarkClosed(b *testing.B) {
	for name, calls := range map[string]Key{
		"nothing remembered": {"tenant", "alipay"},
		"after a failure":    {"7", "alipay"},
	} {
		b.Run(name, func(b *testing.B) {
			var breakers Breakers
			for i := range 1000 {
				admitted, _ := breakers.Allow(b.Context(), Key{strconv.Itoa(i), "alipay"}, Rule{})
				admitted.Done(Failure)
			}
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					admitted, err := breakers.Allow(ctx, calls, Rule{})
					if err != nil {
						b.Error(err)
						return
					}
					admitted.Done(Ignored)
				}
			})
		})
	}
	b.Run("success", func(b *testing.B) {
		var breakers Breakers
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			admitted, _ := breakers.Allow(ctx, Key{"tenant", "alipay"}, Rule{})
			admitted.Done(Success)
		}
	})
}

// BenchmarkOpen is a call that is rejected.
func BenchmarkOpen(b *testing.B) {
	var breakers Breakers
	ctx, key := b.Context(), Key{"tenant", "alipay"}
	for range 4 {
		admitted, _ := breakers.Allow(ctx, key, Rule{})
		admitted.Done(Failure)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := breakers.Allow(ctx, key, Rule{}); err == nil {
			b.Fatal("admitted")
		}
	}
}
