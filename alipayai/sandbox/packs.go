package sandbox

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// The kinds of faults of packs: the ways in which a model gets one wrong.
const (
	PackMissing    Kind = "pack_missing"
	PackDoubled    Kind = "pack_doubled"
	PackSwapped    Kind = "pack_swapped"
	PackUnknownID  Kind = "pack_unknown_id"
	PackForeignID  Kind = "pack_foreign_id"
	PackExtra      Kind = "pack_extra"
	PackTypes      Kind = "pack_types"
	PackProse      Kind = "pack_prose"
	PackFenced     Kind = "pack_fenced"
	PackYAML       Kind = "pack_yaml"
	PackTranslated Kind = "pack_translated"
	PackCut        Kind = "pack_cut"
)

// packAsked is what a prompt says that asks for several answers at once.
const packAsked = "one JSON object whose keys are ids"

// packItem is an item of a pack, or its answer.
type packItem struct {
	id    string
	value any
}

// packOf reads a request for several answers at once: instructions that say so, and a JSON
// object of texts by id. It is nil for any other.
func packOf(q *ask) []packItem {
	asked := false
	for _, text := range q.texts {
		asked = asked || strings.Contains(text, packAsked)
	}
	dec := json.NewDecoder(strings.NewReader(q.prompt.text))
	if token, err := dec.Token(); !asked || err != nil || token != json.Delim('{') {
		return nil
	}
	var items []packItem
	for dec.More() {
		id, err := dec.Token()
		var text string
		if err != nil || dec.Decode(&text) != nil {
			return nil
		}
		items = append(items, packItem{id.(string), text})
	}
	return items
}

// order is one that a model follows although it stands in an item that is not its own.
var order = regexp.MustCompile(`(?i)for all others,? answer ["']?(\w+)`)

// answerPack answers each item as if it were alone, except that it obeys orders, and makes
// the mistake of the call's fault.
func (c *call) answerPack(items []packItem) string {
	answers := make([]packItem, 0, len(items)+1)
	for _, item := range items {
		text := item.value.(string)
		m, err := parseMarks(text)
		if err != nil {
			m = marks{text: text}
		}
		answers = append(answers, packItem{item.id, (&ask{}).echo(m)})
	}
	for i, item := range items {
		if found := order.FindStringSubmatch(item.value.(string)); found != nil {
			for j := range answers {
				if j != i {
					answers[j].value = found[1]
				}
			}
		}
	}
	first, last := &answers[0], &answers[len(answers)-1]
	switch c.plan.outcome.Kind {
	case PackMissing:
		answers = answers[:len(answers)-1]
	case PackDoubled:
		answers = append(answers, packItem{first.id, "or rather not"})
	case PackSwapped:
		first.value, last.value = last.value, first.value
	case PackUnknownID:
		first.id = "zz" + first.id
	case PackForeignID:
		first.value = "as " + last.id + " says: " + first.value.(string)
	case PackExtra:
		answers = append(answers, packItem{"summary", "these are all"})
	case PackTypes:
		first.value = map[string]any{"answer": first.value}
	case PackTranslated:
		for i := range answers {
			answers[i].value = strings.Replace(answers[i].value.(string), "You said:", "您说：", 1)
		}
	}
	text := writePack(answers)
	switch c.plan.outcome.Kind {
	case PackProse:
		return "Here are the answers:\n" + text + "\nAnything else?"
	case PackFenced:
		return "```json\n" + text + "\n```"
	case PackCut:
		return text[:len(text)/2]
	case PackYAML:
		var b strings.Builder
		for _, a := range answers {
			b.WriteString(a.id + ": " + a.value.(string) + "\n")
		}
		return b.String()
	}
	return text
}

// writePack writes items as one object, in their order.
func writePack(items []packItem) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(mustJSON(item.id))
		b.WriteByte(':')
		b.Write(mustJSON(item.value))
	}
	b.WriteByte('}')
	return b.String()
}
