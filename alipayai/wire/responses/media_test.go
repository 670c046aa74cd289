package responses

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Pictures and files are carried as far as chat completions have words for them. What is left out is named, and a word stands for it, so
// that no message becomes empty.
func TestMedia(t *testing.T) {
	user := func(content string) string { return `{"role":"user","content":` + content + `}` }
	for name, tt := range map[string]struct{ in, out, unsupported string }{
		"a file's URL":          {user(`[{"type":"input_file","file_url":"https://x/a.pdf","filename":"a.pdf"}]`), user(`[{"type":"file","file":{"file_data":"https://x/a.pdf","filename":"a.pdf"}}]`), ""},
		"a URL without name":    {user(`[{"type":"input_text","text":"q"},{"type":"input_file","file_url":"https://x/a.pdf"}]`), user(`[{"type":"text","text":"q"},{"type":"file","file":{"file_data":"https://x/a.pdf"}}]`), ""},
		"a PDF in Base64 alone": {user(`[{"type":"input_file","filename":"a.pdf","file_data":"JVBERi0xLjc="}]`), user(`[{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0xLjc=","filename":"a.pdf"}}]`), ""},
		"a text":                {user(`[{"type":"input_file","file_data":"data:text/plain;base64,aGk="}]`), user(`[{"type":"file","file":{"file_data":"data:text/plain;base64,aGk="}}]`), ""},
		"a file's detail":       {user(`[{"type":"input_file","file_data":"data:application/pdf;base64,JV","detail":"high"}]`), user(`[{"type":"file","file":{"file_data":"data:application/pdf;base64,JV"}}]`), "input.content.input_file.detail"},
		"a file by id alone":    {user(`[{"type":"input_file","file_id":"f"}]`), user(`"[input_file left out]"`), "input.content.input_file.file_id"},
		"an image by id alone":  {user(`[{"type":"input_image","file_id":"f"}]`), user(`"[input_image left out]"`), "input.content.input_image.file_id"},
		"an image by id":        {user(`[{"type":"input_text","text":"q"},{"type":"input_image","file_id":"f"}]`), user(`[{"type":"text","text":"q"},{"type":"text","text":"[input_image left out]"}]`), "input.content.input_image.file_id"},
		"an image of its own": {`{"role":"user","content":"draw"},{"type":"image_generation_call","id":"ig_` + strings.Repeat("0a", 16) + `g00","status":"completed","result":"/9j/AAAA"},` + user(`"red"`),
			user(`"draw"`) + `,` + user(`[{"type":"text","text":"Made by the assistant:"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/AAAA"}}]`) + `,` + user(`"red"`), ""},
		"an image without an id":   {`{"type":"image_generation_call","result":"iVBORw0K"},` + user(`"red"`), user(`[{"type":"text","text":"Made by the assistant:"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0K"}}]`) + `,` + user(`"red"`), ""},
		"an image of OpenAI's":     {`{"type":"image_generation_call","id":"ig_1","result":"iVBORw0K"},` + user(`"red"`), user(`"red"`), "input.image_generation_call"},
		"an image without data":    {`{"type":"image_generation_call","id":"","result":null},` + user(`"red"`), user(`"red"`), "input.image_generation_call"},
		"a part of a client's own": {user(`[{"type":"s3cret"}]`), user(`"[part left out]"`), "input.content.s3cret"},
		"a developer's picture":    {`{"role":"developer","content":[{"type":"input_image","image_url":"https://x/y.png"}]},` + user(`"q"`), user(`"q"`), "input.content.input_image"},
		"a tool's": {
			`{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","file_id":"f"},{"type":"input_file","file_url":"https://x/a.pdf"}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"[input_image left out]"},` +
				user(`[{"type":"text","text":"Shown by the tool call c:"},{"type":"file","file":{"file_data":"https://x/a.pdf"}}]`), "input.content.input_image.file_id",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseClientRequest([]byte(`{"model":"m","input":[` + tt.in + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"model":"m","messages":[` + tt.out + `]}`; !same(t, string(r.Canonical.Body), want) {
				t.Errorf("\n got %s\nwant %s", r.Canonical.Body, want)
			}
			if got := strings.Join(r.Unsupported, ", "); got != tt.unsupported {
				t.Errorf("left out are %q, want %q", got, tt.unsupported)
			}
		})
	}
}

// A call whose output was kept and cannot be read has one all the same: without it a provider refuses the conversation, and the client
// has sent it.
func TestLostOutputsLeaveAWord(t *testing.T) {
	const call = `{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}`
	for name, output := range map[string]string{
		"of a number":      `{"type":"function_call_output","call_id":"c","output":5}`,
		"of no text":       `{"type":"function_call_output","call_id":"c","output":[{"type":"input_text"}]}`,
		"of another type":  `{"type":"function_call_output","call_id":"c","output":"x","id":7}`,
		"without any":      `{"type":"function_call_output","call_id":"c"}`,
		"that is too deep": `{"type":"function_call_output","call_id":"c","output":` + strings.Repeat("[", maxItemDepth) + strings.Repeat("]", maxItemDepth) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseClientRequest([]byte(`{"model":"m","previous_response_id":"resp_1","input":[{"role":"user","content":"q"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Continue([]jsontext.Value{jsontext.Value(`{"role":"user","content":"first"}`), jsontext.Value(call), jsontext.Value(output)}, nil); err != nil {
				t.Fatal(err)
			}
			want := `{"model":"m","messages":[{"role":"user","content":"first"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"[output left out]"},{"role":"user","content":"q"}]}`
			if !same(t, string(r.Canonical.Body), want) {
				t.Errorf("\n got %s\nwant %s", r.Canonical.Body, want)
			}
			expanded, err := r.Expanded()
			if err != nil || !strings.Contains(string(expanded.Body), `{"type":"function_call_output","call_id":"c","output":"[output left out]"}`) {
				t.Errorf("a provider of the API gets %s (%v)", expanded.Body, err)
			}
		})
	}
}

// TestImagesByID has an image that is kept at the vendor, in the form of chat completions, name it still.
func TestImagesByID(t *testing.T) {
	r, err := ParseClientRequest([]byte(`{"model":"m","input":[{"role":"user","content":[{"type":"image_url","image_url":{"file_id":"f","detail":"low"}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := r.Sendable()
	if want := `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":"f","detail":"low"}]}]}`; err != nil || string(sent.Body) != want {
		t.Errorf("%v %s", err, sent.Body)
	}
}
