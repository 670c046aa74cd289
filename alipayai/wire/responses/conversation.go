package responses

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// conversation makes messages of items.
type conversation struct {
	client *client
	// open says that not all of it is known: it goes on from what is kept elsewhere.
	open bool

	chat   wire.Chat
	spoken bool // there is more than system messages
	// The assistant's message that is being put together.
	assistant            bool
	text, thought, calls []byte
	called               bool

	// answers are the calls that have an output, and skipped those that were left out: so are their outputs. lost are those that
	// cannot be sent again, by which an output is lost as well.
	answers, skipped, lost map[string]bool
	// awaited are the calls whose outputs are still to come; what others say meanwhile is held, since chat completions
	// want outputs at once.
	awaited map[string]bool
	held    wire.Chat
	shown   translate.Parts // what tools gave besides text
}

// read makes messages of the items of a conversation.
func (v *conversation) read(parts ...[]item) error {
	for _, items := range parts {
		for i := range items {
			if it := &items[i]; it.isOutput() {
				v.client.repeats = v.client.repeats || it.callID != "" && v.answers[it.callID]
				mark(&v.answers, it.callID)
			}
		}
	}
	for _, items := range parts {
		for i := range items {
			if err := v.placed(&items[i]); err != nil {
				return err
			}
		}
	}
	v.endAssistant()
	v.endOutputs()
	v.release()
	return nil
}

// placed reads an item. One that was kept is lost where it cannot be read, but for an output, of which a word is left; and that a call
// has no output is the client's to mend.
func (v *conversation) placed(it *item) error {
	answer := it.isOutput()
	if answer && v.lost[it.callID] {
		it.lost = true
	}
	if !it.lost {
		v.client.misplaced = false
		err := v.item(it)
		it.misplaced = v.client.misplaced
		if err == nil || !it.kept || errors.Is(err, errUnanswered) {
			return err
		}
		if it.withoutOutput() && v.item(it) == nil {
			return nil
		}
		it.lost = true
	}
	if !answer && it.callID != "" {
		mark(&v.lost, it.callID)
	}
	return nil
}

// mark notes a call in a set, which is nil while it is empty.
func mark(calls *map[string]bool, id string) {
	if *calls == nil {
		*calls = make(map[string]bool)
	}
	(*calls)[id] = true
}

// item reads the item that stands at path.
func (v *conversation) item(it *item) error {
	switch it.kind {
	case "message":
		return v.message(it)
	case "reasoning":
		return v.reasoning(it)
	case "function_call":
		t, arguments := v.client.offered.of(it.namespace, it.name), translate.Characters(it.arguments)
		if t != nil && t.custom && bytes.Equal(inputOf(arguments), arguments) { // the input itself, as CustomCalls writes it
			return v.call(it, it.arguments, "arguments", customArgument)
		}
		return v.call(it, it.arguments, "arguments", "")
	case "custom_tool_call":
		return v.call(it, it.input, "input", customArgument)
	case "function_call_output", "custom_tool_call_output":
		return v.output(it)
	case "item_reference", "additional_tools": // which others have read
		return nil
	case imageCall:
		if it.isOwnImage() {
			return v.image(it)
		}
	case searchCall:
		if it.isSearch() {
			return v.searched(it)
		}
	case searchOutput:
		if it.isSearch() {
			return v.output(it)
		}
	}
	if it.callID != "" {
		mark(&v.skipped, it.callID)
	}
	v.client.left.LeaveOut("input." + wire.Visible(it.kind))
	return nil
}

// message reads what somebody said.
func (v *conversation) message(it *item) error {
	role := translate.Name(it.role)
	if role == "" {
		if err := translate.IsString(it.path+".role", it.role); err != nil {
			return err
		}
	}
	content := it.content
	if content == nil {
		if !it.silent {
			return translate.Missing(it.path+".content", "a string or an array")
		}
		content = jsontext.Value("[]")
	}
	switch role {
	case "assistant":
		if len(v.text) > 0 && !v.called {
			v.endAssistant()
		}
		v.beginAssistant()
		said, err := v.texts(it.path, "content", content, theModel)
		if err == nil {
			v.text = appendText(v.text, said)
		}
		return err
	case "system", "developer":
		said, err := v.texts(it.path, "content", content, others)
		if err != nil {
			return err
		}
		v.endAssistant()
		v.endOutputs()
		if len(said) > 0 || content.Kind() == '"' { // nothing that can be said is left of it
			v.to().Text("system", said)
		}
		return nil
	case "user":
		said, err := v.client.content(it.path, content)
		if err != nil {
			return err
		}
		v.endAssistant()
		v.endOutputs()
		v.spoken = true
		v.to().User(said)
		return nil
	}
	return translate.Invalid(it.path+".role", "user, assistant, system or developer")
}

// to is where messages go now.
func (v *conversation) to() *wire.Chat {
	if len(v.awaited) > 0 {
		return &v.held
	}
	return &v.chat
}

// release adds what was held.
func (v *conversation) release() {
	v.awaited = nil // to clear it takes as long as it has been large
	v.chat.Join(&v.held)
	v.held = wire.Chat{}
}

func (v *conversation) beginAssistant() {
	v.endOutputs()
	v.assistant, v.spoken = true, true
}

// endAssistant adds the assistant's message, if there is one.
func (v *conversation) endAssistant() {
	if !v.assistant {
		return
	}
	switch said := v.text; {
	case !v.called && len(v.thought) == 0:
		if len(said) > 0 {
			v.to().Text("assistant", said)
		}
	default:
		m := append(append([]byte{'"'}, said...), '"')
		if len(said) == 0 && v.called {
			m = []byte("null")
		}
		if len(v.thought) > 0 {
			m = append(append(append(m, `,"reasoning_content":"`...), v.thought...), '"')
		}
		to := v.to()
		if v.called { // its own calls are awaited
			m = append(append(append(m, `,"tool_calls":[`...), v.calls...), ']')
			to = &v.chat
		}
		to.Message(`{"role":"assistant","content":`, m, "}")
	}
	v.assistant, v.called = false, false
	v.text, v.thought, v.calls = nil, nil, nil
}

// reasoning reads what the model thought: its own words, or what it said of them.
func (v *conversation) reasoning(it *item) error {
	if len(v.text) > 0 && !v.called {
		v.endAssistant()
	}
	v.beginAssistant()
	for _, list := range []struct {
		name string
		v    jsontext.Value
	}{{"content", it.content}, {"summary", it.summary}} {
		before := len(v.thought)
		if list.v.Kind() == '[' {
			said, err := v.texts(it.path, list.name, list.v, itself)
			if err != nil {
				return err
			}
			v.thought = appendText(v.thought, said)
		}
		if len(v.thought) > before {
			break
		}
	}
	return nil
}

// errUnanswered is a call without an output, which its client has to send.
var errUnanswered = errors.New("a call without an output")

// customArgument is the one argument of the function that a custom tool becomes.
const customArgument = "input"

// call reads a call of a tool. custom is the name of the one argument that a text is; empty where it is JSON already.
func (v *conversation) call(it *item, arguments jsontext.Value, name, custom string) error {
	switch {
	case it.callID == "":
		return translate.Missing(it.path+".call_id", "a non-empty string")
	case it.name == "":
		return translate.Missing(it.path+".name", "a non-empty string")
	}
	text, err := translate.String(it.path+"."+name, arguments)
	if err != nil {
		return err
	}
	if !v.answers[it.callID] && !v.open {
		return errors.Join(errUnanswered, &wire.RequestError{Param: it.path, Code: wire.CodeInvalidValue, Message: "no output of a tool follows for this call: send an item with its call_id"})
	}
	v.beginAssistant()
	call := translate.Quote([]byte(`{"id":`), it.callID)
	call = translate.Quote(append(call, `,"type":"function","function":{"name":`...), v.client.offered.wireName(it.namespace, it.name))
	call = append(call, `,"arguments":`...)
	if custom != "" {
		text = string(append(translate.Quote([]byte(`{"`+custom+`":`), text), '}'))
	}
	v.calls = translate.Join(v.calls, append(translate.Quote(call, text), "}}"...))
	v.called = true
	mark(&v.awaited, it.callID)
	return nil
}
