package moderate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// forms are how the rules of a file are written, by their keywords.
var forms = map[string]string{
	"deny":    "deny: <list> + <list> [within <words>] [unless <list>, <list>]",
	"list":    "list <name>: <word> | <word>",
	"pattern": "pattern: <RE2>",
	"policy":  "policy: <name>",
	"word":    "word: <word or phrase>",
	// Parts of deny, which have no line of their own.
	"unless": "deny: <list> + <list> unless <list>, all in one line",
	"within": "deny: <list> + <list> within <words>, all in one line",
}

// keywords begin lines.
var keywords = []string{"deny", "list", "pattern", "policy", "word"}

// typos is how many letters of a keyword may be wrong for a line to be read as meant for it: "note: " is none.
const typos = 2

var errComment = errors.New("a comment has a line of its own that begins with #")

var (
	// directive is a line that begins as `keyword:` or `keyword name:` does.
	directive = regexp.MustCompile(`^([A-Za-z_-]+)(?:[ \t]+([A-Za-z0-9_.-]+))?[ \t]*:`)
	firstWord = regexp.MustCompile(`^[A-Za-z]+`)
	// fullWidth are the marks that input methods for Chinese put in the place of those of rules.
	fullWidth = strings.NewReplacer("：", ":", "＋", "+", "｜", "|", "＃", "#", "\u3000", " ")
)

// checkPlain refuses a line that is taken for a word, and reads as a rule with a mistake.
func checkPlain(line string) error {
	asWord := "; if it is a word or phrase, write word: " + line
	if fullWidth.Replace(line) != line {
		asWord = "; the marks of rules are : + | and # of ASCII" + asWord
	}
	read := fullWidth.Replace(line)
	if m := directive.FindStringSubmatch(read); m != nil {
		nearest := byNearness(m[1])
		form, known := forms[strings.ToLower(m[1])]
		switch {
		case known:
			return fmt.Errorf("write %s%s", form, asWord)
		case m[2] == "" && distance(strings.ToLower(m[1]), nearest[0]) <= typos:
			return fmt.Errorf("%q is no keyword; there are %s%s", m[1], strings.Join(nearest, ", "), asWord)
		case m[2] != "" && distance(strings.ToLower(m[1]), "list") <= typos:
			return fmt.Errorf("%q is no keyword; write %s%s", m[1], forms["list"], asWord)
		}
	}
	first := strings.ToLower(firstWord.FindString(read))
	form, known := forms[first]
	rest := read[len(first):]
	switch {
	case known && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ":"), known && rest != "" && strings.ContainsAny(rest[:1], " \t"):
		return fmt.Errorf("write %s%s", form, asWord)
	case strings.Contains(read, " + "):
		return fmt.Errorf("only deny combines by +; write %s%s", forms["deny"], asWord)
	case strings.Contains(read, "|"):
		return fmt.Errorf("only a list separates by |; write %s, or each word in a line of its own%s", forms["list"], asWord)
	case strings.Contains(read, " #"):
		return fmt.Errorf("%w%s", errComment, asWord)
	}
	return nil
}

// byNearness gives the keywords, the ones most like word first.
func byNearness(word string) []string {
	sorted := slices.Clone(keywords)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return distance(strings.ToLower(word), a) - distance(strings.ToLower(word), b)
	})
	return sorted
}

// distance is how many letters have to be added, taken away or changed to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
