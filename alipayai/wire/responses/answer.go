package responses

import (
	"errors"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ErrNoAnswer is an answer in chat completions' form that has no choice, of which no response can be made.
var ErrNoAnswer = errors.New("an answer without a choice")

// Whole appends the response of a whole answer.
func (w *ClientWriter) Whole(dst, canonical []byte) ([]byte, error) {
	var c translate.Chunk
	if err := c.ReadWhole(canonical); err != nil {
		return dst, err
	}
	if !c.Choice {
		return dst, ErrNoAnswer
	}
	if !w.Stored { // of what is kept the items are as well
		room := translate.Scratch()
		w.output = *room
		defer func() {
			translate.Release(room, w.output)
			w.output = nil
		}()
	}
	w.begin(&c)
	s := ended(c.Finish)
	s.usage = c.Usage
	last := func(more bool) string { // the status of an item that others may follow
		if more {
			return "completed"
		}
		return s.word
	}
	content, refused := translate.Characters(c.Content), translate.Characters(c.Refusal)
	images := imagesOf(c.Images)
	speaks := len(content)+len(refused) > 0
	if thought := translate.Characters(c.Reasoning); len(thought) > 0 {
		w.output = w.appendReasoning(w.next(), thought, last(speaks || len(images)+len(c.Calls) > 0))
		w.items++
	}
	if speaks || len(images)+len(c.Calls) == 0 && w.items == 0 {
		m := message{text: content, refusal: refused, logprobs: elementsOf(c.Logprobs)}
		var cites citations
		translate.EachCitation(c.Annotations, func(one translate.Citation) { cites.add(appendCitation(nil, one)) })
		m.cites = cites.list
		w.output = w.appendMessage(w.next(), m, last(len(images)+len(c.Calls) > 0))
		w.items++
	}
	for _, image := range images {
		w.output = w.appendImage(w.next(), image, "completed")
		w.items++
	}
	for i := range c.Calls {
		call := &c.Calls[i]
		name := translate.Unquote(call.Name)
		t := w.Request.c.offered.find(name)
		arguments := argumentsOf(t, translate.Characters(call.Arguments))
		w.output = w.appendCall(w.next(), w.items, t, call.IDOr(i), name, arguments, last(i+1 < len(c.Calls)))
		w.items++
	}
	return w.finish(dst, s), nil
}

// argumentsOf gives the characters of a call's arguments, or of a custom tool's input.
func argumentsOf(t *tool, arguments []byte) []byte {
	switch {
	case t != nil && t.custom:
		return inputOf(arguments)
	case len(arguments) == 0:
		return []byte("{}")
	}
	return arguments
}

// message is what a model has said, as characters.
type message struct{ text, refusal, logprobs, cites []byte }

func elementsOf(array []byte) []byte {
	if len(array) < len("[]") {
		return nil
	}
	return array[1 : len(array)-1]
}

// appendMessage appends the item of a message, which has a text unless it is a refusal.
func (w *ClientWriter) appendMessage(dst []byte, m message, status string) []byte {
	dst = append(w.appendItemID(append(dst, `{"type":"message","id":"`...), "msg", w.items), `","status":"`...)
	dst = append(append(dst, status...), `","role":"assistant","content":[`...)
	if len(m.text) > 0 || len(m.refusal) == 0 {
		dst = appendPart(dst, outputText, m.text, m.logprobs, m.cites)
		if len(m.refusal) > 0 {
			dst = append(dst, ',')
		}
	}
	if len(m.refusal) > 0 {
		dst = appendPart(dst, refusal, m.refusal, nil, nil)
	}
	return append(dst, "]}"...)
}

// appendReasoning appends the item of what a model has thought.
func (w *ClientWriter) appendReasoning(dst, thought []byte, status string) []byte {
	dst = append(w.appendItemID(append(dst, `{"type":"reasoning","id":"`...), "rs", w.items), `","status":"`...)
	dst = append(append(dst, status...), `","summary":[{"type":"summary_text","text":"`...)
	return append(append(dst, thought...), `"}]}`...)
}
