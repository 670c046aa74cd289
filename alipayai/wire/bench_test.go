package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Texts of the sizes that the gateway's own benchmark uses: 700 bytes in, 1.2 KB out, 50 events of some 250 bytes.
var (
	benchRequest = fmt.Appendf(nil, `{"model":"alipay-finance-1","stream":true,"temperature":0.2,"max_tokens":512,"user":"u-1","messages":[`+
		`{"role":"system","content":"You answer questions about payments."},{"role":"user","content":%q}],`+
		`"tools":[{"type":"function","function":{"name":"lookup","parameters":{"type":"object","properties":{"id":{"type":"string"}}}}}]}`,
		strings.Repeat("why was it charged? ", 18))
	benchBody = fmt.Appendf(nil, `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"alipay-finance-1","choices":[`+
		`{"index":0,"message":{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":130,"completion_tokens":210,"total_tokens":340,"prompt_tokens_details":{"cached_tokens":0}}}`,
		strings.Repeat("It was charged once. ", 41))
	benchChunk = []byte(`{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1700000000,"model":"alipay-finance-1",` +
		`"system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" charged"},"logprobs":null,"finish_reason":null}]}`)
	benchStream = append(bytes.Repeat(fmt.Appendf(nil, "data: %s\n\n", benchChunk), 49), "data: [DONE]\n\n"...)
)

func readStream(tb testing.TB, r io.Reader) {
	events := NewEventReader(r, 0)
	defer events.Release()
	for n := 0; ; n++ {
		ev, err := events.Next()
		if errors.Is(err, io.EOF) {
			if n != 50 {
				tb.Fatalf("%d events", n)
			}
			return
		}
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := ParseEvent(ev); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkParseChatRequest(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchRequest)))
	for b.Loop() {
		if _, err := ParseChatRequest(benchRequest, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBody(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchBody)))
	for b.Loop() {
		if _, err := ParseBody(benchBody, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseChunk(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchChunk)))
	for b.Loop() {
		if _, err := ParseChunk(benchChunk); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventReader(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchStream)))
	r := bytes.NewReader(nil)
	for b.Loop() {
		r.Reset(benchStream)
		events := NewEventReader(r, 0)
		for {
			if _, err := events.Next(); err != nil {
				break
			}
		}
		events.Release()
	}
}

func BenchmarkStream50(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchStream)))
	r := bytes.NewReader(nil)
	for b.Loop() {
		r.Reset(benchStream)
		readStream(b, r)
	}
}
