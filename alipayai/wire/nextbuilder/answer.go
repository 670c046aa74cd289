package nextbuilder

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// DecodeAnswer reads a whole event stream as one chat.completion, since the API streams to every client. What follows
// the end event is ignored, and a body without that event is malformed, like a JSON object that reports no failure. An
// end without a word before it gives an answer without choices.
func (f Format) DecodeAnswer(body []byte, ask wire.Ask) ([]byte, wire.Answer, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return readFailure(body)
	}
	events := wire.EventsIn(body)
	defer events.Release()
	var text, thinking strings.Builder
	var usage wire.Usage
	for {
		ev, err := events.Next()
		if err != nil {
			return nil, wire.Answer{}, fmt.Errorf("%w: the stream broke off before its end", wire.ErrMalformed)
		}
		s, err := read(ev)
		if err != nil {
			return nil, wire.Answer{}, err
		}
		if s.failure != nil {
			return nil, wire.Answer{Failure: s.failure}, nil
		}
		if s.thinking {
			thinking.WriteString(s.words)
		} else {
			text.WriteString(s.words)
		}
		if s.usage.OK || s.usage.Implausible {
			usage = s.usage
		}
		if s.end {
			break
		}
	}
	head := f.head(ask)
	answer := wire.Answer{Model: head.model, Usage: usage}
	if text.Len() > 0 || thinking.Len() > 0 {
		answer.HasChoices, answer.Content, answer.FinishReason = true, true, finishReason
	}
	return head.appendAnswer(nil, thinking.String(), text.String(), usage), answer, nil
}

// readFailure reads a body that is no stream: the platform reports in JSON what it refuses before the agent is asked.
func readFailure(body []byte) ([]byte, wire.Answer, error) {
	answer, err := wire.ParseBody(body, wire.Limits{})
	if err != nil {
		return nil, wire.Answer{}, err
	}
	if answer.Failure == nil {
		return nil, wire.Answer{}, fmt.Errorf("%w: an object in place of an event stream", wire.ErrMalformed)
	}
	return nil, wire.Answer{Failure: answer.Failure}, nil
}
