package ledger

import (
	"testing"
	"time"
)

// A disk without room is an error like others, and no end of anything.
func TestAFullDisk(t *testing.T) {
	l := openAt(t, "/dev/full")
	l.Record(lineAt(noon, "shop", 1))
	if err := l.Err(); err == nil {
		t.Error("the disk is full, and nothing is wrong")
	}
	if err := l.PutBudget(t.Context(), "a", 1, time.Now()); err == nil {
		t.Error("a budget is stored")
	}
}
