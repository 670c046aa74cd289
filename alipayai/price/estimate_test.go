package price

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// An estimate comes close to what a provider counts, for Han and other texts apart.
func TestEstimateLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var e, first Estimate
	if got := first.Tokens(Text{Han: 100}); got < 50 || first.Tokens(Text{Others: 100}) < 10 {
		t.Errorf("%d tokens of 100 Han before anything is known", got)
	}
	count := func(text Text) int64 { return text.Han*13/10 + text.Others/5 } // 1.3 and 0.2
	for range 2000 {
		text := Text{Han: random.Int64N(500), Others: random.Int64N(2000)}
		e.Learn(text, count(text), 40+random.Int64N(20), 1)
	}
	for name, text := range map[string]Text{"Han": {Han: 1000}, "others": {Others: 1000}, "mixed": {Han: 500, Others: 500}} {
		if got, want := e.Tokens(text), count(text); got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d tokens, want about %d", name, got, want)
		}
	}
	if got := e.Answer(); got < 40 || got > 60 {
		t.Errorf("an answer has %d tokens, want about 50", got)
	}
	// What a hostile upstream reports stays within bounds.
	for range 100 {
		e.Learn(Text{Others: 1}, 1<<40, 1<<40, 1)
	}
	if got := e.Tokens(Text{Others: 1000}); got > 4000 {
		t.Errorf("%d tokens of 1,000 characters", got)
	}
	var text Text
	text.Add("ab 你好é\xff")
	if text != (Text{Han: 2, Others: 5}) {
		t.Errorf("counted %+v", text)
	}
}

// What an estimate begins with, and how fast it learns.
func TestEstimateMendsAPart(t *testing.T) {
	for name, tt := range map[string]struct {
		learn               func(*Estimate)
		han, others, answer int64 // of 1,000 characters
	}{
		"nothing learned":       {func(*Estimate) {}, 750, 250, 256},
		"what is no count":      {func(e *Estimate) { e.Learn(Text{Others: 2000}, -1, 5, 1); e.Learn(Text{Others: 2000}, 5, -1, 1) }, 750, 250, 256},
		"nothing":               {func(e *Estimate) { e.Learn(Text{Others: 2000}, 500, 0, 1) }, 750, 250, 0},
		"no answer":             {func(e *Estimate) { e.Learn(Text{Others: 2000}, 500, 5, 0) }, 750, 250, 256},
		"several answers":       {func(e *Estimate) { e.Learn(Text{Others: 2000}, 500, 100, 4) }, 750, 250, 25},
		"a text of some length": {func(e *Estimate) { e.Learn(Text{Others: enough}, enough/2, 1, 1) }, 750, 275, 1},
		"many short answers, and a longer one": {func(e *Estimate) {
			for range 1000 {
				e.Learn(Text{}, 0, 100, 1)
			}
			e.Learn(Text{}, 0, 740, 1)
		}, 750, 250, 110},
		"the least": {func(e *Estimate) {
			for range 1000 {
				e.Learn(Text{Others: 2000}, 0, 1, 1)
			}
		}, 750, 16, 1},
		"the most": {func(e *Estimate) {
			for range 1000 {
				e.Learn(Text{Others: 100_000}, 1<<40, 1, 1)
			}
		}, 750, 4000, 1},
	} {
		var e, other Estimate
		tt.learn(&e)
		tt.learn(&other)
		if han, others, answer := e.Tokens(Text{Han: 1000}), e.Tokens(Text{Others: 1000}), other.Answer(); han != tt.han || others != tt.others || answer != tt.answer {
			t.Errorf("%s: %d and %d tokens, and %d of an answer; want %d, %d, %d", name, han, others, answer, tt.han, tt.others, tt.answer)
		}
	}
}

// What texts take is learned of long ones: short prompts, which are mostly what a vendor puts around them, and prompts of which
// the text is the smallest part, change next to nothing.
func TestEstimateLearnsOfLongTexts(t *testing.T) {
	for name, test := range map[string]struct {
		text   Text
		prompt int64
		times  int
	}{
		"greetings":        {Text{Others: 2}, 9, 1000},
		"short questions":  {Text{Others: 30}, 20, 10},
		"a word in Han":    {Text{Han: 1}, 12, 1000},
		"a file, by an id": {Text{Others: 20}, 150_000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var e Estimate
			for range 100 {
				e.Learn(Text{Others: 2000}, 400, 50, 1)
				e.Learn(Text{Han: 2000}, 1400, 50, 1)
			}
			for range test.times {
				e.Learn(test.text, test.prompt, 50, 1)
			}
			if han, others := e.Tokens(Text{Han: 1000}), e.Tokens(Text{Others: 1000}); han < 600 || han > 800 || others < 180 || others > 300 {
				t.Errorf("1000 characters are %d tokens in Han, and else %d", han, others)
			}
		})
	}
}

// However many names clients make up, a ledger has so many.
func TestModelsAreBounded(t *testing.T) {
	var m Models
	for name, model := range map[string]string{
		"none": "", "two lines": "a\nb", "spaces": "a b", "invisible": "a\u200bb", "too long": strings.Repeat("m", maxModelName+1),
	} {
		if m.Answered(model) || m.Has(model) {
			t.Errorf("%s: %q is a name", name, model)
		}
	}
	if name := strings.Repeat("m", maxModelName); !new(Models).Answered(name) {
		t.Error("the longest name is none")
	}
	in := 0
	for i := range 10 * MaxModels {
		if m.Answered(fmt.Sprint("model-", i)) {
			in++
		}
	}
	if in != MaxModels || !m.Answered("model-0") || !m.Has("model-99") || m.Has("model-100") {
		t.Errorf("%d models are in, want %d", in, MaxModels)
	}
	if none := (*Models)(nil); none.Answered("model-0") || none.Has("model-0") {
		t.Error("there is room in none")
	}
}
