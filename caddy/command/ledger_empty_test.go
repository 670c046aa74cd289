package command

import (
	"fmt"
	"strings"
	"testing"
)

// Many names are cut off, and odd ones quoted.
func TestListNames(t *testing.T) {
	names := make([]string, 0, maxNamed+3)
	for i := range maxNamed {
		names = append(names, fmt.Sprintf("t%02d", i))
	}
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"b", "a", "b"}, "a, b"},
		{[]string{"a, b", "x\x1b[2J", ""}, `"", "a, b", "x\x1b[2J"`},
		{append(names, "z", "zz"), strings.Join(names, ", ") + " and 2 more"},
	} {
		if got := listNames(tt.names); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
