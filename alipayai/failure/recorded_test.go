package failure_test

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// recordedFailure is an error that a vendor's upstream has answered, as reported at source.
type recordedFailure struct {
	Vendor, Profile, Source string
	Status                  int
	Body                    json.RawMessage
	Translated              bool
	Class                   failure.Class
	Shown                   int // status that a client sees
	Timeout                 bool
	RetryAfter              float64 // seconds
}

// TestRecordedFailures classifies what vendors have really answered.
func TestRecordedFailures(t *testing.T) {
	text, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []recordedFailure
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.Vendor, func(t *testing.T) {
			if r.Source == "" {
				t.Error("no source")
			}
			var rules []failure.Rule
			if r.Profile != "" {
				profile, err := upstream.LookupProfile(r.Profile)
				if err != nil {
					t.Fatal(err)
				}
				rules = profile.Codes
			}
			reported := wire.ParseRefusal(r.Body)
			if r.Status == http.StatusOK { // it says by itself that it is a failure
				chunk, err := wire.ParseChunk(r.Body)
				if err != nil || chunk.Failure == nil {
					t.Fatalf("%s: %+v, %v", r.Source, chunk, err)
				}
				reported = *chunk.Failure
			}
			f := failure.OfUpstream(r.Status, nil, &reported, rules, r.Translated, time.Unix(0, 0))
			if f.Class != r.Class || f.Status != r.Shown || f.TimedOut() != r.Timeout {
				t.Errorf("%s: class %s, status %d, timed out %t; want %s, %d, %t", r.Source, f.Class, f.Status, f.TimedOut(), r.Class, r.Shown, r.Timeout)
			}
			if want := time.Duration(r.RetryAfter * float64(time.Second)); (f.RetryAfter - want).Abs() > time.Microsecond {
				t.Errorf("%s: retry after %v, want %v", r.Source, f.RetryAfter, want)
			}
			if r.Class != failure.Fail && r.Class != failure.Blocked && !f.FallsOver() {
				t.Errorf("%s: no other provider is asked", r.Source)
			}
			if f.Message == "" {
				t.Errorf("%s: no message", r.Source)
			}
		})
	}
}

// TestNumbersOfVendors holds that a profile's own numbers come before those that the same digits are elsewhere.
func TestNumbersOfVendors(t *testing.T) {
	profile, err := upstream.LookupProfile("mistral")
	if err != nil {
		t.Fatal(err)
	}
	reported := &wire.Failure{Code: "1000", Type: "internal_server_error"}
	if _, class := failure.Classify(500, reported, profile.Codes); class != failure.Retry {
		t.Errorf("Mistral's 1000 is %s", class)
	}
	if _, class := failure.Classify(401, reported, nil); class != failure.RefreshToken {
		t.Errorf("GLM's 1000 is %s", class)
	}
	rules := append([]failure.Rule{{Pattern: "13??", Class: failure.Blocked}}, profile.Codes...)
	if _, class := failure.Classify(429, &wire.Failure{Code: "1300"}, rules); class != failure.Blocked {
		t.Errorf("the user's own rule gives %s", class)
	}
}
