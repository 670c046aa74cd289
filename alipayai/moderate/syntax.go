package moderate

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxLine is the longest line of a rules file in bytes.
const maxLine = 64 << 10

//go:embed china.rules
var china string

// AddBuiltin adds a set of rules that comes with the package: china. It fails for other names.
func (r *Rules) AddBuiltin(name string) error {
	if name != "china" {
		return fmt.Errorf("built-in rules %q are unknown; there are: china", name)
	}
	if err := r.AddFile(name, china); err != nil {
		return fmt.Errorf("built-in rules %s: %w", name, err)
	}
	return nil
}

// AddFile adds the rules of a file. A line is a word or a phrase that is refused, or one of
//
//	# a comment
//	word: <word or phrase>              one that reads as a rule, as "list price" does
//	policy: <name>                      of what follows; at first the one given
//	pattern: <RE2>
//	list <name>: <word> | <word> ...    may be repeated, and go on
//	deny: <list> + <list> ... [within <words>] [unless <list>, <list> ...]
//
// where deny refuses a text that has a word of each list with at most as many others between them
// ([DefaultWithin]; each Han character counts as a word), unless a word of the lists behind unless stands as close. One list
// is refused by itself. A line that reads as a rule with a mistake is refused: as a word it would never apply. Errors name the line.
func (r *Rules) AddFile(policy, text string) error {
	text = strings.TrimPrefix(text, "\ufeff")
	number := 0
	for line := range strings.Lines(text) {
		number++
		if len(line) > maxLine {
			return fmt.Errorf("line %d has more than %d bytes", number, maxLine)
		}
		if err := r.addLine(&policy, strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

func (r *Rules) addLine(policy *string, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	keyword, rest, ok := strings.Cut(line, ":")
	rest = strings.TrimSpace(rest)
	name, isList := strings.CutPrefix(keyword, "list ")
	switch {
	case !ok:
	case keyword == "word":
		return r.AddWords(*policy, rest)
	case keyword == "policy":
		if err := CheckName(rest); err != nil {
			return err
		}
		*policy = rest
		return nil
	case keyword == "pattern":
		return r.AddPattern(*policy, rest)
	case isList:
		return r.addList(strings.TrimSpace(name), rest)
	case keyword == "deny":
		return r.addCombination(*policy, rest)
	}
	if err := checkPlain(line); err != nil {
		return err
	}
	return r.AddWords(*policy, line)
}

// names are those of policies, moderators and lists: they go into logs, metrics and answers.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// CheckName refuses what is no name of a policy, a list or a moderator.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("name %q: use 1 to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

func (r *Rules) addList(name, words string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	var list []string
	for word := range strings.SplitSeq(words, "|") {
		if word = strings.TrimSpace(word); word != "" {
			if strings.Contains(word, " #") {
				return errComment
			}
			list = append(list, word)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("list %s is empty; write list <name>: <word> | <word>", name)
	}
	return r.addTo(r.list(name), list)
}

// tail is what follows the lists of a combination.
var tail = regexp.MustCompile(`^(.*?)(?:\s+within\s+(\S+))?(?:\s+unless\s+(.+))?$`)

func (r *Rules) addCombination(policy, rest string) error {
	parts := tail.FindStringSubmatch(rest)
	c := combination{policy: policy, within: DefaultWithin}
	if parts[2] != "" {
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 0 || n > MaxWithin {
			return fmt.Errorf("within %q is not a number of words from 0 to %d", parts[2], MaxWithin)
		}
		c.within = n
	}
	var err error
	if c.all, err = r.lookUp(parts[1], "+"); err != nil {
		return err
	}
	if len(c.all) > maxLists {
		return fmt.Errorf("deny has %d lists; the most are %d", len(c.all), maxLists)
	}
	if parts[3] != "" {
		if c.unless, err = r.lookUp(parts[3], ","); err != nil {
			return err
		}
	}
	r.combos = append(r.combos, c)
	r.source = append(r.source, []byte("deny\x00"+policy+"\x00"+rest))
	return nil
}

// lookUp gives the lists that are named.
func (r *Rules) lookUp(named, separator string) ([]int32, error) {
	var found []int32
	for name := range strings.SplitSeq(named, separator) {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(r.lists, func(l wordList) bool { return l.name == name })
		switch {
		case name == "":
			return nil, fmt.Errorf("write deny: <list> + <list> [within <words>] [unless <list>, <list>]")
		case i < 0:
			return nil, fmt.Errorf("list %q is not known; write list %s: <word> | <word> above", name, name)
		case slices.Contains(found, int32(i)):
			return nil, fmt.Errorf("list %s is named twice", name)
		}
		found = append(found, int32(i))
	}
	return found, nil
}
