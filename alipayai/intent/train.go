package intent

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	epochs = 12
	rate   = 0.5
	// settled is an error of the prediction that is too small to learn from.
	settled = 0.01
	// maxIntents bounds the memory of the weights: a mebibyte for each intent.
	maxIntents = 64
)

// Train makes a classifier of examples. There must be two intents at least, each with an example.
func Train(examples []Example) (*Classifier, error) {
	c := &Classifier{}
	for _, e := range examples {
		if i, found := slices.BinarySearch(c.intents, e.Intent); !found {
			c.intents = slices.Insert(c.intents, i, e.Intent)
		}
	}
	switch {
	case len(c.intents) < 2:
		return nil, errors.New("examples of two intents at least are needed, to tell them apart")
	case len(c.intents) > maxIntents:
		return nil, fmt.Errorf("%d intents are too many: at most %d", len(c.intents), maxIntents)
	}
	t := newTrainer(c, examples)
	t.run()
	return c, nil
}

// trainer fits a multinomial logistic regression by AdaGrad (Duchi, Hazan, Singer: Adaptive Subgradient Methods, 2011).
type trainer struct {
	c *Classifier
	// features of each example, the number of its intent, and how much it counts: all intents count the same
	// together, so that one with few examples is not forgotten.
	features [][]uint32
	labels   []int
	counts   []float32
	// squares are sums of the squares of the gradients, beside the weights.
	squares []float32
}

func newTrainer(c *Classifier, examples []Example) *trainer {
	t := &trainer{c: c}
	n := len(c.intents)
	c.weights = make([]float32, n<<bucketBits)
	t.squares = make([]float32, n<<bucketBits)
	of := make([]int, n)
	var e extractor
	for _, example := range examples {
		label, _ := slices.BinarySearch(c.intents, example.Intent)
		t.features = append(t.features, slices.Clone(e.of(example.Text)))
		t.labels = append(t.labels, label)
		of[label]++
	}
	t.counts = make([]float32, n)
	for label := range of {
		fair := float32(len(examples)) / float32(n*of[label])
		t.counts[label] = min(max(float32(math.Sqrt(float64(fair))), 0.2), 5)
	}
	return t
}

func (t *trainer) run() {
	order := make([]int, len(t.features))
	for i := range order {
		order[i] = i
	}
	random := uint64(88172645463325252)
	next := func() uint64 { // a generator by Marsaglia
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		return random
	}
	scores := make([]float32, len(t.c.intents))
	var kept []uint32
	for range epochs {
		for i := len(order) - 1; i > 0; i-- { // Fisher and Yates
			j := int(next() % uint64(i+1))
			order[i], order[j] = order[j], order[i]
		}
		for _, i := range order {
			// Half of the features, other ones each time: with few examples it must not rely on a word alone. The first
			// is the bias, which stays.
			kept = append(kept[:0], t.features[i][0])
			var bits uint64
			for n, feature := range t.features[i][1:] {
				if n%64 == 0 {
					bits = next()
				}
				if bits>>(n%64)&1 == 1 {
					kept = append(kept, feature)
				}
			}
			t.learn(kept, t.labels[i], scores)
		}
	}
}

// learn changes the weights by one example.
func (t *trainer) learn(features []uint32, label int, scores []float32) {
	n := len(scores)
	t.c.score(features, scores)
	softmax(scores)
	if 1-scores[label] < settled {
		return
	}
	scale := t.counts[label] * norm(len(features))
	for i := range scores {
		if i == label {
			scores[i]--
		}
		scores[i] = float32(scores[i] * scale)
	}
	for _, bucket := range features {
		at := int(bucket) * n
		weights, squares := t.c.weights[at:at+n], t.squares[at:at+n]
		for i, gradient := range scores {
			squares[i] += float32(gradient * gradient)
			step := float32(rate*gradient) / float32(math.Sqrt(float64(squares[i])+1e-8))
			weights[i] -= step
		}
	}
}

// norm makes the length of a text count for nothing.
func norm(features int) float32 { return 1 / float32(math.Sqrt(float64(features))) }

// softmax makes probabilities of scores.
func softmax(scores []float32) {
	most := slices.Max(scores)
	var sum float32
	for i, s := range scores {
		scores[i] = exp(s - most)
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
}

// exp is e to the power of x, for x up to 0. math.Exp is written in assembly for some machines, and gives other bits there.
func exp(x float32) float32 {
	const ln2 = float32(0.6931472)
	if x < -60 {
		return 0
	}
	halvings := float32(math.Floor(float64(float32(-x) / ln2)))
	x += float32(halvings * ln2) // from -ln2 to 0
	y := float32(1)
	for i := float32(8); i > 0; i-- { // 1 + x/1 (1 + x/2 (1 + x/3 ...
		y = 1 + float32(float32(y*x)/i)
	}
	return float32(math.Ldexp(float64(y), -int(halvings)))
}
