package moderate

import (
	"bytes"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// CheckStream is [Rules.CheckAnswer] for a whole stream of events.
func (r *Rules) CheckStream(events []byte) (policy string) {
	g := r.Guard(0)
	if g == nil {
		return ""
	}
	if _, policy = g.Add(nil, events); policy == "" {
		_, policy = g.End(nil)
	}
	return policy
}

// CheckOwn is CheckAnswer for what of an answer in its client's own form, or of its stream, may have no place in OpenAI's.
func (r *Rules) CheckOwn(body []byte, stream bool) (policy string) {
	if r.Empty() {
		return ""
	}
	check := func(data []byte) {
		err := wire.OwnTexts(data, func(text string) {
			if policy == "" {
				policy, _ = r.checkEscaped(text)
			}
		})
		if err != nil && policy == "" {
			policy = "unreadable"
		}
	}
	if !stream {
		check(body)
		return policy
	}
	for data := range eachData(body) {
		if data = bytes.TrimSpace(data); len(data) > 0 && string(data) != "null" && string(data) != "[DONE]" {
			check(data)
		}
	}
	return policy
}

// CheckAnswer gives the policy of the first rule that a whole JSON answer in OpenAI's form breaks; empty for none. What
// cannot be read breaks one too.
func (r *Rules) CheckAnswer(body []byte) (policy string) {
	if r.Empty() {
		return ""
	}
	err := wire.AnswerTexts(body, func(t wire.AnswerText) {
		if policy == "" {
			policy, _ = r.checkEscaped(t.Value)
		}
	})
	if err != nil {
		return "unreadable"
	}
	return policy
}
