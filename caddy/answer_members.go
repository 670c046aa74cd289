package alipaycaddy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// AnswerToolCalls says where an answer has its tool calls.
type AnswerToolCalls struct {
	// A call, or an array of them. Required.
	Path string `json:"path,omitempty"`

	// Where in a call its id stands. A call without one gets one. Default: `id`
	ID string `json:"id,omitempty"`

	// Where in a call the function's name stands. Default: `function.name`
	Name string `json:"name,omitempty"`

	// Where in a call its arguments stand, as an object or as its text. Default: `function.arguments`
	Arguments string `json:"arguments,omitempty"`
}

// AnswerFinish is a member that says why an answer ended.
type AnswerFinish struct {
	// Where it is. Required.
	Path string `json:"path,omitempty"`

	// OpenAI's words, such as `stop`, `length`, `tool_calls` and `content_filter`, by the upstream's. An empty one says
	// nothing, as `true`, `false` and `null` do that are not named. Default: its words as they are.
	Words map[string]string `json:"words,omitempty"`
}

// AnswerUsage is where an answer counts tokens.
type AnswerUsage struct {
	// Where those of the prompt are. Required.
	Prompt string `json:"prompt,omitempty"`

	// Where those of the answer are. Required.
	Completion string `json:"completion,omitempty"`

	// Where their sum is. Default: none, and they are added.
	Total string `json:"total,omitempty"`
}

func (a *Answer) unmarshalToolCalls(d *caddyfile.Dispenser) error {
	c := new(AnswerToolCalls)
	a.ToolCalls = c
	if d.CountRemainingArgs() == 1 {
		return args(d, &c.Path)
	}
	return args(d, &c.Path, &c.ID, &c.Name, &c.Arguments)
}

func (a *Answer) unmarshalFinish(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) == 0 || given[0] == "" {
		return errArguments
	}
	f := AnswerFinish{Path: given[0]}
	for _, pair := range given[1:] {
		word, ours, ok := strings.Cut(pair, "=")
		if _, twice := f.Words[word]; !ok || word == "" || twice {
			return errArguments
		}
		if f.Words == nil {
			f.Words = make(map[string]string)
		}
		f.Words[word] = ours
	}
	a.Finish = append(a.Finish, f)
	return nil
}

func (a *Answer) unmarshalUsage(d *caddyfile.Dispenser) (err error) {
	var u AnswerUsage
	if d.CountRemainingArgs() == 2 {
		err = args(d, &u.Prompt, &u.Completion)
	} else {
		err = args(d, &u.Prompt, &u.Completion, &u.Total)
	}
	a.Usage = append(a.Usage, u)
	return err
}

// members gives where an answer's members stand; nil for in OpenAI's choices.
func (a *Answer) members() (*wire.MemberFields, error) {
	if len(a.Content) == 0 {
		for option, set := range map[string]bool{
			"reasoning": len(a.Reasoning) > 0, "tool_calls": a.ToolCalls != nil, "finish": len(a.Finish) > 0, "usage": len(a.Usage) > 0, "text": a.Text != "",
		} {
			if set {
				return nil, fmt.Errorf("%s goes with content, which says where the text of answers stands; write it like content output.text", option)
			}
		}
		return nil, nil
	}
	if !slices.Contains([]string{"", "delta", "whole"}, a.Text) {
		return nil, fmt.Errorf("text %q is unknown; use delta or whole", a.Text)
	}
	m := &wire.MemberFields{Content: a.Content, Reasoning: a.Reasoning, Whole: a.Text == "whole"}
	if c := a.ToolCalls; c != nil {
		m.Calls, m.CallID, m.CallName, m.CallArguments = []string{c.Path}, c.ID, c.Name, c.Arguments
	}
	for _, f := range a.Finish {
		m.Finish = append(m.Finish, wire.FinishField(f))
	}
	for _, u := range a.Usage {
		m.Usage = append(m.Usage, wire.UsageField(u))
	}
	return m, nil
}
