package suite

import (
	"encoding/json"
	"time"
)

// Record is what replicas know of a suite, and what outlives the process.
type Record struct {
	// Last is the last run that has ended; nil before the first.
	Last *Report `json:"last,omitempty"`
	// Running is one that has not: under way, or broken off.
	Running *Report `json:"running,omitempty"`
	// Touched is when the record was last changed. HandedOver says that no replica is at Running: any may go on with it.
	Touched    time.Time `json:"touched,omitzero"`
	HandedOver bool      `json:"handed_over,omitempty"`
	// Verdicts are what is known of the prompts, for what changes.
	Verdicts map[string]Status `json:"verdicts,omitempty"`
}

// ParseRecord reads what Marshal has written. Nothing gives an empty record, and so does what cannot be read: the suite
// is run anew then.
func ParseRecord(content []byte) (r Record) {
	if json.Unmarshal(content, &r) != nil {
		return Record{}
	}
	return r
}

// Marshal writes the record.
func (r *Record) Marshal() []byte {
	content, _ := json.Marshal(r) // cannot fail: times of a clock, numbers and texts
	return content
}

// begun is when the newest run of the record was begun.
func (r *Record) begun() (at time.Time) {
	for _, report := range []*Report{r.Last, r.Running} {
		if report != nil && report.Began.After(at) {
			at = report.Began
		}
	}
	return at
}

// newer reports whether r knows more than other.
func (r *Record) newer(other Record) bool {
	if a, b := r.begun(), other.begun(); !a.Equal(b) {
		return a.After(b)
	}
	switch {
	case (r.Running == nil) != (other.Running == nil):
		return r.Running == nil // the run has ended
	case r.Running != nil && len(r.Running.Results) != len(other.Running.Results):
		return len(r.Running.Results) > len(other.Running.Results)
	}
	return r.HandedOver && !other.HandedOver
}
