package command

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestMergePatch(t *testing.T) {
	// RFC 7396, appendix A, those with objects.
	for _, tc := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch any
		if err := errors.Join(json.Unmarshal([]byte(tc[0]), &target), json.Unmarshal([]byte(tc[1]), &patch)); err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(mergePatch(target, patch)); string(got) != tc[2] {
			t.Errorf("%s with %s is %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}
