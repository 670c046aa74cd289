package moderate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coregx/ahocorasick"
)

// Limits of rules.
const (
	// DefaultWithin is how many words may stand between the parts of a combination; of Han, each counts as a word.
	DefaultWithin = 16
	// MaxWithin bounds what a combination, and so an output guard, has to look back on.
	MaxWithin = 200
	// MaxWord is the longest word in characters.
	MaxWord = 200
	// MaxWords bounds the memory that words take: about 4 KiB each.
	MaxWords = 100_000
)

// Rules say which texts are refused. The zero value refuses nothing; they are safe for concurrent use once compiled.
type Rules struct {
	lists    []wordList
	combos   []combination
	patterns []pattern
	// source is what they were made of.
	source [][]byte

	// What compile makes.
	automaton *ahocorasick.Automaton
	// of are the lists that each word of the automaton is in.
	of [][]int32
	// reach is how many bytes of a text in words a rule may look at, and span how many words.
	reach, span int
	version     [sha256.Size]byte
}

// wordList is words that mean the same to a rule.
type wordList struct {
	name  string
	words []string
}

// combination refuses a text in which a word of each of all lists stands close to the others', unless a word of one
// of the lists in unless does too.
type combination struct {
	policy string
	all    []int32
	unless []int32
	within int
}

type pattern struct {
	policy string
	re     *regexp.Regexp
}

// Finding is a rule that a text breaks.
type Finding struct {
	// Policy is the name of the policy that the rule belongs to.
	Policy string
}

// ownList begins the names of lists of words that are refused by themselves: no list of a file is called that.
const ownList = "\x00"

// list gives the index of the list of that name, and adds it where there is none.
func (r *Rules) list(name string) int32 {
	i := slices.IndexFunc(r.lists, func(l wordList) bool { return l.name == name })
	if i < 0 {
		i = len(r.lists)
		r.lists = append(r.lists, wordList{name: name})
	}
	return int32(i)
}

// AddWords refuses texts that hold one of words. Latin words match whole words only.
func (r *Rules) AddWords(policy string, words ...string) error {
	if len(words) == 0 {
		return nil
	}
	name := ownList + policy
	known := slices.ContainsFunc(r.lists, func(l wordList) bool { return l.name == name })
	i := r.list(name)
	if err := r.addTo(i, words); err != nil {
		return err
	}
	if !known {
		r.combos = append(r.combos, combination{policy: policy, all: []int32{i}})
	}
	return nil
}

func (r *Rules) addTo(i int32, words []string) error {
	for _, word := range words {
		in := inText(word)
		switch n := utf8.RuneCountInString(in); {
		case strings.TrimSpace(in) == "":
			return fmt.Errorf("word %q has neither a letter nor a digit", word)
		case n > MaxWord:
			return fmt.Errorf("a word has %d characters; the most are %d", n, MaxWord)
		}
		r.lists[i].words = append(r.lists[i].words, in)
		r.source = append(r.source, []byte(r.lists[i].name+"\x00"+in))
	}
	return nil
}

// inText is how a word stands in a text in words: Han without the spaces around it, since other Han may follow.
func inText(word string) string {
	in := string(Words(nil, Fold(nil, word)))
	if first, _ := utf8.DecodeRuneInString(in[1:]); unicode.Is(unicode.Han, first) {
		in = in[1:]
	}
	if last, _ := utf8.DecodeLastRuneInString(strings.TrimSuffix(in, " ")); unicode.Is(unicode.Han, last) {
		in = strings.TrimSuffix(in, " ")
	}
	return in
}

// AddPattern refuses texts, as [Fold] gives them, in which an RE2 expression matches.
func (r *Rules) AddPattern(policy, expression string) error {
	re, err := regexp.Compile(expression)
	if err != nil {
		return fmt.Errorf("pattern %q is no RE2 expression: %w", expression, err)
	}
	if re.MatchString("") {
		return fmt.Errorf("pattern %q matches every text, also an empty one", expression)
	}
	r.patterns = append(r.patterns, pattern{policy, re})
	r.source = append(r.source, []byte("pattern\x00"+policy+"\x00"+expression))
	return nil
}

// Compile prepares the rules. It is called once, before Check.
func (r *Rules) Compile() error {
	index := make(map[string]int32)
	var words []string
	for i, l := range r.lists {
		for _, word := range l.words {
			at, ok := index[word]
			if !ok {
				at = int32(len(words))
				index[word], words, r.of = at, append(words, word), append(r.of, nil)
			}
			if !slices.Contains(r.of[at], int32(i)) {
				r.of[at] = append(r.of[at], int32(i))
			}
		}
	}
	if len(words) > MaxWords {
		return fmt.Errorf("there are %d words; the most are %d", len(words), MaxWords)
	}
	for _, c := range r.combos {
		r.reaches(c)
	}
	h := sha256.New()
	for _, part := range r.source {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	h.Sum(r.version[:0])
	if len(words) == 0 {
		return nil
	}
	var err error
	if r.automaton, err = ahocorasick.NewBuilder().AddStrings(words).Build(); err != nil {
		return errors.New("the words cannot be compiled: " + err.Error())
	}
	return nil
}

// Counts gives how many words and phrases are refused by themselves, how many patterns, and how many combinations of lists.
func (r *Rules) Counts() (words, patterns, combinations int) {
	combinations = len(r.combos)
	for _, l := range r.lists {
		if strings.HasPrefix(l.name, ownList) {
			words += len(l.words)
			combinations--
		}
	}
	return words, len(r.patterns), combinations
}

// Empty reports whether there are no rules.
func (r *Rules) Empty() bool { return len(r.combos) == 0 && len(r.patterns) == 0 }

// Version tells the rules from others.
func (r *Rules) Version() [sha256.Size]byte { return r.version }

// Check gives the first rule that text breaks, if there is one. It takes time and memory in proportion to the text.
func (r *Rules) Check(text string) (Finding, bool) {
	if r.Empty() {
		return Finding{}, false
	}
	if f, found := r.check(text); found || !hasTags(text) {
		return f, found
	}
	return r.checkTags(text)
}

// check is Check of text as Fold gives it.
func (r *Rules) check(text string) (Finding, bool) {
	b := rooms.Get().(*room)
	defer b.release()
	b.folded = Fold(b.folded[:0], text)
	if r.automaton != nil {
		b.words = Words(b.words[:0], b.folded)
		if policy, ok := r.checkWords(b, span{0, int32(len(b.words))}); ok {
			return Finding{policy}, true
		}
	}
	for _, p := range r.patterns {
		if p.re.Match(b.folded) {
			return Finding{p.policy}, true
		}
	}
	return Finding{}, false
}

// piece is how much of a text is looked at once, in bytes, beside what stands around it: it bounds how many words are
// found at once.
const piece = 8 << 10

// checkWords gives the policy of the first rule over words that b.words breaks, by words that begin in core.
func (r *Rules) checkWords(b *room, core span) (policy string, found bool) {
	for start := int(core.start); start < int(core.end); start += piece {
		end := min(start+piece, int(core.end))
		from, to := max(start-r.reach, 0), min(end+r.reach, len(b.words))
		if !b.collect(r, b.words[from:to]) {
			continue
		}
		inner := span{int32(start - from), int32(end - from)}
		for i := range r.combos {
			if r.combos[i].met(b, inner) {
				return r.combos[i].policy, true
			}
		}
	}
	return "", false
}

// reaches takes into account how far the combination looks: over its words, over what may stand between them, and over
// a word that excepts, on either side.
func (r *Rules) reaches(c combination) {
	bytes, words := 0, 0
	add := func(l int32) {
		b, n := r.longest(l)
		bytes, words = bytes+b, words+n
	}
	for _, l := range c.all {
		add(l)
	}
	between := 0
	if len(c.all) > 1 {
		between = c.within
	}
	if len(c.unless) > 0 {
		between += c.within
		add(slices.MaxFunc(c.unless, func(a, b int32) int {
			longest, _ := r.longest(a)
			other, _ := r.longest(b)
			return longest - other
		}))
	}
	// A word has no more than eight letters and a space; where a text is cut, the count may be wrong by one on each side.
	r.reach, r.span = max(r.reach, bytes+between*(8*utf8.UTFMax+1)), max(r.span, words+between+2)
}

// longest is how long the phrases of a list are, in bytes and in words.
func (r *Rules) longest(l int32) (bytes, words int) {
	for _, word := range r.lists[l].words {
		bytes, words = max(bytes, len(word)), max(words, wordsIn([]byte(word)))
	}
	return bytes, words
}
