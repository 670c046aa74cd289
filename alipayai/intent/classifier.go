package intent

import (
	"slices"
	"sync"
)

// DefaultConfidence is the least probability with which a classifier names an intent.
const DefaultConfidence = 0.4

// Classifier tells intents apart. It may be used by several goroutines at once.
type Classifier struct {
	intents []string // sorted
	// weights are those of a bucket's intents, bucket after bucket.
	weights []float32
}

// Guess is what a text is taken to be about.
type Guess struct {
	// Intent is the likeliest.
	Intent string
	// Confidence is its probability, from 0 to 1, as far as the examples tell.
	Confidence float32
}

// Intents are the names of the intents, sorted.
func (c *Classifier) Intents() []string { return slices.Clone(c.intents) }

// Classify gives the intent that a text most likely has. Of a text of more than 2,000 characters, the first and the
// last 1,000 are looked at.
func (c *Classifier) Classify(text string) Guess {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	return c.classify(s, text)
}

func (c *Classifier) classify(s *scratch, text string) Guess {
	s.scores = slices.Grow(s.scores[:0], len(c.intents))[:len(c.intents)]
	c.score(s.of(text), s.scores)
	softmax(s.scores)
	best := 0
	for i, p := range s.scores {
		if p > s.scores[best] {
			best = i
		}
	}
	return Guess{Intent: c.intents[best], Confidence: s.scores[best]}
}

type scratch struct {
	extractor
	scores []float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// score gives the scores of a text with these features.
func (c *Classifier) score(features []uint32, scores []float32) {
	clear(scores)
	n := len(scores)
	if n == 3 { // as the built-in examples have: sums that stay in registers
		var a, b, d float32
		for _, bucket := range features {
			w := (*[3]float32)(c.weights[3*int(bucket):])
			a, b, d = a+w[0], b+w[1], d+w[2]
		}
		scores[0], scores[1], scores[2] = a, b, d
	} else {
		for _, bucket := range features {
			at := int(bucket) * n
			for i, w := range c.weights[at : at+n] {
				scores[i] += w
			}
		}
	}
	length := norm(len(features))
	for i := range scores {
		scores[i] = float32(scores[i] * length)
	}
}
