package wire

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
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
		"what the gateway does not know":      {`"system":"s","documents":[{"t":"d"}],"user":"u","messages":[1,"m"]`, []Text{other(-1, "s"), other(-1, "d"), {Message: 1, Value: "m"}}},
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
		"a picture in a file":                 {`"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:image/png;base64,a2VlcCBtdW0="}}]}]`, []Text{content("user", 0, "a.txt")}},
		"a text in an address":                {`"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"DATA:Text/html,keep%20mum"}}]}]`, []Text{content("user", 0, "keep mum")}},
		"a text without a scheme":             {`"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"text/plain;base64,a2VlcCBtdW0"}}]}]`, []Text{content("user", 0, "keep mum")}},
		"a document":                          {`"messages":[{"role":"user","content":[{"type":"document","source":{"data":"a-b","type":"text"}},{"type":"image","source":{"type":"base64","data":"a+b="}}]}]`, []Text{content("user", 0, "a-b")}},
		"names in a tool's input":             {`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","input":{"a":[{"b":"c","type":"d"}]}}]}]`, []Text{content("assistant", 0, "a"), content("assistant", 0, "b"), content("assistant", 0, "c"), content("assistant", 0, "type"), content("assistant", 0, "d")}},
		"names in arguments":                  {`"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":{"a":1}}}]}]`, []Text{{Kind: TextCall, Role: "assistant", Value: "a"}}},
		"names in another schema":             {`"text":{"format":{"type":"json_schema","schema":{"a":1}}}`, []Text{defined("a")}},
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
