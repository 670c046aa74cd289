package wire

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkTexts takes the texts out of requests whose strings have to be looked into differently.
func BenchmarkTexts(b *testing.B) {
	picture := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x89PNG\x00\x01\xfe", 100_000)))
	message := func(content string) string {
		return `{"model":"m","messages":[{"role":"user","content":` + content + `}]}`
	}
	tool := `{"type":"function","function":{"name":"read_file","description":"Reads a file of the project, whole or in part.","parameters":` +
		`{"type":"object","properties":{"path":{"type":"string","description":"Where it is."},"limit":{"type":"integer"}},"required":["path"]}}}`
	turn := `{"role":"assistant","content":null,"tool_calls":[{"id":"call_0123456789abcdef","type":"function","function":` +
		`{"name":"read_file","arguments":"{\"path\":\"main.go\"}"}}]},{"role":"tool","tool_call_id":"call_0123456789abcdef","content":"package main, and so on."}`
	for name, body := range map[string]string{
		"a question": string(benchRequest),
		"parts":      message("[" + strings.Repeat(`{"type":"text","text":"Why was it charged?"},`, 19) + `{"type":"text","text":"Why?"}]`),
		"a picture":  message(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + picture + `"}}]`),
		"an agent's": fmt.Sprintf(`{"model":"m","tools":[%s],"messages":[{"role":"user","content":"Go on."},%s]}`,
			tool+strings.Repeat(","+tool, 19), turn+strings.Repeat(","+turn, 19)),
		"prose": message(fmt.Sprintf("%q", strings.Repeat("Why was it charged, then? ", 4000))),
	} {
		b.Run(name, func(b *testing.B) {
			r, err := ParseChatRequest([]byte(body), Limits{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				r.Texts()
			}
		})
	}
}
