package moderate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// event is a chunk with that content.
func event(text string) string {
	quoted, _ := json.Marshal(text)
	return `data: {"choices":[{"index":0,"delta":{"content":` + string(quoted) + `}}]}` + "\n\n"
}

// shown is the text of events.
func shown(t *testing.T, events []byte) string {
	t.Helper()
	var b strings.Builder
	for data := range eachData(events) {
		var c struct {
			Choices []struct {
				Delta struct{ Content string }
			}
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		for _, choice := range c.Choices {
			b.WriteString(choice.Delta.Content)
		}
	}
	return b.String()
}

func compiled(t testing.TB, file string) *Rules {
	t.Helper()
	r := new(Rules)
	if err := r.AddFile("test", file); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	return r
}

const guarded = `
稳赚不赔
insider tip
list predict: predict | 预测
list income: future income | 收入
list lawful: it is forbidden | 禁止
deny: predict + income within 8 unless lawful
`

// stream gives a text to a guard in parts of random length, and what was shown, and the policy.
func stream(t *testing.T, r *Rules, text string, random *rand.Rand) (out, policy string) {
	t.Helper()
	g := r.Guard(DefaultWindow)
	var released []byte
	letters := []rune(text)
	for len(letters) > 0 && policy == "" {
		n := min(1+random.IntN(12), len(letters))
		released, policy = g.Add(released, []byte(event(string(letters[:n]))))
		letters = letters[n:]
	}
	if policy == "" {
		released, policy = g.End(released)
	}
	return shown(t, released), policy
}

// However an answer is split, the guard decides as a check of the whole does, gives all of a good one, and of what is refused not
// a character.
func TestGuardDecidesAsForTheWhole(t *testing.T) {
	r := compiled(t, guarded)
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{
		"a word of text, ", "这是一段话。", "predict ", "预测", "收入", "future income ", "禁止", "it is forbidden to ", "insider ", "tip ", "稳赚", "不赔", "稳 赚\u200b", "\n\n", "!!! ", "12.5% ",
		tags("insider tip"), selectors("insider tip"), selectors("predict\n"), "\u2764\ufe0f", tags("predict "), tags("future"), " income", "\U0001f3f4" + tags("gbeng") + "\U000e007f",
		strings.Repeat("long and harmless ", 12), strings.Repeat("长而无害", 30),
	}
	blocked := 0
	for range 3000 {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		text := b.String()
		want, _ := r.Check(text)
		out, policy := stream(t, r, text, random)
		if policy != want.Policy {
			t.Fatalf("%q: policy %q, of the whole %q", text, policy, want.Policy)
		}
		if policy == "" && out != text {
			t.Fatalf("%q became %q", text, out)
		}
		if policy == "" {
			continue
		}
		blocked++
		if !strings.HasPrefix(text, out) {
			t.Fatalf("%q is no beginning of %q", out, text)
		}
		// What was shown, and all that begins after it, must need more than the rest to be refused: no word is begun.
		for _, word := range []string{"insider tip", "稳赚不赔"} {
			at := strings.Index(text, word)
			if at >= 0 && len(out) > at {
				if f, found := r.Check(text[:len(out)]); found {
					t.Fatalf("%q was shown of %q (%v)", out, text, f)
				}
			}
		}
		if _, found := r.Check(out); found {
			t.Fatalf("%q was shown, which is refused", out)
		}
	}
	if blocked < 200 {
		t.Errorf("only %d texts were refused", blocked)
	}
}

// What follows a flag, which has tags, is given out as elsewhere.
func TestGuardGivesOutAFlag(t *testing.T) {
	g := compiled(t, guarded).Guard(DefaultWindow)
	flag := "Scotland \U0001f3f4" + tags("gbsct") + "\U000e007f "
	var out []byte
	for _, text := range append([]string{flag}, strings.SplitAfter(strings.Repeat("long and harmless ", 100), " ")...) {
		var policy string
		if out, policy = g.Add(out, []byte(event(text))); policy != "" {
			t.Fatal(policy)
		}
	}
	if text := shown(t, out); !strings.HasPrefix(text, flag) || g.Held() > len(out)/2 {
		t.Errorf("shown %q, held %d bytes", text, g.Held())
	}
}

func TestGuardShowsNothingOfAWord(t *testing.T) {
	for name, tc := range map[string]struct{ before, refused string }{
		"word":        {"The answer is long enough to be given out before: ", "insider tip"},
		"spelt apart": {"The answer is long enough to be given out before; ", "i.n.s.i.d.e.r tip"},
		"Han":         {strings.Repeat("这是一段很长的话,", 10), "稳赚不赔"},
		"combination": {"The answer is long enough to be given out before: ", "predict your future income"},
	} {
		t.Run(name, func(t *testing.T) {
			r := compiled(t, guarded)
			text := tc.before + tc.refused + strings.Repeat(" and so on", 20)
			out, policy := stream(t, r, text, rand.New(rand.NewPCG(1, 2)))
			if policy != "test" || !strings.HasPrefix(tc.before, out) || out == "" {
				t.Errorf("shown %q, policy %q", out, policy)
			}
		})
	}
}

func TestGuardCoversEveryText(t *testing.T) {
	chunk := func(choice int, delta string) string {
		return fmt.Sprintf(`data: {"choices":[{"index":%d,"delta":{%s}}]}`+"\n\n", choice, delta)
	}
	for name, events := range map[string][]string{
		"content":             {chunk(0, `"content":"稳赚"`), chunk(0, `"content":"不赔"`)},
		"reasoning":           {chunk(0, `"reasoning_content":"稳赚"`), chunk(0, `"reasoning_content":"不赔"`)},
		"refusal":             {chunk(0, `"refusal":"稳赚"`), chunk(0, `"refusal":"不赔"`)},
		"second choice":       {chunk(0, `"content":"a"`), chunk(1, `"content":"稳赚"`), chunk(0, `"content":"b"`), chunk(1, `"content":"不赔"`)},
		"arguments":           {chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"稳"}}]`), chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"赚不赔\"}"}}]`)},
		"escapes, split":      {chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"\\u7a33\\u8"}}]`), chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"d5a不赔"}}]`)},
		"escapes of escapes":  {chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"\\\\u7a33\\"}}]`), chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"\\u8d5a不赔"}}]`)},
		"several in a packet": {chunk(0, `"content":"稳赚"`) + chunk(0, `"content":"不赔"`)},
		"lines that end CRLF": {strings.ReplaceAll(chunk(0, `"content":"稳赚不赔"`), "\n", "\r\n")},
		"data over two lines": {"data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"稳赚不赔\"}}]}\n\n"},
		"a tool's name":       {chunk(0, `"tool_calls":[{"index":0,"function":{"name":"稳赚","arguments":""}}]`), chunk(0, `"tool_calls":[{"index":0,"function":{"name":"不赔"}}]`)},
		"a function of old":   {chunk(0, `"function_call":{"name":"f","arguments":"{\"稳赚"}`), chunk(0, `"function_call":{"arguments":"不赔\":1}"}`)},
		"names of arguments":  {chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"{\"稳赚不"}}]`), chunk(0, `"tool_calls":[{"index":0,"function":{"arguments":"赔\":1}"}}]`)},
		"what is said":        {chunk(0, `"audio":{"transcript":"稳赚"}`), chunk(0, `"audio":{"transcript":"不赔"}`)},
		"a source":            {chunk(0, `"annotations":[{"type":"url_citation","url_citation":{"title":"稳赚不赔","url":"https://x.example"}}]`)},
		"reasoning, by parts": {chunk(0, `"reasoning":"稳赚"`), chunk(0, `"reasoning":"不赔"`)},
		"details, by parts":   {chunk(0, `"reasoning_details":[{"index":0,"text":"稳赚"}]`), chunk(0, `"reasoning_details":[{"index":0,"text":"不赔"}]`)},
		"parts of content":    {chunk(0, `"content":[{"type":"thinking","thinking":[{"type":"text","text":"稳赚不赔"}]}]`)},
		"beside the choices":  {`data: {"choices":[{"index":0,"delta":{"content":"a"}}],"related_questions":["稳赚不赔"]}` + "\n\n"},
		"unknown member":      {chunk(0, `"reasoning_details":[{"summary":"稳赚不赔"}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			g := compiled(t, "稳赚不赔").Guard(DefaultWindow)
			var out []byte
			policy := ""
			for _, e := range events {
				if policy == "" {
					out, policy = g.Add(out, []byte(e))
				}
			}
			if policy == "" {
				out, policy = g.End(out)
			}
			if policy != "test" || strings.Contains(string(out), "稳") {
				t.Errorf("policy %q, shown %q", policy, out)
			}
		})
	}
}

func TestGuardHoldsPatternsBack(t *testing.T) {
	r := compiled(t, `pattern: card [0-9]{4} [0-9]{4} [0-9]{4}`)
	before := strings.Repeat("a harmless sentence. ", 10)
	out, policy := stream(t, r, before+"card 1234 5678 9012", rand.New(rand.NewPCG(3, 4)))
	if policy != "test" || !strings.HasPrefix(before, out) || out == "" {
		t.Errorf("policy %q, shown %q", policy, out)
	}
}

// A guard keeps no more of an answer than its rules look at.
func TestGuardIsBounded(t *testing.T) {
	for name, text := range map[string]string{"letters": "harmless ", "no letters": "!?-.", "invisible": "\u200b\u200d", "marks": "a\u0336\u0336\u0336"} {
		t.Run(name, func(t *testing.T) {
			r := compiled(t, guarded)
			g := r.Guard(DefaultWindow)
			out := 0
			for range 400 {
				released, policy := g.Add(nil, []byte(event(strings.Repeat(text, 400))))
				if policy != "" {
					t.Fatalf("policy %s", policy)
				}
				out += len(released)
			}
			for _, c := range g.channels {
				if len(c.tail) > 2*maxTail {
					t.Errorf("the tail has %d bytes", len(c.tail))
				}
			}
			if out == 0 {
				t.Error("nothing was given out")
			}
		})
	}
}

// How much may have been shown of what is refused, one character an event: nothing of words, phrases and combinations,
// however far apart their words stand, and of a pattern's match what is longer than the window.
func TestGuardShowsNoMoreThanIsStated(t *testing.T) {
	before := strings.Repeat("the 9 harbours were grey on that day of 1999, ", 12)
	between := strings.Repeat("thus ", 7) // the combination takes eight
	for name, tc := range map[string]struct {
		rules, refused string
		shown          int // characters of refused
	}{
		"word":             {guarded, "insider tip", 0},
		"Han":              {guarded, "稳赚不赔", 0},
		"combination":      {guarded, "predict " + between + "future income", 0},
		"pattern, as long": {`pattern: <[^>]{62}>`, "<" + strings.Repeat("x", DefaultWindow-2) + ">", 0},
		"pattern, longer":  {`pattern: <[^>]{98}>`, "<" + strings.Repeat("x", 98) + ">", 100 - DefaultWindow},
	} {
		t.Run(name, func(t *testing.T) {
			g := compiled(t, tc.rules).Guard(DefaultWindow)
			var out []byte
			policy := ""
			for _, letter := range before + tc.refused + strings.Repeat(" and more", 20) {
				if out, policy = g.Add(out, []byte(event(string(letter)))); policy != "" {
					break
				}
			}
			if policy == "" {
				out, policy = g.End(out)
			}
			given := shown(t, out)
			if policy != "test" || given == "" || len(given) > len(before)+tc.shown || !strings.HasPrefix(before+tc.refused, given) {
				t.Errorf("policy %q, %d characters shown of what is refused, want at most %d", policy, len(given)-len(before), tc.shown)
			}
		})
	}
}

// A guard gives out what has as many words behind it as its rules look at, and refuses nothing before what excepts it can
// no longer come.
func TestGuardHoldsNoMoreBackThanIsStated(t *testing.T) {
	for name, tc := range map[string]struct{ rules, text string }{
		"words":                      {"insider tip", strings.Repeat("thus ", 100)},
		"a broken escape":            {"insider tip", strings.Repeat(`thus \uzz `, 50)},
		"excepted, as far as can be": {guarded, "predict " + strings.Repeat("thus ", 8) + "future income " + strings.Repeat("thus ", 8) + "it is forbidden " + strings.Repeat("thus ", 40)},
	} {
		t.Run(name, func(t *testing.T) {
			r := compiled(t, tc.rules)
			g := r.Guard(DefaultWindow)
			for i := range tc.text {
				if _, policy := g.Add(nil, []byte(event(tc.text[i:i+1]))); policy != "" {
					t.Fatalf("refused at %q", tc.text[:i+1])
				}
				held := tc.text[i+1-len(g.marks) : i+1]
				if n := len(strings.Fields(held)); n > r.HeldBack(DefaultWindow)+1 {
					t.Fatalf("%d words are held back: %q", n, held)
				}
			}
		})
	}
}

// README.md says how much is held back with the built-in rules.
func TestReadmeStatesWhatIsHeldBack(t *testing.T) {
	r := new(Rules)
	if err := errors.Join(r.AddBuiltin("china"), r.Compile()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("with `china` it is at most %d words or Han characters", r.HeldBack(DefaultWindow)); !strings.Contains(string(text), want) {
		t.Errorf("README.md does not say %q", want)
	}
}

// tokenEvents are chunks whose content says one thing and whose logprobs another, by a token each.
func tokenEvents(content string, tokens ...string) (events []string) {
	for _, token := range tokens {
		var bytes []string
		for _, b := range []byte(token) {
			bytes = append(bytes, fmt.Sprint(b))
		}
		quoted, _ := json.Marshal(strings.ToValidUTF8(token, "?"))
		events = append(events, fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"logprobs\":{\"content\":[{\"token\":%s,\"bytes\":[%s]}]}}]}\n\n",
			content, quoted, strings.Join(bytes, ",")))
	}
	return events
}

// What logprobs repeat is held as the text is: a server that takes a part out of the text, as of thinking or of a tool call,
// has it there all the same, and bytes have what tokens cannot show.
func TestGuardReadsLogprobs(t *testing.T) {
	r := compiled(t, guarded)
	for name, tc := range map[string]struct {
		tokens []string
		policy string
	}{
		"harmless":                   {[]string{"a", " lawful", " word", " and", " more", " of", " them"}, ""},
		"tokens":                     {[]string{"an", " insider", " tip", " for", " you"}, "test"},
		"split":                      {[]string{"ins", "ider", " t", "ip", " for"}, "test"},
		"Han":                        {[]string{"稳", "赚", "不", "赔"}, "test"},
		"bytes of parts":             {[]string{"稳", "赚\xe4", "\xb8\x8d", "赔"}, "test"},
		"bytes of parts, harmless":   {[]string{"稳", "赚\xe4", "\xb8\x80", "赔"}, ""},
		"the beginning of a refused": {[]string{"an", " insider"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := r.Guard(DefaultWindow)
			var released []byte
			var policy string
			for _, e := range tokenEvents("x ", tc.tokens...) {
				if released, policy = g.Add(released, []byte(e)); policy != "" {
					break
				}
			}
			if policy == "" {
				released, policy = g.End(released)
			}
			if policy != tc.policy {
				t.Errorf("policy %q, want %q", policy, tc.policy)
			}
			if policy != "" && (strings.Contains(string(released), "ider") || strings.Contains(string(released), "赚")) {
				t.Errorf("shown: %s", released)
			}
			whole := `{"choices":[{"index":0,"message":{"content":"x"},"logprobs":{"content":[`
			for i, e := range tokenEvents("x", tc.tokens...) {
				if i > 0 {
					whole += ","
				}
				_, token, _ := strings.Cut(strings.TrimSpace(e), `"content":[`)
				whole += strings.TrimSuffix(token, "]}}]}")
			}
			if policy := r.CheckAnswer([]byte(whole + "]}}]}")); policy != tc.policy {
				t.Errorf("of the whole %q, want %q", policy, tc.policy)
			}
		})
	}
}
