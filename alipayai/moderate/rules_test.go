package moderate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// tenThousand are as many words, half of them Han.
func tenThousand(t testing.TB) *Rules {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 10_000)
	for i := range words {
		var b strings.Builder
		for range 2 + random.IntN(4) {
			if i%2 == 0 {
				b.WriteRune(rune(0x4e00 + random.IntN(3000)))
			} else {
				b.WriteString(string(rune('a'+random.IntN(26))) + string(rune('a'+random.IntN(26))))
			}
		}
		words[i] = b.String()
	}
	r := new(Rules)
	if err := r.AddWords("words", words...); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	return r
}

// ordinary is a text of n characters in which no word of a rule stands.
func ordinary(n int) string {
	const text = "请问我的订单什么时候可以发货，物流信息一直没有更新。Could you please look into it? 谢谢您的帮助，祝您生活愉快。"
	r := []rune(strings.Repeat(text, n/40+1))
	return string(r[:n])
}

// The bound is 50 µs on a quiet machine; one that is busy and runs the race detector has ten times as much.
func TestTenThousandWordsAreFast(t *testing.T) {
	r, text := tenThousand(t), ordinary(1000)
	best := time.Hour
	for range 200 {
		began := time.Now()
		if _, found := r.Check(text); found {
			t.Fatal("the text holds a word by chance")
		}
		best = min(best, time.Since(began))
	}
	t.Logf("10,000 words in 1,000 characters: %s", best)
	if best > 500*time.Microsecond {
		t.Errorf("10,000 words in 1,000 characters take %s", best)
	}
}

// A text that is made to be slow takes time in proportion to its length.
func TestHugeTextsAreBounded(t *testing.T) {
	r := new(Rules)
	if err := r.AddBuiltin("china"); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	for name, unit := range map[string]string{
		"words of rules":      "预测 法律 涨 股 ",
		"Latin words of them": "law will rise ",
		"single letters":      "a b ",
		"marks":               "\u0336",
		"escapes":             `\\\\`,
		"invisible":           "\u200b",
		"ligatures":           "ﷺ",
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(unit, (1<<20)/len(unit))
			began := time.Now()
			_, _ = r.checkEscaped(text)
			took := time.Since(began)
			t.Logf("1 MiB: %s", took)
			if took > 10*time.Second {
				t.Errorf("1 MiB takes %s", took)
			}
		})
	}
}

func TestRulesAcrossPieces(t *testing.T) {
	r := compiled(t, guarded)
	for _, before := range []int{piece - 40, piece - 12, piece - 3, piece, piece + 5, 2*piece - 7} {
		for _, text := range []string{"insider tip", "稳赚不赔", "predict your future income"} {
			padded := strings.Repeat("a ", before/2) + text + strings.Repeat(" b", 50)
			if _, found := r.Check(padded); !found {
				t.Errorf("%q behind %d bytes is not found", text, before)
			}
		}
		excepted := strings.Repeat("a ", before/2) + "it is forbidden to predict your future income" + strings.Repeat(" b", 50)
		if _, found := r.Check(excepted); found {
			t.Errorf("what excepts behind %d bytes is not seen", before)
		}
	}
}

func TestCombinations(t *testing.T) {
	r := compiled(t, guarded)
	for text, want := range map[string]bool{
		"predict my future income":                                             true,
		"future income: predict it":                                            true,
		"predict aa bb cc dd ee ff gg hh future income":                        true,
		"predict aa bb cc dd ee ff gg hh ii future income":                     false,
		"it is forbidden to predict future income":                             false,
		"predict future income, it is forbidden":                               false,
		"it is forbidden. aa bb cc dd ee ff gg hh ii jj predict future income": true,
		"predict " + strings.Repeat("x", 100) + " future income":               false, // a long word counts as many
		"预测一下明年的收入":                                                            true,
		"禁止预测收入":                                                               false,
		"收入":                                                                   false,
	} {
		if _, found := r.Check(text); found != want {
			t.Errorf("%q: found %v, want %v", text, found, want)
		}
	}
}

// What reads as a rule is a word where it says so, and a list by itself is denied.
func TestPlainWordsInRules(t *testing.T) {
	for file, refused := range map[string]string{
		"word: list price":                "the list price is",
		"word: note: this":                "please note: this",
		"word: a|b":                       "so a|b then",
		"insider tip":                     "an insider tip for you",
		"policyholder":                    "any policyholder",
		"wordlist":                        "my wordlist",
		"稳赚：不赔":                           "他说稳赚：不赔",
		"C++":                             "in C++ please",
		"list coming: soon\ndeny: coming": "it is soon",
		"list coming: soon\nlist no: not\ndeny: coming unless no": "it is soon",
	} {
		r := compiled(t, file)
		if _, found := r.Check(refused); !found {
			t.Errorf("%q does not refuse %q", file, refused)
		}
	}
}

func TestCounts(t *testing.T) {
	r := compiled(t, "tip\nword: list price\npolicy: b\nthird\npattern: x+\nlist a: b | c\nlist d: e\ndeny: a + d\ndeny: a")
	if words, patterns, combinations := r.Counts(); words != 3 || patterns != 1 || combinations != 2 {
		t.Errorf("%d words, %d patterns, %d combinations", words, patterns, combinations)
	}
}

func TestMistakesInRules(t *testing.T) {
	for file, want := range map[string]string{
		"ok\npattern: (":                 "line 2: pattern \"(\" is no RE2 expression",
		"pattern: a*":                    "matches every text",
		"list a b: c":                    "use 1 to 64 letters",
		"list a: |":                      "list a is empty",
		"deny: a":                        `list "a" is not known`,
		"list a: b\ndeny: a + a":         "named twice",
		"list a: b\ndeny: a within many": `within "many" is not a number of words`,
		"list a: b\ndeny: a within 201":  "from 0 to 200",
		"list a: b\ndeny: + a":           "write deny:",
		"!!!":                            "neither a letter nor a digit",
		"policy: a b":                    "use 1 to 64 letters",
		strings.Repeat("a ", 300):        "the most are 200",

		// What reads as a rule is no word.
		"ok\npolcy: fraud":            `line 2: "polcy" is no keyword; there are policy, `,
		"patern: [0-9]{16}":           `"patern" is no keyword; there are pattern, `,
		"Deny: a + b":                 "write deny: <list> + <list>",
		"denny : a":                   `"denny" is no keyword; there are deny, `,
		"polcy: this":                 "write word: polcy: this",
		"list: a|b":                   "write list <name>: <word> | <word>",
		"list a b c":                  "write list <name>: <word> | <word>",
		"lists a: b":                  `"lists" is no keyword; write list <name>: `,
		"deny predict + income":       "write deny: <list> + <list>",
		"deny predict":                "write word: deny predict",
		"pattern [0-9]{16}":           "write pattern: <RE2>",
		"policy fraud":                "write policy: <name>",
		"unless lawful":               "all in one line",
		"within 12":                   "all in one line",
		"predict + income":            "only deny combines by +",
		"预测 | 推算":                     "only a list separates by |",
		"deny：a":                      "of ASCII",
		"insider tip # a comment":     "a comment has a line of its own",
		"list a: b | c # a comment":   "a comment has a line of its own",
		"word:":                       "neither a letter nor a digit",
		"list a: b\ndeny: a, c":       `list "a, c" is not known`,
		"list a: b\ndeny: a unless c": `list "c" is not known`,
	} {
		err := new(Rules).AddFile("test", file)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", file, err, want)
		}
	}
	if err := new(Rules).AddBuiltin("mars"); err == nil || !strings.Contains(err.Error(), "there are: china") {
		t.Error(err)
	}
}

// A plain list of words, as they are traded, is a file of rules; a colon in one is no keyword.
func TestPlainWordLists(t *testing.T) {
	r := compiled(t, "\ufeff# a list\r\nfirst word\r\n\r\nnote: second\r\n第三\r\n")
	for _, text := range []string{"the first word", "a note, second", "是第三个"} {
		if _, found := r.Check(text); !found {
			t.Errorf("%q is not found", text)
		}
	}
}

func BenchmarkRules(b *testing.B) {
	china := new(Rules)
	if err := china.AddBuiltin("china"); err != nil {
		b.Fatal(err)
	}
	if err := china.Compile(); err != nil {
		b.Fatal(err)
	}
	for name, r := range map[string]*Rules{"10000 words": tenThousand(b), "china": china} {
		for _, n := range []int{200, 1000} {
			b.Run(fmt.Sprintf("%s/%d characters", name, n), func(b *testing.B) {
				text := ordinary(n)
				b.ReportAllocs()
				for b.Loop() {
					r.Check(text)
				}
			})
		}
	}
}
