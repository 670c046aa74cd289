package openai

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// A file goes as its vendor takes it; a text in it goes everywhere, and a word stands for what does not.
func TestFiles(t *testing.T) {
	const (
		pdf    = `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0x"}}`
		bare   = `{"type":"file","file":{"filename":"a.pdf","file_data":"JVBERi0x"}}`
		url    = `{"type":"file","file":{"file_data":"https://x/a.pdf","filename":"a.pdf"}}`
		kept   = `{"type":"file","file":{"file_id":"file-1"}}`
		office = `{"type":"file","file":{"filename":"a.docx","file_data":"data:application/vnd.openxmlformats-officedocument.wordprocessingml.document;base64,UEsDBBQABgAIAAAAIQ=="}}`
		word   = `{"type":"text","text":"[file left out]"}`
		data   = `{"type":"document_url","document_url":"data:application/pdf;base64,JVBERi0x","document_name":"a.pdf"}`
	)
	notes := `{"type":"file","file":{"filename":"a.csv","file_data":"data:text/csv;base64,` + base64.StdEncoding.EncodeToString([]byte("a,b\n1,\"2\"\n")) + `"}}`
	const asText = `{"type":"text","text":"a.csv\n\na,b\n1,\"2\"\n"}`
	const left = "messages.content.file"
	type as struct{ part, left string }
	out := as{word, left}
	for dialectName, want := range map[string]struct{ pdf, bare, url, kept as }{
		"openai":   {as{pdf, ""}, as{`{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0x","filename":"a.pdf"}}`, ""}, out, as{kept, ""}},
		"mistral":  {as{data, ""}, as{data, ""}, as{`{"type":"document_url","document_url":"https://x/a.pdf","document_name":"a.pdf"}`, ""}, out},
		"glm":      {out, out, as{`{"type":"file_url","file_url":{"url":"https://x/a.pdf"}}`, ""}, out},
		"qwen":     {out, out, out, out},
		"deepseek": {out, out, out, out},
		"legacy":   {as{pdf, ""}, as{`{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0x","filename":"a.pdf"}}`, ""}, out, as{kept, ""}},
		"none":     {as{pdf, ""}, as{bare, ""}, as{url, ""}, as{kept, ""}},
	} {
		for name, tt := range map[string]struct {
			part string
			as
		}{
			"a PDF": {pdf, want.pdf}, "a PDF in Base64 alone": {bare, want.bare}, "at an address": {url, want.url}, "kept at OpenAI": {kept, want.kept},
			"a text": {notes, as{asText, ""}}, "another": {office, out},
		} {
			if dialectName == "none" && (name == "a text" || name == "another") {
				tt.as = as{tt.part, ""}
			}
			t.Run(dialectName+": "+name, func(t *testing.T) {
				message := func(part string) string {
					return talk(`{"role":"user","content":[{"type":"text","text":"see"},` + part + `]}`)
				}
				q := ask(t, message(tt.part))
				got, err := Format{dialect(t, dialectName)}.EncodeRequest(q)
				if err != nil || string(got.Body) != message(tt.as.part) || strings.Join(got.Unsupported, ",") != tt.as.left {
					t.Errorf("sends\n%s\nwant\n%s, naming %q (%v)", got.Body, message(tt.as.part), got.Unsupported, err)
				}
				twice, _ := Format{dialect(t, dialectName)}.EncodeRequest(ask(t, string(got.Body)))
				if !bytes.Equal(twice.Body, got.Body) {
					t.Errorf("sends, when edited again, %s", twice.Body)
				}
				q.ByGateway = false
				if got, _ = (Format{dialect(t, dialectName)}).EncodeRequest(q); string(got.Body) != message(tt.part) {
					t.Errorf("sends %s where the client chose", got.Body)
				}
			})
		}
	}
}

// What a vendor has no member for is left out of a file as of other parts.
func TestFilesOfOtherForms(t *testing.T) {
	const marked = `{"type":"file","file":{"file_id":"file-1"},"cache_control":{"type":"ephemeral"}}`
	message := func(part string) string { return talk(`{"role":"user","content":[` + part + `]}`) }
	for _, name := range []string{"openai", "google", "legacy", "alipay"} {
		got, err := Format{dialect(t, name)}.EncodeRequest(ask(t, message(marked)))
		if want := message(`{"type":"file","file":{"file_id":"file-1"}}`); err != nil || string(got.Body) != want {
			t.Errorf("%s gets %s (%v)", name, got.Body, err)
		}
	}
}

// What a tool shows is shown by the user in the same way.
func TestFilesOfTools(t *testing.T) {
	const pdf = `{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0x"}}`
	shown := func(part string) string {
		return talk(user, calls("c"), `{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"a"},`+part+`]}`)
	}
	for name, tt := range map[string]struct{ part, want, left string }{
		"a PDF":          {pdf, pdf, ""},
		"a text":         {`{"type":"file","file":{"file_data":"data:text/plain;base64,aGk="}}`, `{"type":"text","text":"hi"}`, ""},
		"at an address":  {`{"type":"file","file":{"file_data":"https://x/a.pdf"}}`, `{"type":"text","text":"[file left out]"}`, "messages.content.file"},
		"a marked PDF":   {strings.Replace(pdf, "}}", `},"cache_control":{"type":"ephemeral"}}`, 1), pdf, "messages.content.cache_control"},
		"a marked image": {`{"cache_control":{"type":"ephemeral"},"type":"image_url","image_url":{"url":"https://x/a.png"}}`, `{"type":"image_url","image_url":{"url":"https://x/a.png"}}`, "messages.content.cache_control"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Format{dialect(t, "openai")}.EncodeRequest(ask(t, shown(tt.part)))
			want := talk(user, calls("c"), `{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"a"}]}`, `{"role":"user","content":[{"type":"text","text":"Shown by the tool call c:"},`+tt.want+`]}`)
			if err != nil || string(got.Body) != want || strings.Join(got.Unsupported, ",") != tt.left {
				t.Errorf("sends\n%s\nwant\n%s, naming %q (%v)", got.Body, want, got.Unsupported, err)
			}
		})
	}
}
