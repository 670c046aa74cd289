package ledger

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Outcome says how well it is known what an attempt has cost.
type Outcome string

// The outcomes.
const (
	// Known: by the usage that the provider has reported.
	Known Outcome = "known"
	// Estimated: the attempt was served, but its usage is an estimate, because the
	// provider has reported none, or the client left before it came.
	Estimated Outcome = "estimated"
	// Unknown: the attempt may have executed, and be billed. Its amount is the most that
	// it may have cost.
	Unknown Outcome = "unknown"
)

// Line is one attempt at a provider that may be billed.
type Line struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"`
	Tenant    string    `json:"tenant"`
	Provider  string    `json:"provider"`
	// Model is the provider's name of the model.
	Model string `json:"model"`
	// Prompt, Cached (a part of Prompt) and Completion are tokens.
	Prompt     int64 `json:"prompt_tokens"`
	Cached     int64 `json:"cached_tokens,omitempty"`
	Completion int64 `json:"completion_tokens"`
	// Characters are those of the prompt as they are charged.
	Characters int64 `json:"characters_charged"`
	// Currency is empty where the model has no price; Amount and Floor are 0 then.
	Currency price.Currency `json:"currency,omitempty"`
	// Amount is what the attempt cost, and Floor the part of it that is due to a
	// minimum charge alone; both in billionths of the currency's unit.
	Amount price.Amount `json:"amount_nano"`
	Floor  price.Amount `json:"floor_nano,omitempty"`
	// PackedWith is how many other calls the request carried.
	PackedWith int     `json:"packed_with,omitempty"`
	Outcome    Outcome `json:"outcome"`
}

// lineKey orders lines by time; seq tells those of one nanosecond apart.
func lineKey(t time.Time, seq uint64) []byte {
	key := make([]byte, 0, 16)
	key = binary.BigEndian.AppendUint64(key, uint64(max(t.UnixNano(), 0)))
	return binary.BigEndian.AppendUint64(key, seq)
}

// Group is what totals are kept by.
type Group struct {
	// Day is the day in the ledger's time zone, as 2026-11-28.
	Day      string         `json:"day,omitempty"`
	Tenant   string         `json:"tenant,omitempty"`
	Provider string         `json:"provider,omitempty"`
	Model    string         `json:"model,omitempty"`
	Currency price.Currency `json:"currency,omitempty"`
}

// Totals add lines up. They hold what fits: sums stop at the largest number.
type Totals struct {
	Attempts   int64 `json:"attempts"`
	Prompt     int64 `json:"prompt_tokens"`
	Cached     int64 `json:"cached_tokens"`
	Completion int64 `json:"completion_tokens"`
	// Amount is of attempts whose cost is known or estimated, and Floor the part of it
	// due to minimum charges; Estimated is the estimated part of Amount.
	Amount    price.Amount `json:"amount_nano"`
	Floor     price.Amount `json:"floor_nano"`
	Estimated price.Amount `json:"estimated_nano"`
	// Unknown is what attempts with an unknown outcome cost at most, besides, and
	// UnknownAttempts how many they are.
	Unknown         price.Amount `json:"unknown_nano"`
	UnknownAttempts int64        `json:"unknown_attempts"`
}

// group is the line's; days are those of zone.
func (l *Line) group(zone *time.Location) Group {
	return Group{Day: l.Time.In(zone).Format(time.DateOnly), Tenant: l.Tenant, Provider: l.Provider, Model: l.Model, Currency: l.Currency}
}

// totals are those of one line.
func (l *Line) totals() Totals {
	t := Totals{Attempts: 1}
	if l.Outcome == Unknown {
		t.Unknown, t.UnknownAttempts = l.Amount, 1
		return t
	}
	t.Prompt, t.Cached, t.Completion, t.Amount, t.Floor = l.Prompt, l.Cached, l.Completion, l.Amount, l.Floor
	if l.Outcome == Estimated {
		t.Estimated = l.Amount
	}
	return t
}

// Add adds other totals.
func (t *Totals) Add(o Totals) {
	for _, sum := range []struct {
		to *int64
		n  int64
	}{
		{&t.Attempts, o.Attempts}, {&t.Prompt, o.Prompt}, {&t.Cached, o.Cached}, {&t.Completion, o.Completion}, {&t.UnknownAttempts, o.UnknownAttempts},
	} {
		*sum.to = int64(price.Amount(*sum.to).Plus(price.Amount(sum.n)))
	}
	t.Amount, t.Floor = t.Amount.Plus(o.Amount), t.Floor.Plus(o.Floor)
	t.Estimated, t.Unknown = t.Estimated.Plus(o.Estimated), t.Unknown.Plus(o.Unknown)
}

// groupKey orders totals by day. Parts have their lengths, so that no two groups have
// the same key.
func groupKey(g Group) []byte {
	key := []byte(g.Day)
	for _, part := range []string{g.Tenant, g.Provider, g.Model, string(g.Currency)} {
		key = binary.BigEndian.AppendUint16(key, uint16(min(len(part), 1<<16-1)))
		key = append(key, part[:min(len(part), 1<<16-1)]...)
	}
	return key
}

// parseGroupKey reads what groupKey writes.
func parseGroupKey(key []byte) (g Group, ok bool) {
	if len(key) < len(time.DateOnly) {
		return g, false
	}
	g.Day, key = string(key[:len(time.DateOnly)]), key[len(time.DateOnly):]
	var currency string
	for _, part := range []*string{&g.Tenant, &g.Provider, &g.Model, &currency} {
		if len(key) < 2 {
			return g, false
		}
		n := int(binary.BigEndian.Uint16(key))
		if key = key[2:]; len(key) < n {
			return g, false
		}
		*part, key = string(key[:n]), key[n:]
	}
	g.Currency = price.Currency(currency)
	return g, len(key) == 0
}

// encode writes a line or totals as they are stored.
func encode(v any) []byte {
	b, _ := json.Marshal(v) // numbers, texts and times of this era
	return b
}
