package translate

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// A whole number may be written as programs write it whose numbers are floating.
func TestCount(t *testing.T) {
	for name, tt := range map[string]struct {
		v    string
		want int64 // 0: refused
	}{
		"digits":            {"4096", 4096},
		"the least":         {"1", 1},
		"floating":          {"4096.0", 4096},
		"an exponent":       {"4.096e3", 4096},
		"a capital":         {"1E3", 1000},
		"more than a float": {"9223372036854775807", 9223372036854775807},
		"a fraction":        {"4096.5", 0},
		"below":             {"0.0", 0},
		"negative":          {"-1.0", 0},
		"too much":          {"1e300", 0},
		"far too much":      {"1e999", 0},
		"more than exact":   {"9223372036854775808", 0},
		"a text":            {`"4096"`, 0},
		"null":              {"null", 0},
	} {
		if got, err := Count("n", jsontext.Value(tt.v), 1); (err == nil) != (tt.want > 0) || err == nil && got != tt.want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}
