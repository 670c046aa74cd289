package toolcheck

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const weather = `{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1}},"required":["city"],"additionalProperties":false}`

// request offers a tool of that schema, and a custom one.
func request(schema string) []byte {
	return fmt.Appendf(nil, `{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"weather","parameters":%s}},{"type":"custom","custom":{"name":"shell"}},{"type":"function","function":{"name":"now"}}]}`, schema)
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		call Call
		want Fault
	}{
		"good":                               {Call{Name: "weather", Arguments: `{"city":"杭州","days":3}`}, None},
		"good, with white space":             {Call{Name: "weather", Arguments: " {\"city\" : \"a\"}\n"}, None},
		"a member is named otherwise":        {Call{Name: "weather", Arguments: `{"city_v2":"杭州"}`}, BreaksSchema},
		"one is missing":                     {Call{Name: "weather", Arguments: `{"days":3}`}, BreaksSchema},
		"of another type":                    {Call{Name: "weather", Arguments: `{"city":7}`}, BreaksSchema},
		"a fraction":                         {Call{Name: "weather", Arguments: `{"city":"a","days":1.5}`}, BreaksSchema},
		"a whole number as a float":          {Call{Name: "weather", Arguments: `{"city":"a","days":2.0}`}, None},
		"no JSON":                            {Call{Name: "weather", Arguments: `{"city":"杭`}, NotJSON},
		"two values":                         {Call{Name: "weather", Arguments: `{"city":"a"}{}`}, NotJSON},
		"an array":                           {Call{Name: "weather", Arguments: `["a"]`}, NotJSON},
		"nothing, but something is required": {Call{Name: "weather"}, BreaksSchema},
		"nothing, for no schema":             {Call{Name: "now"}, None},
		"anything, for no schema":            {Call{Name: "now", Arguments: `{"a":1}`}, None},
		"no JSON, for no schema":             {Call{Name: "now", Arguments: `a`}, NotJSON},
		"an unknown tool":                    {Call{Name: "wether", Arguments: `{}`}, UnknownTool},
		"no name":                            {Call{Arguments: `{}`}, UnknownTool},
		"a custom tool":                      {Call{Name: "shell", Arguments: "ls -l", Custom: true}, None},
		"an unknown custom tool":             {Call{Name: "bash", Arguments: "ls -l", Custom: true}, UnknownTool},
		"a number beyond floats":             {Call{Name: "weather", Arguments: `{"city":"a","days":1e999999999}`}, None},
	} {
		t.Run(name, func(t *testing.T) {
			var c Checker
			if got := c.Judge(request(weather), []Call{{Name: "now"}, tt.call}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Schemas as libraries write them are checked, references to definitions among them.
func TestSchemas(t *testing.T) {
	for name, tt := range map[string]struct{ schema, good, bad string }{
		"definitions":         {`{"$defs":{"City":{"type":"string"}},"type":"object","properties":{"a":{"$ref":"#/$defs/City"},"b":{"$ref":"#/$defs/City"}}}`, `{"a":"x","b":"y"}`, `{"a":"x","b":1}`},
		"draft 7":             {`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"c":{"type":"string"}},"properties":{"a":{"$ref":"#/definitions/c"}}}`, `{"a":"x"}`, `{"a":1}`},
		"draft 4":             {`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":{"type":"number","minimum":1,"exclusiveMinimum":true}}}`, `{"a":2}`, `{"a":1}`},
		"itself":              {`{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}`, `{"next":{"next":{"v":1}}}`, `{"next":{"next":{"v":"1"}}}`},
		"properties of words": {`{"properties":{"format":{"type":"string"},"$ref":{"type":"string"},"enum":{"type":"integer"}}}`, `{"format":"a","$ref":"b","enum":1}`, `{"enum":"a"}`},
		"a format is a note":  {`{"properties":{"at":{"type":"string","format":"date-time"}}}`, `{"at":"tomorrow"}`, `{"at":1}`},
		"an identity":         {`{"$id":"https://example.com/a","properties":{"a":{"type":"string"}}}`, `{"a":"b"}`, `{"a":1}`},
		"one of":              {`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1}`, `{"a":1,"b":2}`},
		"values":              {`{"properties":{"unit":{"enum":["c","f"]}}}`, `{"unit":"c"}`, `{"unit":"k"}`},
		"false":               {`{"properties":{"a":false}}`, `{"b":1}`, `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			var c Checker
			if got := c.Judge(request(tt.schema), []Call{{Name: "weather", Arguments: tt.good}}); got != None {
				t.Errorf("%s is %q", tt.good, got)
			}
			if got := c.Judge(request(tt.schema), []Call{{Name: "weather", Arguments: tt.bad}}); got != BreaksSchema {
				t.Errorf("%s is %q", tt.bad, got)
			}
		})
	}
}

// chain is a schema of definitions, each of which refers twice to the next.
func chain(how, leaf string, n int) string {
	var defs strings.Builder
	for i := range n {
		fmt.Fprintf(&defs, `"d%d":{%s:[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, how, i+1, i+1)
	}
	return fmt.Sprintf(`{"$defs":{%s"d%d":%s},"properties":{"a":{"not":{"$ref":"#/$defs/d0"}}}}`, defs.String(), n, leaf)
}

// A hostile schema has nothing fetched or read, and its check ends.
func TestHostileSchemas(t *testing.T) {
	var fetched atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{"required":["never"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	deepInstance := strings.Repeat(`{"x":`, 60) + "1" + strings.Repeat("}", 60)
	many := strings.Repeat(`{"type":"string"},`, 20_000)
	for name, schema := range map[string]string{
		"a reference by http":          fmt.Sprintf(`{"$ref":%q}`, server.URL+"/schema"),
		"a reference to a file":        fmt.Sprintf(`{"$ref":%q}`, "file://"+file),
		"a reference to a path":        fmt.Sprintf(`{"$ref":%q}`, file),
		"a dialect by http":            fmt.Sprintf(`{"$schema":%q}`, server.URL+"/schema"),
		"an identity by http":          fmt.Sprintf(`{"$id":%q,"properties":{"a":{"$ref":"b"}}}`, server.URL+"/schema"),
		"a dynamic reference":          fmt.Sprintf(`{"$dynamicRef":%q}`, server.URL+"/schema"),
		"a reference to itself":        `{"$ref":"#"}`,
		"a circle":                     `{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`,
		"doubled 60 times":             chain(`"allOf"`, `{}`, 60),
		"doubled, and fails":           chain(`"anyOf"`, `{"type":"boolean"}`, 60),
		"doubled, and fails late":      chain(`"oneOf"`, `{"minLength":1000}`, 60),
		"doubled at each level":        `{"$defs":{"a":{"properties":{"x":{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}}}},"properties":{"a":{"$ref":"#/$defs/a"}}}`,
		"doubled in what is no schema": `{"const":{"a":{"allOf":[{"$ref":"#/const/b"},{"$ref":"#/const/b"}]},"b":{}},"properties":{"a":{"$ref":"#/const/a"}}}`,
		"huge":                         `{"allOf":[` + many[:len(many)-1] + `]}`,
		"many":                         `{"allOf":[` + many[:18*2000-1] + `]}`,
		"deep":                         strings.Repeat(`{"not":`, 5000) + `{}` + strings.Repeat("}", 5000),
		"a pattern that explodes":      `{"properties":{"a":{"pattern":"^(a+)+$"}}}`,
		"no pattern":                   `{"properties":{"a":{"pattern":"("}}}`,
		"a huge number":                `{"properties":{"a":{"multipleOf":1e-300}}}`,
		"a number beyond floats":       `{"minLength":1e999999999}`,
		"not a schema":                 `[1,2]`,
		"of a wrong type":              `{"properties":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			var c Checker
			began := time.Now()
			for _, arguments := range []string{
				`{"a":"` + strings.Repeat("a", 50_000) + `b"}`, `{"a":` + deepInstance + `}`, `{"a":[` + strings.Repeat("1,", 50_000) + `1]}`, `{"a":1e300}`,
			} {
				c.Judge(request(schema), []Call{{Name: "weather", Arguments: arguments}})
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("%d schemas were fetched", n)
	}
	var c Checker
	if got := c.Judge(request(fmt.Sprintf(`{"$ref":%q}`, "file://"+file)), []Call{{Name: "weather", Arguments: `{}`}}); got != None {
		t.Errorf("a file was read: %q", got)
	}
}

// No more schemas are kept than there is room for, and those used last are.
func TestSchemasAreKept(t *testing.T) {
	c := Checker{Schemas: 4}
	for i := range 20 {
		c.Judge(request(fmt.Sprintf(`{"minProperties":%d}`, i)), []Call{{Name: "weather", Arguments: `{}`}})
		c.Judge(request(weather), []Call{{Name: "weather", Arguments: `{}`}})
	}
	if n := len(c.byHash); n != 4 || c.recent.Len() != 4 {
		t.Errorf("%d are kept, want 4", n)
	}
	before := c.schema([]byte(weather))
	if after := c.schema([]byte(weather)); before == nil || before != after {
		t.Error("a schema is compiled twice")
	}
}

func TestCollector(t *testing.T) {
	const first = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}}]}\n\n"
	arguments := func(index int, text string) string {
		return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":%q}}]}}]}\n\n", index, text)
	}
	for name, tt := range map[string]struct {
		events []string
		want   []Call
	}{
		"none":             {[]string{"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n", "data: [DONE]\n\n"}, nil},
		"in parts":         {[]string{first, arguments(0, `{"ci`), arguments(0, `ty":"a"}`), "data: [DONE]\n\n"}, []Call{{Name: "weather", Arguments: `{"city":"a"}`}}},
		"in one write":     {[]string{first + arguments(0, `{}`) + "data: [DONE]\n\n"}, []Call{{Name: "weather", Arguments: `{}`}}},
		"two":              {[]string{first, strings.ReplaceAll(first, `"index":0,"id"`, `"index":1,"id"`), arguments(1, `1`), arguments(0, `0`)}, []Call{{Name: "weather", Arguments: `0`}, {Name: "weather", Arguments: `1`}}},
		"two of one index": {[]string{first, arguments(0, `{}`), strings.ReplaceAll(first, `"id":"a"`, `"id":"b"`), arguments(0, `{"a":1}`)}, []Call{{Name: "weather", Arguments: `{}`}, {Name: "weather", Arguments: `{"a":1}`}}},
		"two without ids":  {[]string{strings.ReplaceAll(first, `"index":0,"id":"a",`, ""), strings.ReplaceAll(arguments(0, `{}`), `"index":0,"function"`, `"function"`), strings.ReplaceAll(strings.ReplaceAll(first, `"index":0,"id":"a",`, ""), `"arguments":""`, `"arguments":"{}"`)}, []Call{{Name: "weather", Arguments: `{}`}, {Name: "weather", Arguments: `{}`}}},
		"its name again":   {[]string{first, strings.ReplaceAll(first, `"arguments":""`, `"arguments":"{}"`)}, []Call{{Name: "weather", Arguments: `{}`}}},
		"cut":              {[]string{first, arguments(0, `{"ci`), "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"}, nil},
		"more than fit":    {[]string{first, arguments(0, strings.Repeat("a", maxCollected))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var c Collector
			for _, events := range tt.events {
				c.Add([]byte(events))
			}
			if got := c.Calls(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	whole := CallsOf([]byte(`{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{}"}},{"type":"custom","custom":{"name":"shell","input":"ls"}}]}}]}`))
	if want := []Call{{"weather", "{}", false}, {"shell", "ls", true}}; fmt.Sprint(whole) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", whole, want)
	}
}
