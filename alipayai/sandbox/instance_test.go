package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestInstance(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"nothing":         {``, `{}`},
		"true":            {`true`, `{}`},
		"required alone":  {`{"properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}`, `{"a":"tea"}`},
		"undescribed":     {`{"required":["a"]}`, `{"a":"tea"}`},
		"types":           {`{"required":["a","b","c","d"],"properties":{"a":{"type":"integer"},"b":{"type":"boolean"},"c":{"type":"null"},"d":{"type":["null","number"]}}}`, `{"a":1,"b":true,"c":null,"d":1}`},
		"enum and const":  {`{"required":["a","b"],"properties":{"a":{"enum":["x","y"]},"b":{"const":7}}}`, `{"a":"x","b":7}`},
		"bounds":          {`{"required":["a","b","c"],"properties":{"a":{"type":"integer","minimum":5},"b":{"type":"number","maximum":-2},"c":{"type":"integer","exclusiveMinimum":1}}}`, `{"a":5,"b":-2,"c":2}`},
		"lengths":         {`{"required":["a","b"],"properties":{"a":{"type":"string","minLength":5},"b":{"type":"string","maxLength":1}}}`, `{"a":"tea..","b":"t"}`},
		"arrays":          {`{"type":"array","minItems":2,"items":{"type":"object","required":["a"]}}`, `[{"a":"tea"},{"a":"tea"}]`},
		"empty array":     {`{"type":"array","items":{"type":"string"}}`, `[]`},
		"choices":         {`{"required":["a","b"],"properties":{"a":{"anyOf":[{"type":"integer"},{"type":"null"}]},"b":{"oneOf":[{"type":"boolean"}]}}}`, `{"a":1,"b":true}`},
		"references":      {`{"required":["a"],"properties":{"a":{"$ref":"#/$defs/step"}},"$defs":{"step":{"required":["n"],"properties":{"n":{"type":"integer"}}}}}`, `{"a":{"n":1}}`},
		"old references":  {`{"required":["a"],"properties":{"a":{"$ref":"#/definitions/n"}},"definitions":{"n":{"type":"integer"}}}`, `{"a":1}`},
		"formats":         {`{"required":["a"],"properties":{"a":{"type":"string","format":"date"}}}`, `{"a":"2026-01-01"}`},
		"odd keywords":    {`{"required":"a","type":7}`, `{}`},
		"negative counts": {`{"type":"array","minItems":-3}`, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := instance(json.RawMessage(test.schema), "tea"); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	if deep := instance(json.RawMessage(`{"required":["a"],"properties":{"a":{"$ref":"#"}}}`), "tea"); !json.Valid([]byte(deep)) {
		t.Errorf("a schema of itself gives %s", deep)
	}
}

func FuzzInstance(f *testing.F) {
	f.Add(`{"required":["a"],"properties":{"a":{"anyOf":[{"$ref":"#"}]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := instance(json.RawMessage(text), "tea"); !json.Valid([]byte(got)) {
			t.Errorf("%q", got)
		}
	})
}

// What is asked for in a form comes in that form, in one piece and in a stream.
func TestResponseFormat(t *testing.T) {
	for name, test := range map[string]struct{ format, want string }{
		"none":    {`{"type":"text"}`, ""},
		"object":  {`{"type":"json_object"}`, `{"text":`},
		"schema":  {`{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","required":["paid"],"properties":{"paid":{"type":"boolean"}}}}}`, `{"paid":true}`},
		"schemas": {`{"type":"json_schema","json_schema":{"name":"n"}}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"model":"alipay-fin-1","messages":[{"role":"user","content":"paid?"}],"response_format":` + test.format + `}`
			var q chatRequest
			if err := q.parse([]byte(body)); err != nil {
				t.Fatal(err)
			}
			c := &call{srv: &Server{}, r: new(http.Request)}
			c.marks.text = "paid?"
			a := c.answer(q.ask())
			if test.want != "" && !strings.HasPrefix(a.text, test.want) || json.Valid([]byte(a.text)) != (test.want != "") {
				t.Errorf("answered %s", a.text)
			}
			if got := strings.Join(a.pieces(), ""); got != a.text {
				t.Errorf("streamed %s", got)
			}
		})
	}
	for name, format := range map[string]string{"unknown": `{"type":"xml"}`, "nameless": `{"type":"json_schema","json_schema":{}}`} {
		body := `{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":` + format + `}`
		if err := new(chatRequest).parse([]byte(body)); err == nil || !strings.Contains(err.Error(), "response_format") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
