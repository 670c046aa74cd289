package wire

import (
	"bytes"
	"slices"
	"strings"
)

// choice is one of an answer's choices while it is read.
type choice struct {
	index    int
	indexed  bool // it says it itself
	says     bool // it has a message, a delta or a text
	finished bool
	// reasons is how many finish reasons it has given.
	reasons int
	// native is OpenRouter's native_finish_reason, where it says more than the reason that clients know.
	native string
}

// readChoices reads the array of that name.
func (s *scanner) readChoices(e *envelope) error {
	if !s.is('[') {
		_, err := s.skip()
		return err
	}
	e.loose.seen |= headChoices
	position := 0
	return s.array(func() error {
		c := choice{index: position}
		position++
		return s.readChoice(e, &c)
	})
}

// readChoice reads one, whose index is its position unless it says another.
func (s *scanner) readChoice(e *envelope, c *choice) error {
	e.HasChoices = true
	before := e.Content
	e.Content = false
	err := s.eachMember(func(name []byte) error { return s.choiceMember(e, c, name) })
	if c.finished && slices.Contains(natives, c.native) {
		e.finish(c.native)
	}
	e.choices.add(c.index, c.finished, e.Content)
	e.loose.is(!c.indexed || !c.says)
	e.open = e.open || !c.finished
	e.Content = e.Content || before
	return err
}

// choiceMember reads the member of that name.
func (s *scanner) choiceMember(e *envelope, c *choice, name []byte) error {
	switch string(name) {
	case "index":
		v, err := s.scalar()
		if n, ok := UsageCount(v); ok {
			c.index, c.indexed = int(min(n, maxChoice)), IsWhole(v)
		}
		return err
	case "delta", "message":
		object, whole := s.is('{'), len(name) == len("message")
		e.loose.role = roleNone
		err := s.eachMember(func(name []byte) error { return s.contentMember(e, name) })
		if object {
			e.loose.spoke(whole)
			c.says, e.spoke = true, true
		}
		return err
	case "text": // of the older form
		c.says = true
	case "finish_reason":
		v, err := s.scalar()
		if c.reasons++; c.reasons > 1 && (c.finished || v.Kind() == '"') {
			return errRepeated // clients take the last one, or the first
		}
		none := IsNoFinish(v)
		if err == nil && v.Kind() == '"' && !none {
			c.finished = true
			e.finish(finishReason(v))
		}
		e.loose.is(none)
		return err
	case "native_finish_reason":
		v, err := s.scalar()
		if err == nil && v.Kind() == '"' && string(v) != `"stop"` {
			c.native = strings.ToLower(clean(v, maxWord))
		}
		return err
	case "usage": // of Moonshot's streams: https://github.com/earendil-works/pi/issues/2017
		return s.usage(&e.elsewhere)
	case "error":
		f, err := s.errorMember(nil)
		if e.choiceFailure == nil {
			e.choiceFailure = f
		}
		return err
	case "content_filter_results":
		if e.isError {
			return s.filtered(e)
		}
	}
	_, err := s.skip()
	return err
}

// contentMember reads a member of a message or delta.
func (s *scanner) contentMember(e *envelope, name []byte) error {
	switch string(name) {
	case "role":
		v, err := s.scalar()
		switch {
		case v.Kind() != '"':
		case len(v) > len(`""`):
			e.loose.role = roleSaid
		default:
			e.loose.role = roleEmpty
		}
		return err
	case "content", "reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "refusal", "tool_calls", "function_call", "audio", "images":
		isContent := string(name) == "content" && s.is('"')
		before := s.dec.InputOffset()
		filled, err := s.skip()
		e.Content = e.Content || filled
		if filled {
			e.contentBytes += int(s.dec.InputOffset() - before)
		}
		if isContent && err == nil {
			e.contentEnd = int(s.dec.InputOffset()) - 1
			e.contentStart = int(before) + bytes.IndexByte(s.text[before:], '"') + 1
		}
		return err
	}
	_, err := s.skip()
	return err
}

// choiceSet says which of an answer's choices have come and which have a finish reason, by their index. From the
// sixty-fourth on they share one place that never finishes: such an answer ends with its [DONE] alone.
//
// What comes of a choice after its finish reason reopens it.
type choiceSet struct{ begun, finished, reopened uint64 }

const maxChoice = 63

func (c *choiceSet) add(index int, finished, content bool) {
	bit := uint64(1) << min(max(index, 0), maxChoice)
	c.begun |= bit
	switch {
	case finished && index < maxChoice:
		c.finished |= bit
	case content && !finished:
		c.finished &^= bit
		c.reopened |= bit
	}
}

func (c *choiceSet) merge(more choiceSet) {
	c.begun |= more.begun
	c.finished = c.finished&^more.reopened | more.finished
}

// unfinished reports whether one of the choices has no finish reason; those that share a place are not told apart.
func (c *choiceSet) unfinished() bool { return c.begun&^(1<<maxChoice) != c.finished }

// allFinished reports whether there are choices and each has its finish reason.
func (c *choiceSet) allFinished() bool { return c.begun != 0 && c.begun == c.finished }
