package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/growth"
)

// None of these belongs to anybody: cards are the networks' test numbers, the
// ids have a place code and a birthday with a computed check character.
const (
	visa     = "4111111111111111"
	unionPay = "6212345678901232" // 16 digits, 62…
	amex     = "378282246310005"
	idDigit  = "11010519491231002X" // the example of GB 11643-1999
	idPlain  = "440524188001010014" // likewise
	mobile   = "13800138000"
)

func TestRedactText(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain text stays":           {"Ship 12 boxes by 2026-11-23, order 4711.", "Ship 12 boxes by 2026-11-23, order 4711."},
		"card":                       {"card " + visa + " please", "card [card] please"},
		"card with spaces":           {"4111 1111 1111 1111", "[card]"},
		"card with dashes":           {"4111-1111-1111-1111.", "[card]."},
		"card over two lines":        {"4111 1111\n1111 1111", "[card]"},
		"card of 15 digits":          {"3782 822463 10005", "[card]"},
		"card of 19 digits":          {"6212345678901234569", "[card]"},
		"card, date and code":        {"4111 1111 1111 1111 12 27", "[card] 12 27"},
		"number, then card":          {"12 4111 1111 1111 1111", "12 [card]"},
		"card next to letters":       {"no" + visa + "x", "no[card]x"},
		"card next to Chinese":       {"卡号" + visa + "，谢谢", "卡号[card]，谢谢"},
		"card in full-width":         {"卡号４１１１　１１１１　１１１１　１１１１。", "卡号[card]。"},
		"card, soft separators":      {"4111\u00a01111\u20131111\u200b1111", "[card]"},
		"not a card":                 {"4111111111111112", "4111111111111112"},
		"too long for a card":        {"411111111111111141111111111111114111", "411111111111111141111111111111114111"},
		"id with X":                  {"身份证" + idDigit + "号", "身份证[id]号"},
		"id with small x":            {strings.ToLower(idDigit), "[id]"},
		"id with a digit":            {"id:" + idPlain, "id:[id]"},
		"id in groups":               {"110105 19491231 002X", "[id]"},
		"id with full-width X":       {"11010519491231002Ｘ", "[id]"},
		"id, wrong check":            {"110105194912310021", "110105194912310021"},
		"card of 17 and more, x":     {"6212345678901234569x", "[card]x"},
		"mobile":                     {"call 13800138000!", "call [mobile]!"},
		"mobile +86":                 {"+8613800138000", "[mobile]"},
		"mobile +86 with spaces":     {"+86 138 0013 8000", "[mobile]"},
		"mobile 0086":                {"0086-138-0013-8000", "[mobile]"},
		"mobile 86":                  {"8613800138000", "[mobile]"},
		"mobile with dashes":         {"138-0013-8000", "[mobile]"},
		"no mobile prefix":           {"12800138000", "12800138000"},
		"two mobiles":                {"13800138000,13900139000", "[mobile],[mobile]"},
		"e-mail":                     {"to li.lei+pay@mail.example.com.", "to [email]."},
		"e-mail in Chinese":          {"邮箱lilei@example.com谢谢", "邮箱[email]谢谢"},
		"e-mail in a URL":            {"?to=lilei%40example.com&x", "[email]&x"},
		"no e-mail":                  {"a @ b, @handle, x@localhost", "a @ b, @handle, x@localhost"},
		"escaped digits":             {`4\u0031111111\u00311111111`, "[card]"},
		"escaped twice":              {`4\\u0031111111\\u00311111111`, "[card]"},
		"escapes that stay":          {`a\u00e4\n"b"\\ 5`, `a\u00e4\n"b"\\ 5`},
		"escaped newline":            {`4111 1111\n1111 1111`, "[card]"},
		"percent":                    {"card=4111+1111%201111-1111", "card=[card]"},
		"bearer":                     {"Authorization: Bearer eyJhbGciOi.J9", "Authorization: Bearer [secret]"},
		"bearer in small letters":    {"with bearer abcdefgh-1, the bearer of news", "with bearer [secret], the bearer of news"},
		"form":                       {"grant=x&access_token=20120823ac6ff&y=1", "grant=x&access_token=[secret]&y=1"},
		"cut JSON with a sign":       {`{"a":1,"sign":"ERITJKEIJKJHKKKKKKKHJEREEEEE=="`, `{"a":1,"sign":"[secret]"`},
		"cut JSON":                   {`{"messages":[{"content":"card 4111-1111-1111-1`, `{"messages":[{"content":"card 4111-1111-1111-1`},
		"cut JSON after a card":      {`{"messages":[{"content":"card \u0034111-1111-1111-1111 and`, `{"messages":[{"content":"card [card] and`},
		"several JSON texts":         {"{\"n\":" + visa + "}\n{\"n\":1}\n", "{\"n\":\"[card]\"}\n{\"n\":1}\n"},
		"not UTF-8":                  {"\xff" + visa + "\xfe", "\xff[card]\xfe"},
		"empty":                      {"", ""},
		"a quote":                    {`"` + mobile, `"[mobile]`},
		"page":                       {"<html>\n<p>" + mobile + "</p>\n</html>", "<html>\n<p>[mobile]</p>\n</html>"},
		"events":                     {"event: x\ndata: {\"m\":\"" + mobile + "\"}\n\ndata: [DONE]\n\n", "event: x\ndata: {\"m\":\"[mobile]\"}\n\ndata: [DONE]\n\n"},
		"events with CRLF":           {"data:{\"m\":\"" + mobile + "\"}\r\n\r\n", "data: {\"m\":\"[mobile]\"}\r\n\r\n"},
		"line of text, line of JSON": {mobile + "\n{\"a\":\"" + visa + "\"}", "[mobile]\n{\"a\":\"[card]\"}"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(Redact([]byte(tc.in))); got != tc.want {
				t.Errorf("Redact(%q)\n got %q\nwant %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestRedactJSON(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"nothing to hide":      {`{"model":"m","n":[1,2.5,true,null],"s":"x"}`, `{"model":"m","n":[1,2.5,true,null],"s":"x"}`},
		"string":               {`{"content":"` + visa + `"}`, `{"content":"[card]"}`},
		"escapes":              {`{"content":"\u0034111 1111\u002d1111 1111"}`, `{"content":"[card]"}`},
		"name":                 {`{"` + visa + `":1}`, `{"[card]":1}`},
		"number":               {`{"n":4111111111111111}`, `{"n":"[card]"}`},
		"negative number":      {`[-4111111111111111]`, `["[card]"]`},
		"number with fraction": {`[4111111111111111.00]`, `["[card]"]`},
		"number with exponent": {`[4.111111111111111e15,41111111111111110e-1]`, `["[card]","[card]"]`},
		"not whole":            {`[3.782822463100055e14]`, `[3.782822463100055e14]`},
		"huge exponents":       {`[1e999999999999,1e-999999999999,0e5]`, `[1e999999999999,1e-999999999999,0e5]`},
		"mobile number":        {`{"n":13800138000}`, `{"n":"[mobile]"}`},
		"id number":            {`{"n":` + idPlain + `}`, `{"n":"[id]"}`},
		"JSON in a string":     {`{"payload":"{\"card\":\"\\u0034111111111111111\"}"}`, `{"payload":"{\"card\":\"[card]\"}"}`},
		"duplicate names":      {`{"a":"` + mobile + `","a":"` + visa + `"}`, `{"a":"[mobile]","a":"[card]"}`},
		"secret fields":        {`{"sign":"abc","Access_Token":"x","refresh-token":5,"assign":"x"}`, `{"sign":"[secret]","Access_Token":"[secret]","refresh-token":"[secret]","assign":"x"}`},
		"usage counts tokens":  {`{"total_tokens":12,"token":"x"}`, `{"total_tokens":12,"token":"[secret]"}`},
		"array of secrets":     {`{"secret":["a","b"],"c":"d"}`, `{"secret":["[secret]","[secret]"],"c":"d"}`},
		"white space":          {" {\n \"a\" : 1 }\n", `{"a":1}`},
		"invalid UTF-8":        {"{\"a\":\"\xff" + mobile + "\"}", "{\"a\":\"�[mobile]\"}"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := string(Redact([]byte(tc.in)))
			if got != tc.want {
				t.Errorf("Redact(%q)\n got %q\nwant %q", tc.in, got, tc.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("Redact(%q) = %q, which is no JSON", tc.in, got)
			}
		})
	}
}

func TestRedactMedia(t *testing.T) {
	png := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{1, 2, 3}, 20)...)
	wav := append([]byte("RIFF\x00\x00\x00\x00WAVE"), bytes.Repeat([]byte{9}, 30)...)
	long := bytes.Repeat([]byte{0, 7}, 300)
	is := func(mediaType string, data []byte) string {
		return fmt.Sprintf("[%s, %d bytes, sha256 %x]", mediaType, len(data), sha256.Sum256(data))
	}
	slashes := bytes.Repeat([]byte{0, 0xff}, 300) // "AP8A_wD_"
	b64 := base64.StdEncoding.EncodeToString
	var lines strings.Builder
	for i, encoded := 0, b64(long); i < len(encoded); i += 76 {
		lines.WriteString(encoded[i:min(i+76, len(encoded))] + "\r\n")
	}
	tests := map[string]struct{ in, want string }{
		"OpenAI image": {
			`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + b64(png) + `"}}`,
			`{"type":"image_url","image_url":{"url":"` + is("image/png", png) + `"}}`,
		},
		"OpenAI image by address": {
			`{"image_url":{"url":"https://example.com/a.png"}}`, `{"image_url":{"url":"https://example.com/a.png"}}`,
		},
		"OpenAI image as a string": {
			`{"image_url":"data:image\/png;base64,` + b64(png) + `"}`, `{"image_url":"` + is("image/png", png) + `"}`,
		},
		"OpenAI audio": {
			`{"input_audio":{"data":"` + b64(wav) + `","format":"wav"}}`, `{"input_audio":{"data":"` + is("audio/wave", wav) + `","format":"wav"}}`,
		},
		"OpenAI file": {
			`{"file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + b64([]byte("%PDF-")) + `"}}`,
			`{"file":{"filename":"a.pdf","file_data":"` + is("application/pdf", []byte("%PDF-")) + `"}}`,
		},
		"OpenAI file, bare": {
			`{"file":{"file_data":"` + b64([]byte("%PDF-1.7")) + `"}}`, `{"file":{"file_data":"` + is("application/pdf", []byte("%PDF-1.7")) + `"}}`,
		},
		"Anthropic image": {
			`{"source":{"type":"base64","media_type":"image/png","data":"` + b64(png) + `"}}`,
			`{"source":{"type":"base64","media_type":"image/png","data":"` + is("image/png", png) + `"}}`,
		},
		"data elsewhere":        {`{"data":"aGVsbG8="}`, `{"data":"aGVsbG8="}`},
		"long base64 anywhere":  {`{"x":["` + b64(long) + `"]}`, `{"x":["` + is("application/octet-stream", long) + `"]}`},
		"URL alphabet":          {`["` + base64.RawURLEncoding.EncodeToString(slashes) + `"]`, `["` + is("application/octet-stream", slashes) + `"]`},
		"set in lines":          {fmt.Sprintf(`{"x":%q}`, lines.String()), `{"x":"` + is("application/octet-stream", long) + `"}`},
		"image in Markdown":     {`{"c":"see ![x](data:image/png;base64,` + b64(png) + `) here"}`, `{"c":"see ![x](` + is("image/png", png) + `) here"}`},
		"JSON that was cut":     {`{"x":{"url":"data:image/png;base64,` + b64(png[:30]), `{"x":{"url":"` + is("image/png", png[:30])},
		"long base64, JSON cut": {`{"x":"` + b64(long) + `","`, `{"x":"` + is("application/octet-stream", long) + `","`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(Redact([]byte(tc.in))); got != tc.want {
				t.Errorf("Redact(%q)\n got %q\nwant %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestRedactLeavesItsInput(t *testing.T) {
	body := []byte(`{"content":"card ` + visa + `"}`)
	before := bytes.Clone(body)
	Redact(body)
	if !bytes.Equal(body, before) {
		t.Errorf("body became %q", body)
	}
}

// What repeats the marks that are looked for is read in one go, too. A pass that looked
// back or ahead from each of them would take minutes for what takes a moment.
func TestRedactIsLinear(t *testing.T) {
	const small, times = 32 << 10, 8
	for _, unit := range []string{
		"sign=", "sign:sign", "a@", "a.@b.", "bearer ", "data:;base64,A", "4 ", "data:{}\n", "%41", `\\`, "\"", "=", "你\u200b", "a\r\n",
	} {
		of := func(size int) []byte { return []byte(strings.Repeat(unit, size/len(unit))) }
		t.Run(unit, func(t *testing.T) {
			growth.Linear(t, 3*times, 100*time.Microsecond, of(small), of(times*small), func(text []byte) { Redact(text) })
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	text := strings.Repeat("Please check order 4711 of customer Li Lei, who paid 12.50 on 2026-11-23. ", 1<<10)
	for name, body := range map[string]string{
		"text":    text,
		"json":    fmt.Sprintf(`{"messages":[{"role":"user","content":%q}]}`, text),
		"chinese": strings.Repeat("请检查订单四七一一，客户李雷于二零二六年付款。", 1<<11),
		"image":   `{"image_url":{"url":"data:image/png;base64,` + base64.StdEncoding.EncodeToString(make([]byte, 1<<20)) + `"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				Redact([]byte(body))
			}
		})
	}
}
