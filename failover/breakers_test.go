package failover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

var testKey = Key{Tenant: "tenant", Provider: "alipay"}

// stage plays a script of calls at one breaker:
//
//   - - o   a call that succeeds, fails, or has no result; admitted
//     x       a call that is rejected
//     ( a     a call begins that has the name a, and is admitted
//     a+ a- ao  it ends
//     a~        its answer begins
//     5s      time passes
type stage struct {
	t        *testing.T
	breakers *Breakers
	rule     Rule
	calls    map[byte]Admission
	changes  []string
}

func newStage(t *testing.T, rule Rule) *stage {
	s := &stage{t: t, breakers: new(Breakers), rule: rule, calls: make(map[byte]Admission)}
	s.rule.Changed = func(key Key, state State) {
		if key != testKey {
			t.Errorf("a change of %v is reported", key)
		}
		s.changes = append(s.changes, state.String())
	}
	return s
}

func (s *stage) play(script string) {
	s.t.Helper()
	results := map[byte]Result{'+': Success, '-': Failure, 'o': Ignored, '~': Begun}
	for i, word := range strings.Fields(script) {
		fail := func(format string, args ...any) {
			s.t.Helper()
			s.t.Fatalf("%s, at %q (word %d): %s", script, word, i, fmt.Sprintf(format, args...))
		}
		if d, err := time.ParseDuration(word); err == nil {
			time.Sleep(d)
			continue
		}
		result, isResult := results[word[len(word)-1]]
		if isResult && len(word) == 2 {
			s.calls[word[0]].Done(result)
			continue
		}
		admitted, err := s.breakers.Allow(s.t.Context(), testKey, s.rule)
		switch {
		case word == "x":
			var open *OpenError
			if !errors.As(err, &open) || !errors.Is(err, ErrOpen) || open.RetryAfter <= 0 {
				fail("error %v, want an OpenError", err)
			}
		case err != nil:
			fail("%v", err)
		case isResult:
			admitted.Done(result)
		default:
			s.calls[word[1]] = admitted
		}
	}
}

func TestBreaker(t *testing.T) {
	tests := map[string]struct {
		rule    Rule
		script  string
		changes string
	}{
		"three failures are tolerated":  {script: "- - - (a a+"},
		"the fourth opens":              {script: "- - - - x", changes: "open"},
		"a success resets":              {script: "- - - + - - - + (a"},
		"calls without a result do not": {script: "- o - o - o - x", changes: "open"},
		"calls without a result are not counted": {
			script: "o o o o o o (a",
		},
		"the first to the fourth within five minutes": {
			script: "- 2m - 2m - 1m - x", changes: "open",
		},
		"the first to the fourth a little further apart": {
			script: "- 2m - 2m - 60001ms - (a",
		},
		"the window slides": {
			script: "- 2m - 2m - 2m - 1m - x", changes: "open",
		},
		"one failure of a call, however often it is reported": {
			script: "(a a- a- a- a- a- (b b+",
		},
		"open for a minute": {script: "- - - - 59999ms x x 1ms (a", changes: "open"},
		"the probe closes": {
			script: "- - - - 60s (a x a+ (b - - - (c", changes: "open closed",
		},
		"failures from before do not count after the probe": {
			script: "- - - - 60s + - - - (a", changes: "open closed",
		},
		"the probe opens again": {
			script: "- - - - 60s (a 10s a- x 59999ms x 1ms (b", changes: "open open",
		},
		"a probe without a result gives its place back": {
			script: "- - - - 60s (a x ao (b x b+ (c", changes: "open closed",
		},
		"a probe that hangs frees its place": {
			script: "- - - - 60s (a 29999ms x 1ms (b x b+ (c", changes: "open closed",
		},
		"a probe whose answer begins closes": {
			script: "- - - - 60s (a x a~ (b b+ a+ (c", changes: "open closed",
		},
		"and counts from then on as any other call": {
			script: "- - - - 60s (a a~ - - - a- x", changes: "open closed open",
		},
		"and once": {
			script: "- - - - 60s (a a~ a+ a- a~ a- - - - (b", changes: "open closed",
		},
		"answers that begin say nothing of other calls": {
			script: "(a a~ - - - a- x", changes: "open",
		},
		"nor do they close what opened meanwhile": {
			script: "(a - - - - a~ a+ x", changes: "open",
		},
		"a probe that begins to answer too late closes nothing": {
			script: "- - - - 60s (a 30s (b a~ x b- x", changes: "open open",
		},
		"a probe that comes late, and in whose place no other is": {
			script: "- - - - 60s (a 40s a+ (b", changes: "open closed",
		},
		"a probe that comes too late closes nothing": {
			script: "- - - - 60s (a 30s (b a+ x b- x", changes: "open open",
		},
		"a probe that comes too late opens nothing": {
			script: "- - - - 60s (a 30s (b b+ a- - - - (c", changes: "open closed",
		},
		"a success from before it opened does not close it": {
			script: "(a - - - - a+ x 60s (b a+ x", changes: "open",
		},
		"a failure from before it opened does not keep it open": {
			script: "(a - - - - 50s a- 10s (b b+ (c", changes: "open closed",
		},
		"failures from before it opened do not count when it is closed": {
			script:  "(a (b (c (d - - - - 60s + a- b- c- d- - - - (e",
			changes: "open closed",
		},
		"a success from before it opened resets nothing when it is closed": {
			script: "(a - - - - 60s + - - - a+ - x", changes: "open closed open",
		},
		"a success of a slow call resets": {script: "(a - - - a+ - - - (b"},
		"failures of calls that were in flight together": {
			script: "(a (b (c (d (e a- b- c- d- e- x", changes: "open",
		},
		"never done": {script: "(a (b (c (d (e (f - - - (g"},
		"a rule of its own": {
			rule:    Rule{Failures: 1, Within: time.Second, OpenFor: 2 * time.Second, ProbeFor: 3 * time.Second},
			script:  "- 1001ms - 1s - x 2s (a 2999ms x 1ms (b",
			changes: "open",
		},
		"no time is longer than an hour": {
			rule:    Rule{Failures: 1, Within: 24 * time.Hour, OpenFor: 24 * time.Hour, ProbeFor: 24 * time.Hour},
			script:  "- 61m - (a 10m - x 1h (b 1h (c",
			changes: "open",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := newStage(t, tt.rule)
				s.play(tt.script)
				if got := strings.Join(s.changes, " "); got != tt.changes {
					t.Errorf("%s: changes %q, want %q", tt.script, got, tt.changes)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newStage(t, Rule{})
		after := func(want time.Duration) {
			t.Helper()
			_, err := s.breakers.Allow(t.Context(), testKey, s.rule)
			var open *OpenError
			if !errors.As(err, &open) || open.RetryAfter != want {
				t.Errorf("error %v, want one that says %s", err, want)
			}
		}
		s.play("- - - -")
		after(60 * time.Second)
		s.play("59s")
		after(time.Second)
		s.play("1s (a")
		after(30 * time.Second)
		s.play("29s")
		after(time.Second)
		s.play("a-")
		after(60 * time.Second)
	})
}

func TestBreakersAreApart(t *testing.T) {
	var b Breakers
	keys := []Key{{"a", "x"}, {"a", "y"}, {"b", "x"}, {"", "ax"}, {"ax", ""}}
	for range 4 {
		admitted, err := b.Allow(t.Context(), keys[0], Rule{})
		if err != nil {
			t.Fatal(err)
		}
		admitted.Done(Failure)
	}
	for i, key := range keys {
		if _, err := b.Allow(t.Context(), key, Rule{}); errors.Is(err, ErrOpen) != (i == 0) {
			t.Errorf("%v: %v", key, err)
		}
	}
}

func TestRuleIsThatOfTheCall(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := newStage(t, Rule{})
		s.play("- -")
		s.rule.Failures = 2
		s.play("- x 30s x")
		s.rule.OpenFor = 30 * time.Second
		s.play("(a a+ - -")
		s.rule.Failures = 1
		s.play("- x")
		if want := []string{"open", "closed", "open"}; !slices.Equal(s.changes, want) {
			t.Errorf("changes %q, want %q", s.changes, want)
		}
	})
}

// Failures under all rules are in a row, each is judged by its own rule, and none makes another rule forget.
func TestRulesShareTheRow(t *testing.T) {
	slow := Rule{Failures: 3, Within: time.Minute}
	for name, test := range map[string]struct {
		a, b Rule
		// A and B are failures of calls under these rules, a and b successes, x a call that is rejected.
		play string
	}{
		"the fourth is the stricter's":               {Rule{Failures: 3}, Rule{Failures: 4}, "B A B A x"},
		"the fourth is the other's, which bears it":  {Rule{Failures: 3}, Rule{Failures: 4}, "A B A B A x"},
		"the fifth is the other's":                   {Rule{Failures: 3}, Rule{Failures: 4}, "A A A B B x"},
		"one under the stricter":                     {Rule{Failures: 1}, Rule{Failures: 9}, "B B B A x"},
		"a success under either is one for both":     {Rule{Failures: 2}, Rule{Failures: 4}, "A A b A B B B B x"},
		"the stricter opens within its time only":    {slow, Rule{Failures: 9}, "A 30s B 30s B 1ns A B 1ns A x"},
		"one that never opens makes none forget":     {slow, Rule{Failures: 5, Within: time.Hour}, "A 30s B 30s A 30s B 30s A 30s B 30s A 30s B x"},
		"nor does one of many in a row":              {slow, Rule{Failures: 5, Within: time.Hour}, "B B 5m A 5m A 5m A 5m B B x"},
		"what it remembers itself counts for others": {slow, Rule{Failures: 4, Within: time.Hour}, "A 5m A 5m A 5m A 5m A 5m A 5m B x"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := newStage(t, Rule{})
				a, b := test.a, test.b
				a.Changed, b.Changed = s.rule.Changed, s.rule.Changed
				for word := range strings.FieldsSeq(test.play) {
					s.rule = a
					if strings.EqualFold(word, "b") {
						s.rule = b
					}
					switch word {
					case "A", "B":
						s.play("-")
					case "a", "b":
						s.play("+")
					default:
						s.play(word)
					}
				}
				if want := []string{"open"}; !slices.Equal(s.changes, want) {
					t.Errorf("changes %q, want %q", s.changes, want)
				}
			})
		})
	}
}
