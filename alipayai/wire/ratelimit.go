package wire

import (
	"net/http"
	"strconv"
	"time"
)

// RateLimit is where a cap on requests stands, for the header fields that OpenAI's API reference names in its guide on
// rate limits: x-ratelimit-limit-requests, x-ratelimit-remaining-requests and x-ratelimit-reset-requests.
type RateLimit struct {
	// Limit is the most requests in a window; zero leaves all the fields out.
	Limit int
	// Remaining is how many of them are left.
	Remaining int
	// Reset is when the next one is free.
	Reset time.Duration
}

func (l RateLimit) writeHeader(h http.Header) {
	if l.Limit == 0 {
		return
	}
	h["X-Ratelimit-Limit-Requests"] = []string{strconv.Itoa(l.Limit)}
	h["X-Ratelimit-Remaining-Requests"] = []string{strconv.Itoa(l.Remaining)}
	// OpenAI writes it as Go writes a duration: 1s, 20ms, 6m0s.
	h["X-Ratelimit-Reset-Requests"] = []string{l.Reset.Round(time.Millisecond).String()}
}
