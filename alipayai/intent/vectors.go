package intent

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// maxDimensions bounds what a provider's vectors may take of memory.
const maxDimensions = 1 << 14

// EmbeddingsRequest gives the body of POST /v1/embeddings, in OpenAI's form, for texts.
func EmbeddingsRequest(model string, texts []string) []byte {
	body, err := json.Marshal(struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}{model, texts})
	if err != nil {
		panic(err) // strings can be written
	}
	return body
}

// ReadVectors reads the answer to an [EmbeddingsRequest] of n texts: for each its vector, of length 1. All have the same
// dimensions.
func ReadVectors(answer []byte, n int) ([][]float32, error) {
	var read struct {
		Data []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		return nil, errors.New("the provider's answer is no list of vectors") // err may quote it
	}
	if len(read.Data) != n {
		return nil, fmt.Errorf("the provider gave %d vectors for %d texts", len(read.Data), n)
	}
	vectors := make([][]float32, n)
	for _, d := range read.Data {
		switch {
		case d.Index < 0 || d.Index >= n || vectors[d.Index] != nil:
			return nil, errors.New("the provider's vectors are not those of the texts")
		case len(d.Embedding) == 0 || len(d.Embedding) > maxDimensions || len(d.Embedding) != len(read.Data[0].Embedding):
			return nil, fmt.Errorf("a vector of the provider's has %d dimensions", len(d.Embedding))
		}
		if !scale(d.Embedding) {
			return nil, errors.New("a vector of the provider's has no direction")
		}
		vectors[d.Index] = d.Embedding
	}
	return vectors, nil
}

// scale makes the length of v 1, and reports whether it has one.
func scale(v []float32) bool {
	square := product(v, v)
	if !(square > 0) || math.IsInf(square, 0) {
		return false
	}
	length := float32(math.Sqrt(square))
	for i := range v {
		v[i] /= length
	}
	return true
}

func product(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}
