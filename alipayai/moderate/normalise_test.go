package moderate

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// tags spells text, which is ASCII, in tag characters.
func tags(text string) string {
	return strings.Map(func(r rune) rune { return 0xe0000 + r }, text)
}

// selectors spells text in variation selectors, one for each byte.
func selectors(text string) string {
	var all []rune
	for _, b := range []byte(text) {
		if all = append(all, 0xfe00+rune(b)); b >= 16 {
			all[len(all)-1] = 0xe0100 + rune(b) - 16
		}
	}
	return string(all)
}

func TestSpellings(t *testing.T) {
	r := new(Rules)
	if err := r.AddWords("words", "predict income", "稳赚不赔", "内幕消息", "c3p", "guaranteed", "ガイド"); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text string
		want bool
	}{
		"as it is":              {"Please predict income for me", true},
		"alone":                 {"predict income", true},
		"case":                  {"PREDICT Income", true},
		"white space":           {"predict \n\t  income", true},
		"no-break space":        {"predict\u00a0income", true},
		"punctuation between":   {"predict, (income)", true},
		"full width":            {"ｐｒｅｄｉｃｔ　ｉｎｃｏｍｅ", true},
		"mathematical":          {"𝐩𝐫𝐞𝐝𝐢𝐜𝐭 𝑖𝑛𝑐𝑜𝑚𝑒", true},
		"circled":               {"ⓟⓡⓔⓓⓘⓒⓣ income", true},
		"white in squares":      {"🅿🆁🅴🅳🅸🅲🆃 🅸🅽🅲🅾🅼🅴", true},
		"white in circles":      {"🅟🅡🅔🅓🅘🅒🅣 income", true},
		"small capitals":        {"ᴘʀᴇᴅɪᴄᴛ ɪɴᴄᴏᴍᴇ", true},
		"ligature":              {"predict income ﬁn", true},
		"soft hyphen":           {"pre\u00addict in\u00adcome", true},
		"zero-width space":      {"p\u200br\u200be\u200bd\u200bict income", true},
		"zero-width joiner":     {"predict\u200d income", true},
		"word joiner":           {"pre\u2060dict income", true},
		"byte order mark":       {"pre\ufeffdict income", true},
		"direction":             {"pre\u202edict\u202c income", true},
		"tag characters":        {"pre\U000e0061dict income", true},
		"in tag characters":     {"hello" + tags("predict income"), true},
		"tags within a phrase":  {"predict" + tags("income"), true},
		"tags within a word":    {"pre" + tags("dict inc") + "ome", true},
		"tags letter by letter": {"h" + tags("predict ") + "e" + tags("in") + "l" + tags("co") + "lo" + tags("me"), true},
		"tags of another text":  {"hello" + tags("predict incomes"), false},
		"tags, escaped":         {`\udb40\udc70\udb40\udc72\udb40\udc65dict income`, true},
		"a flag of tags":        {"predict \U0001f3f4" + tags("gbeng") + "\U000e007f", false},
		"selectors within":      {"predict \U0001f600" + selectors("inc") + "ome", true},
		"in selectors":          {"\U0001f600" + selectors("predict income"), true},
		"selectors, over lines": {"\U0001f600" + selectors("predict\nincome"), true},
		"selectors of Han":      {"hello" + selectors("稳赚不赔"), true},
		"selectors, apart":      {"h" + selectors("predict ") + "e" + selectors("income"), true},
		"selectors of others":   {"hello" + selectors("predict incomes"), false},
		"a variant of Han":      {"稳\U000e0100赚不赔", true},
		"emoji":                 {"predict \u2764\ufe0f\U0001f600\ufe0f incomes", false},
		"variation selector":    {"pre\ufe0fdict income", true},
		"filler":                {"pre\u3164dict \u115fincome", true},
		"control character":     {"pre\x01dict income\x00", true},
		"accents":               {"prédíct íncömé", true},
		"combining marks":       {"p\u0336r\u0336e\u0336dict income", true},
		"Cyrillic letters":      {"рrеdiсt incоmе", true},
		"Greek letters":         {"predict incοme", true},
		"spelt apart":           {"p r e d i c t income", true},
		"spelt with dots":       {"p.r.e.d.i.c.t income", true},
		"Han with spaces":       {"稳 赚 不 赔", true},
		"Han with symbols":      {"稳-赚*不_赔", true},
		"Han with dots":         {"稳.赚.不.赔", true},
		"Han, traditional":      {"穩賺不賠", true},
		"Han over lines":        {"稳赚\n不赔", true},
		"Han, compatibility":    {"內幕消息", true},
		"Han next to Latin":     {"这是guaranteed的", true},
		"Han in a sentence":     {"这个项目稳赚不赔吗", true},
		"half-width kana":       {"ｶﾞｲﾄﾞ", true},
		"kana far on":           {strings.Repeat("x ", maxSegment) + "ｶﾞｲﾄﾞ", true},
		"digits":                {"a c3p b", true},
		"part of a word":        {"predict incomes", false},
		"part of a longer one":  {"unpredict income", false},
		"in another order":      {"income predict", false},
		"Cyrillic by itself":    {"рредикт инкоме", false},
		"between clauses":       {"很稳,赚不赔", false},
		"empty":                 {"", false},
		"invalid UTF-8":         {"\xff\xfepredict income\xff", true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := r.CheckTexts([]wire.Text{{Value: tc.text}}); got != tc.want {
				t.Errorf("found %v, want %v: folded %q, words %q", got, tc.want, Fold(nil, tc.text), Words(nil, Fold(nil, tc.text)))
			}
		})
	}
}

// Marks are left out over letters of these blocks alone: elsewhere they are a part of what is written.
func TestMarksOverLetters(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want bool
	}{
		"Latin": {"q\u0336", true}, "Cyrillic": {"\u0461\u0336", true}, "Greek, extended": {"\u1f10\u0336", true}, "Latin, extended": {"\u2c61\u0336", true}, "Han": {"中\u0336", true},
		"Devanagari": {"\u0915\u0902", false}, "Thai": {"\u0e01\u0e34", false},
	} {
		first, size := utf8.DecodeRuneInString(tc.text)
		if got, without := string(Fold(nil, tc.text)), string(Fold(nil, string(first))); (got == without) != tc.want || size == len(tc.text) {
			t.Errorf("%s: %q is folded to %q, without its mark to %q", name, tc.text, got, without)
		}
	}
}

// What is folded and written in runs is what it would be character by character.
func TestRunsAreCharactersOneByOne(t *testing.T) {
	const seed = 12
	random := rand.New(rand.NewPCG(seed, seed))
	alphabet := []rune("aabz09AZ  \n.,-_~\x00\x7f我我们們證一龥〇。、，！ａéе\u0301\u200b\U00020000ÿ\ufffd")
	for range 20_000 {
		var text []rune
		for range random.IntN(24) {
			text = append(text, alphabet[random.IntN(len(alphabet))])
		}
		var folded []byte
		for i := 0; i < len(text); {
			plain, ok := foldPlain(text[i])
			switch end := i + 1; {
			case text[i] < utf8.RuneSelf || ok:
				folded = appendFolded(folded, plain)
				i = end
			default: // what Unicode's tables fold, and what follows it
				for _, r := range text[end:] {
					if _, ok := foldPlain(r); ok || r < utf8.RuneSelf {
						break
					}
					end++
				}
				folded = foldSegment(folded, string(text[i:end]))
				i = end
			}
		}
		if got := Fold(nil, string(text)); string(got) != string(folded) {
			t.Fatalf("%q is folded to %q, want %q", string(text), got, folded)
		}
		w := wordWriter{dst: []byte(" ")}
		for _, r := range string(folded) {
			switch {
			case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
				w.letter(r, latin)
			case unicode.Is(unicode.Han, r):
				w.letter(r, han)
			case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
				w.letter(r, other)
			default:
				w.between(r == '.' || r == ',' || r == '!' || r == '。' || r == '、')
			}
		}
		want := string(w.end())
		if got := Words(nil, folded); string(got) != want {
			t.Fatalf("%q is in words %q, want %q", folded, got, want)
		}
	}
}

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
