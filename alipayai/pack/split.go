package pack

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Mistake is why an item's answer in a pack counts for nothing, so that the item has to
// be asked alone.
type Mistake string

// The mistakes. Those of the whole answer are the mistake of each item.
const (
	// Missing: there is no answer for the item, or an empty one.
	Missing Mistake = "missing"
	// Doubled: there are several.
	Doubled Mistake = "doubled"
	// Unparsable: the whole answer is not the JSON that was asked for, or the item's is not a
	// string.
	Unparsable Mistake = "unparsable"
	// UnknownID: the whole answer names an id that is none of the pack's.
	UnknownID Mistake = "unknown_id"
	// ForeignID: the item's answer has an id of the pack in it.
	ForeignID Mistake = "foreign_id"
	// TooLong: the item's answer is longer than its max_tokens, by estimate.
	TooLong Mistake = "too_long"
	// CutOff: the whole answer did not end by itself.
	CutOff Mistake = "cut_off"
)

// Part is what an answer says for one item.
type Part struct {
	// Mistake is why the item has no answer; empty where it has one.
	Mistake Mistake
	// Text is the answer of a chat.
	Text string
	// Usage is the item's part of what the whole took, also where it has no answer. The parts
	// sum to the whole.
	Usage wire.Usage

	vectors []jsontext.Value
}

// Answer is the provider's to a pack.
type Answer struct {
	// Body is in OpenAI's form.
	Body []byte
	// Ending is how much of an answer it is.
	Ending wire.Ending
	Usage  wire.Usage
}

// Split takes an answer apart: a part for each item, in their order. An item has an answer
// only where the whole ended by itself and is one JSON object of the pack's ids alone,
// perhaps in a code fence; where the item's id is there exactly once, with a string that
// is not empty; and where no id of the pack stands in that string.
func (p *Pack) Split(a Answer) []Part {
	parts := make([]Part, len(p.items))
	var whole Mistake
	switch {
	case p.items[0].embeds:
		whole = p.vectors(parts, a.Body)
	case a.Ending != wire.EndingWhole:
		whole = CutOff
	default:
		whole = p.answers(parts, a.Body)
	}
	for i := range parts {
		if parts[i].Mistake = cmp.Or(whole, parts[i].Mistake); parts[i].Mistake != "" {
			parts[i].Text, parts[i].vectors = "", nil
		}
	}
	p.share(parts, a.Usage)
	return parts
}

// answers reads those of a chat. It gives the mistake of the whole.
func (p *Pack) answers(parts []Part, body []byte) Mistake {
	text, ok := Text(body)
	object := jsontext.Value(unfenced(text))
	if !ok || object.Kind() != '{' || !object.IsValid(jsontext.AllowDuplicateNames(true)) {
		return Unparsable
	}
	index := make(map[string]int, len(p.ids))
	for i, id := range p.ids {
		index[id] = i
		parts[i].Mistake = Missing
	}
	seen, known := make([]bool, len(parts)), true
	err := translate.Generated(object, func(id string, v jsontext.Value) error {
		i, ours := index[id]
		switch known = known && ours; {
		case !ours:
		case seen[i]:
			parts[i].Mistake = Doubled
		case v.Kind() != '"':
			parts[i].Mistake = Unparsable
		default:
			parts[i].Text = translate.Unquote(v)
			parts[i].Mistake = p.judge(i, parts[i].Text)
		}
		if ours {
			seen[i] = true
		}
		return nil
	})
	switch {
	case err != nil:
		return Unparsable
	case !known:
		return UnknownID
	}
	return ""
}

// bytesPerToken is what an estimate takes a token for: about four letters of English.
const bytesPerToken = 4

// judge gives what is wrong with the text of an answer.
func (p *Pack) judge(i int, text string) Mistake {
	lower := strings.ToLower(text)
	switch most := p.items[i].MaxTokens; {
	case strings.TrimSpace(text) == "":
		return Missing
	case most > 0 && int64(len(text)) > most*bytesPerToken:
		return TooLong // alone it would have been cut there
	}
	for _, id := range p.ids {
		if strings.Contains(lower, id) {
			return ForeignID
		}
	}
	return ""
}

// unfenced is text without a code fence around it, which models put there against all
// instruction, and which changes nothing.
func unfenced(text string) []byte {
	text = strings.TrimSpace(text)
	inside, ok := strings.CutPrefix(text, "```")
	if !ok {
		return []byte(text)
	}
	if inside, ok = strings.CutSuffix(inside, "```"); !ok {
		return []byte(text)
	}
	return []byte(strings.TrimSpace(strings.TrimPrefix(inside, "json")))
}

// Text is the text of a chat completion that has one answer, in words; ok is false for any
// other.
func Text(body []byte) (text string, ok bool) {
	var completion struct {
		Choices []struct {
			Message struct {
				Content   *string          `json:"content"`
				Refusal   *string          `json:"refusal"`
				ToolCalls []jsontext.Value `json:"tool_calls"`
			} `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(body, &completion) != nil || len(completion.Choices) != 1 {
		return "", false
	}
	m := completion.Choices[0].Message
	if m.Content == nil || len(m.ToolCalls) > 0 || m.Refusal != nil && *m.Refusal != "" {
		return "", false
	}
	return *m.Content, true
}

// vectors reads those of embeddings, each of which names its input's index, but for 0, which Gemini leaves out
// (https://github.com/samfoy/pi-session-search/issues/13).
func (p *Pack) vectors(parts []Part, body []byte) Mistake {
	var list struct {
		Data []struct {
			Index     int            `json:"index"`
			Embedding jsontext.Value `json:"embedding"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &list) != nil {
		return Unparsable
	}
	inputs := 0
	for _, item := range p.items {
		inputs += len(item.Texts)
	}
	all, doubled := make([]jsontext.Value, inputs), make([]bool, inputs)
	for _, d := range list.Data {
		switch {
		case len(d.Embedding) == 0 || d.Embedding.Kind() != '[' && d.Embedding.Kind() != '"':
			return Unparsable
		case d.Index < 0 || d.Index >= inputs:
			return UnknownID
		case all[d.Index] != nil:
			doubled[d.Index] = true
		}
		all[d.Index] = d.Embedding
	}
	for i, item := range p.items {
		for n := range item.Texts {
			switch {
			case all[n] == nil:
				parts[i].Mistake = Missing
			case doubled[n]:
				parts[i].Mistake = cmp.Or(parts[i].Mistake, Doubled)
			}
		}
		parts[i].vectors = all[:len(item.Texts)]
		all, doubled = all[len(item.Texts):], doubled[len(item.Texts):]
	}
	return ""
}

// share divides what the whole took: the prompt by the characters of the items' texts, the
// answer by those of their answers.
func (p *Pack) share(parts []Part, whole wire.Usage) {
	if !whole.OK {
		return
	}
	asked, answered := make([]int64, len(parts)), make([]int64, len(parts))
	for i := range parts {
		asked[i] = int64(p.items[i].Characters())
		answered[i] = int64(utf8.RuneCountInString(parts[i].Text))
	}
	prompt, completion := Divide(whole.Prompt, asked), Divide(whole.Completion, answered)
	both := make([]int64, len(parts))
	for i := range both {
		both[i] = prompt[i] + completion[i]
	}
	total := Divide(whole.Total, both)
	for i := range parts {
		parts[i].Usage = wire.Usage{Prompt: prompt[i], Completion: completion[i], Total: total[i], OK: true}
	}
}

// Render is the answer to item i alone, in OpenAI's form: id and created are those of a chat
// completion, model is by the provider's name.
func (p *Pack) Render(i int, part *Part, id, model string, created int64) []byte {
	u := part.Usage
	if p.items[i].embeds {
		b := []byte(`{"object":"list","data":[`)
		for n, v := range part.vectors {
			if n > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, `{"object":"embedding","index":`...), int64(n), 10)
			b = append(append(append(b, `,"embedding":`...), v...), '}')
		}
		b = translate.Quote(append(b, `],"model":`...), model)
		if u.OK {
			b = strconv.AppendInt(append(b, `,"usage":{"prompt_tokens":`...), u.Prompt, 10)
			b = append(strconv.AppendInt(append(b, `,"total_tokens":`...), u.Total, 10), '}')
		}
		return append(b, '}')
	}
	b := translate.Quote([]byte(`{"id":`), id)
	b = strconv.AppendInt(append(b, `,"object":"chat.completion","created":`...), created, 10)
	b = translate.Quote(append(b, `,"model":`...), model)
	b = translate.Quote(append(b, `,"choices":[{"index":0,"message":{"role":"assistant","content":`...), part.Text)
	b = append(b, `,"refusal":null},"logprobs":null,"finish_reason":"stop"}]`...)
	if u.OK {
		b = strconv.AppendInt(append(b, `,"usage":{"prompt_tokens":`...), u.Prompt, 10)
		b = strconv.AppendInt(append(b, `,"completion_tokens":`...), u.Completion, 10)
		b = append(strconv.AppendInt(append(b, `,"total_tokens":`...), u.Total, 10), '}')
	}
	return append(b, '}')
}
