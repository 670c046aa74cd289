package nextbuilder

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// lenient takes half an emoji, of which no character can be made: it becomes U+FFFD.
var lenient = jsontext.AllowInvalidUTF8(true)

// said is what one event says. The zero value is an event without a counterpart in OpenAI's form.
type said struct {
	words    string
	thinking bool // the words are not for the answer, but towards it
	usage    wire.Usage
	failure  *wire.Failure
	end      bool
}

// read makes sense of an event. Its kind is the type in its data; the name of the event has the last word on errors,
// on pings, and on the end. It fails with [wire.ErrMalformed].
func read(ev wire.Event) (said, error) {
	name := string(ev.Type)
	if name == "ping" || ev.SaysNothing() {
		return said{end: name == "end"}, nil
	}
	chunk, err := wire.ParseEvent(ev)
	if err != nil || chunk.Failure != nil {
		return said{failure: chunk.Failure}, err
	}
	var data struct {
		Type    string         `json:"type"`
		Payload jsontext.Value `json:"payload"`
	}
	if err := json.Unmarshal(ev.Data, &data, lenient); err != nil {
		return said{}, fmt.Errorf("%w: the data of an event is not of the format", wire.ErrMalformed)
	}
	s := said{usage: chunk.Usage, end: data.Type == "end" || name == "end"}
	s.thinking = data.Type == "thinking"
	if s.thinking || data.Type == "text" {
		s.words, err = words(data.Payload)
	}
	return s, err
}

// words gives the text of a payload: a JSON object with the text in it, as itself or once more inside a string, or the
// text alone in a string. A payload that is none of these fails with [wire.ErrMalformed], since what cannot be read must
// not go missing unnoticed.
func words(payload jsontext.Value) (string, error) {
	switch payload.Kind() {
	case 'n', jsontext.KindInvalid:
		return "", nil
	case '"':
		text := unquote(payload)
		if inner, ok := textMember([]byte(text)); ok {
			return inner, nil
		}
		return text, nil
	case '{':
		if text, ok := textMember(payload); ok {
			return text, nil
		}
	}
	return "", fmt.Errorf("%w: a payload has no text", wire.ErrMalformed)
}

// textMember gives the text in an object, if this is one with such a member. No public contract exists for its name: text
// is ours, content is OpenAI's, and answer is what the platform's own query of past messages has.
func textMember(object []byte) (text string, ok bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{")) {
		return "", false
	}
	var known struct {
		Text    *string `json:"text"`
		Content *string `json:"content"`
		Answer  *string `json:"answer"`
	}
	if json.Unmarshal(object, &known, lenient) != nil {
		return "", false
	}
	for _, text := range [...]*string{known.Text, known.Content, known.Answer} {
		if text != nil {
			return *text, true
		}
	}
	return "", false
}

// unquote decodes a JSON string that has been accepted as one.
func unquote(v jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b)
}
