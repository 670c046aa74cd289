package wire

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

func TestTexts(t *testing.T) {
	content := func(role string, message int, value string) Text {
		return Text{Role: role, Message: message, Value: value}
	}
	tests := map[string]struct {
		body string
		want []Text
	}{
		"a string": {`"messages":[{"role":"user","content":"h\u00edé"}]`, []Text{content("user", 0, "híé")}},
		"role last": {`"messages":[{"content":"a","role":"system"},{"role":"user","content":"b"}]`,
			[]Text{content("system", 0, "a"), content("user", 1, "b")}},
		"parts": {`"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA+/=","detail":"low"}},{"type":"text","text":"b"}]}]`,
			[]Text{content("user", 0, "a"), content("user", 0, "b")}},
		"an image by its URL alone": {`"messages":[{"role":"user","content":[{"type":"image_url","image_url":"https://x.example/a?b=c"}]}]`, nil},
		"tool calls and results": {`"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"pay","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"call_1","content":"done"}]`,
			[]Text{{Kind: TextCall, Role: "assistant", Value: "pay"}, {Kind: TextCall, Role: "assistant", Value: `{"a":1}`}, content("tool", 1, "done")}},
		"thinking and names": {`"messages":[{"role":"assistant","name":"Li","reasoning_content":"hm","content":"a"}]`,
			[]Text{{Kind: TextOther, Role: "assistant", Value: "Li"}, {Kind: TextOther, Role: "assistant", Value: "hm"}, content("assistant", 0, "a")}},
		"definitions": {`"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"amount":{"description":"how much"}}}}}],"messages":[{"role":"user","content":"a"}]`,
			[]Text{defined("type"), defined("function"), defined("name"), defined("f"), defined("parameters"), defined("properties"), defined("amount"), defined("description"), defined("how much"), content("user", 0, "a")}},
		"what the gateway does not know":      {`"system":"s","documents":[{"t":"d"}],"user":"u","messages":[1,"m"]`, []Text{other(-1, "s"), other(-1, "d"), {Message: 1, Value: "m"}, other(-1, "t")}},
		"prose in the place of an identifier": {`"messages":[{"role":"user","content":[{"type":"a text","data":"保证收益","id":"x y"}]}]`, []Text{content("user", 0, "a text"), content("user", 0, "保证收益"), content("user", 0, "x y")}},
		"a role that is none":                 {`"messages":[{"role":"be good","content":"a"}]`, []Text{{Kind: TextOther, Role: "be good", Value: "be good"}, content("be good", 0, "a")}},
		"a text in a file":                    {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,a2VlcCBtdW0="}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"JSON in a file":                      {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:application/json;base64,a2VlcCBtdW0="}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"XML in a file":                       {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:image/svg+xml,keep%20mum"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"a file of no type":                   {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:;base64,a2VlcCBtdW0="}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"a file of no type at all":            {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:,keep%20mum"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"the other Base64":                    {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,Pz8_"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "???")}},
		"Base64, broken":                      {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,a2Vl.cCBt=dW0"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"Base64, broken by prose":             {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,a2Vl!cCBtdW0="}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "data:text/plain;base64,a2Vl!cCBtdW0="), content("user", 0, "keep mum")}},
		"Base64, escaped":                     {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,a2VlcCBtdW0%3D"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum")}},
		"Base64, cut":                         {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,a2VlcCBtdW0a"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep mum\x1a")}},
		"escapes, broken":                     {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain,keep%zzmum"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "keep%zzmum")}},
		"GBK":                                 {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,zsjXrLK7xeI="}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "稳赚不赔")}},
		"UTF-16":                              {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,//4zelqN"}}]}]`, []Text{content("user", 0, "a.txt"), content("user", 0, "稳赚")}},
		"a picture in a file":                 {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:image/png;base64,iVBORw0KGgo="}}]}]`, []Text{content("user", 0, "a.txt")}},
		"a text in an address":                {`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"DATA:Text/html,keep%20mum"}}]}]`, []Text{content("user", 0, "keep mum")}},
		"a text without a scheme":             {`"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"text/plain;base64,a2VlcCBtdW0"}}]}]`, []Text{content("user", 0, "keep mum")}},
		"a document":                          {`"messages":[{"role":"user","content":[{"type":"document","source":{"data":"a-b","type":"text"}},{"type":"image","source":{"type":"base64","data":"a+b="}}]}]`, []Text{content("user", 0, "a-b")}},
		"a wrapping beside a part":            {`"messages":[{"role":"user","content":[{"type":"text","text":"data:text/plain;base64,eHh4 !!"},{"type":"text","text":"mum"}]}]`, []Text{content("user", 0, "data:text/plain;base64,eHh4 !!"), content("user", 0, "mum"), content("user", 0, "xxx")}},
		"prose with a colon":                  {`"messages":[{"role":"user","content":"Data: 2026-01, 100"}]`, []Text{content("user", 0, "Data: 2026-01, 100")}},
		"a PDF in ASCII":                      {`"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0xLjQKJSBhYmM="}}]}]`, nil},
		"a word where data may stand":         {`"messages":[{"role":"user","content":[{"type":"zz","data":"test"}]}]`, nil},
		"names in a tool's input":             {`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","input":{"a":[{"b":"c","type":"d"}]}}]}]`, []Text{content("assistant", 0, "a"), content("assistant", 0, "b"), content("assistant", 0, "c"), content("assistant", 0, "type"), content("assistant", 0, "d")}},
		"names in arguments":                  {`"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":{"a":1}}}]}]`, []Text{{Kind: TextCall, Role: "assistant", Value: "a"}}},
		"names in another schema":             {`"text":{"format":{"type":"json_schema","schema":{"a":1}}}`, []Text{defined("a")}},
		"names where the gateway knows none":  {`"guided_json":{"properties":{"a b":{"type":"string"}}},"chat_template_kwargs":{"c":1}`, []Text{other(-1, "properties"), other(-1, "a b"), other(-1, "c")}},
		"names beside values":                 {`"documents":[{"t":"a"},{"t":"b"}]`, []Text{other(-1, "a"), other(-1, "b"), other(-1, "t"), other(-1, "t")}},
		"names in data":                       {`"messages":[{"role":"user","content":[{"type":"zz","data":{"a":{"b":1}}}]}]`, []Text{content("user", 0, "a"), content("user", 0, "b")}},
		"names in an environment":             {`"input":[{"type":"local_shell_call","action":{"type":"exec","env":{"A":"b"}}}]`, []Text{content("", -1, "b"), content("", -1, "A")}},
		"a format of no schema":               {`"tools":[{"type":"a-type","format":"a-format"},{"type":"function","format":"date-time"}]`, []Text{defined("type"), defined("a-type"), defined("format"), defined("a-format"), defined("type"), defined("format")}},
		"empty texts":                         {`"messages":[{"role":"user","content":""},{"role":"user","content":[]}]`, nil},
		"no list":                             {`"messages":"m"`, []Text{other(-1, "m")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Request{Body: []byte(`{"model":"m",` + tt.body + `}`)}.Texts()
			got = slices.DeleteFunc(got, func(text Text) bool { return text.Kind == TextDefinition && text.Value == "" })
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func defined(value string) Text { return Text{Kind: TextDefinition, Message: -1, Value: value} }

func other(message int, value string) Text {
	return Text{Kind: TextOther, Message: message, Value: value}
}

// However a text is wrapped that a provider is sent, it is among the texts, in a part of a message and elsewhere; and what
// is no text is not.
func TestTextsOfWrappings(t *testing.T) {
	const text = "keep mum, 稳赚不赔"
	b64 := base64.StdEncoding.EncodeToString([]byte(text))
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	picture := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01"))
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(text+"\n", 500)))
	for name, test := range map[string]struct {
		part string
		want int // how many texts have the text
	}{
		"a text in a document":          {`{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"` + b64 + `"}}`, 1},
		"its type last":                 {`{"type":"document","source":{"data":"` + b64 + `","type":"base64","media_type":"text/plain"}}`, 1},
		"a text in GBK":                 {`{"type":"document","source":{"type":"base64","media_type":"text/plain; charset=gbk","data":"` + base64.StdEncoding.EncodeToString([]byte(gbk)) + `"}}`, 1},
		"a text called a PDF":           {`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + b64 + `"}}`, 1},
		"a text in an image":            {`{"type":"image","source":{"type":"base64","media_type":"text/plain","data":"` + b64 + `"}}`, 1},
		"a text called an image":        {`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + b64 + `"}}`, 1},
		"a text of no type":             {`{"type":"image","source":{"type":"base64","data":"` + b64 + `"}}`, 1},
		"a URL in the data":             {`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"data:text/plain;base64,` + b64 + `"}}`, 1},
		"a URL in the type":             {`{"type":"image","source":{"type":"base64","media_type":"text/plain;base64,` + b64 + `","data":"data:text/plain,a"}}`, 1},
		"a URL of a source":             {`{"type":"image","source":{"type":"url","url":"data:text/plain;base64,` + b64 + `"}}`, 1},
		"a file":                        {`{"type":"file","file":{"filename":"a.txt","file_data":"` + b64 + `"}}`, 1},
		"a file in GBK":                 {`{"type":"file","file":{"filename":"a.txt","file_data":"` + base64.StdEncoding.EncodeToString([]byte(gbk)) + `"}}`, 1},
		"a file, the other Base64":      {`{"type":"file","file":{"file_data":"` + base64.RawURLEncoding.EncodeToString([]byte(text)) + `"}}`, 1},
		"a file in lines":               {`{"type":"file","file":{"file_data":"` + b64[:12] + `\r\n` + b64[12:] + `"}}`, 1},
		"a long file":                   {`{"type":"file","file":{"file_data":"` + long + `"}}`, 1},
		"a file of octets":              {`{"type":"file","file":{"file_data":"data:application/octet-stream;base64,` + b64 + `"}}`, 1},
		"a file called a PDF":           {`{"type":"file","file":{"file_data":"data:application/pdf;base64,` + b64 + `"}}`, 1},
		"a file behind a space":         {`{"type":"file","file":{"file_data":" data:text/plain;base64,` + b64 + `"}}`, 1},
		"a file of the Responses API":   {`{"type":"input_file","filename":"a.txt","file_data":"` + b64 + `"}`, 1},
		"an image of the Responses API": {`{"type":"input_image","image_url":"data:image/png;base64,` + b64 + `"}`, 1},
		"a sound":                       {`{"type":"input_audio","input_audio":{"format":"wav","data":"` + b64 + `"}}`, 1},
		"a video":                       {`{"type":"video_url","video_url":{"url":"data:video/mp4;base64,` + b64 + `"}}`, 1},
		"another vendor's image":        {`{"image":"data:text/plain;base64,` + b64 + `"}`, 1},
		"another vendor's images":       {`{"images":["` + b64 + `"]}`, 1},
		"another vendor's member":       {`{"zz":["data:text/plain;base64,` + b64 + `"]}`, 1},
		"a part of another type":        {`{"type":"zz","inline_data":{"mime_type":"text/plain","data":"` + b64 + `"}}`, 1},
		"a picture in a document":       {`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + picture + `"}}`, 0},
		"a picture in a file":           {`{"type":"file","file":{"file_data":"` + picture + `"}}`, 0},
		"a picture in an address":       {`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + picture + `"}}`, 0},
		"an address":                    {`{"type":"image_url","image_url":{"url":"https://x.example/keep/mum"}}`, 0},
	} {
		for place, body := range map[string]string{
			"a part":         `"messages":[{"role":"user","content":[` + test.part + `]}]`,
			"a tool result":  `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[` + test.part + `]}]}]`,
			"a message":      `"messages":[` + test.part + `]`,
			"system":         `"system":[` + test.part + `],"messages":[]`,
			"an item":        `"input":[{"type":"function_call_output","call_id":"c","output":[` + test.part + `]}]`,
			"another member": `"zz":` + test.part + `,"messages":[]`,
		} {
			t.Run(name+" in "+place, func(t *testing.T) {
				found, binary := 0, 0
				texts := Request{Body: []byte(`{"model":"m",` + body + `}`)}.Texts()
				for _, got := range texts {
					if strings.Contains(got.Value, text) {
						found++
					}
					if strings.ContainsAny(got.Value, "\x00\ufffd") {
						binary++
					}
				}
				if found != test.want || binary > 0 {
					t.Errorf("%d texts have it, want %d; %d are binary: %+v", found, test.want, binary, texts)
				}
			})
		}
	}
}

// Wherever in a request a sentence stands that is no reference, it is among the texts.
func FuzzTexts(f *testing.F) {
	f.Add(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"?"}],"x":{"y":["?"]}}],"tools":[{"function":{"description":"?"}}],"z":"?"}`)
	f.Add(`{"model":"m","messages":[{"role":"?","content":{"url":"?"}}],"input":["?"],"user":"?"}`)
	f.Fuzz(func(t *testing.T, body string) {
		const sentence = "a sentence of its own"
		body = strings.ReplaceAll(body, "?", sentence)
		r, err := ParseChatRequest([]byte(body), Limits{})
		if err != nil {
			return
		}
		var decoded map[string]any
		if json.Unmarshal(r.Body, &decoded) != nil {
			t.Fatal("a request was accepted that is no JSON")
		}
		want := 0
		for name, v := range decoded {
			if name != "model" && name != "user" && name != "stream_options" {
				want += count(v, sentence, name == "messages")
			}
		}
		found := 0
		for _, text := range r.Texts() {
			if text.Value == sentence {
				found++
			}
		}
		if found < want {
			t.Errorf("%d of %d sentences of %s are among the texts", found, want, body)
		}
	})
}

// count counts the strings in v that are text. In the list of messages a role is not.
func count(v any, text string, messages bool) int {
	n := 0
	switch v := v.(type) {
	case string:
		if v == text {
			n = 1
		}
	case []any:
		for _, element := range v {
			if m, ok := element.(map[string]any); ok && messages {
				delete(m, "role")
			}
			n += count(element, text, false)
		}
	case map[string]any:
		for _, member := range v {
			n += count(member, text, false)
		}
	}
	return n
}
