package pool

import (
	"math"
	"time"
)

// How the number of connections follows what is asked for.
const (
	// rateTime is over how long the rate of requests is averaged.
	rateTime = 250 * time.Millisecond
	// spare is how many places there are for each request that is under way, or waits.
	spare = 1.5
	// expected is how many there are for each that the rate lets expect.
	expected = 1.25
	// shrinkTime is how long it takes from the most connections to the fewest.
	shrinkTime = time.Minute
)

// demand works out how many connections a pool should have: as many as the requests that
// are under way need, and as those will that arrive at the present rate, each of which
// keeps its place for as long as others have (Little's law). Both have some to spare, so
// that a rise finds connections that are already there. The number rises at once, and
// falls slowly: bursts come back.
type demand struct {
	rate    float64 // requests a second, around at
	at      time.Time
	service time.Duration // average

	held   float64 // connections
	heldAt time.Time
}

// arrived counts a request.
func (d *demand) arrived(now time.Time) {
	d.rate = d.rateAt(now) + 1/rateTime.Seconds()
	d.at = now
}

func (d *demand) rateAt(now time.Time) float64 {
	return d.rate * math.Exp(-now.Sub(d.at).Seconds()/rateTime.Seconds())
}

// served takes how long a request has kept its place.
func (d *demand) served(took time.Duration) {
	if d.service == 0 {
		d.service = took
		return
	}
	d.service += (took - d.service) / 8
}

// target is how many connections there should be, for so many requests and with so many
// places on a connection.
func (d *demand) target(now time.Time, s *Settings, requests, streams int) int {
	need := max(spare*float64(requests), expected*d.rateAt(now)*d.service.Seconds()) / float64(streams)
	need = min(max(need, float64(s.Min)), float64(s.Max))
	fallen := float64(s.Max-s.Min) * now.Sub(d.heldAt).Seconds() / shrinkTime.Seconds()
	d.held, d.heldAt = min(max(need, d.held-fallen), float64(s.Max)), now
	return int(math.Ceil(d.held))
}
