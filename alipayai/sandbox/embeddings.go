package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"unicode"
)

const (
	defaultDimensions = 64
	maxDimensions     = 4096
	maxInputs         = 2048
)

type embeddingRequest struct {
	Model          string   `json:"model"`
	Input          []string `json:"-"`
	EncodingFormat string   `json:"encoding_format"`
	Dimensions     *int     `json:"dimensions"`
}

// parse reads the request. Its input is a string, a list of strings, a list of
// tokens, or a list of such lists; tokens stand for the text of their JSON.
func (r *embeddingRequest) parse(body []byte) error {
	doc := struct {
		*embeddingRequest
		Input json.RawMessage `json:"input"`
	}{embeddingRequest: r}
	if err := json.Unmarshal(body, &doc); err != nil {
		return errors.New("the body is not an embeddings request: " + inJSONsWords(err))
	}
	var one string
	var tokens []int
	var lists [][]int
	switch {
	case len(doc.Input) == 0 || string(doc.Input) == "null":
		return errors.New("input: want one")
	case json.Unmarshal(doc.Input, &one) == nil:
		r.Input = []string{one}
	case json.Unmarshal(doc.Input, &r.Input) == nil:
	case json.Unmarshal(doc.Input, &tokens) == nil:
		r.Input = []string{fmt.Sprint(tokens)}
	case json.Unmarshal(doc.Input, &lists) == nil:
		r.Input = make([]string, len(lists))
		for i, l := range lists {
			r.Input[i] = fmt.Sprint(l)
		}
	default:
		return errors.New("input: want a string, strings, tokens or lists of tokens")
	}
	if len(r.Input) == 0 || len(r.Input) > maxInputs {
		return fmt.Errorf("input: want 1 to %d", maxInputs)
	}
	for i, text := range r.Input {
		if text == "" {
			return fmt.Errorf("input[%d]: is empty", i)
		}
	}
	switch r.EncodingFormat {
	case "", "float", "base64":
	default:
		return errors.New("encoding_format: want float or base64")
	}
	if r.Dimensions != nil && (*r.Dimensions < 1 || *r.Dimensions > maxDimensions) {
		return fmt.Errorf("dimensions: want 1 to %d", maxDimensions)
	}
	return nil
}

// embeddings is POST /v1/embeddings.
func (c *call) embeddings() {
	var req embeddingRequest
	if !c.wantJSON() {
		return
	}
	if err := req.parse(c.body); err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if !c.wantModel(req.Model) || !c.begin(strings.Join(req.Input, "\n"), false) || !c.compliant(req.Input...) {
		return
	}
	dimensions := defaultDimensions
	if req.Dimensions != nil {
		dimensions = *req.Dimensions
	}
	type item struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	data := make([]item, len(req.Input))
	tokens := 0
	for i, text := range req.Input {
		v := embed(text, dimensions)
		data[i] = item{"embedding", i, v}
		if req.EncodingFormat == "base64" {
			data[i].Embedding = encodeFloats(v)
		}
		tokens += countTokens(text)
	}
	c.charge(req.Model, req.Input, tokens, 0, 0)
	c.succeed(map[string]any{
		"object": "list",
		"model":  req.Model,
		"data":   data,
		"usage":  map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

// embed makes a vector of length 1 that depends on the text alone. Texts that share words, or runs of characters, have
// vectors that are alike: the features of Weinberger et al. (Feature Hashing for Large Scale Multitask Learning, 2009).
func embed(text string, dimensions int) []float32 {
	v := make([]float32, dimensions)
	count := func(feature string) {
		sum := sha256.Sum256([]byte(feature))
		at := binary.BigEndian.Uint64(sum[:]) % uint64(dimensions)
		v[at] += float32(1 - 2*int(sum[31]&1))
	}
	count("") // so that no text is without any
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
		count(word)
		for runes := []rune(word); len(runes) >= 2; runes = runes[1:] {
			count(string(runes[:2]))
			count(string(runes[:min(3, len(runes))]))
		}
	}
	var square float64
	for _, x := range v {
		square += float64(x) * float64(x)
	}
	if square == 0 { // all has cancelled out
		v[0], square = 1, 1
	}
	length := float32(math.Sqrt(square))
	for i := range v {
		v[i] /= length
	}
	return v
}

// encodeFloats writes little-endian floats in base64, as OpenAI does.
func encodeFloats(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// moderations is POST /v1/moderations: it flags what the production environment blocks. Any model is taken.
func (c *call) moderations() {
	var req embeddingRequest
	if !c.wantJSON() {
		return
	}
	if err := req.parse(c.body); err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if !c.begin("", false) {
		return
	}
	type result struct {
		Flagged    bool                `json:"flagged"`
		Categories map[string]bool     `json:"categories"`
		Scores     map[string]float64  `json:"category_scores"`
		Types      map[string][]string `json:"category_applied_input_types"`
	}
	results := make([]result, len(req.Input))
	for i, text := range req.Input {
		score, flagged := 0., violated(text) != ""
		if flagged {
			score = 1
		}
		results[i] = result{flagged, map[string]bool{"illicit": flagged}, map[string]float64{"illicit": score}, map[string][]string{"illicit": {"text"}}}
	}
	c.succeed(map[string]any{"id": "modr-" + c.id(), "model": req.Model, "results": results})
}
