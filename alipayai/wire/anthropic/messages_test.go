package anthropic

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func TestMessages(t *testing.T) {
	text := func(s string) string { return `{"type":"text","text":"` + s + `"}` }
	const marked = `{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}`
	turn := func(role string, blocks ...string) string {
		return `{"role":"` + role + `","content":[` + strings.Join(blocks, ",") + `]}`
	}
	image := func(source string) string { return `{"type":"image","source":` + source + `}` }
	user := func(parts string) string { return `{"role":"user","content":[` + parts + `]}` }
	show := func(url string) string {
		return user(`{"image_url":{"url":"` + url + `","detail":"auto"},"type":"image_url"}`)
	}
	use := func(id, input string) string {
		return `{"type":"tool_use","id":"` + id + `","name":"f","input":` + input + `}`
	}
	call := func(id, arguments string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"` + arguments + `"}}`
	}
	const hi = `{"role":"user","content":"hi"}`
	hello := turn("user", text("hi"))
	called := hi + `,{"role":"assistant","tool_calls":[` + call("a", `{}`) + `]}`
	begun := hello + `,` + turn("assistant", use("a", "{}"))
	const noResult = `{"type":"tool_result","tool_use_id":"a","content":"No result.","is_error":true}`
	tests := map[string]struct {
		messages     string
		system, want string // the blocks; the turns
		left         string
	}{
		"string":              {hi, "", hello, ""},
		"parts":               {user(text("a") + `,` + text(`\u65e5\n`)), "", turn("user", text("a"), text(`\u65e5\n`)), ""},
		"content before role": {`{"content":"hi","role":"user"}`, "", hello, ""},
		"system":              {`{"role":"system","content":"s"},` + hi, text("s"), hello, ""},
		"developer":           {`{"role":"developer","content":[` + text("a") + `,` + text("b") + `]},` + hi, text("a") + `,` + text("b"), hello, ""},
		"system in between":   {hi + `,{"role":"system","content":"s"},` + hi + `,{"role":"developer","content":"d"}`, text("s") + `,` + text("d"), turn("user", text("hi"), text("hi")), ""},
		"merged turns":        {hi + `,` + hi + `,{"role":"assistant","content":"a"},{"role":"assistant","content":"b"},` + hi, "", turn("user", text("hi"), text("hi")) + `,` + turn("assistant", text("a"), text("b")) + `,` + hello, ""},
		"assistant first":     {`{"role":"assistant","content":"a"},` + hi, "", turn("user", text(".")) + `,` + turn("assistant", text("a")) + `,` + hello, "messages.role"},
		// https://github.com/grafana/grafana-llm-app/issues/625
		"system alone":         {`{"role":"system","content":"s"},{"role":"developer","content":"d"}`, "", turn("user", text("s"), text("d")), "messages.role"},
		"system, nothing said": {`{"role":"system","content":"s"},{"role":"user","content":""}`, "", turn("user", text("s")), "messages.role"},
		"empty words first":    {`{"role":"assistant","content":""},` + hi, "", hello, ""},
		"assistant last":       {hi + `,{"role":"assistant","content":"a  b \n\t"}`, "", hello + `,` + turn("assistant", text("a  b")), ""},
		"assistant not last":   {hi + `,{"role":"assistant","content":"a "},` + hi, "", hello + `,` + turn("assistant", text("a ")) + `,` + hello, ""},
		"last words blank":     {hi + `,{"role":"assistant","content":" \n"}`, "", hello, "messages.content"},
		"last part blank":      {hi + `,{"role":"assistant","content":[` + text(`a\n`) + `,` + text(" ") + `]}`, "", hello + `,` + turn("assistant", text("a")), "messages.content.text"},
		"last after the trim":  {hi + `,{"role":"assistant","content":"a "},{"role":"user","content":" "}`, "", hello + `,` + turn("assistant", text("a")), "messages.content"},
		"last kept as written": {hi + `,{"role":"assistant","content":"\u65e5"}`, "", hello + `,` + turn("assistant", text(`\u65e5`)), ""},
		"last is a call":       {hi + `,{"role":"assistant","content":"a ","tool_calls":[` + call("b", `{\"type\":\"text\",\"text\":\"x \"}`) + `]}`, "", hello + `,` + turn("assistant", text("a "), use("b", `{"type":"text","text":"x "}`)), ""},
		"refusal last":         {hi + `,{"role":"assistant","refusal":"no "}`, "", hello + `,` + turn("assistant", text("no")), ""},
		"assistant's parts":    {hi + `,{"role":"assistant","content":[` + text("a ") + `,` + text("b ") + `]}`, "", hello + `,` + turn("assistant", text("a ")+`,`+text("b")), ""},
		"nothing said":         {hi + `,{"role":"assistant","content":""},{"role":"user","content":[]},{"role":"user"}`, "", hello, ""},
		"blank":                {hi + `,{"role":"user","content":" \n"},` + user(text("")+`,`+text(`\t`)), "", hello, "messages.content messages.content.text"},
		"refusal":              {hi + `,{"role":"assistant","refusal":"no"},` + hi, "", hello + `,` + turn("assistant", text("no")) + `,` + hello, ""},
		"refusal part":         {hi + `,{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}`, "", hello + `,` + turn("assistant", text("no")), ""},
		"data URL":             {show("data:image/png;base64,aGk="), "", turn("user", image(`{"type":"base64","media_type":"image/png","data":"aGk="}`)), ""},
		"data URL, capitals":   {show("DATA:Image/WebP;BASE64,aGk="), "", turn("user", image(`{"type":"base64","media_type":"image/webp","data":"aGk="}`)), ""},
		"data URL, wrapped":    {show(`data:image/png;base64,iVBORw0K\r\nGgo AAAA=\n`), "", turn("user", image(`{"type":"base64","media_type":"image/png","data":"iVBORw0KGgoAAAA="}`)), ""},
		"a webp, wrapped":      {show(`data:image/jpg;base64,UklGRiQA\n AABXRUJQVlA4`), "", turn("user", image(`{"type":"base64","media_type":"image/webp","data":"UklGRiQAAABXRUJQVlA4"}`)), ""},
		"data URL, parameters": {show("data:image/gif;a=b;base64,aGk="), "", turn("user", image(`{"type":"base64","media_type":"image/gif","data":"aGk="}`)), ""},
		"data URL, jpg":        {show("data:image/jpg;base64,aGk="), "", turn("user", image(`{"type":"base64","media_type":"image/jpeg","data":"aGk="}`)), ""},
		// https://github.com/vybestack/llxprt-code/issues/2130, https://github.com/mealie-recipes/mealie/pull/5897
		"a png called a jpeg":   {show("data:image/jpeg;base64,iVBORw0KGgoAAAA="), "", turn("user", image(`{"type":"base64","media_type":"image/png","data":"iVBORw0KGgoAAAA="}`)), ""},
		"a jpeg called a png":   {show("data:image/png;base64,/9j/4AA="), "", turn("user", image(`{"type":"base64","media_type":"image/jpeg","data":"/9j/4AA="}`)), ""},
		"a webp called a jpg":   {show("data:image/jpg;base64,UklGRiQAAABXRUJQVlA4"), "", turn("user", image(`{"type":"base64","media_type":"image/webp","data":"UklGRiQAAABXRUJQVlA4"}`)), ""},
		"a gif called anything": {show("data:application/octet-stream;base64,R0lGODlhAQAB"), "", turn("user", image(`{"type":"base64","media_type":"image/gif","data":"R0lGODlhAQAB"}`)), ""},
		"data URL, quoted":      {show(`data:image/png;base64,a\"b`), "", turn("user", image(`{"type":"base64","media_type":"image/png","data":"a\"b"}`)), ""},
		"image by https":        {show(`https:\/\/a.b/c`), "", turn("user", image(`{"type":"url","url":"https:\/\/a.b/c"}`)), ""},
		"image by HTTPS":        {show("HTTPS://a.b/c"), "", turn("user", image(`{"type":"url","url":"HTTPS://a.b/c"}`)), ""},
		"image by http":         {user(text("a") + `,{"type":"image_url","image_url":{"url":"HTTP://a.b/c"}}`), "", turn("user", text("a"), text("[image_url left out]")), "messages.content.image_url"},
		"tool's image by http":  {called + `,{"role":"tool","tool_call_id":"a","content":[` + text("a") + `,{"type":"image_url","image_url":{"url":"http://a"}}]}`, "", begun + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a","content":[`+text("a")+`,`+text("[image_url left out]")+`]}`), "messages.content.image_url"},
		"detail":                {user(`{"type":"image_url","image_url":{"url":"https://a","detail":"low"}}`), "", turn("user", image(`{"type":"url","url":"https://a"}`)), "messages.content.image_url.detail"},
		"image of the model's":  {hi + `,{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"https://a"}}]}`, "", hello, "messages.content.image_url"},
		"image of the system's": {`{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://a"}}]},` + hi, "", hello, "messages.content.image_url"},
		"image of a tool's":     {called + `,{"role":"tool","tool_call_id":"a","content":[{"type":"image_url","image_url":{"url":"https://a"}}]}`, "", begun + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a","content":[`+image(`{"type":"url","url":"https://a"}`)+`]}`), ""},
		"deep arguments":        {hi + `,{"role":"assistant","tool_calls":[` + call("a", `{\"a\":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`) + `]}`, "", hello + `,` + turn("assistant", use("a", `{"a":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`)), ""},
		"audio and files":       {user(text("a") + `,{"type":"input_audio","input_audio":{"data":"x"}},{"type":"file","file":{"file_id":"x"}}`), "", turn("user", text("a"), text("[input_audio left out]"), text("[file left out]")), "messages.content.file messages.content.input_audio"},
		"unknown part":          {user(text("a") + `,{"type":"S3CR3T","video_url":{}}`), "", turn("user", text("a"), text("[part left out]")), "messages.content.type messages.content.video_url"},
		"cache control":         {user(marked), "", turn("user", marked), ""},
		"cache of a message":    {`{"role":"system","content":"s","cache_control":{"type":"ephemeral"}},{"role":"user","content":"a","cache_control":{"type":"ephemeral"}}`, `{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}`, turn("user", marked), ""},
		"cache of parts":        {`{"role":"user","content":[` + text("a") + `],"cache_control":{"type":"ephemeral"}}`, "", turn("user", text("a")), "messages.cache_control"},
		"a fifth for the cache": {user(marked + `,` + marked + `,` + marked + `,` + marked + `,` + marked), "", turn("user", marked, marked, marked, marked, text("a")), "messages.content.cache_control"},
		"an odd cache":          {user(`{"type":"text","text":"a","cache_control":{"type":"ephemeral","scope":"all"}},{"type":"text","text":"a","cache_control":true}`), "", turn("user", text("a"), text("a")), "messages.content.cache_control"},
		"a PDF":                 {user(`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}},{"type":"image_url","image_url":{"url":"data:application/pdf;base64,JVBE"}}`), "", turn("user", `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}`, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}`), ""},
		"a text as a file":      {user(`{"type":"file","file":{"file_data":"data:text/plain;charset=utf-8;base64,aGk="}}`), "", turn("user", `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"hi"}}`), ""},
		"another file":          {user(text("a") + `,{"type":"file","file":{"filename":"a.docx","file_data":"data:application/msword;base64,AAAA"}},{"type":"file","file":{"file_data":"data:text/plain;base64,"}}`), "", turn("user", text("a"), text("[file left out]"), text("[file left out]")), "messages.content.file"},
		"a file at an address":  {user(`{"type":"file","file":{"filename":"a.pdf","file_data":"https://x/a.pdf"}}`), "", turn("user", `{"type":"document","source":{"type":"url","url":"https://x/a.pdf"},"title":"a.pdf"}`), ""},
		"a file by http":        {user(`{"type":"file","file":{"file_data":"http://x/a.pdf"}}`), "", turn("user", text("[file left out]")), "messages.content.file"},
		"a PDF, wrapped":        {user(`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JV\r\nBE"}},{"type":"file","file":{"file_data":"JVBERi0x\nLjQ="}}`), "", turn("user", `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}`, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0xLjQ="}}`), ""},
		"a PDF in Base64 alone": {user(`{"type":"file","file":{"file_data":"JVBERi0x"}}`), "", turn("user", `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0x"}}`), ""},
		"a table as a file":     {user(`{"type":"file","file":{"filename":"a.csv","file_data":"data:text/csv;base64,YSxiCg=="}}`), "", turn("user", `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a,b\n"},"title":"a.csv"}`), ""},
		"source code as a file": {user(`{"type":"file","file":{"file_data":"data:application/octet-stream;base64,cGFja2FnZSBhCg=="}}`), "", turn("user", `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"package a\n"}}`), ""},
		"members of messages":   {`{"role":"user","content":"hi","name":"li","refusal":null,"tool_calls":[]},{"role":"assistant","content":"a","audio":{"id":"x"},"annotations":[],"function_call":null,"reasoning_content":"r"}`, "", hello + `,` + turn("assistant", text("a")), "messages.audio messages.name messages.reasoning_content"},
		"members out of place":  {`{"role":"user","content":"hi","tool_calls":[{}],"tool_call_id":"a","refusal":"r"}`, "", hello, "messages.refusal messages.tool_call_id messages.tool_calls"},
		"function call":         {hi + `,{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},{"role":"function","name":"f","content":"1"},` + hi, "", hello + `,` + turn("assistant", use("function_call_0", `{"a":1}`)) + `,` + turn("user", `{"type":"tool_result","tool_use_id":"function_call_0","content":[`+text("1")+`]}`, text("hi")), ""},
		"a function cut off":    {`{"role":"function","name":"f","content":"1"},` + hi, "", turn("user", text("1"), text("hi")), ""},
		"tool call":             {hi + `,{"role":"assistant","content":"a","tool_calls":[` + call("call_1", `{\"a\": 1.0e2, \"b\":\"\\u65e5\"}`) + `]}`, "", hello + `,` + turn("assistant", text("a"), use("call_1", `{"a": 1.0e2, "b":"\u65e5"}`)), ""},
		"no arguments":          {hi + `,{"role":"assistant","tool_calls":[` + call("a", ` `) + `,` + call("b", `\n{ }\t`) + `]}`, "", hello + `,` + turn("assistant", use("a", `{}`), use("b", `{ }`)), ""},
		"call of a delta":       {hi + `,{"role":"assistant","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}`, "", hello + `,` + turn("assistant", use("a", `{}`)), ""},
		"tool results":          {hi + `,{"role":"assistant","tool_calls":[` + call("a", `{}`) + `,` + call("b", `{}`) + `]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":[` + text("2") + `]},` + hi, "", hello + `,` + turn("assistant", use("a", "{}"), use("b", "{}")) + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a","content":[`+text("1")+`]}`, `{"type":"tool_result","tool_use_id":"b","content":[`+text("2")+`]}`, text("hi")), ""},
		"empty result":          {called + `,{"role":"tool","tool_call_id":"a","content":""}`, "", begun + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a"}`), ""},
		// https://github.com/sipeed/picoclaw/pull/1793, https://github.com/RooCodeInc/Roo-Code/pull/9248
		"two results of a call": {called + `,{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"a","content":"2"}`, "", begun + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a","content":[`+text("1")+`]}`), "messages.tool_call_id"},
		// https://github.com/Kilo-Org/cloud/pull/4026, https://github.com/continuedev/continue/issues/10441
		"a result of no call":   {`{"role":"tool","tool_call_id":"z","content":"1"},` + hi, "", turn("user", text("1"), text("hi")), "messages.tool_call_id"},
		"a result that is late": {called + `,` + hi + `,{"role":"assistant","content":"x"},{"role":"tool","tool_call_id":"a","content":"1"}`, "", begun + `,` + turn("user", noResult, text("hi")) + `,` + turn("assistant", text("x")) + `,` + turn("user", text("1")), "messages.tool_call_id"},
		// https://github.com/Portkey-AI/gateway/issues/980
		"a call without a result":        {called + `,` + hi, "", begun + `,` + turn("user", noResult, text("hi")), ""},
		"the second of two":              {hi + `,{"role":"assistant","tool_calls":[` + call("b", `{}`) + `,` + call("a", `{}`) + `]},{"role":"tool","tool_call_id":"b","content":"1"},` + hi, "", hello + `,` + turn("assistant", use("b", "{}"), use("a", "{}")) + `,` + turn("user", `{"type":"tool_result","tool_use_id":"b","content":[`+text("1")+`]}`, noResult, text("hi")), ""},
		"results after the user's words": {called + `,` + hi + `,{"role":"tool","tool_call_id":"a","content":"1"}`, "", begun + `,` + turn("user", `{"type":"tool_result","tool_use_id":"a","content":[`+text("1")+`]}`, text("hi")), ""},
		"strange ids":                    {hi + `,{"role":"assistant","tool_calls":[` + call("f:0", `{}`) + `]},{"role":"tool","tool_call_id":"f:0","content":"1"}`, "", hello + `,` + turn("assistant", use("toolu_ebff85250728f0de6847c8bf", "{}")) + `,` + turn("user", `{"type":"tool_result","tool_use_id":"toolu_ebff85250728f0de6847c8bf","content":[`+text("1")+`]}`), ""},
		"custom call":                    {hi + `,{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]},{"role":"tool","tool_call_id":"a","content":"1"}`, "", hello, "messages.tool_calls.custom"},
		"unknown call":                   {hi + `,{"role":"assistant","tool_calls":[{"id":"a","type":"S3CR3T"},` + call("b", `{}`) + `]},{"role":"tool","tool_call_id":"b","content":"1"}`, "", hello + `,` + turn("assistant", use("b", "{}")) + `,` + turn("user", `{"type":"tool_result","tool_use_id":"b","content":[`+text("1")+`]}`), "messages.tool_calls.type"},
		"members of calls":               {hi + `,{"role":"assistant","tool_calls":[{"id":"a","x":1,"function":{"name":"f","arguments":"{}","y":1}}]}`, "", hello + `,` + turn("assistant", use("a", "{}")), "messages.tool_calls.function.y messages.tool_calls.x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"m","messages":[`+tt.messages+`]}`)
			want := `{"model":"claude-haiku-4-5","max_tokens":8192`
			if tt.system != "" {
				want += `,"system":[` + tt.system + `]`
			}
			if want += `,"messages":[` + tt.want + `]}`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

func TestThinkingStopsAtToolCalls(t *testing.T) {
	got, left := encode(t, `{"model":"m","thinking":{"type":"enabled","budget_tokens":1024},"messages":[
		{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}]}`)
	if strings.Contains(got, "thinking") || !strings.Contains(got, `"max_tokens":8192`) {
		t.Errorf("thinking goes on: %s", got)
	}
	checkLeft(t, left, "thinking")
}

func TestTools(t *testing.T) {
	function := func(members string) string { return `{"type":"function","function":{"name":"f"` + members + `}}` }
	tool := func(schema, more string) string { return `{"name":"f","input_schema":` + schema + more + `}` }
	const closed = `{"type":"object","additionalProperties":false}`
	const deep = `{ "type" : "object", "properties":{"a":{"minimum":1.000,"pattern":"\u0041\\d"}}, "x":1E400}`
	tests := map[string]struct{ tools, want, left string }{
		"name only":        {function(``), tool(`{"type":"object"}`, ``), ""},
		"nulls":            {function(`,"description":null,"parameters":null,"strict":null`), tool(`{"type":"object"}`, ``), ""},
		"description":      {function(`,"description":"d\n"`), `{"name":"f","description":"d\n","input_schema":{"type":"object"}}`, ""},
		"no description":   {function(`,"description":""`), tool(`{"type":"object"}`, ``), ""},
		"schema":           {function(`,"parameters":` + deep), tool(deep, ``), ""},
		"empty schema":     {function(`,"parameters":{ }`), tool(`{"type":"object" }`, ``), ""},
		"schema, no type":  {function(`,"parameters":{"properties":{"type":{}}}`), tool(`{"type":"object","properties":{"type":{}}}`, ``), ""},
		"strict":           {function(`,"strict":true,"parameters":` + closed), tool(closed, `,"strict":true`), ""},
		"strict, open":     {function(`,"strict":true`), tool(`{"type":"object"}`, ``), "tools.function.strict"},
		"strict, minimum":  {function(`,"strict":true,"parameters":` + deep), tool(deep, ``), "tools.function.strict"},
		"not strict":       {function(`,"strict":false`), tool(`{"type":"object"}`, ``), ""},
		"two of one name":  {function(``) + `,` + function(`,"description":"d"`), tool(`{"type":"object"}`, ``), "tools.function.name"},
		"for the cache":    {`{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}},{"type":"function","function":{"name":"g","cache_control":{"type":"ephemeral","ttl":"1h"}}}`, tool(`{"type":"object"}`, `,"cache_control":{"type":"ephemeral"}`) + `,{"name":"g","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral","ttl":"1h"}}`, ""},
		"custom":           {function(``) + `,{"type":"custom","custom":{"name":"x"}}`, tool(`{"type":"object"}`, ``), "tools.custom"},
		"hosted":           {`{"type":"web_search_preview"},` + function(``), tool(`{"type":"object"}`, ``), "tools.type"},
		"tool of no type":  {`{"function":{"name":"g"}},` + function(``), tool(`{"type":"object"}`, ``), "tools.type"},
		"type not a word":  {`{"type":7},` + function(``), tool(`{"type":"object"}`, ``), "tools.type"},
		"type comes last":  {`{"function":{"name":"f"},"type":"function"}`, tool(`{"type":"object"}`, ``), ""},
		"unknown, allowed": {function(`,"examples":[]`), tool(`{"type":"object"}`, ``), "tools.function.examples"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"m","tools":[`+tt.tools+`],"messages":[{"role":"user","content":"hi"}]}`)
			_, got, _ = strings.Cut(got, `,"tools":[`)
			if want := tt.want + `]}`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

// TestResultsComeFirst has users who speak before the results of a round of calls are all there, which some vendors take: the API
// wants the results first in their turn.
func TestResultsComeFirst(t *testing.T) {
	call := func(ids ...string) string {
		for i, id := range ids {
			ids[i] = `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}`
		}
		return `{"role":"assistant","content":null,"tool_calls":[` + strings.Join(ids, ",") + `]}`
	}
	const (
		hi    = `{"role":"user","content":"hi"}`
		wait  = `{"role":"user","content":"wait"}`
		a     = `{"role":"tool","tool_call_id":"a","content":"1"}`
		b     = `{"role":"tool","tool_call_id":"b","content":"2"}`
		first = `{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]}`
		last  = `{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"2"}]}`
		text  = `{"type":"text","text":"wait"}`
	)
	for name, tt := range map[string]struct {
		messages []string
		want     string
	}{
		"between results": {[]string{hi, call("a", "b"), a, wait, b}, first + "," + last + "," + text},
		"before results":  {[]string{hi, call("a", "b"), wait, a, b}, first + "," + last + "," + text},
		"behind results":  {[]string{hi, call("a", "b"), a, b, wait}, first + "," + last + "," + text},
		"no words":        {[]string{hi, call("a", "b"), a, b}, first + "," + last},
		"two rounds":      {[]string{hi, call("b"), wait, b, call("a"), a}, last + "," + text + `]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[` + first},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := wire.ParseChatRequest([]byte(`{"model":"m","messages":[`+strings.Join(tt.messages, ",")+`]}`), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := format().EncodeRequest(wire.Ask{Request: r, UpstreamModel: "claude"})
			if err != nil || !strings.Contains(string(got.Body), `{"role":"user","content":[`+tt.want+`]}]`) {
				t.Errorf("%v: %s", err, got.Body)
			}
		})
	}
}
