package moderate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// inputsOf gives a text for each input.
func inputsOf(texts ...string) [][]wire.Text {
	inputs := make([][]wire.Text, len(texts))
	for i, text := range texts {
		inputs[i] = []wire.Text{embedded(text)}
	}
	return inputs
}

// flags judges each text of a request of form moderations: those that speak of a bomb are flagged. asked has the requests.
func flags(asked *[][]string) func(context.Context, string) (string, error) {
	return func(_ context.Context, body string) (string, error) {
		var q struct{ Input []string }
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			return "", err
		}
		*asked = append(*asked, q.Input)
		results := make([]string, len(q.Input))
		for i, text := range q.Input {
			results[i] = fmt.Sprintf(`{"flagged":%t}`, strings.Contains(text, "bomb"))
		}
		return `{"results":[` + strings.Join(results, ",") + `]}`, nil
	}
}

// A model of form moderations is asked about inputs together, as many as may be sent at once, and each has the verdict of its own.
func TestInputsAreAskedTogether(t *testing.T) {
	large := strings.Repeat("x", MaxModelText/2)
	many := make([]string, MaxInputs+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	many[0], many[MaxInputs] = "bomb", "another bomb"
	for name, tt := range map[string]struct {
		inputs  [][]wire.Text
		asked   []int // how many texts each request has
		blocked string
	}{
		"one":            {inputsOf("a bomb"), []int{1}, "x"},
		"several":        {inputsOf("a", "a bomb", "b", "bombs"), []int{4}, "-x-x"},
		"nothing in one": {append(inputsOf("a bomb"), nil, inputsOf("c")[0]), []int{2}, "x--"},
		"of parts":       {[][]wire.Text{{embedded("a bo"), embedded("mb")}, inputsOf("b")[0], {embedded("a"), embedded("b")}}, []int{5}, "x--"},
		"many":           {inputsOf(many...), []int{MaxInputs, 1}, "x" + strings.Repeat("-", MaxInputs-1) + "x"},
		"large ones":     {inputsOf(large, large, "bomb", large), []int{2, 2}, "--x-"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked [][]string
			m := moderator(t, &Moderator{Name: "law", Model: &model{answer: flags(&asked)}, Form: Moderations})
			var blocked strings.Builder
			for _, v := range m.CheckInputs(t.Context(), "acme", tt.inputs) {
				if v.Err != nil {
					t.Error(v.Err)
				}
				blocked.WriteString(map[bool]string{true: "x", false: "-"}[v.Blocked])
			}
			sizes := make([]int, len(asked))
			for i, texts := range asked {
				sizes[i] = len(texts)
			}
			if blocked.String() != tt.blocked || !slices.Equal(sizes, tt.asked) {
				t.Errorf("verdicts %s, want %s; asked about %d, want %d", &blocked, tt.blocked, sizes, tt.asked)
			}
		})
	}
}

// Other forms judge one conversation each time.
func TestInputsOfOtherFormsAreAskedAlone(t *testing.T) {
	asked := &model{answer: func(_ context.Context, body string) (string, error) {
		if strings.Contains(body, "bomb") {
			return chat("unsafe\nS1"), nil
		}
		return chat("safe"), nil
	}}
	m := moderator(t, &Moderator{Name: "law", Model: asked, Form: LlamaGuard})
	v := m.CheckInputs(t.Context(), "acme", inputsOf("a", "a bomb", "c"))
	if v[0].Blocked || !v[1].Blocked || v[2].Blocked || asked.asked.Load() != 3 {
		t.Errorf("%+v after %d requests", v, asked.asked.Load())
	}
}

// What is known is not asked about, and what is learned of several is kept for each.
func TestVerdictsOfInputsAreKept(t *testing.T) {
	var asked [][]string
	m := moderator(t, &Moderator{Name: "law", Model: &model{answer: flags(&asked)}, Form: Moderations, Cache: new(Cache)})
	m.CheckInputs(t.Context(), "acme", inputsOf("a bomb", "b"))
	v := m.CheckInputs(t.Context(), "acme", inputsOf("b", "c", "a bomb"))
	want := [][]string{{"a bomb", "b"}, {"c"}}
	if !slices.EqualFunc(asked, want, slices.Equal) || v[0] != (Verdict{By: ByCache}) || v[1] != (Verdict{By: ByModel}) || !v[2].Blocked || v[2].By != ByCache {
		t.Errorf("asked %q, verdicts %+v", asked, v)
	}
}

// An answer with more or fewer results than texts says nothing of any: each is asked about alone. So does a result without a flag.
func TestOddAnswersToInputs(t *testing.T) {
	for name, tt := range map[string]struct {
		answer  string // to several
		open    bool
		asked   int
		blocked string
	}{
		"too few":            {`{"results":[{"flagged":true}]}`, false, 4, "-x-"},
		"too many":           {`{"results":[{"flagged":false},{"flagged":false},{"flagged":false},{"flagged":false}]}`, false, 4, "-x-"},
		"no verdict on one":  {`{"results":[{"flagged":false},{},{"flagged":false}]}`, false, 4, "-x-"},
		"no JSON":            {`none`, false, 4, "-x-"},
		"whole":              {`{"results":[{"flagged":true},{"flagged":false},{"flagged":false}]}`, false, 1, "x--"},
		"too few, permitted": {`{"results":[]}`, true, 4, "-x-"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked [][]string
			one := flags(&asked)
			m := moderator(t, &Moderator{Name: "law", Open: tt.open, Form: Moderations, Model: &model{answer: func(ctx context.Context, body string) (string, error) {
				answer, err := one(ctx, body)
				if len(asked[len(asked)-1]) > 1 {
					return tt.answer, nil
				}
				return answer, err
			}}})
			var blocked strings.Builder
			for _, v := range m.CheckInputs(t.Context(), "acme", inputsOf("a", "a bomb", "c")) {
				blocked.WriteString(map[bool]string{true: "x", false: "-"}[v.Blocked])
				if v.Err != nil {
					t.Error(v.Err)
				}
			}
			if blocked.String() != tt.blocked || len(asked) != tt.asked {
				t.Errorf("verdicts %s, want %s, after %q", &blocked, tt.blocked, asked)
			}
		})
	}
}

// Where there is no verdict, what has none is refused, and the model is not asked about what follows; where it is permitted, it is.
func TestInputsWithoutVerdict(t *testing.T) {
	down := errors.New("the model is down")
	for name, tt := range map[string]struct {
		open  bool
		form  Form
		asked int64
	}{
		"refused, together":   {false, Moderations, 1},
		"permitted, together": {true, Moderations, 1},
		"refused":             {false, LlamaGuard, 1},
		"permitted":           {true, LlamaGuard, 3},
	} {
		t.Run(name, func(t *testing.T) {
			asked := &model{answer: func(context.Context, string) (string, error) { return "", down }}
			m := moderator(t, &Moderator{Name: "law", Open: tt.open, Form: tt.form, Model: asked})
			for i, v := range m.CheckInputs(t.Context(), "acme", inputsOf("a", "b", "c")) {
				if v.By != ByError || v.Blocked == tt.open || !errors.Is(v.Err, down) {
					t.Errorf("input %d: %+v", i, v)
				}
			}
			if n := asked.asked.Load(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// A text that is too large has no verdict; those beside it have theirs, where no refusal comes before them.
func TestHugeInputs(t *testing.T) {
	var asked [][]string
	m := moderator(t, &Moderator{Name: "law", Open: true, Form: Moderations, Model: &model{answer: flags(&asked)}})
	v := m.CheckInputs(t.Context(), "acme", inputsOf("a bomb", strings.Repeat("x", MaxModelText+1), "another bomb"))
	if !v[0].Blocked || v[1].Err == nil || v[1].Blocked || !v[2].Blocked || len(asked) != 2 {
		t.Errorf("%+v after %d requests", v, len(asked))
	}
}
