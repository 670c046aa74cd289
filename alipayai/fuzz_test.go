package alipayai

import (
	"net/http"
	"testing"
	"time"
)

// Whatever an upstream asks for, it is waited for between nothing and a minute.
func FuzzRetryAfter(f *testing.F) {
	for _, number := range extremes {
		f.Add(inHeader(number))
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(http.Header{"Retry-After": {value}}, tokenSentAt); got < 0 || got > maxRetryAfter {
			t.Errorf("%q: %v", value, got)
		}
	})
}

// Whatever an upstream says of its time, the clock is never more than a day off.
func FuzzClockLearn(f *testing.F) {
	for _, number := range extremes {
		f.Add(inHeader(number), int64(time.Second), false)
		f.Add(inHeader(number), int64(-time.Hour), true)
	}
	f.Add("Sun, 01 Mar 2026 13:00:00 GMT", int64(0), false)
	f.Fuzz(func(t *testing.T, date string, took int64, aged bool) {
		var c Clock
		h := http.Header{"Date": {date}}
		if aged {
			h["Age"] = []string{date}
		}
		learned := c.Learn(h, tokenSentAt, tokenSentAt.Add(time.Duration(took)))
		if skew := c.Skew(); skew.Abs() > maxSkew || learned != (skew != 0) || aged && learned {
			t.Errorf("%q: learned %t, %v off", date, learned, skew)
		}
	})
}
