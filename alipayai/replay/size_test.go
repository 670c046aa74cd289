package replay

import (
	"net/http"
	"testing"
)

// What each part of an answer adds to its size.
func TestSizeOfAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer Answer
		want   int64
	}{
		"nothing":      {Answer{}, 0},
		"status":       {Answer{Status: 200}, 0},
		"provider":     {Answer{Provider: "alipay"}, 6},
		"model":        {Answer{Model: "model"}, 5},
		"body":         {Answer{Body: make([]byte, 800)}, 900},
		"short body":   {Answer{Body: make([]byte, 7)}, 7},
		"empty header": {Answer{Header: http.Header{}}, 320},
		"field":        {Answer{Header: http.Header{"Age": {}}}, 320 + 64 + 3},
		"value":        {Answer{Header: http.Header{"Age": {"10"}}}, 320 + 64 + 3 + 16 + 2},
		"two values":   {Answer{Header: http.Header{"Age": {"10", ""}}}, 320 + 64 + 3 + 16 + 2 + 16},
		"all of it":    {Answer{Provider: "a", Model: "bc", Body: make([]byte, 8), Header: http.Header{"X": {"y"}}}, 3 + 9 + 320 + 64 + 1 + 16 + 1},
	} {
		if got := c.answer.size(); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
