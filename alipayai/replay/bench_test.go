package replay

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"testing"
	"time"
)

// BenchmarkFull is what each call takes of stores that hold as much as they may, so that something has to go for it.
func BenchmarkFull(b *testing.B) {
	const calls, interval = 40_000, 200 * time.Microsecond // 5,000 a second
	answer := Answer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: bytes.Repeat([]byte("x"), 1200),
	}
	clock := time.Unix(1767225600, 0)
	now := func() time.Time { return clock }
	for name, call := range map[string]func(key Key){
		"cache": func() func(Key) {
			cache := NewMemoryCache(now).Within(64 << 20)
			return func(key Key) {
				if err := cache.Put(b.Context(), "acme", key, answer, 24*time.Hour); err != nil {
					b.Fatal(err)
				}
			}
		}(),
		"claims": func() func(Key) {
			claims := NewMemoryClaims(now).Within(64 << 20)
			return func(key Key) {
				claim, _, err := claims.Claim(b.Context(), "acme", key, key, time.Minute)
				if err == nil {
					err = claim.Leave(b.Context(), time.Minute, 5*time.Second)
				}
				if err == nil {
					err = claim.Finish(b.Context(), answer, 5*time.Second)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}(),
	} {
		b.Run(name, func(b *testing.B) {
			n := uint64(0)
			next := func() {
				var number [8]byte
				binary.BigEndian.PutUint64(number[:], n)
				n++
				clock = clock.Add(interval)
				call(KeyOf(number[:]))
			}
			for range calls {
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}
