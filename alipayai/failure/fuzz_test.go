package failure

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/extremes"
)

// Whatever an upstream asks for, it is waited for between nothing and a minute.
func FuzzRetryAfter(f *testing.F) {
	for _, number := range extremes.Numbers {
		f.Add(extremes.InHeader(number))
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, time.Unix(1_772_366_400, 0)); got < 0 || got > maxRetryAfter {
			t.Errorf("%q: %v", value, got)
		}
	})
}
