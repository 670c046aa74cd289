package sandbox

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// answer is what the model says: a text, or the call of a function.
type answer struct {
	id        string
	number    int64 // how many answers there were, with this one
	model     string
	created   time.Time
	thought   string // what comes before the text, "" for nothing
	text      string
	function  string // the one called, "" for an answer in words
	arguments string // of the call, as a JSON object
	end       ending
	stop      string // the text that ended it
	events    int    // content events asked for, 0: as the words fall

	promptTokens, answerTokens int

	finish    string // the finish reason that a fault asks for, "" for the true one
	session   string
	withUsage bool
	// usageAtEnd says that a stream has it in its last chunk with a choice, asked for or not
	// (https://docs.mistral.ai/api/#operation/chatCompletion, and the CompletionChunk of Mistral's SDKs).
	usageAtEnd bool
	withEnd    bool // a stream has its end
}

// pieces cuts the text, or else the arguments, into the content events of a
// stream. A thought is one of them too.
func (a *answer) pieces() []string {
	n := a.events
	if n > 1 && a.thought != "" {
		n--
	}
	if a.end == endsInCall {
		return split(a.arguments, n)
	}
	return split(a.text, n)
}

// ending is why an answer ends where it does.
type ending int

const (
	endsItself ending = iota
	endsInCall
	endsAtMost // it has as many tokens as it may
	endsAtStop // it came to a text that ends it
)

// answer makes the answer to a request. Its content depends on the request only;
// its id counts up, so that a repeated call can be told from a repeated answer.
func (c *call) answer(q *ask) answer {
	n := c.srv.answers.Add(1)
	a := answer{
		id:      fmt.Sprintf("%s%08d", q.prefix, n),
		number:  n,
		model:   q.model,
		created: c.wall,
		events:  c.marks.events,

		promptTokens: q.images * tokensPerImage,
		session:      q.session,
		withUsage:    q.usage,
		usageAtEnd:   c.srv.cfg.Dialect == Mistral,
		withEnd:      c.plan.outcome.Kind != NoEnd,
	}
	if c.plan.outcome.Kind == FinishReason {
		a.finish = c.plan.outcome.Code
	}
	if q.thinking {
		a.thought = "Thinking of: " + clip(c.marks.text)
	}
	for _, text := range q.texts {
		a.promptTokens += countTokens(text)
	}
	if t := q.wantedTool(c.marks.text); t != nil {
		a.function, a.arguments = t.name, instance(t.schema, c.marks.text)
		if c.srv.cfg.APIVersion == 2 {
			a.arguments = renamed(a.arguments)
		}
		a.end = endsInCall
		a.answerTokens = countTokens(a.arguments)
		return a
	}
	switch {
	case q.pack != nil:
		a.text = c.answerPack(q.pack)
		if c.plan.outcome.Kind == PackCut {
			a.end = endsAtMost
		}
	case q.schema != nil:
		a.text = instance(q.schema, q.echo(c.marks))
	default:
		a.text = q.echo(c.marks)
	}
	a.shorten(q.stops, q.most)
	a.answerTokens = countTokens(a.text)
	return a
}

// shorten ends the text at the first of stops, and when it has most tokens.
func (a *answer) shorten(stops []string, most int) {
	for _, stop := range stops {
		if before, _, found := strings.Cut(a.text, stop); found {
			a.text, a.stop, a.end = before, stop, endsAtStop
		}
	}
	if most == 0 || countTokens(a.text) <= most {
		return
	}
	characters := 0
	for i := range a.text {
		if characters++; characters > most*charactersPerToken {
			a.text, a.stop, a.end = a.text[:i], "", endsAtMost
			return
		}
	}
}

const (
	charactersPerToken = 4
	tokensPerImage     = 85
)

// countTokens guesses as the vendors advise: four characters a token, one at least.
func countTokens(text string) int {
	return max(1, (utf8.RuneCountInString(text)+charactersPerToken-1)/charactersPerToken)
}
