package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ask is what a call wants of the model, in whatever format it came.
type ask struct {
	model    string
	prompt   content  // the last message of the user
	result   *string  // what a tool said, where that is the last message
	texts    []string // the text of every message
	images   int      // in all messages
	tools    []tool
	found    []string // of them, those that a search of the caller's has found
	choice   toolChoice
	stream   bool
	schema   json.RawMessage // of the answer, nil for words
	thinking bool            // a thought comes before the text
	most     int             // the most tokens of an answer, 0: no bound
	stops    []string        // texts that end an answer
	pack     []packItem      // the items of a request for several answers

	prefix  string // of the answer's id
	session string
	usage   bool // a stream reports its usage
}

// content is a message's text and how many images came with it.
type content struct {
	text   string
	images int
}

type tool struct {
	name   string
	schema json.RawMessage
}

// toolChoice is what a request says of calling functions.
type toolChoice struct {
	forbidden bool
	required  bool   // any of them
	name      string // this one
}

// converse answers what was asked, as the call's format writes it.
func (c *call) converse(q *ask) {
	q.pack = packOf(q)
	c.packed = q.pack != nil
	if !c.begin(q.prompt.text, q.stream) || !c.compliant(q.texts...) {
		return
	}
	a := c.answer(q)
	c.answerID = a.id
	if q.stream {
		s := c.srv.format.script(&a)
		c.charge(q.model, q.texts, a.promptTokens, a.answerTokens, len(s.content))
		c.stream(s)
		return
	}
	c.charge(q.model, q.texts, a.promptTokens, a.answerTokens, 0)
	c.succeed(c.srv.format.whole(&a))
}

// serves reports whether the model is one of those that the simulator has.
func (c *call) serves(model string) bool {
	return slices.Contains(c.srv.cfg.Models, model)
}

// maxEcho is how many characters of a prompt an answer repeats.
const maxEcho = 256

// echo repeats the prompt, so that a crossed answer shows.
func (q *ask) echo(m marks) string {
	text := "You said: " + clip(m.text)
	if q.result != nil {
		text = "The tool said: " + clip(*q.result)
	}
	switch n := q.prompt.images; {
	case n == 1:
		text += " (with 1 image)"
	case n > 1:
		text += " (with " + strconv.Itoa(n) + " images)"
	}
	if m.bytes > 0 {
		text = fit(text, m.bytes)
	}
	if short := m.events - utf8.RuneCountInString(text); short > 0 {
		text += strings.Repeat(".", short)
	}
	return text
}

// wantedTool decides on a tool call: the request asks for it, or the prompt
// names a function or says "use the tool". A tool's result is answered in words.
func (q *ask) wantedTool(prompt string) *tool {
	if len(q.tools) == 0 || q.result != nil || q.choice.forbidden {
		return nil
	}
	for i, t := range q.tools {
		if t.name == q.choice.name || q.choice.name == "" && strings.Contains(prompt, t.name) {
			return &q.tools[i]
		}
	}
	if q.choice.required || strings.Contains(strings.ToLower(prompt), "use the tool") {
		return &q.tools[0]
	}
	return nil
}

// clip shortens a long text, and adds the hash of the whole in its place.
func clip(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxEcho {
			return fmt.Sprintf("%s… [sha256 %x]", text[:i], sha256.Sum256([]byte(text)))
		}
	}
	return text
}

// fit makes text exactly n bytes long, at a character's end.
func fit(text string, n int) string {
	cut := min(n, len(text))
	for cut < len(text) && cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + strings.Repeat(".", n-cut)
}
