package upstream

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/signer"
)

// What is around a request is JSON with the call in it, whatever the call and the header hold.
func TestEnvelopeWraps(t *testing.T) {
	const call = `{"model":"m","app_id":"forged","messages":[{"role":"user","content":"a\"b\\\n\u2028你"}]}`
	m := signer.Message{Time: time.UnixMilli(1767322800123), Nonce: "N1", Header: http.Header{"X-Call": {`id"1`}}}
	quoted, _ := json.Marshal(call)
	for name, c := range map[string]struct {
		fields RequestFields
		want   string
	}{
		"inside":           {RequestFields{Inside: "data"}, `{"data":` + call + `}`},
		"inside, deeper":   {RequestFields{Inside: "a.b", Fields: map[string]string{"a.id": "{client_id}"}}, `{"a":{"b":` + call + `,"id":"app"}}`},
		"in a string":      {RequestFields{Inside: "biz_content", Text: true, Fields: map[string]string{"app_id": "{client_id}"}}, `{"app_id":"app","biz_content":` + string(quoted) + `}`},
		"beside the call":  {RequestFields{Fields: map[string]string{"app_id": "{client_id}"}}, `{"app_id":"app","model":"m","messages":[{"role":"user","content":"a\"b\\\n\u2028你"}]}`},
		"an object beside": {RequestFields{Values: map[string]string{"app_id.n": "1"}}, `{"app_id":{"n":1},"model":"m","messages":[{"role":"user","content":"a\"b\\\n\u2028你"}]}`},
		"times": {
			RequestFields{Inside: "d", Fields: map[string]string{"at": "{time}", "iso": "{time_iso}"}, Values: map[string]string{"ms": "{time_ms}", "on": "true"}, Time: "local", Zone: "+08:00"},
			`{"at":"2026-01-02 11:00:00","d":` + call + `,"iso":"2026-01-02T11:00:00+08:00","ms":1767322800123,"on":true}`,
		},
		"nonce and header": {RequestFields{Inside: "d", Fields: map[string]string{"n": "{nonce}", "h": "{header.x-call}"}}, `{"d":` + call + `,"h":"id\"1","n":"N1"}`},
		"a dot in a name":  {RequestFields{Inside: `a\.b`}, `{"a.b":` + call + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := newEnvelope(c.fields)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.wrap([]byte(call), m, "app")
			if err != nil || !json.Valid(got) {
				t.Fatalf("%v: %s", err, got)
			}
			var a, b any
			if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(c.want), &b) != nil {
				t.Fatalf("got %s", got)
			}
			x, _ := json.Marshal(a)
			y, _ := json.Marshal(b)
			if string(x) != string(y) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if e.nonce != (name == "nonce and header") {
				t.Errorf("needs a nonce: %t", e.nonce)
			}
		})
	}
}

// What could not be, or would be two values at one place, is refused by the option's name.
func TestEnvelopeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fields RequestFields
		want   string
	}{
		"nothing":               {RequestFields{}, "says nothing"},
		"a form without a path": {RequestFields{Text: true}, "inside has a form, and no path"},
		"an empty name":         {RequestFields{Inside: "a..b"}, `inside "a..b" has an empty name in it`},
		"two values":            {RequestFields{Inside: "a", Fields: map[string]string{"a": "x"}}, "field a has another value already"},
		"within the call":       {RequestFields{Inside: "a", Fields: map[string]string{"a.b": "x"}}, "field a.b is inside of another"},
		"around a value":        {RequestFields{Fields: map[string]string{"a": "x"}, Values: map[string]string{"a.b": "1"}}, "value a.b is inside of another"},
		"a field and a value":   {RequestFields{Fields: map[string]string{"a": "x"}, Values: map[string]string{"a": "1"}}, "value a has another value already"},
		"no JSON":               {RequestFields{Values: map[string]string{"a": "{nonce}"}}, "value a: gives what is no JSON"},
		"a header as JSON":      {RequestFields{Values: map[string]string{"a": "{header.X}"}}, "value a: a header field's value may be no JSON"},
		"a signature":           {RequestFields{Fields: map[string]string{"a": "{signature}"}}, "field a: {signature} cannot stand there; use {header.<Name>}, {client_id}"},
		"a body":                {RequestFields{Fields: map[string]string{"a": "{body}"}}, "field a: {body} cannot stand there"},
		"a time":                {RequestFields{Fields: map[string]string{"a": "{time}"}, Time: "us"}, `time "us" is unknown`},
		"a zone":                {RequestFields{Fields: map[string]string{"a": "{time}"}, Zone: "CST"}, `zone "CST" is no offset`},
	} {
		if _, err := newEnvelope(c.fields); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// What an upstream takes as an array alone becomes one; what is one already, or says nothing, stays.
func TestListsBecomeArrays(t *testing.T) {
	for value, want := range map[string]string{
		`"###"`: `["###"]`, `["a","b"]`: `["a","b"]`, `[]`: `[]`, `null`: `null`, `7`: `[7]`, `{}`: `[{}]`, `false`: `[false]`,
	} {
		for name, f := range map[string]RequestFields{
			"stop": {Lists: []string{"stop"}}, "StopWords": {Lists: []string{"stop"}, Members: map[string]string{"stop": "StopWords"}}, "Stop": {Lists: []string{"stop"}, Names: "pascal"},
		} {
			e, err := newEnvelope(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.wrap([]byte(`{"stop":`+value+`,"model":"m"}`), signer.Message{}, "app")
			var object map[string]json.RawMessage
			if err != nil || json.Unmarshal(got, &object) != nil || string(object[name]) != want {
				t.Errorf("%s: %v: %s", value, err, got)
			}
		}
	}
	if _, err := newEnvelope(RequestFields{Lists: []string{"messages"}}); err == nil || !strings.Contains(err.Error(), "list messages: they are a list already") {
		t.Errorf("list messages: %v", err)
	}
}

// What an upstream does not know is left out of its request, and named, sorted; what stands elsewhere there is not, nor what says
// how a call goes and comes.
func TestDroppedIsLeftOut(t *testing.T) {
	const call = `{"model":"m","stream":true,"user":"u","seed":1,"max_tokens":5,"top_k":null,"messages":[]}`
	for name, test := range map[string]struct {
		fields RequestFields
		want   string
		sent   string
	}{
		"nothing":           {RequestFields{Inside: "d"}, "", `{"d":` + call + `}`},
		"drop":              {RequestFields{Drop: []string{"user", "seed", "model", "top_k"}}, "seed user", `{"stream":true,"max_tokens":5,"messages":[]}`},
		"keep":              {RequestFields{Keep: []string{"messages", "seed"}}, "max_tokens user", `{"seed":1,"messages":[]}`},
		"keep, and members": {RequestFields{Keep: []string{"messages", "seed"}, Members: map[string]string{"max_tokens": "p.most"}}, "user", `{"p":{"most":5},"seed":1,"messages":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := newEnvelope(test.fields)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join((&Provider{envelope: e}).Dropped([]byte(call)), " "); got != test.want {
				t.Errorf("dropped %q, want %q", got, test.want)
			}
			got, err := e.wrap([]byte(call), signer.Message{}, "app")
			if err != nil || string(got) != test.sent {
				t.Errorf("%v\n%s\nwant\n%s", err, got, test.sent)
			}
		})
	}
}
