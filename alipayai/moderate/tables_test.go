package moderate

import "testing"

// A table that maps to what it maps on would make a fold depend on how often it is done.
func TestTablesMapToWhatStays(t *testing.T) {
	simple := make(map[rune]rune)
	for i, to := range simplified {
		if to != 0 {
			simple[firstHan+rune(i)] = rune(to)
		}
	}
	for name, table := range map[string]map[rune]rune{"simplified": simple, "lookalikes": lookalikes, "smallCapitals": smallCapitals} {
		for from, to := range table {
			if again, ok := table[to]; ok {
				t.Errorf("%s: %c becomes %c, which becomes %c", name, from, to, again)
			}
		}
	}
}
