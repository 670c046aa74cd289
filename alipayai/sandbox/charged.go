package sandbox

import "unicode/utf8"

// minimumCharacters is what a shorter prompt is charged as, four characters a token.
const minimumCharacters = 5000

// Charged is what the vendor charges for a model's answers, by the statistics. An answer
// that was made is charged, whether it arrives or not; of a stream that ends early, what
// was sent of it. A call that is refused, or fails, costs nothing.
type Charged struct {
	Requests int64 `json:"requests"`
	// Characters and InputTokens are of the prompts, each charged as at least 5,000
	// characters, which are 1,250 tokens; OutputTokens are of the answers.
	Characters   int64 `json:"characters"`
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
}

// bill is what a call is charged. It is made with the answer.
type bill struct {
	model                  string
	characters, input, out int
	// events is how many content events a stream has; 0 for none.
	events int
}

// charge bills an answer to a prompt of these texts.
func (c *call) charge(model string, texts []string, input, output, events int) {
	b := &bill{model: model, input: input, out: output, events: events}
	for _, text := range texts {
		b.characters += utf8.RuneCountInString(text)
	}
	if b.characters < minimumCharacters {
		b.characters, b.input = minimumCharacters, max(b.input, minimumCharacters/charactersPerToken)
	}
	c.bill = b
}

// charged adds what a call is charged up. The statistics are locked.
func (s *stats) charged(c *call) {
	b := c.bill
	if b == nil {
		return
	}
	if b.events > 0 && c.events < b.events {
		b.out = (b.out*c.events + b.events - 1) / b.events
	}
	sum := s.shown.Charged[b.model]
	sum.Requests++
	sum.Characters += int64(b.characters)
	sum.InputTokens += int64(b.input)
	sum.OutputTokens += int64(b.out)
	s.shown.Charged[b.model] = sum
}
