package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// rewriting is how the members of a model call change on their way to an upstream that has other ones.
type rewriting struct {
	RequestFields
	pascal bool
}

// newRewriting gives nil for fields that change none.
func newRewriting(f RequestFields) (*rewriting, error) {
	switch {
	case len(f.Keep) > 0 && len(f.Drop) > 0:
		return nil, errors.New("keep and drop do not go together: keep names what the upstream knows, and all else is left out")
	case f.Names != "" && f.Names != "pascal":
		return nil, fmt.Errorf("names %q is unknown; use pascal", f.Names)
	case f.Members["messages"] == "" && slices.Contains(f.Drop, "messages"):
		return nil, errors.New("drop messages would leave nothing of a call")
	case slices.Contains(f.Lists, "messages"):
		return nil, errors.New("list messages: they are a list already; name members that may be one value, such as stop")
	case len(f.Members)+len(f.Keep)+len(f.Drop)+len(f.Lists) == 0 && f.System == "" && f.Names == "":
		return nil, nil
	}
	return &rewriting{f, f.Names == "pascal"}, nil
}

// member is one of a model call's. name is OpenAI's and own is the upstream's.
type member struct {
	name, own string
	value     []byte
}

// membersOf reads a model call.
func membersOf(call []byte) (members []member, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(call))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errors.New("the request is no object")
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		members = append(members, member{text, text, slices.Clone(value)})
	}
	return members, nil
}

// apply writes members as the upstream has them, and gives the text, in JSON, that the conversation begins with; nil for none.
// Its errors are [*wire.RequestError].
func (r *rewriting) apply(members []member) (system []byte, err error) {
	names := make(map[string]bool)
	for i := range members {
		m := &members[i]
		if m.name == "messages" && r.System != "" {
			if m.value, system, err = withoutSystem(m.value); err != nil {
				return nil, err
			}
		}
		if slices.Contains(r.Lists, m.name) && m.value[0] != '[' && m.value[0] != 'n' {
			m.value = slices.Concat([]byte{'['}, m.value, []byte{']'})
		}
		if r.pascal {
			m.own = pascal(m.name)
			if names[m.own] || !isSnake(m.name) {
				return nil, unnamed(m.name, m.name)
			}
			names[m.own] = true
			if slices.Contains(clientNamed, m.name) {
				continue
			}
			if m.value, err = pascalNames(m.name, m.value); err != nil {
				return nil, err
			}
		}
	}
	return system, nil
}

// placesOrDrops reports whether a member stands elsewhere, or nowhere.
func (r *rewriting) placesOrDrops(name string) bool {
	return r != nil && (r.Members[name] != "" || r.drops(name))
}

func (r *rewriting) drops(name string) bool {
	return r.Members[name] == "" && (slices.Contains(r.Drop, name) || len(r.Keep) > 0 && !slices.Contains(r.Keep, name))
}

// framing are the members that say how a call goes and comes, which the path and the header of a request may say as well.
var framing = []string{"model", "stream", "stream_options"}

// Dropped names, sorted, what of a call the option request leaves out.
func (p *Provider) Dropped(call []byte) (names []string) {
	if p.envelope == nil || p.envelope.rewrites == nil {
		return nil
	}
	members, err := membersOf(call)
	if err != nil {
		return nil // which the call is refused for
	}
	for _, m := range members {
		if p.envelope.rewrites.drops(m.name) && string(m.value) != "null" && !slices.Contains(framing, m.name) {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names
}

// bounds are the members that bound an answer, in OpenAI's form, Anthropic's and that of the Responses API.
var bounds = []string{"max_tokens", "max_completion_tokens", "max_output_tokens"}

// Unbounds reports whether the option request leaves out what bounds the answer to a call, or puts a value of its own there.
func (p *Provider) Unbounds(call []byte) bool {
	if p.envelope == nil {
		return false
	}
	isBound := func(name string) bool { return slices.Contains(bounds, name) }
	return slices.ContainsFunc(p.Dropped(call), isBound) || slices.ContainsFunc(bounds, p.envelope.replaces)
}

// replaces reports whether the upstream gets another value than a call's for its member of that name.
func (e *envelope) replaces(name string) bool {
	n := e.own(name)
	return n != nil && (n.kind != nodeMember || n.member != name)
}

// own gives what stands in the place of a call's member of that name, beside the call's own members; nil for nothing.
func (e *envelope) own(name string) *node {
	if e.rewrites != nil && e.rewrites.pascal {
		name = pascal(name)
	}
	return e.call.members[name]
}

// withoutSystem takes the messages of the system out of a conversation, and gives their text.
func withoutSystem(messages []byte) (rest, system []byte, err error) {
	var all []json.RawMessage
	if err := json.Unmarshal(messages, &all); err != nil {
		return nil, nil, errors.New("the messages are no array")
	}
	var texts []string
	others := [][]byte{}
	for _, raw := range all {
		var m struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		}
		if json.Unmarshal(raw, &m) != nil || m.Role != "system" && m.Role != "developer" {
			others = append(others, raw)
			continue
		}
		var text string
		if json.Unmarshal(m.Content, &text) != nil {
			var parts []struct {
				Text string `json:"text"`
			}
			_ = json.Unmarshal(m.Content, &parts)
			for _, part := range parts {
				text += part.Text
			}
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	rest = append(append([]byte{'['}, bytes.Join(others, []byte{','})...), ']')
	if len(texts) == 0 {
		return rest, nil, nil
	}
	system, err = jsontext.AppendQuote(nil, strings.Join(texts, "\n\n"))
	return rest, system, err
}

// pascal writes max_tokens as MaxTokens.
func pascal(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// isSnake reports whether a name is written as OpenAI's are. Another might be the upstream's own already, which says to it
// what nothing here has read.
func isSnake(name string) bool {
	letter := false // or a digit, at the last place
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9' && i > 0:
			letter = true
		case c == '_' && letter:
			letter = false
		default:
			return false
		}
	}
	return letter
}

// unnamed is the error of a member that has no name of the upstream's, or that of another. It stands in that parameter.
func unnamed(param, name string) error {
	return &wire.RequestError{
		Param: param, Code: wire.CodeInvalidValue,
		Message: "the provider writes names as MaxTokens, and has none for " + strconv.QuoteToASCII(name) + " besides: write names as max_tokens, each once",
	}
}

// clientNamed are members whose values have names of the client's own, such as those of a schema.
var clientNamed = []string{"parameters", "schema", "metadata", "logit_bias"}

// pascalNames writes the names of the members of a parameter's value in that form, at every depth.
func pascalNames(param string, value []byte) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	var out bytes.Buffer
	e := jsontext.NewEncoder(&out)
	for {
		kind, length := d.StackIndex(d.StackDepth())
		isName := kind == '{' && length%2 == 0
		if next := d.PeekKind(); d.StackDepth() == 0 && length == 1 || next == jsontext.KindInvalid {
			return bytes.TrimSpace(out.Bytes()), nil
		}
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		if !isName || token.Kind() != '"' {
			if err := e.WriteToken(token); err != nil {
				return nil, err
			}
			continue
		}
		name := token.String()
		if !isSnake(name) || e.WriteToken(jsontext.String(pascal(name))) != nil { // which takes no name twice
			return nil, unnamed(param, name)
		}
		if slices.Contains(clientNamed, name) {
			v, err := d.ReadValue()
			if err == nil {
				err = e.WriteValue(v)
			}
			if err != nil {
				return nil, err
			}
		}
	}
}
