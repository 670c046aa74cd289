package main

import (
	"strings"
	"testing"
)

func TestModerationReport(t *testing.T) {
	report, err := benchModeration(t.Context(), quick)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| builtin china | 200 |", "| builtin china | 1000 |", "| 10,000 words | 200 |", "| 10,000 words | 1000 |"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	t.Log(report)
}
