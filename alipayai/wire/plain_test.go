package wire

import "testing"

func TestPlain(t *testing.T) {
	const user = `{"role":"user","content":"a"}`
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"a question":              {`"messages":[` + user + `]`, true},
		"a conversation":          {`"messages":[{"role":"system","content":"s"},{"role":"system","content":"s"},` + user + `,{"content":"b","role":"assistant"},` + user + `]`, true},
		"with numbers":            {`"temperature":0.2,"top_p":1,"max_tokens":5,"messages":[` + user + `]`, true},
		"a stream":                {`"messages":[` + user + `],"stream":true,"stream_options":{"include_usage":true}`, true},
		"options of no stream":    {`"stream_options":{"include_usage":true},"messages":[` + user + `]`, false},
		"no options":              {`"stream_options":null,"messages":[` + user + `]`, false},
		"another member":          {`"messages":[` + user + `],"seed":1`, false},
		"a member after messages": {`"messages":[` + user + `],"tools":[]`, false},
		"a system message later":  {`"messages":[` + user + `,{"role":"system","content":"s"},` + user + `]`, false},
		"system after assistant":  {`"messages":[{"role":"assistant","content":"b"},{"role":"system","content":"s"},` + user + `]`, false},
		"the assistant's last":    {`"messages":[` + user + `,{"role":"assistant","content":"b"}]`, false},
		"the system's last":       {`"messages":[{"role":"system","content":"s"}]`, false},
		"another role":            {`"messages":[{"role":"developer","content":"s"},` + user + `]`, false},
		"a role with escapes":     {`"messages":[{"role":"us\u0065r","content":"s"}]`, false},
		"no role":                 {`"messages":[{"content":"s"}]`, false},
		"no content":              {`"messages":[{"role":"user"}]`, false},
		"no words":                {`"messages":[{"role":"assistant","content":""},` + user + `]`, false},
		"null":                    {`"messages":[{"role":"assistant","content":null},` + user + `]`, false},
		"parts":                   {`"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]`, false},
		"a name":                  {`"messages":[{"role":"user","name":"n","content":"a"}]`, false},
		"calls":                   {`"messages":[` + user + `,{"role":"assistant","content":"b","tool_calls":[]},` + user + `]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseChatRequest([]byte(`{"model":"m",`+c.body+`}`), Limits{})
			if err != nil || r.Plain != c.want {
				t.Errorf("%v, %v", r.Plain, err)
			}
			if got := r.WithUsage(); got.Plain != c.want {
				t.Error("not so with usage")
			}
		})
	}
}

// What an image takes of the body is known to be no text where it is a picture, or the address of one.
func TestImageBytes(t *testing.T) {
	for name, c := range map[string]struct {
		image  string
		counts bool
	}{
		"a picture":            {`{"url":"data:image/png;base64,AAAA"}`, true},
		"in capitals":          {`{"detail":"low","url":"DATA:IMAGE/PNG;base64,AAAA"}`, true},
		"an address":           {`{"url":"https://example.com/a.png"}`, true},
		"a PDF":                {`{"url":"data:application/pdf;base64,AAAA"}`, false},
		"a PDF with an escape": {`{"url":"data\u003aapplication/pdf;base64,AAAA"}`, false},
		"a PDF and an address": {`{"detail":"http://","url":"data:application/pdf;base64,AAAA"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseChatRequest([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":`+c.image+`}]}]}`), Limits{})
			if err != nil || r.Images != 1 || (r.ImageBytes > 0) != c.counts {
				t.Errorf("%d images of %d bytes, %v", r.Images, r.ImageBytes, err)
			}
		})
	}
}

// TestMixed has parts of other APIs known however their types are spelt, and texts that only speak of them, and parts of vendors' own,
// taken for none.
func TestMixed(t *testing.T) {
	for part, want := range map[string]bool{
		`{"type":"input_text","text":"t"}`:                          true,
		`{"type":"input\u005fimage","image_url":"https://x/y.png"}`: true,
		`{"type":"text","text":"an \"input_text\" or \"image\""}`:   false,
		`{"type":"video","video":["https://x/y.png"]}`:              false,
		`{"type":"input_audio","input_audio":{"data":"AA"}}`:        false,
		`{"type":"document_url","document_url":"https://x/a.pdf"}`:  false,
		`{"type":"image_url","image_url":"https://x/y.png"}`:        false,
	} {
		r, err := ParseChatRequest([]byte(`{"model":"m","messages":[{"role":"user","content":[`+part+`]}]}`), Limits{})
		if err != nil || r.Mixed != want {
			t.Errorf("%s: %t (%v)", part, r.Mixed, err)
		}
	}
}
