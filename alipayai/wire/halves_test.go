package wire

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func TestWithoutHalves(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"none":                  {`{"a":"b"}`, ""},
		"other escapes":         {`{"a":"\u0041\n\\\u00e9"}`, ""},
		"a pair":                {`"\ud83d\ude00"`, ""},
		"a pair in capitals":    {`"\uD83D\uDE00"`, ""},
		"the first half":        {`"\ud83d"`, `"\ufffd"`},
		"the first half, twice": {`"\ud83d\uD83D"`, `"\ufffd\ufffd"`},
		"the second half":       {`"\ude00 x"`, `"\ufffd x"`},
		"the wrong way":         {`"\ude00\ud83d"`, `"\ufffd\ufffd"`},
		"before a pair":         {`"\ud83d\ud83d\ude00"`, `"\ufffd\ud83d\ude00"`},
		"behind a pair":         {`"\ud83d\ude00\ude00"`, `"\ud83d\ude00\ufffd"`},
		"before text":           {`"\ud83dude00"`, `"\ufffdude00"`},
		"behind a backslash":    {`"\\ud83d"`, ""},
		"behind two":            {`"\\\ud83d"`, `"\\\ufffd"`},
		"in a name":             {`{"\ud83d":1}`, `{"\ufffd":1}`},
		"cut":                   {`"\ud8`, ""},
		"a backslash at last":   {`"\`, ""},
	} {
		given := []byte(tt.text)
		if got := string(WithoutHalves(given)); got != tt.want || string(given) != tt.text {
			t.Errorf("%s: %s of %s", name, got, given)
		}
	}
}

// FuzzWithoutHalves holds that what has been mended is strict where it was JSON, and says what readers make of it that are not strict.
func FuzzWithoutHalves(f *testing.F) {
	for _, seed := range []string{`"\ud83d"`, `{"a":["\ude00\\","\ud83d\ude00"]}`, `"\\ud83d\u0041"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		repeats := jsontext.AllowDuplicateNames(true)
		if !utf8.ValidString(text) || !jsontext.Value(text).IsValid(repeats, jsontext.AllowInvalidUTF8(true)) {
			return
		}
		whole := WithoutHalves([]byte(text))
		if strict := jsontext.Value(text).IsValid(repeats); strict || whole == nil {
			if strict != (whole == nil) {
				t.Fatalf("%s of %s", whole, text)
			}
			return
		}
		if len(whole) != len(text) || !jsontext.Value(whole).IsValid(repeats) {
			t.Fatalf("%s of %s", whole, text)
		}
		var a, b any
		if json.Unmarshal([]byte(text), &a) != nil {
			return
		}
		if err := json.Unmarshal(whole, &b); err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %v, not %v: %v", text, b, a, err)
		}
	})
}
