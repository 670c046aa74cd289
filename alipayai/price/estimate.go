package price

import (
	"math"
	"sync"
	"unicode"
)

// Text counts the code points of texts: Han, of which most are a token or so each, and
// others, of which a token has several.
type Text struct{ Han, Others int64 }

// Add counts the code points of s.
func (t *Text) Add(s string) {
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			t.Han++
		} else {
			t.Others++
		}
	}
}

// Characters are all of them.
func (t Text) Characters() int64 { return t.Han + t.Others }

// What estimates begin with: three tokens for four Han characters, and one for four
// others.
const (
	firstHan    = 0.75
	firstOthers = 0.25
	firstAnswer = 256
)

// Bounds of what is learned. A token is a byte at least, and a character four at most.
const (
	leastTokens, mostTokens = 1. / 64, 4
	// pace is how much of an error each call mends.
	pace = 0.2
	// enough is how many characters a text has that is long: one of as many mends half as much, and those of fewer next to
	// nothing, since their prompts are mostly what a vendor puts around them.
	enough = 200
)

// Estimate estimates the tokens of prompts and answers of one provider, and learns
// from what calls have taken. The zero value is ready; it is safe for concurrent use.
// An estimate is no money, and may be a float.
type Estimate struct {
	mu          sync.Mutex
	learned     bool
	han, others float64 // tokens of a character
	answer      float64 // mean tokens of an answer
	answers     int64   // of how many calls, up to memory
}

func (e *Estimate) begin() {
	if !e.learned {
		e.learned, e.han, e.others, e.answer = true, firstHan, firstOthers, firstAnswer
	}
}

// Tokens estimates the tokens of a text.
func (e *Estimate) Tokens(t Text) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin()
	return int64(math.Ceil(e.han*float64(t.Han) + e.others*float64(t.Others)))
}

// Answer is the mean of what answers have taken lately, in tokens.
func (e *Estimate) Answer() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin()
	return int64(math.Ceil(e.answer))
}

// Learn takes account of a call whose prompt of these texts took so many tokens, and
// its answers, of which there may be none, so many together. Each call mends a part of
// the estimate's error, by normalised least mean squares: the kind of character that
// there was more of by more, and both by little where there were few.
func (e *Estimate) Learn(t Text, prompt, completion, answers int64) {
	if prompt < 0 || completion < 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begin()
	han, others := float64(t.Han), float64(t.Others)
	norm := han*han + others*others + enough*enough
	wrong := min(float64(prompt), mostTokens*(han+others)) - e.han*han - e.others*others
	e.han = bounded(e.han + pace*wrong*han/norm)
	e.others = bounded(e.others + pace*wrong*others/norm)
	if answers <= 0 {
		return
	}
	const memory = 64 // calls
	e.answers = min(e.answers+1, memory)
	e.answer += (float64(completion)/float64(answers) - e.answer) / float64(e.answers)
}

func bounded(n float64) float64 { return min(max(n, leastTokens), mostTokens) }
