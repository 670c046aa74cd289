package moderate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// CheckModel asks the model, or the cache for what it has said. It returns within the timeout.
func (m *Moderator) CheckModel(ctx context.Context, tenant string, texts []wire.Text) Verdict {
	return m.CheckInputs(ctx, tenant, [][]wire.Text{texts})[0]
}

// CheckInputs is CheckModel for inputs each of which stands for itself, with a verdict for each. A model of form moderations is asked
// about several at once, since its input is an array, and all others about one after the other; the timeout is that of each request.
// Where the model gives no verdict, and what has none is refused, it is not asked about those that follow: they have none either.
func (m *Moderator) CheckInputs(ctx context.Context, tenant string, inputs [][]wire.Text) []Verdict {
	verdicts := make([]Verdict, len(inputs))
	var asked []input
	for i, texts := range inputs {
		if m.Model == nil || len(texts) == 0 {
			verdicts[i] = Verdict{By: ByRules}
			continue
		}
		in := input{at: i, texts: normalised(texts)}
		if in.keeps = m.Cache != nil && (m.Shared == nil || !m.Shared(tenant)); in.keeps {
			in.key = m.Cache.key(tenant, m.version, in.texts)
			if blocked, ok := m.Cache.verdicts.get(in.key, m.Now()); ok {
				verdicts[i] = m.said(blocked, ByCache)
				continue
			}
		}
		asked = append(asked, in)
	}
	for len(asked) > 0 {
		n := m.atOnce(asked)
		var none error
		for i, a := range m.ask(ctx, tenant, asked[:n]) {
			if verdicts[asked[i].at] = m.verdict(asked[i], a); a.err != nil {
				none = a.err
			}
		}
		asked = asked[n:]
		for none != nil && !m.Open && len(asked) > 0 {
			verdicts[asked[0].at] = m.verdict(asked[0], answered{err: none})
			asked = asked[1:]
		}
	}
	return verdicts
}

// input is one that the model is to be asked about.
type input struct {
	at    int // its place among the inputs
	texts []wire.Text
	key   [sha256.Size]byte // of its verdict, where that is kept
	keeps bool
}

func (in input) size() (bytes int) {
	for _, t := range in.texts {
		bytes += len(t.Value)
	}
	return bytes
}

// atOnce gives how many of the inputs go in one request.
func (m *Moderator) atOnce(inputs []input) int {
	if m.Form != Moderations {
		return 1
	}
	n, size := 1, inputs[0].size()
	for n < min(len(inputs), MaxInputs) {
		if size += inputs[n].size(); size > MaxModelText {
			break
		}
		n++
	}
	return n
}

// verdict gives the verdict of an answer, and keeps what the model has said.
func (m *Moderator) verdict(in input, a answered) Verdict {
	if a.err != nil {
		v := Verdict{Blocked: !m.Open, By: ByError, Err: a.err}
		if v.Blocked {
			v.Policy = m.Name
		}
		return v
	}
	if in.keeps {
		m.Cache.verdicts.put(in.key, a.blocked, m.Now().Add(m.CacheTTL), m.CacheEntries)
	}
	return m.said(a.blocked, ByModel)
}

// answered is what a model's answer was read as, for one input.
type answered struct {
	blocked bool
	err     error
}

// ask asks the model about inputs, which go in one request. Of an answer that is no verdict on several, each is asked about by itself.
func (m *Moderator) ask(ctx context.Context, tenant string, inputs []input) []answered {
	if size := inputs[0].size(); len(inputs) == 1 && size > MaxModelText {
		return []answered{{err: fmt.Errorf("the text has %d bytes, more than a model is asked about", size)}}
	}
	answers := m.request(ctx, tenant, inputs)
	if len(inputs) == 1 || !slices.ContainsFunc(answers, func(a answered) bool { return errors.Is(a.err, ErrVerdict) }) {
		return answers
	}
	for i := range inputs {
		answers[i] = m.request(ctx, tenant, inputs[i:i+1])[0]
		if answers[i].err != nil && !m.Open {
			for j := i + 1; j < len(inputs); j++ {
				answers[j] = answered{err: answers[i].err}
			}
			break
		}
	}
	return answers
}

// request asks the model about inputs in one request. Whatever becomes of that, it returns within the timeout.
func (m *Moderator) request(ctx context.Context, tenant string, inputs []input) []answered {
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	texts := make([][]wire.Text, len(inputs))
	for i, in := range inputs {
		texts[i] = in.texts
	}
	none := func(err error) []answered { return slices.Repeat([]answered{{err: err}}, len(inputs)) }
	done := make(chan []answered, 1)
	go func() {
		answers := none(errors.New("asking the model has panicked"))
		defer func() {
			_ = recover()
			done <- answers
		}()
		q := m.Form.ask(m.ModelName, m.Policy, texts)
		answer, err := m.Model.Ask(ctx, tenant, q.body, m.Form == Moderations)
		if err != nil {
			answers = none(err)
			return
		}
		answers = m.Form.read(q, answer)
	}()
	select {
	case answers := <-done:
		return answers
	case <-ctx.Done():
		return none(fmt.Errorf("no verdict in time: %w", context.Cause(ctx)))
	}
}
