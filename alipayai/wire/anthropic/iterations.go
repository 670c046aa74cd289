package anthropic

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// sampling is what a part of an answer has taken.
type sampling struct{ input, cacheRead, written, hour, output int64 }

// ChargesEach implements [wire.EachCharger]: a model that declined to go on is charged beside the one that did.
func (*Format) ChargesEach() bool { return true }

// iteration is one of a usage's.
type iteration struct {
	kind, model string
	taken       sampling
}

// iterations takes over what is billed beside the totals: what summaries have taken, and models that declined to go on. They are
// all of an answer so far.
func (u *usage) iterations(v jsontext.Value) error {
	if v.Kind() != '[' {
		return nil
	}
	var all []iteration
	served := ""
	err := translate.Elements(v, func(_ int, v jsontext.Value) error {
		each, err := readIteration(v)
		if each.kind == "fallback_message" {
			served = each.model
		}
		all = append(all, each)
		return err
	})
	var compacted sampling
	var (
		declined wire.Attempt
		silent   []iteration
	)
	for _, each := range all {
		switch {
		case each.kind == "compaction":
			compacted.add(each.taken)
		case each.kind == "message" && served != "" && each.model != served && each.model != "":
			if each.taken.output > 0 {
				addDeclined(&declined, &each)
			} else {
				silent = append(silent, each)
			}
		}
	}
	if compacted != (sampling{}) {
		u.compacted = compacted
	}
	if served != "" {
		u.served, u.declined, u.silent = served, declined, silent
	}
	return err
}

// maxHops is how many models are remembered that have declined and are billed for what they have read.
const maxHops = 64

// hop takes note of the block that marks where a model has declined and another goes on: of one that has said nothing, it has the
// category that says whether what it has read is billed (beta_fallback_block.py and beta_fallback_refusal_trigger.py of
// anthropic-sdk-python).
func (u *usage) hop(b *block) {
	if b.trigger.Kind() != '{' || freeRefusal(b.trigger) {
		return
	}
	_ = translate.Members(b.from, func(name string, v jsontext.Value) error { // of another form it names none
		if name != "model" || v.Kind() != '"' || len(v) > maxWord || len(u.billed) == maxHops {
			return nil
		}
		if model := translate.Unquote(v); !slices.Contains(u.billed, model) {
			u.billed = append(u.billed, model)
		}
		return nil
	})
}

// allDeclined is what is billed of models that have declined: those that have begun an answer, and those that have read the request in
// vain in a category for which that is billed. A hop names the model as the client did, and an iteration as it is called in full.
func (u *usage) allDeclined() wire.Attempt {
	all := u.declined
	for i := range u.silent {
		each := &u.silent[i]
		if slices.ContainsFunc(u.billed, func(model string) bool { return isCalled(each.model, model) }) {
			addDeclined(&all, each)
		}
	}
	return all
}

// isCalled reports whether a model that is called so in full goes by that name: its own, or that without the day of its release.
func isCalled(full, name string) bool {
	const day = len("20260101")
	rest, ok := strings.CutPrefix(full, name)
	return ok && name != "" && (rest == "" || len(rest) == 1+day && strings.Trim(rest[1:], "0123456789") == "" && strings.ContainsAny(rest[:1], "-@"))
}

// readIteration reads one; of one that is not plausible more has been taken than there is.
func readIteration(v jsontext.Value) (each iteration, err error) {
	err = translate.Generated(v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			each.kind = translate.Unquote(v)
		case "model":
			if v.Kind() == '"' && len(v) <= maxWord {
				each.model = translate.Unquote(v)
			}
		}
		return nil
	})
	if err != nil || each.kind != "compaction" && each.kind != "message" {
		return each, err
	}
	var u usage
	if err = u.read(v); u.implausible {
		u.input, u.output = maxTokens+1, maxTokens+1 // and so is the whole
	}
	each.taken = sampling{input: u.input, cacheRead: u.cacheRead, written: u.written(), hour: min(u.hour, u.written()), output: u.output}
	return each, err
}

func (s *sampling) add(more sampling) {
	s.input, s.cacheRead, s.output = s.input+more.input, s.cacheRead+more.cacheRead, s.output+more.output
	s.written, s.hour = s.written+more.written, s.hour+more.hour
}

// addDeclined adds what a model has taken to what others have.
func addDeclined(to *wire.Attempt, each *iteration) {
	if first := to.Prompt == 0 && to.Completion == 0; first {
		to.Model = each.model
	} else if to.Model != each.model {
		to.Model = ""
	}
	s := each.taken
	to.Prompt += s.input + s.cacheRead + s.written
	to.Cached, to.Written, to.WrittenHour = to.Cached+s.cacheRead, to.Written+s.written, to.WrittenHour+s.hour
	to.Completion += s.output
}
