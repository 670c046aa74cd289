package pack

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// item is a chat item of a text, with other members of its request.
func item(t testing.TB, text string, members ...string) Item {
	t.Helper()
	quoted, _ := json.Marshal(text)
	i, ok := ReadChat([]byte(`{"model":"m",` + strings.Join(append(members, ""), ",") + `"messages":[{"role":"user","content":` + string(quoted) + `}]}`))
	if !ok {
		t.Fatalf("%q cannot be packed", text)
	}
	return i
}

// completion is a chat completion of that text.
func completion(text string) []byte {
	quoted, _ := json.Marshal(text)
	return []byte(`{"choices":[{"index":0,"message":{"role":"assistant","content":` + string(quoted) + `},"finish_reason":"stop"}]}`)
}

func TestSplit(t *testing.T) {
	three := func(m Mistake) []Mistake { return []Mistake{m, m, m} }
	for name, test := range map[string]struct {
		text string // with $0, $1 and $2 for the ids
		want []Mistake
	}{
		"all":                      {`{"$0":"a","$1":"b","$2":"c"}`, three("")},
		"another order":            {`{"$2":"c","$0":"a","$1":"b"}`, three("")},
		"white space":              {" \n{ \"$0\" : \"a\" ,\"$1\":\"b\",\"$2\":\"c\"}\n", three("")},
		"an escaped id":            {`{"\u00$x0":"a","$1":"b","$2":"c"}`, three("")},
		"fenced":                   {"```json\n{\"$0\":\"a\",\"$1\":\"b\",\"$2\":\"c\"}\n```", three("")},
		"fenced without a word":    {"```\n{\"$0\":\"a\",\"$1\":\"b\",\"$2\":\"c\"}```", three("")},
		"half a fence":             {"```json\n{\"$0\":\"a\",\"$1\":\"b\",\"$2\":\"c\"}", three(Unparsable)},
		"missing":                  {`{"$0":"a","$2":"c"}`, []Mistake{"", Missing, ""}},
		"empty":                    {`{"$0":"a","$1":" ","$2":"c"}`, []Mistake{"", Missing, ""}},
		"none":                     {`{}`, three(Missing)},
		"doubled":                  {`{"$0":"a","$1":"b","$0":"a","$2":"c"}`, []Mistake{Doubled, "", ""}},
		"thrice":                   {`{"$0":"a","$1":"b","$0":"a","$2":"c","$0":""}`, []Mistake{Doubled, "", ""}},
		"null":                     {`{"$0":null,"$1":"b","$2":"c"}`, []Mistake{Unparsable, "", ""}},
		"a number":                 {`{"$0":1,"$1":"b","$2":"c"}`, []Mistake{Unparsable, "", ""}},
		"an object":                {`{"$0":{"$1":"x"},"$1":"b","$2":"c"}`, []Mistake{Unparsable, "", ""}},
		"another's id in it":       {`{"$0":"as $1 says","$1":"b","$2":"c"}`, []Mistake{ForeignID, "", ""}},
		"its own id in it":         {`{"$0":"$0: a","$1":"b","$2":"c"}`, []Mistake{ForeignID, "", ""}},
		"another's in capitals":    {`{"$0":"as $U1 says","$1":"b","$2":"c"}`, []Mistake{ForeignID, "", ""}},
		"unknown":                  {`{"$0":"a","$1":"b","$2":"c","more":"d"}`, three(UnknownID)},
		"unknown, with no text":    {`{"$0":"a","$1":"b","$2":"c","more":1}`, three(UnknownID)},
		"an id in capitals":        {`{"$U0":"a","$1":"b","$2":"c"}`, three(UnknownID)},
		"prose":                    {`Here: {"$0":"a","$1":"b","$2":"c"}`, three(Unparsable)},
		"prose behind":             {`{"$0":"a","$1":"b","$2":"c"} Bye.`, three(Unparsable)},
		"two objects":              {`{"$0":"a"}{"$1":"b","$2":"c"}`, three(Unparsable)},
		"cut":                      {`{"$0":"a","$1":"b"`, three(Unparsable)},
		"an array":                 {`["a","b","c"]`, three(Unparsable)},
		"a text":                   {`"a"`, three(Unparsable)},
		"nothing":                  {``, three(Unparsable)},
		"a lone surrogate":         {`{"$0":"\ud83d","$1":"b","$2":"c"}`, three(Unparsable)},
		"a comment":                {`{"$0":"a",/* */"$1":"b","$2":"c"}`, three(Unparsable)},
		"a name without quotes":    {`{$0:"a","$1":"b","$2":"c"}`, three(Unparsable)},
		"a trailing comma":         {`{"$0":"a","$1":"b","$2":"c",}`, three(Unparsable)},
		"longer than it may be":    {`{"$0":"` + strings.Repeat("a", 41) + `","$1":"b","$2":"c"}`, []Mistake{TooLong, "", ""}},
		"as long as it may be":     {`{"$0":"` + strings.Repeat("a", 40) + `","$1":"b","$2":"c"}`, three("")},
		"a key within an id's key": {`{"answers":{"$0":"a","$1":"b","$2":"c"}}`, three(UnknownID)},
	} {
		t.Run(name, func(t *testing.T) {
			p := New([]Item{item(t, "x", `"max_tokens":10`), item(t, "y", `"max_tokens":10`), item(t, "z", `"max_tokens":10`)}, true)
			text := test.text
			for i, id := range p.ids {
				text = strings.ReplaceAll(text, `\u00$x`+strconv.Itoa(i), `\u00`+strconv.FormatInt(int64(id[0]), 16)+id[1:])
				text = strings.ReplaceAll(text, "$U"+strconv.Itoa(i), strings.ToUpper(id))
				text = strings.ReplaceAll(text, "$"+strconv.Itoa(i), id)
			}
			want := slices.Clone(test.want)
			if name == "an id in capitals" && strings.ToUpper(p.ids[0]) == p.ids[0] {
				want = three("") // it has no letters
			}
			parts := p.Split(Answer{Body: completion(text), Ending: wire.EndingWhole})
			for i, part := range parts {
				if part.Mistake != want[i] || (part.Mistake == "") != (part.Text != "") {
					t.Errorf("item %d: %+v, want %q", i, part, want[i])
				}
			}
			for i, part := range p.Split(Answer{Body: completion(text), Ending: wire.EndingOf("length")}) {
				if part.Mistake != CutOff || part.Text != "" {
					t.Errorf("item %d of an answer that was cut: %+v", i, part)
				}
			}
		})
	}
}

func TestSplitVectors(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want []Mistake
	}{
		"in order":      {`{"index":0,"embedding":[0]},{"index":1,"embedding":[1]},{"index":2,"embedding":"Mg=="}`, []Mistake{"", ""}},
		"another order": {`{"index":2,"embedding":[2]},{"index":0,"embedding":[0]},{"index":1,"embedding":[1]}`, []Mistake{"", ""}},
		"missing":       {`{"index":0,"embedding":[0]},{"index":2,"embedding":[2]}`, []Mistake{"", Missing}},
		"doubled":       {`{"index":0,"embedding":[0]},{"index":0,"embedding":[9]},{"index":1,"embedding":[1]},{"index":2,"embedding":[2]}`, []Mistake{Doubled, ""}},
		"one more":      {`{"index":0,"embedding":[0]},{"index":1,"embedding":[1]},{"index":2,"embedding":[2]},{"index":3,"embedding":[3]}`, []Mistake{UnknownID, UnknownID}},
		"without index": {`{"embedding":[0]},{"embedding":[1]},{"embedding":[2]}`, []Mistake{Doubled, Missing}},
		"0 is left out": {`{"embedding":[0]},{"index":1,"embedding":[1]},{"index":2,"embedding":[2]}`, []Mistake{"", ""}},
		"no vectors":    {`{"index":0,"embedding":null},{"index":1,"embedding":[1]},{"index":2,"embedding":[2]}`, []Mistake{Unparsable, Unparsable}},
	} {
		t.Run(name, func(t *testing.T) {
			var items []Item
			for _, input := range []string{`"one"`, `["two","three"]`} {
				i, ok := ReadEmbeddings([]byte(`{"model":"m","input":` + input + `}`))
				if !ok {
					t.Fatal(input)
				}
				items = append(items, i)
			}
			p := New(items, true)
			if want := `{"model":"m","input":["one","two","three"]}`; string(p.Body) != want {
				t.Errorf("asks %s, want %s", p.Body, want)
			}
			parts := p.Split(Answer{Body: []byte(`{"data":[` + test.data + `]}`), Usage: wire.Usage{Prompt: 4, Total: 4, OK: true}})
			for i, part := range parts {
				if part.Mistake != test.want[i] {
					t.Errorf("item %d: %+v, want %q", i, part.Mistake, test.want[i])
				}
			}
			if name == "another order" {
				if got, want := string(p.Render(1, &parts[1], "", "m", 0)), `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]},`+
					`{"object":"embedding","index":1,"embedding":[2]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}`; got != want {
					t.Errorf("renders %s, want %s", got, want)
				}
			}
		})
	}
}

func TestDivide(t *testing.T) {
	for name, test := range map[string]struct {
		total   int64
		weights []int64
		want    []int64
	}{
		"even":       {9, []int64{1, 1, 1}, []int64{3, 3, 3}},
		"rest":       {10, []int64{1, 1, 1}, []int64{4, 3, 3}},
		"by weight":  {10, []int64{3, 0, 1}, []int64{8, 0, 2}},
		"no weights": {5, []int64{0, 0}, []int64{3, 2}},
		"nothing":    {0, []int64{5, 7}, []int64{0, 0}},
		"large":      {1 << 40, []int64{1 << 62, 1 << 62}, []int64{1 << 39, 1 << 39}},
	} {
		if got := Divide(test.total, test.weights); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// FuzzDivide: the parts are never negative and sum to the whole.
func FuzzDivide(f *testing.F) {
	f.Add(int64(100), int64(1), int64(2), int64(3))
	f.Fuzz(func(t *testing.T, total, a, b, c int64) {
		const most = 1 << 60
		total, a, b, c = total&(most-1), a&(most-1), b&(most-1), c&(most-1)
		sum := int64(0)
		for _, part := range Divide(total, []int64{a, b, c}) {
			if part < 0 {
				t.Errorf("a part of %d", part)
			}
			sum += part
		}
		if sum != total {
			t.Errorf("the parts sum to %d, not %d", sum, total)
		}
	})
}

// FuzzSplit: whatever a model says, an item gets a text only under its own id, and never one
// that has an id in it; what a whole took is always shared out.
func FuzzSplit(f *testing.F) {
	f.Add(`{"$0":"a","$1":"b"}`)
	f.Add("```{\"$0\":\"a\",\"$0\":1}```")
	f.Fuzz(func(t *testing.T, text string) {
		p := New([]Item{item(t, "x"), item(t, "y")}, true)
		for i, id := range p.ids {
			text = strings.ReplaceAll(text, "$"+strconv.Itoa(i), id)
		}
		var total int64
		for i, part := range p.Split(Answer{Body: completion(text), Ending: wire.EndingWhole, Usage: wire.Usage{Prompt: 7, Completion: 5, Total: 12, OK: true}}) {
			total += part.Usage.Total
			if part.Usage.Prompt+part.Usage.Completion != part.Usage.Total {
				t.Errorf("usage %+v", part.Usage)
			}
			if part.Mistake != "" {
				continue
			}
			if !strings.Contains(text, p.ids[i]) && !strings.Contains(text, `\u`) {
				t.Errorf("item %d got %q, and its id is not there", i, part.Text)
			}
			for _, id := range p.ids {
				if strings.Contains(part.Text, id) {
					t.Errorf("item %d got %q with an id in it", i, part.Text)
				}
			}
			if text, ok := Text(p.Render(i, &part, "id", "model", 1)); !ok || text != part.Text {
				t.Errorf("rendered as %q", text)
			}
		}
		if total != 12 {
			t.Errorf("%d tokens shared out of 12", total)
		}
	})
}

// The order of the texts says nothing of the order of the calls, and no id stands in a text.
func TestIDs(t *testing.T) {
	first := make(map[string]int)
	for range 200 {
		var items []Item
		for _, text := range []string{"one", "two", "three", "four"} {
			items = append(items, item(t, text))
		}
		p := New(items, false)
		if strings.Contains(string(p.Body), "response_format") {
			t.Error("response_format is asked for")
		}
		ids := slices.Sorted(slices.Values(p.ids))
		if len(slices.Compact(ids)) != 4 || len(ids[0]) != idLength {
			t.Errorf("ids %v", ids)
		}
		_, rest, _ := strings.Cut(string(p.texts()), `":"`)
		text, _, _ := strings.Cut(rest, `"`)
		first[text]++
	}
	for text, n := range first {
		if n < 20 || n > 90 {
			t.Errorf("%q was first %d times of 200", text, n)
		}
	}
}

// One more call costs a pack little beyond its text: of a charge by characters, that is
// what packing saves.
func TestAPackIsShort(t *testing.T) {
	var items []Item
	for range 20 {
		items = append(items, item(t, strings.Repeat("a", 200)))
	}
	if n := len(New(items, true).Body) - 20*200; n > 900 {
		t.Errorf("a pack of 20 calls takes %d bytes beside their texts", n)
	}
}

func TestMaxTokens(t *testing.T) {
	for most, want := range map[int]int{1: 240, 16: 128, 240: 16, 1000: 4, 2032: 2, 2033: 1, 5000: 0} {
		i := item(t, "x", `"max_tokens":`+strconv.Itoa(most))
		if got := i.Most(); got != want {
			t.Errorf("%d calls of max_tokens %d fit, want %d", got, most, want)
		}
	}
	items := []Item{item(t, "x", `"max_completion_tokens":100`), item(t, "y", `"max_completion_tokens":100`)}
	if body := string(New(items, true).Body); !strings.Contains(body, `"max_completion_tokens":232,`) {
		t.Errorf("asks %s", body)
	}
	if body := string(Alone(&items[0])); body != `{"max_completion_tokens":100,"model":"m","messages":[{"role":"user","content":"x"}]}` {
		t.Errorf("asks %s", body)
	}
}
