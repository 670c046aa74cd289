package suite

import "time"

// Status is what became of a prompt.
type Status string

// The statuses.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	// Unknown: there was no answer, for a reason that says nothing of the prompt.
	Unknown Status = "unknown"
)

// Result is what became of one prompt. It quotes neither the prompt nor its answer.
type Result struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Failed are the expectations that did not hold.
	Failed []Failure `json:"failed,omitempty"`
	// Code is why there was no answer; empty where there was one.
	Code string `json:"code,omitempty"`
	// Took is how long it took, the wait for the rate cap included.
	Took time.Duration `json:"took_ns"`
	// Cost is what it has cost, as "0.03 CNY"; empty where that is not known.
	Cost string `json:"cost,omitempty"`

	// Answer is what the prompt has brought, for [Run].Done alone.
	Answer *Answer `json:"-"`
}

// Report is a run of a suite.
type Report struct {
	Suite string `json:"suite"`
	// Version names the content of the file.
	Version  string `json:"version"`
	Provider string `json:"provider"`
	// Began and Ended are when the run did; Ended is zero for one that goes on.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	// Results are in the order of the file.
	Results []Result `json:"results"`
	// Changes are the prompts that differ from the run before.
	Changes []Change `json:"changes,omitempty"`
}

// Count is how many prompts have that status.
func (r *Report) Count(s Status) (n int) {
	for i := range r.Results {
		if r.Results[i].Status == s {
			n++
		}
	}
	return n
}

// Verdicts are the statuses by prompt, without what is not known: of that those before hold on.
func (r *Report) Verdicts(before map[string]Status) map[string]Status {
	verdicts := make(map[string]Status, len(r.Results))
	for _, result := range r.Results {
		status := result.Status
		if status == Unknown {
			status = before[result.ID]
		}
		if status != "" {
			verdicts[result.ID] = status
		}
	}
	return verdicts
}

// Change is a prompt that passes and did not, or fails and did not.
type Change struct {
	ID   string `json:"id"`
	From Status `json:"from"`
	To   Status `json:"to"`
}

// Compare gives what has changed in r since these verdicts, in the order of r. A prompt that was not known before, or is
// not now, has not changed: an outage is no news of a model.
func (r *Report) Compare(before map[string]Status) (changes []Change) {
	for _, result := range r.Results {
		from := before[result.ID]
		if from != "" && result.Status != Unknown && from != result.Status {
			changes = append(changes, Change{result.ID, from, result.Status})
		}
	}
	return changes
}

// Names lists the prompts of changes that came to that status.
func Names(changes []Change, to Status) (names []string) {
	for _, c := range changes {
		if c.To == to {
			names = append(names, c.ID)
		}
	}
	return names
}

// sort puts results in the order of the file, and leaves out those of prompts that are not in it.
func (s *Suite) sort(results []Result) []Result {
	byID := make(map[string]Result, len(results))
	for _, r := range results {
		byID[r.ID] = r
	}
	sorted := make([]Result, 0, len(results))
	for _, p := range s.Prompts {
		if r, ok := byID[p.ID]; ok {
			sorted = append(sorted, r)
		}
	}
	return sorted
}
