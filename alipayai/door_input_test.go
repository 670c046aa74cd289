package alipayai_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// badInput is a body that a door refuses, and what it says: the field at fault, and the code of OpenAI's API.
type badInput struct{ body, field, code string }

// malformed are bodies that no door takes.
var malformed = map[string]badInput{
	"empty":                  {"", "", "invalid_json"},
	"no JSON":                {"model=m", "", "invalid_json"},
	"a list":                 {`[]`, "", "invalid_json"},
	"null":                   {`null`, "", "invalid_json"},
	"a text":                 {`"model"`, "", "invalid_json"},
	"cut":                    {`{"model":"m","messages":[{"role":"user"`, "", "invalid_json"},
	"two":                    {`{"model":"m"}{"model":"m"}`, "", "invalid_json"},
	"a comma too many":       {`{"model":"m",}`, "", "invalid_json"},
	"a key twice":            {`{"model":"m","model":"n"}`, "", "duplicate_key"},
	"a key twice, escaped":   {`{"model":"m","mod\u0065l":"n"}`, "", "duplicate_key"},
	"a key twice, within":    {`{"model":"m","metadata":{"a":"1","a":"2"}}`, "", "duplicate_key"},
	"no UTF-8":               {"{\"model\":\"m\xff\"}", "", "invalid_json"},
	"a control character":    {"{\"model\":\"m\n\"}", "", "invalid_json"},
	"deep":                   {`{"model":"m","metadata":` + strings.Repeat("[", 100_000), "", "nesting_too_deep"},
	"deep, whole":            {`{"model":"m","metadata":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + "}", "", "nesting_too_deep"},
	"no number":              {`{"model":"m","temperature":01}`, "", "invalid_json"},
	"not a number":           {`{"model":"m","temperature":NaN}`, "", "invalid_json"},
	"a model that is none":   {`{"model":7}`, "model", "invalid_type"},
	"a model in a list":      {`{"model":["m"]}`, "model", "invalid_type"},
	"a model in capitals":    {`{"Model":"m","model":"m"}`, "model", "unknown_parameter"},
	"an empty model":         {`{"model":""}`, "model", "empty_string"},
	"stream is a text":       {`{"model":"m","stream":"true"}`, "stream", "invalid_type"},
	"stream is a number":     {`{"model":"m","stream":1}`, "stream", "invalid_type"},
	"nothing but a model":    {`{"model":"m"}`, "*", "missing_required_parameter"},
	"nothing at all":         {`{}`, "*", "missing_required_parameter"},
	"a number without bound": {`{"model":"m","stream":1e999}`, "stream", "invalid_type"},
}

// badInputs are what each door refuses beside what is malformed.
var badInputs = map[string]map[string]badInput{
	"/v1/chat/completions": {
		"no messages":      {`{"model":"m","messages":[]}`, "messages", "empty_array"},
		"messages, a text": {`{"model":"m","messages":"q"}`, "messages", "invalid_type"},
	},
	"/v1/completions": {
		"prompt is a number": {`{"model":"m","prompt":7}`, "prompt", "invalid_type"},
		"two prompts":        {`{"model":"m","prompt":["a","b"]}`, "prompt", "invalid_type"},
		"prompt is null":     {`{"model":"m","prompt":null}`, "prompt", "missing_required_parameter"},
		"stream is a text":   {`{"model":"m","prompt":"q","stream":"yes"}`, "stream", "invalid_type"},
		"in capitals":        {`{"model":"m","prompt":"q","Max_tokens":9}`, "max_tokens", "unknown_parameter"},
	},
	"/v1/embeddings": {
		"no input":          {`{"model":"m","input":[]}`, "input", "empty_array"},
		"input is a number": {`{"model":"m","input":7}`, "input", "invalid_type"},
	},
	"/v1/messages": {
		"no messages":         {`{"model":"m","max_tokens":9,"messages":[]}`, "messages", ""},
		"messages, a text":    {`{"model":"m","max_tokens":9,"messages":"q"}`, "messages", ""},
		"a role":              {`{"model":"m","max_tokens":9,"messages":[{"role":"tool","content":"q"}]}`, "messages[0].role", ""},
		"no role":             {`{"model":"m","max_tokens":9,"messages":[{"content":"q"}]}`, "messages[0].role", ""},
		"content is a number": {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":7}]}`, "messages[0].content", ""},
		"an unknown block":    {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"text":"q"}]}]}`, "messages[0].content[0].type", ""},
		"max_tokens, huge":    {`{"model":"m","max_tokens":1e999,"messages":[{"role":"user","content":"q"}]}`, "max_tokens", ""},
		"max_tokens, a part":  {`{"model":"m","max_tokens":1.5,"messages":[{"role":"user","content":"q"}]}`, "max_tokens", ""},
		"max_tokens, below":   {`{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"q"}]}`, "max_tokens", ""},
		"max_tokens, a text":  {`{"model":"m","max_tokens":"9","messages":[{"role":"user","content":"q"}]}`, "max_tokens", ""},
		"tools, an object":    {`{"model":"m","max_tokens":9,"tools":{},"messages":[{"role":"user","content":"q"}]}`, "tools", ""},
		"system, a number":    {`{"model":"m","max_tokens":9,"system":7,"messages":[{"role":"user","content":"q"}]}`, "system", ""},
		"too warm":            {`{"model":"m","max_tokens":9,"temperature":7,"messages":[{"role":"user","content":"q"}]}`, "temperature", ""},
	},
	"/v1/messages/count_tokens": {
		"no messages": {`{"model":"m","messages":[]}`, "messages", ""},
		"a role":      {`{"model":"m","messages":[{"role":"tool","content":"q"}]}`, "messages[0].role", ""},
	},
	"/v1/responses": {
		"no input":          {`{"model":"m","input":[]}`, "input", "invalid_value"},
		"input is a number": {`{"model":"m","input":7}`, "input", "invalid_type"},
		"a role":            {`{"model":"m","input":[{"role":"tool","content":"q"}]}`, "input[0].role", "invalid_value"},
		"tokens, huge":      {`{"model":"m","input":"q","max_output_tokens":1e999}`, "max_output_tokens", "invalid_value"},
		"tokens, a part":    {`{"model":"m","input":"q","max_output_tokens":1.5}`, "max_output_tokens", "invalid_value"},
		"tools, an object":  {`{"model":"m","input":"q","tools":{}}`, "tools", "invalid_type"},
		"too warm":          {`{"model":"m","input":"q","temperature":1e999}`, "temperature", "invalid_value"},
		"store, a text":     {`{"model":"m","input":"q","store":"no"}`, "store", "invalid_type"},
	},
	"/v1/responses/input_tokens": {"input is a number": {`{"model":"m","input":7}`, "input", "invalid_type"}},
	"/v1/responses/compact":      {"input is a number": {`{"model":"m","input":7}`, "input", "invalid_type"}},
	"/v1/moderations":            {"input is a number": {`{"model":"m","input":7}`, "input", "invalid_type"}},
}

// What a door refuses is refused in its dialect, by the name of the field at fault, before anything is asked; and with nothing that
// the client has sent.
func TestBadInputAtEveryDoor(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel))
	for path, own := range badInputs {
		for _, cases := range []map[string]badInput{malformed, own} {
			for name, c := range cases {
				if c.field == "stream" && (path == "/v1/embeddings" || path == "/v1/moderations") {
					continue // they have no such member
				}
				t.Run(path+", "+name, func(t *testing.T) {
					got := r.post(path, c.body)
					var answer struct {
						Type      string
						RequestID string `json:"request_id"`
						Error     struct {
							Type, Message string
							Param, Code   *string
						}
					}
					if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusBadRequest {
						t.Fatalf("%d %s (%v)", got.status, got.body, err)
					}
					e := answer.Error
					if e.Type != "invalid_request_error" || e.Message == "" || strings.Contains(e.Message, "ÿ") {
						t.Errorf("error %s", got.body)
					}
					if strings.HasPrefix(path, "/v1/messages") {
						if answer.Type != "error" || answer.RequestID == "" || c.field != "*" && !strings.Contains(e.Message, c.field) {
							t.Errorf("error %s, want one of %s", got.body, c.field)
						}
						return
					}
					if e.Code == nil || *e.Code != c.code || c.field != "*" && c.field != "" && (e.Param == nil || *e.Param != c.field) {
						t.Errorf("error %s, want %s of %s", got.body, c.code, c.field)
					}
				})
			}
		}
	}
	if len(h.bodies) > 0 {
		t.Errorf("%d requests reached the provider", len(h.bodies))
	}
}
