package upstream

import (
	"net/http"
	"testing"
)

// A 402 asks the client to pay where it says what.
func TestAsksForPayment(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		fields []string
		want   bool
	}{
		"says what":     {402, []string{"eyJ9"}, true},
		"empty":         {402, []string{""}, false},
		"blank":         {402, []string{" \t"}, false},
		"no such field": {402, nil, false},
		"other status":  {403, []string{"eyJ9"}, false},
	} {
		if got := AsksForPayment(&http.Response{StatusCode: test.status, Header: http.Header{"Payment-Needed": test.fields}}); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
