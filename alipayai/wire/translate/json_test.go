package translate

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestMembers(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		err        error
	}{
		"an object":            {` {"id": "a", "own" :[1, {"x":2}],"n":null} `, `id="a" own=[1, {"x":2}] n=null`, nil},
		"none":                 {`{}`, ``, nil},
		"a name in escapes":    {`{"\u0069d":1,"a\"b":2}`, `id=1 a"b=2`, nil},
		"a lone surrogate":     {`{"id":"\ud83d"}`, `id="\ud83d"`, nil},
		"repeated within":      {`{"a":{"b":1,"b":2}}`, `a={"b":1,"b":2}`, nil},
		"repeated":             {`{"a":1,"\u0061":2}`, `a=1`, errRepeated},
		"an array":             {`[1]`, ``, errNotObject},
		"a text":               {`"{}"`, ``, errNotObject},
		"nothing":              {``, ``, errNotObject},
		"more after it":        {`{"a":1} {}`, `a=1`, errNotObject},
		"cut":                  {`{"a":1,`, `a=1`, errAny},
		"a name that is none":  {`{"a":1,2:3}`, `a=1`, errAny},
		"a control character":  {"{\"a\":\"\x01\"}", ``, errAny},
		"a comma at its end":   {`{"a":1,}`, `a=1`, errAny},
		"a value that is none": {`{"a":nul}`, ``, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := Members(jsontext.Value(c.text), func(name string, v jsontext.Value) error {
				got = append(got, name+"="+string(v))
				return nil
			})
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if anything := errors.Is(c.err, errAny); anything && err == nil || !anything && !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
		})
	}
}

var errAny = errors.New("any")

// A decoder from the pool has nothing of what another has read, however that ended.
func TestDecodersAreClean(t *testing.T) {
	for range 100 {
		for _, broken := range []string{`{"a":[{"b":`, `[1,2`, `{"a":1,"a`, `nul`, ``} {
			_ = Members(jsontext.Value(broken), func(string, jsontext.Value) error { return nil })
			_ = Elements(jsontext.Value(broken), func(int, jsontext.Value) error { return nil })
			_ = Generated(jsontext.Value(broken), func(string, jsontext.Value) error { return errAny })
		}
		depth, got := 0, ""
		var read func(v jsontext.Value) error
		read = func(v jsontext.Value) error {
			depth++
			return Members(v, func(name string, v jsontext.Value) error {
				got += name
				if v.Kind() == '{' {
					return read(v)
				}
				return nil
			})
		}
		if err := read(jsontext.Value(`{"a":{"b":{"c":1,"d":2},"e":3},"f":4}`)); err != nil || got != "abcdef" || depth != 3 {
			t.Fatalf("%q at %d: %v", got, depth, err)
		}
	}
}

func TestUnquote(t *testing.T) {
	for quoted, want := range map[string]string{
		`""`: "", `"plain"`: "plain", `"支付"`: "支付", `"a\nb\u4ed8\\\""`: "a\nb付\\\"", "\"a\xffb\"": "a\ufffdb", `"\ud83d"`: "\ufffd",
		`1`: "", `null`: "", ``: "", `{"a":1}`: "",
	} {
		if got := Unquote(jsontext.Value(quoted)); got != want {
			t.Errorf("%s: %q, want %q", quoted, got, want)
		}
	}
	for name, same := range names {
		if quoted, _ := json.Marshal(name); Name(quoted) != name || same != name {
			t.Errorf("%s is %s", name, Name(quoted))
		}
	}
}

// Texts takes a chunk for one that differs in its text alone only where it does.
func TestTexts(t *testing.T) {
	const chunk = `{"id":"c","choices":[{"delta":{"content":"one"},"finish_reason":null}]}`
	for name, c := range map[string]struct {
		next, text string
		only       bool
	}{
		"another text":        {strings.Replace(chunk, "one", "two words", 1), "two words", true},
		"characters of Han":   {strings.Replace(chunk, "one", "支付", 1), "支付", true},
		"a quote in it":       {strings.Replace(chunk, "one", `a","x":"b`, 1), "", false},
		"an escape":           {strings.Replace(chunk, "one", `a\nb`, 1), "", false},
		"invalid UTF-8":       {strings.Replace(chunk, "one", "\xff", 1), "", false},
		"another id":          {strings.Replace(chunk, `"c"`, `"d"`, 1), "", false},
		"its end":             {strings.Replace(chunk, "null", `"stop"`, 1), "", false},
		"no text":             {strings.Replace(chunk, `"one"`, `""`, 1), "", false},
		"reasoning beside it": {strings.Replace(chunk, `"one"`, `"one","reasoning":"two"`, 1), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var first Chunk
			var texts Texts
			if err := first.Read([]byte(chunk)); err != nil {
				t.Fatal(err)
			}
			texts.Remember(&first, []byte(chunk))
			text, only := texts.Only([]byte(c.next))
			if only != c.only || only && string(text) != c.text {
				t.Errorf("%q, %v", text, only)
			}
		})
	}
}

// Events are read as a client reads them: data over several lines is one text, and what has no data is no event.
func TestEachEvent(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		want   []string
	}{
		"one":              {"data: {\"a\":1}\n\n", []string{`{"a":1}`}},
		"two":              {"data: 1\n\ndata: 2\n\n", []string{"1", "2"}},
		"over two lines":   {"data: {\"a\":\ndata: 1}\n\n", []string{"{\"a\":\n 1}"}},
		"over three lines": {"data:1\ndata:2\ndata:3\n\ndata:4\n\n", []string{"1\n2\n3", "4"}},
		"other fields":     {"event: x\ndata: 1\nid: 7\n\n", []string{"1"}},
		"no data":          {": ping\n\nevent: x\n\n\n\ndata: 1\n\n", []string{"1"}},
		"none":             {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			before := c.events
			events := []byte(c.events)
			if err := EachEvent(events, func(data []byte) error { got = append(got, string(data)); return nil }); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			if string(events) != before {
				t.Errorf("the events have become %q", events)
			}
		})
	}
}
