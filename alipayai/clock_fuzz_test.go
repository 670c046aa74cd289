package alipayai_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/extremes"
)

// Whatever an upstream says of its time, the clock is never more than a day off.
func FuzzClockLearn(f *testing.F) {
	sentAt := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, number := range extremes.Numbers {
		f.Add(extremes.InHeader(number), int64(time.Second), false)
		f.Add(extremes.InHeader(number), int64(-time.Hour), true)
	}
	f.Add("Sun, 01 Mar 2026 13:00:00 GMT", int64(0), false)
	f.Fuzz(func(t *testing.T, date string, took int64, aged bool) {
		var c upstream.Clock
		h := http.Header{"Date": {date}}
		if aged {
			h["Age"] = []string{date}
		}
		learned := c.Learn(h, sentAt, sentAt.Add(time.Duration(took)))
		if skew := c.Skew(); skew.Abs() > 24*time.Hour || learned != (skew != 0) || aged && learned {
			t.Errorf("%q: learned %t, %v off", date, learned, skew)
		}
	})
}
