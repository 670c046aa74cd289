package suite

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

const weatherTool = `
    tools: [{type: function, function: {name: weather, parameters: {type: object, properties: {city: {type: string}}, required: [city]}}},
      {type: function, function: {name: time}}]`

// A prompt passes where all holds that is expected, fails where something does not, and is unknown where there is no answer
// for a reason that says nothing of it.
func TestJudge(t *testing.T) {
	answered := Answer{Text: `{"city":"上海","days":3}`}
	called := func(name, arguments string) Answer {
		return Answer{Calls: []toolcheck.Call{{Name: name, Arguments: arguments}}}
	}
	blocked, refused := Answer{Code: "COMPLIANCE_BLOCKED", Blocked: true}, Answer{Code: "INVALID_PARAM", Refused: true}
	away := Answer{Code: "upstream_timeout"}
	for name, test := range map[string]struct {
		expect string
		answer Answer
		want   string
	}{
		"answered":                     {"answered", answered, "pass"},
		"answered by a tool call":      {"answered", called("weather", `{"city":"a"}`), "pass"},
		"answered with nothing":        {"answered", Answer{}, "fail answered: the prompt was answered with nothing"},
		"answered, blocked":            {"answered", blocked, "fail answered: the prompt was blocked by COMPLIANCE_BLOCKED"},
		"answered, filtered":           {"answered", Answer{Text: "a", Blocked: true}, "fail answered: the prompt was blocked"},
		"answered, refused":            {"answered", refused, "fail answered: the prompt was refused by INVALID_PARAM"},
		"answered, away":               {"answered", away, "unknown"},
		"blocked":                      {"blocked", blocked, "pass"},
		"blocked in a stream":          {"blocked", Answer{Text: "a", Blocked: true}, "pass"},
		"blocked, answered":            {"blocked", answered, "fail blocked: the prompt was answered"},
		"blocked, refused":             {"blocked", refused, "fail blocked: the prompt was refused by INVALID_PARAM"},
		"blocked, away":                {"blocked", away, "unknown"},
		"code":                         {"{code: INVALID_PARAM}", refused, "pass"},
		"code of an outage":            {"{code: upstream_timeout}", away, "pass"},
		"another code":                 {"{code: NOT_SUPPORTED}", refused, "fail code: the prompt was refused by INVALID_PARAM"},
		"code, answered":               {"{code: INVALID_PARAM}", answered, "fail code: the prompt was answered"},
		"code, away":                   {"{code: INVALID_PARAM}", away, "unknown"},
		"blocked with a code":          {"{blocked: true, code: COMPLIANCE_BLOCKED}", blocked, "pass"},
		"blocked with another code":    {"{blocked: true, code: OTHER}", blocked, "fail code: the prompt was blocked by COMPLIANCE_BLOCKED"},
		"contains":                     {"{contains: [city, 上海]}", answered, "pass"},
		"contains, not all":            {"{contains: [city, 北京]}", answered, "fail contains[1]: the answer does not have it"},
		"contains, no answer":          {"{contains: a}", blocked, "fail answered: the prompt was blocked by COMPLIANCE_BLOCKED"},
		"not_contains":                 {"{not_contains: 北京}", answered, "pass"},
		"not_contains, has it":         {"{not_contains: [北京, 上海]}", answered, "fail not_contains[1]: the answer has it"},
		"not_contains, no answer":      {"{not_contains: a}", blocked, "fail answered: the prompt was blocked by COMPLIANCE_BLOCKED"},
		"several":                      {"{contains: a1, not_contains: city}", answered, "fail contains[0]: the answer does not have it, not_contains[0]: the answer has it"},
		"json_schema":                  {"{json_schema: {type: object, required: [city], properties: {days: {maximum: 3}}}}", answered, "pass"},
		"json_schema, a value":         {"{json_schema: {properties: {days: {maximum: 2}}}}", answered, "fail json_schema: the text breaks #/properties/days/maximum"},
		"json_schema, a member":        {"{json_schema: {required: [street]}}", answered, "fail json_schema: the text breaks #/required"},
		"json_schema, no JSON":         {"{json_schema: {type: object}}", Answer{Text: "```json\n{}\n```"}, "fail json_schema: the text is no JSON"},
		"json_schema, an endless one":  {"{json_schema: {type: integer}}", Answer{Text: "1e999999999"}, "fail json_schema: the text is no JSON"},
		"tool":                         {"{tool: weather}", called("weather", `{"city":"a"}`), "pass"},
		"tool, not called":             {"{tool: weather}", answered, "fail tool: the tool was not called"},
		"tool, another":                {"{tool: weather}", called("time", `{}`), "fail tool: the tool was not called"},
		"tool, no JSON":                {"{tool: weather}", called("weather", `{"city":`), "fail tool: the arguments of a call are no JSON object"},
		"tool, its own schema":         {"{tool: weather}", called("weather", `{"city_v2":"a"}`), "fail tool: the arguments of a call break the schema of the tool"},
		"tool, its arguments":          {"{tool: {name: weather, arguments: {properties: {city: {const: b}}}}}", called("weather", `{"city":"b"}`), "pass"},
		"tool, other arguments":        {"{tool: {name: weather, arguments: {properties: {city: {const: b}}}}}", called("weather", `{"city":"a"}`), "fail tool: arguments: the text breaks #/properties/city/const"},
		"tool, blocked":                {"{tool: weather}", blocked, "fail answered: the prompt was blocked by COMPLIANCE_BLOCKED"},
		"tool beside an unknown one":   {"{tool: weather}", Answer{Calls: []toolcheck.Call{{Name: "weather", Arguments: `{"city":"a"}`}, {Name: "pay", Arguments: "{}"}}}, "fail tool: a tool was called that the prompt does not offer"},
		"a refusal that is no outcome": {"{answered: true}", Answer{Text: "I cannot help with that."}, "pass"},
	} {
		s := must(Parse([]byte("prompts:\n  - id: a\n    prompt: hello" + weatherTool + "\n    expect: " + test.expect)))
		status, failed := s.Prompts[0].judge(new(toolcheck.Checker), &test.answer)
		var why []string
		for _, f := range failed {
			why = append(why, f.Expectation+": "+f.Why)
		}
		if got := strings.TrimSpace(string(status) + " " + strings.Join(why, ", ")); got != test.want {
			t.Errorf("%s: %s\nwant %s", name, got, test.want)
		}
	}
}

// An answer reads the same whole and streamed, however its events arrive.
func TestAnswersAreRead(t *testing.T) {
	whole := `{"choices":[{"index":0,"message":{"role":"assistant","content":"你好","tool_calls":[{"type":"function","function":{"name":"weather","arguments":"{\"city\":\"a\"}"}}]},"finish_reason":"tool_calls"}]}`
	events := []string{
		`{"choices":[{"index":0,"delta":{"role":"assistant","content":"你"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"好","tool_calls":[{"index":0,"type":"function","function":{"name":"weather","arguments":"{\"city\":"}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"a\"}"}}]},"finish_reason":"tool_calls"}],"usage":null}`,
	}
	var streamed, one Answer
	for _, e := range append(events, "[DONE]") {
		if !streamed.AddEvents([]byte("data: " + e + "\n\n")) {
			t.Errorf("%s is not read", e)
		}
	}
	streamed.End()
	if !one.AddWhole([]byte(whole)) {
		t.Error("the answer is not read")
	}
	for name, a := range map[string]Answer{"whole": one, "streamed": streamed} {
		if a.Text != "你好" || len(a.Calls) != 1 || a.Calls[0].Arguments != `{"city":"a"}` || a.Blocked {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for body, want := range map[string]Answer{
		`{"choices":[{"message":{"content":null,"refusal":"no"}}]}`:                                    {Blocked: true},
		`{"choices":[{"message":{"content":"a"},"finish_reason":"CONTENT_FILTER"}]}`:                   {Text: "a", Blocked: true},
		`{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"x"},{"text":"b"}]}}]}`: {Text: "ab"},
		`{"choices":[{"index":0,"message":{"content":"a"}},{"index":1,"message":{"content":"b"}}]}`:    {Text: "a"},
		`{"choices":[]}`: {},
	} {
		var a Answer
		if !a.AddWhole([]byte(body)) || a.Text != want.Text || a.Blocked != want.Blocked {
			t.Errorf("%s is read as %+v", body, a)
		}
	}
	var a Answer
	if a.AddWhole([]byte("<html>")) || a.AddEvents([]byte("data: <html>\n\n")) {
		t.Error("a page is read as an answer")
	}
	if new(Answer).AddEvents(bytes.Repeat([]byte(": a\n"), MaxAnswer)) {
		t.Error("a stream without an end is read")
	}
}

// numbered is a suite of n prompts, of which each expects an answer.
func numbered(n int) *Suite {
	var b strings.Builder
	b.WriteString("prompts:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {id: p%d, prompt: a, expect: answered}\n", i)
	}
	return must(Parse([]byte(b.String())))
}

// A run asks no more prompts at once, and no faster, than it may, and only those without a result.
func TestRun(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var now, most, asked atomic.Int64
		r := Run{
			Suite: numbered(20), Concurrency: 3, Now: time.Now,
			Ask: func(ctx context.Context, p *Prompt) *Answer {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				asked.Add(1)
				time.Sleep(time.Second)
				return &Answer{Text: "a " + p.ID}
			},
		}
		done := 0
		r.Done = func(result Result) {
			done++
			if result.Answer.Text != "a "+result.ID || result.Took != time.Second {
				t.Errorf("%+v", result)
			}
		}
		results, whole := r.Do(t.Context(), []Result{{ID: "p3", Status: Fail}, {ID: "gone", Status: Pass}})
		if !whole || len(results) != 20 || asked.Load() != 19 || done != 19 || most.Load() != 3 {
			t.Errorf("%d results, %d asked, %d done, %d at once", len(results), asked.Load(), done, most.Load())
		}
		for i, result := range results {
			want := Pass
			if i == 3 {
				want = Fail
			}
			if result.ID != fmt.Sprintf("p%d", i) || result.Status != want || result.Answer != nil {
				t.Errorf("result %d is %+v", i, result)
			}
		}

		began := time.Now()
		r.Rate, r.Done = 0.5, nil
		if _, whole := r.Do(t.Context(), nil); !whole || time.Since(began) != 39*time.Second {
			t.Errorf("20 prompts at one in two seconds took %s", time.Since(began))
		}
	})
}

// What is under way when a run is broken off has no result, and what was asked before keeps its own.
func TestRunIsBrokenOff(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		r := Run{Suite: numbered(20), Concurrency: 2, Now: time.Now, Ask: func(ctx context.Context, _ *Prompt) *Answer {
			select {
			case <-ctx.Done():
				return &Answer{Code: "client_gone"}
			case <-time.After(time.Second):
				return &Answer{Text: "a"}
			}
		}}
		if results, whole := r.Do(ctx, nil); whole || len(results) != 4 {
			t.Errorf("%d results, whole %v", len(results), whole)
		}
		r.Until = time.Now().Add(1500 * time.Millisecond)
		if results, whole := r.Do(t.Context(), nil); whole || len(results) != 4 {
			t.Errorf("until then %d results, whole %v", len(results), whole)
		}
	})
}

// What changed is what passed and fails, or failed and passes. An outage in between changes nothing.
func TestCompare(t *testing.T) {
	report := func(statuses ...Status) *Report {
		r := new(Report)
		for i, s := range statuses {
			r.Results = append(r.Results, Result{ID: fmt.Sprintf("p%d", i), Status: s})
		}
		return r
	}
	known := report(Pass, Pass, Fail, Fail, Unknown, Pass).Verdicts(nil)
	outage := report(Unknown, Unknown, Unknown, Unknown, Unknown, Unknown)
	if changes := outage.Compare(known); changes != nil {
		t.Errorf("an outage changes %v", changes)
	}
	known = outage.Verdicts(known)
	r := report(Pass, Fail, Fail, Pass, Pass, Fail, Fail)
	changes := r.Compare(known)
	if want := []Change{{"p1", Pass, Fail}, {"p3", Fail, Pass}, {"p5", Pass, Fail}}; !slices.Equal(changes, want) {
		t.Errorf("changed: %v, want %v", changes, want)
	}
	if fail, pass := Names(changes, Fail), Names(changes, Pass); !slices.Equal(fail, []string{"p1", "p5"}) || !slices.Equal(pass, []string{"p3"}) {
		t.Errorf("now failing %v, passing %v", fail, pass)
	}
}

func TestJUnit(t *testing.T) {
	began := time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)
	r := &Report{
		Suite: "law", Provider: "alipay", Began: began, Ended: began.Add(1500 * time.Millisecond),
		Results: []Result{
			{ID: "a", Status: Pass, Took: 20 * time.Millisecond},
			{ID: "b", Status: Fail, Failed: []Failure{{"contains[0]", "<\x00&\n"}, {"json_schema", "the text is no JSON"}}},
			{ID: "c", Status: Unknown, Code: "upstream_timeout"},
		},
	}
	var out bytes.Buffer
	if err := r.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="law" tests="3" failures="1" errors="1" skipped="0" time="1.500" timestamp="2026-11-29T06:00:00">
    <testcase name="a" classname="law.alipay" time="0.020"></testcase>
    <testcase name="b" classname="law.alipay" time="0.000">
      <failure message="contains[0]: &lt; &amp; ; json_schema: the text is no JSON" type="contains[0]"></failure>
    </testcase>
    <testcase name="c" classname="law.alipay" time="0.000">
      <error message="there is no answer: upstream_timeout" type="upstream_timeout"></error>
    </testcase>
  </testsuite>
</testsuites>
`
	if out.String() != want {
		t.Errorf("written:\n%s", out.String())
	}
	if err := xml.Unmarshal(out.Bytes(), new(junitSuites)); err != nil {
		t.Error(err)
	}
}
