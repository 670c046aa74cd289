package moderate

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const unlessFar = `
list offer: buy | buy now | 买
list thing: stocks | 股
list lawful: law | against the law | no | 法
deny: offer + thing within 3 unless lawful
`

// A word that excepts is found as when each of them is looked at.
func TestExceptedAsWordByWord(t *testing.T) {
	r := compiled(t, unlessFar)
	c := r.combos[len(r.combos)-1]
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("buy now stocks law against the no aa bb cc dd ee 买")
	found := 0
	for range 20_000 {
		var text []string
		for range random.IntN(24) {
			text = append(text, words[random.IntN(len(words))])
		}
		b := new(room)
		if !b.collect(r, Words(nil, Fold(nil, strings.Join(text, " ")))) {
			continue
		}
		for range 4 {
			start := int32(random.IntN(len(b.piece)))
			whole := span{start, start + int32(random.IntN(len(b.piece)-int(start)+1))}
			want := false
			for _, l := range c.unless {
				for _, s := range b.found[l] {
					between := span{min(whole.end, s.end), max(whole.start, s.start)}
					want = want || between.end <= between.start || b.wordsOf(between) <= c.within
				}
			}
			if want {
				found++
			}
			if got := c.excepted(b, whole); got != want {
				t.Fatalf("%q from %d to %d: excepted %v, want %v", b.piece, whole.start, whole.end, got, want)
			}
		}
	}
	if found < 1000 {
		t.Errorf("%d of the places are excepted: too few to tell", found)
	}
}

// Words that except but stand too far away take no more time than other words do, however many combinations they might except.
func TestExceptedIsLinear(t *testing.T) {
	r := compiled(t, unlessFar)
	took := func(far string) time.Duration {
		text := strings.Repeat(far, 1400) + "一二三四五" + strings.Repeat("买股法", 400)
		best := time.Duration(1 << 62)
		for range 30 {
			began := time.Now()
			if _, found := r.Check(text); found {
				t.Fatal("what is excepted is refused")
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	few, many := took("六"), took("法")
	t.Logf("with words that except %v, without %v", many, few)
	if many > 3*few {
		t.Errorf("with words that except %v, without %v", many, few)
	}
}
