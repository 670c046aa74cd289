package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func mustForm(t *testing.T, fields AnswerFields) *AnswerForm {
	t.Helper()
	f, err := NewAnswerForm(fields)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// An answer in the envelope of a contract of one's own is the one in it, and its failures are read where the contract has
// them.
func TestAnswerForm(t *testing.T) {
	ant := AnswerFields{
		Inside: "response", Success: "code", SuccessValues: []string{"10000"}, Code: []string{"sub_code", "code"},
		Message: []string{"sub_msg", "msg"}, RequestID: []string{"trace.id"}, RetryAfter: "retry_ms", RetryUnit: time.Millisecond,
	}
	global := AnswerFields{Success: "result.resultStatus", SuccessValues: []string{"S", "A"}, Inside: "result.data"}
	for name, tc := range map[string]struct {
		fields     AnswerFields
		text       string
		failed     bool
		body       string // empty: all of it
		failure    *Failure
		hasChoices bool
	}{
		"a success":   {fields: ant, text: `{"code":"10000","response":{"choices":[{}]}}`, body: `{"choices":[{}]}`, hasChoices: true},
		"a number":    {fields: ant, text: `{"code":10000,"response":{"choices":[{}]}}`, body: `{"choices":[{}]}`, hasChoices: true},
		"in a string": {fields: ant, text: `{"code":10000,"response":"{\"choices\":[{}]}"}`, body: `{"choices":[{}]}`, hasChoices: true},
		"not there":   {fields: ant, text: `{"choices":[{}]}`, hasChoices: true},
		"a failure": {fields: ant, text: `{"code":"40004","sub_code":"APP_LIMIT","sub_msg":"later","trace":{"id":"t-1"},"retry_ms":"250"}`,
			failure: &Failure{Code: "APP_LIMIT", Message: "later", RequestID: "t-1", RetryAfter: 250 * time.Millisecond}},
		"a failure with what looks like an answer": {fields: ant, text: `{"code":"40004","msg":"no","response":{"choices":[{}]}}`,
			body: `{"choices":[{}]}`, failure: &Failure{Code: "40004", Message: "no"}},
		"a success's code under a failing status": {fields: ant, failed: true, text: `{"code":"10000","msg":"odd"}`,
			failure: &Failure{Code: "10000", Message: "odd"}},
		"a failing status without anything": {fields: ant, failed: true, text: `{}`},
		"the known form below": {fields: ant, failed: true, text: `{"response":{"error":{"code":"bad_key","message":"no"}}}`,
			body: `{"error":{"code":"bad_key","message":"no"}}`, failure: &Failure{Code: "bad_key", Message: "no"}},
		"known names beside": {fields: global, text: `{"result":{"resultStatus":"F","resultCode":"NO_FUND","resultMessage":"none"}}`,
			failure: &Failure{Code: "NO_FUND", Message: "none"}},
		"an unknown outcome": {fields: global, text: `{"result":{"resultStatus":"U","resultCode":"NEW_CODE"}}`,
			failure: &Failure{Code: "NEW_CODE", Status: StatusUnknown}},
		"another success": {fields: global, text: `{"result":{"resultStatus":"A","data":{"choices":[{}]}}}`, body: `{"choices":[{}]}`, hasChoices: true},
		"true": {fields: AnswerFields{Success: "ok", SuccessValues: []string{"true"}, Code: []string{"why"}}, text: `{"ok":false,"why":"BUSY"}`,
			failure: &Failure{Code: "BUSY"}},
		"a code beside": {fields: AnswerFields{Success: "code", SuccessValues: []string{"1"}}, text: `{"code":1,"choices":[]}`},
		"a code alone":  {fields: AnswerFields{Code: []string{"errno"}}, text: `{"errno":17}`, failure: &Failure{Code: "17"}},
		"no code":       {fields: AnswerFields{Code: []string{"errno"}}, text: `{"errno":0,"choices":[{}]}`, hasChoices: true},
		"a dot":         {fields: AnswerFields{Inside: `a\.b`}, text: `{"a.b":{"choices":[{}]}}`, body: `{"choices":[{}]}`, hasChoices: true},
		"escaped":       {fields: AnswerFields{Inside: `ab`}, text: `{"a\u0062":{"choices":[{}]}}`, body: `{"choices":[{}]}`, hasChoices: true},
		"too long to wait": {fields: AnswerFields{Code: []string{"c"}, RetryAfter: "r"}, text: `{"c":"X","r":1e300}`,
			failure: &Failure{Code: "X", RetryAfter: 24 * time.Hour}},
		"no time": {fields: AnswerFields{Code: []string{"c"}, RetryAfter: "r"}, text: `{"c":"X","r":-3}`, failure: &Failure{Code: "X"}},
	} {
		t.Run(name, func(t *testing.T) {
			body, a, err := mustForm(t, tc.fields).ParseBody([]byte(tc.text), tc.failed)
			if err != nil {
				t.Fatal(err)
			}
			if want := tc.body; string(body) != want && (want != "" || string(body) != tc.text) {
				t.Errorf("body %s, want %s", body, want)
			}
			switch {
			case (a.Failure == nil) != (tc.failure == nil), a.Failure != nil && *a.Failure != *tc.failure:
				t.Errorf("failure %+v, want %+v", a.Failure, tc.failure)
			case a.HasChoices != tc.hasChoices:
				t.Errorf("choices: %t", a.HasChoices)
			}
		})
	}
}

// What decides may come once, at the top and below.
func TestAnswerFormRefusesRepeats(t *testing.T) {
	f := mustForm(t, AnswerFields{Inside: "data", Success: "head.code", SuccessValues: []string{"0"}})
	for _, text := range []string{
		`{"data":{"choices":[{}]},"data":{"choices":[{}]}}`, `{"head":{"code":0,"code":1}}`, `{"head":{"code":0},"head":{"code":1}}`, `{"head":{"code":0}`,
	} {
		if _, _, err := f.ParseBody([]byte(text), false); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The events of a stream lose their envelope; those that have none stay byte for byte.
func TestAnswerFormOfEvents(t *testing.T) {
	f := mustForm(t, AnswerFields{Inside: "data", Success: "code", SuccessValues: []string{"1"}, Message: []string{"why"}})
	for name, tc := range map[string]struct {
		stream, want string
		failure      *Failure
	}{
		"in it":        {"id: 4\ndata: {\"code\":1,\"data\":{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}}\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", nil},
		"on two lines": {"data: {\"code\":1,\"data\":{\"choices\":\ndata: [{}]}}\n\n", "data: {\"choices\":\ndata: [{}]}\n\n", nil},
		"without":      {"data:{\"choices\":[{}]}\r\n\r\n", "data:{\"choices\":[{}]}\r\n\r\n", nil},
		"its end":      {"data: [DONE]\n\n", "data: [DONE]\n\n", nil},
		"usage":        {"data: {\"code\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", "data: {\"code\":1,\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", nil},
		"a failure":    {"data: {\"code\":7,\"why\":\"so\"}\n\n", "", &Failure{Code: "7", Message: "so"}},
		"an error":     {"event: error\ndata: {\"code\":1,\"why\":\"so\"}\n\n", "", &Failure{Code: "1", Message: "so"}},
	} {
		t.Run(name, func(t *testing.T) {
			events := NewEventReader(strings.NewReader(tc.stream), 0)
			defer events.Release()
			event, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			event, failure, err := f.OpenEvent(event)
			switch {
			case err != nil:
				t.Fatal(err)
			case (failure == nil) != (tc.failure == nil), failure != nil && (failure.Code != tc.failure.Code || failure.Message != tc.failure.Message):
				t.Fatalf("failure %+v", failure)
			case failure != nil:
				return
			case string(event.Raw) != tc.want:
				t.Errorf("event %q, want %q", event.Raw, tc.want)
			}
			if chunk, err := new(ChunkReader).Read(event); err != nil || chunk.Failure != nil {
				t.Errorf("read as %+v, %v", chunk.Failure, err)
			}
		})
	}
}

func TestNewAnswerFormRefuses(t *testing.T) {
	for want, fields := range map[string]AnswerFields{
		`success code has no value`:                            {Success: "code"},
		`success has values`:                                   {SuccessValues: []string{"0"}},
		`inside "a..b" has an empty name`:                      {Inside: "a..b"},
		`code "" has an empty name`:                            {Code: []string{""}},
		`message "a\\" has a backslash`:                        {Message: []string{`a\`}},
		`request_id "1.2.3.4.5.6.7.8.9" has more than 8 names`: {RequestID: []string{"1.2.3.4.5.6.7.8.9"}},
		`retry_after "." has an empty name`:                    {RetryAfter: "."},
	} {
		if _, err := NewAnswerForm(fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Paths that are written are read as they were.
func FuzzPath(f *testing.F) {
	f.Add("data.token")
	f.Add(`a\.b\\.c`)
	f.Fuzz(func(t *testing.T, text string) {
		path, err := ParsePath(text)
		if err != nil {
			return
		}
		again, err := ParsePath(path.String())
		if err != nil || again.String() != path.String() || len(again) != len(path) {
			t.Errorf("%q is written %q", path, path.String())
		}
	})
}

// Whatever an answer is, reading it with a form ends, and what it gives is part of the answer or of a string in it.
func FuzzAnswerForm(f *testing.F) {
	form, err := NewAnswerForm(AnswerFields{Inside: "a.b", Success: "c", SuccessValues: []string{"0"}, Code: []string{"a.d", "c"}, Message: []string{"m"}, RetryAfter: "r"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"a":{"b":{"choices":[{}]},"d":1},"c":0}`), false)
	f.Add([]byte(`{"a":"{\"b\":\"{}\"}","c":[0]}`), true)
	f.Fuzz(func(t *testing.T, text []byte, failed bool) {
		body, a, err := form.ParseBody(text, failed)
		if err == nil && a.Failure == nil {
			if _, _, err := (*AnswerForm)(nil).ParseBody(body, false); err != nil {
				t.Errorf("%q was read, and %q of it is not", text, body)
			}
		}
		if a.Failure != nil && (len(a.Failure.Code) > maxWord || len(a.Failure.Message) > maxMessage || len(a.Failure.RequestID) > maxWord || a.Failure.RetryAfter > 24*time.Hour) {
			t.Errorf("%+v is not bounded", a.Failure)
		}
	})
}
