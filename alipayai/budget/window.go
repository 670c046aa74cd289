package budget

import (
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Window is the time that a budget is for: a calendar day or month in a time zone, or
// a duration, whose windows follow each other since the beginning of 1970 in UTC.
type Window struct {
	period   string // day or month; empty for a duration
	zone     *time.Location
	duration time.Duration
}

// Day and Month are calendar windows.
func Day(zone *time.Location) Window   { return Window{period: "day", zone: zone} }
func Month(zone *time.Location) Window { return Window{period: "month", zone: zone} } //nolint:revive // said above

// minWindow is the shortest window: a budget is about money over some time, and each
// window has an entry of its own in the store.
const minWindow = time.Minute

// Every is a window of a duration. It fails for less than a minute.
func Every(d time.Duration) (Window, error) {
	if d < minWindow {
		return Window{}, fmt.Errorf("a budget's window must be a minute or more, not %s", d)
	}
	return Window{duration: d}, nil
}

// Bounds gives when the window begins and ends that t is in.
func (w Window) Bounds(t time.Time) (begin, end time.Time) {
	if w.period == "" {
		d := int64(w.duration)
		n := t.UnixNano() / d
		return time.Unix(0, n*d), time.Unix(0, (n+1)*d)
	}
	t = t.In(w.zone)
	if w.period == "month" {
		return w.midnight(t.Year(), t.Month(), 1), w.midnight(t.Year(), t.Month()+1, 1)
	}
	return w.midnight(t.Year(), t.Month(), t.Day()), w.midnight(t.Year(), t.Month(), t.Day()+1)
}

// midnight is the first moment of a day, or of the next one where the zone has none of that date. Clocks that are put back
// at midnight show it twice, and those that are put forward never do: [time.Date] may then give the second of them, or a
// moment of another day.
func (w Window) midnight(year int, month time.Month, day int) time.Time {
	shown := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	t := time.Unix(shown, 0).Add(-36 * time.Hour).In(w.zone) // the day before, or the one before that
	for {
		_, offset := t.Zone()
		if shown-int64(offset) <= t.Unix() { // passed over
			return t
		}
		begin := time.Unix(shown-int64(offset), 0).In(w.zone)
		_, change := t.ZoneBounds()
		if change.IsZero() || begin.Before(change) {
			return begin
		}
		t = change
	}
}

// String names the window.
func (w Window) String() string {
	if w.period == "" {
		return w.duration.String()
	}
	return w.period + " " + w.zone.String()
}

// Limit is a budget: the most that may be spent in each window.
type Limit struct {
	Amount   price.Amount
	Currency price.Currency
	Window   Window
}

// MaxAmount is the largest budget: what counts exactly in Redis, whose scripts count in
// doubles; nine million units of a currency.
const MaxAmount price.Amount = 1<<53 - 1

// Key names the budget of a tenant in one window, wherever it is stored.
type Key struct {
	Tenant   string
	Currency price.Currency
	// Window is how the window is named, and Begin when it begins, in Unix seconds.
	Window string
	Begin  int64
}

// parts are what the key is made of.
func (k Key) parts() []string {
	return []string{k.Tenant, string(k.Currency), k.Window, strconv.FormatInt(k.Begin, 10)}
}
