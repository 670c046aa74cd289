package intent

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/internal/expiring"
)

const (
	// batch is how many examples are embedded at once: vendors take 10 to 2,048.
	batch = 10
	// sharpness is how much a difference of cosines says: one of 0.1 makes an intent e times as likely.
	sharpness = 10
)

// Embed gives a vector for each of the texts, as [ReadVectors] does.
type Embed func(ctx context.Context, tenant string, texts []string) ([][]float32, error)

// Centroids tell intents apart by the directions of texts' embeddings: an intent's centroid is the mean of its examples'
// vectors, and a text has the intent whose centroid is nearest, seen from the mean of them all. They keep what they said,
// under a keyed hash. The zero value has learnt nothing; it is safe for concurrent use and may outlive a configuration.
type Centroids struct {
	mu      sync.Mutex
	learnt  *directions
	secret  [sha256.Size]byte
	guesses expiring.Map[[sha256.Size]byte, Guess]
}

// directions are those of the intents, seen from mean.
type directions struct {
	intents []string // sorted
	mean    []float32
	of      [][]float32
}

// ErrDimensions is what Learn gives where the vectors of the examples are not all of one model.
var ErrDimensions = errors.New("the provider's vectors differ in their dimensions")

// Learn embeds the examples. Where it fails, or has been done, nothing changes.
func (c *Centroids) Learn(ctx context.Context, embed Embed, examples []Example) error {
	if c.Ready() {
		return nil
	}
	d := new(directions)
	sums, counts := make(map[string][]float32), make(map[string]int)
	for some := range slices.Chunk(examples, batch) {
		texts := make([]string, len(some))
		for i, e := range some {
			texts[i] = e.Text
		}
		vectors, err := embed(ctx, "", texts)
		if err != nil {
			return err
		}
		for i, e := range some {
			sum := sums[e.Intent]
			if sum == nil {
				sum = make([]float32, len(vectors[i]))
				sums[e.Intent] = sum
				d.intents = append(d.intents, e.Intent)
			}
			if len(sum) != len(vectors[i]) || len(sums[d.intents[0]]) != len(sum) {
				return ErrDimensions
			}
			add(sum, vectors[i], 1)
			counts[e.Intent]++
		}
	}
	slices.Sort(d.intents)
	d.mean = make([]float32, len(sums[d.intents[0]]))
	for _, name := range d.intents {
		for i := range sums[name] {
			sums[name][i] /= float32(counts[name])
		}
		add(d.mean, sums[name], 1/float32(len(d.intents)))
	}
	for _, name := range d.intents {
		direction := sums[name]
		if add(direction, d.mean, -1); !scale(direction) {
			return fmt.Errorf("the examples of intent %s have the direction of all others", name)
		}
		d.of = append(d.of, direction)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnt = d
	_, _ = rand.Read(c.secret[:]) // never fails
	return nil
}

// Ready reports whether the examples have been embedded.
func (c *Centroids) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.learnt != nil
}

// guess is the intent of a text with that vector, which is of length 1.
func (d *directions) guess(vector []float32) (Guess, error) {
	if len(vector) != len(d.mean) {
		return Guess{}, fmt.Errorf("a vector of %d dimensions came, and the examples have %d", len(vector), len(d.mean))
	}
	seen := slices.Clone(vector)
	if add(seen, d.mean, -1); !scale(seen) {
		return Guess{}, errors.New("the text has no direction")
	}
	scores := make([]float32, len(d.of))
	for i, direction := range d.of {
		scores[i] = float32(sharpness * product(seen, direction))
	}
	softmax(scores)
	best := slices.Index(scores, slices.Max(scores))
	return Guess{Intent: d.intents[best], Confidence: scores[best]}, nil
}

func add(to, v []float32, times float32) {
	for i, x := range v {
		to[i] += times * x
	}
}

// Kept says how long a guess counts, and how many are kept, of about 150 bytes each.
type Kept struct {
	TTL     time.Duration
	Entries int
}

// errNotReady is what Classify says before the examples have been embedded.
var errNotReady = errors.New("the examples have not been embedded yet")

// Classify gives the intent of a text of a tenant's. It asks embed unless it has said so before; it keeps nothing where
// kept.Entries is 0.
func (c *Centroids) Classify(ctx context.Context, embed Embed, tenant, text string, kept Kept, now time.Time) (Guess, error) {
	c.mu.Lock()
	learnt, key := c.learnt, c.key(tenant, text)
	g, known := c.guesses.Get(key, now)
	c.mu.Unlock()
	switch {
	case learnt == nil:
		return Guess{}, errNotReady
	case known && kept.Entries > 0:
		return g, nil
	}
	vectors, err := embed(ctx, tenant, []string{text})
	if err != nil {
		return Guess{}, err
	}
	if g, err = learnt.guess(vectors[0]); err != nil || kept.Entries <= 0 {
		return g, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guesses.Put(key, g, 0, now.Add(kept.TTL))
	for c.guesses.Len() > kept.Entries {
		c.guesses.RemoveOldest()
	}
	return g, nil
}

// key is a hash, under a key of the process, of which no text can be read.
func (c *Centroids) key(tenant, text string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.secret[:])
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(tenant)))
	h.Write(size[:])
	h.Write([]byte(tenant))
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}
