// Package batches tells which of the batches that replicas send to what they share were taken into account: a batch whose
// reply was lost is sent again.
package batches

import (
	"maps"
	"slices"
	"time"
)

// Batch is one of a replica's. It is kept as JSON.
type Batch struct {
	// Number counts the replica's batches up.
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
}

// Last are the last batches that were taken, by replica. The zero value has none.
type Last map[string]Batch

// Take reports whether a batch is new, and remembers it. Replicas that have sent nothing for longer than within are
// forgotten, and of more than most those that have been silent for longest.
func (l *Last) Take(replica string, number int64, now time.Time, within time.Duration, most int) bool {
	if number <= (*l)[replica].Number {
		return false
	}
	if *l == nil {
		*l = make(Last)
	}
	(*l)[replica] = Batch{number, now}
	maps.DeleteFunc(*l, func(_ string, b Batch) bool { return now.Sub(b.At) > within })
	for len(*l) > most {
		delete(*l, slices.MinFunc(slices.Collect(maps.Keys(*l)), func(a, b string) int { return (*l)[a].At.Compare((*l)[b].At) }))
	}
	return true
}
