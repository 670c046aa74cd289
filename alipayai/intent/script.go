package intent

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kana is the script of texts in Japanese: of Hiragana, Katakana and Han together.
const Kana = "kana"

// scripts are those of Unicode by name, in lower case, the frequent ones first.
var scripts = func() (all []script) {
	frequent := []string{"Latin", "Han", "Hangul", "Cyrillic", "Arabic", "Devanagari", "Thai", "Hebrew", "Greek"}
	names := slices.Sorted(maps.Keys(unicode.Scripts))
	for _, name := range slices.Concat(frequent, names) {
		if !slices.ContainsFunc(all, func(s script) bool { return s.table == unicode.Scripts[name] }) {
			all = append(all, script{strings.ToLower(name), unicode.Scripts[name]})
		}
	}
	return slices.DeleteFunc(all, func(s script) bool {
		switch s.name {
		case "common", "inherited", "hiragana", "katakana":
			return true
		}
		return false
	})
}()

type script struct {
	name  string
	table *unicode.RangeTable
}

// Scripts are the names that Script gives, but for none.
func Scripts() []string {
	names := []string{Kana}
	for _, s := range scripts {
		names = append(names, s.name)
	}
	return names
}

// Script gives the script that most of a text's words are in, by its name in Unicode in lower case, such as latin, han or
// cyrillic; kana where a tenth of the characters of a text in Han is Hiragana or Katakana. It is empty for a text without
// letters. A character of Han, Kana or Thai counts as a word, so that the English names in a Chinese text do not
// decide. Of a text of more than 2,000 characters, the first and the last 1,000 are looked at.
func Script(text string) string {
	var kana, latin, han int
	var others map[string]int
	last := "" // the script of the word that goes on
	head, tail := ends(text)
	for _, part := range [...]string{head, tail} {
		for _, r := range part {
			switch {
			case r < utf8.RuneSelf:
				if !isASCIILetter(r) {
					last = ""
				} else if last != "latin" {
					latin, last = latin+1, "latin"
				}
			case r >= 0x3040 && r <= 0x30ff || r >= 0xff66 && r <= 0xff9d:
				kana, last = kana+1, ""
			case unicode.Is(unicode.Han, r):
				han, last = han+1, ""
			case unicode.IsLetter(r):
				name := scriptOf(r)
				if name != last || isUnspaced(r) {
					if others == nil {
						others = make(map[string]int)
					}
					others[name]++
				}
				last = name
			case !unicode.IsMark(r):
				last = ""
			}
		}
	}
	latin += others["latin"]
	best, most := "", latin
	if latin > 0 {
		best = "latin"
	}
	if n := han + kana; n > most {
		best, most = "han", n
	}
	if others != nil {
		for _, s := range scripts[2:] { // behind Latin and Han
			if n := others[s.name]; n > most {
				best, most = s.name, n
			}
		}
	}
	if best == "han" && 10*kana >= han+kana {
		return Kana
	}
	return best
}

func isASCIILetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func scriptOf(r rune) string {
	for _, s := range scripts {
		if unicode.Is(s.table, r) {
			return s.name
		}
	}
	return ""
}
