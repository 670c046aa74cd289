package nextbuilder

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

type message struct {
	Role    string                    `json:"role"`
	Content jsontext.Value            `json:"content"`
	Other   map[string]jsontext.Value `json:",embed"`
}

type part struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// readMessages gives the text of the user's last message, and names what of all the messages is left out. A session
// holds the turns before that message. Nothing holds those after it, nor instructions and the results of tools, which
// the agent has of its own.
func readMessages(messages []message, hasSession bool) (query string, left []string, err error) {
	last := -1
	for i, m := range messages {
		if m.Role == "user" {
			last = i
		}
	}
	if last < 0 {
		return "", nil, &wire.RequestError{Param: "messages", Code: wire.CodeMissingParameter,
			Message: "'messages' has no message of the user: expected one, which the provider answers"}
	}
	for i, m := range messages {
		switch m.Role {
		case "user", "assistant":
			if i > last || i < last && !hasSession {
				left = append(left, "messages.history")
			}
		case "system", "developer", "tool", "function":
			left = append(left, "messages."+m.Role)
		default:
			return "", nil, wrongType("messages",
				"messages with the 'role' system, developer, user, assistant, tool or function")
		}
	}
	query, dropped, err := messages[last].text()
	return query, append(left, dropped...), err
}

// text gives the text of a message of the user, and names what else is in it. Several parts of text are paragraphs.
func (m message) text() (text string, left []string, err error) {
	for name, value := range m.Other {
		if name = "messages." + wire.Visible(name); !wire.IsDefault(name, value) {
			left = append(left, name)
		}
	}
	var paragraphs []string
	switch m.Content.Kind() {
	case '"':
		paragraphs = []string{unquote(m.Content)}
	case '[':
		var parts []part
		if err := json.Unmarshal(m.Content, &parts); err != nil {
			return "", nil, wrongType("messages", "messages whose 'content' is text or an array of parts")
		}
		for _, p := range parts {
			switch p.Type {
			case "text":
				paragraphs = append(paragraphs, p.Text)
			case "image_url", "input_audio", "file", "refusal":
				left = append(left, "messages.content."+p.Type)
			default:
				left = append(left, "messages.content")
			}
		}
	case 'n', jsontext.KindInvalid:
	default:
		return "", nil, wrongType("messages", "messages whose 'content' is text or an array of parts")
	}
	text = strings.Join(paragraphs, "\n")
	if strings.TrimSpace(text) == "" {
		return "", nil, &wire.RequestError{Param: "messages", Code: wire.CodeEmptyString,
			Message: "the last message of the user in 'messages' has no text: expected some, which the provider answers"}
	}
	return text, left, nil
}
