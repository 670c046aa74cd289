package alipayai_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// oddBody is a chat request that no encoder would write: every byte of it has to arrive.
const oddBody = "\r\n { \"mod\\u0065l\" :\t\"alipay-fin-1\" , \"messages\":[ {\"content\":\"caf\\u00e9 \\ud83d\\ude00 \\/ café\",\"role\":\"user\"} ],\n" +
	`"temperature":0.70,"max_tokens":1e2,"seed":12345678901234567890,"logit_bias":{"50256":-100},"x_vendor":{"deep":[null,{"a":-0}]},` +
	`"user":"","stream" : %v } `

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestBodiesGoUpstreamByteForByte(t *testing.T) {
	for name, stream := range map[string]bool{"JSON": false, "stream": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			body := fmt.Sprintf(oddBody, stream)
			got := r.post("/v1/chat/completions", body)
			if got.status != http.StatusOK || got.err != nil {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			// Without a key of the client's, the request id is the call's idempotency id.
			hashes := r.sim.Stats().Bodies[got.header.Get("X-Request-Id")]
			if !slices.Equal(hashes, []string{digest(body)}) {
				t.Errorf("%q arrived as %q", body, r.arrived.at("/v1/chat/completions")[0].body)
			}
		})
	}
}

// What comes back is what the upstream wrote, to the byte, and the OpenAI fields that no gateway knows with it. The blank line of a
// comment after an id is the one that does not: TestCommentsAfterIDs of package openai.
func TestAnswersComeBackByteForByte(t *testing.T) {
	json := "{\n\t\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\", \"choices\" : [{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"caf\\u00e9\",\"x\":1.50}}],\"x_vendor\":[1e3] }\r\n"
	events := ": welcome\n\nretry: 10\nevent: message\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n" +
		"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"caf\\u00e9\"}}],\ndata: \"x_vendor\":1e3}\r\n\r\n: ping\n\n" +
		"id: 7\ndata:{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	for name, test := range map[string]struct {
		kind, answer, body string
	}{
		"JSON":   {"application/json; charset=utf-8", json, chatBody("hello")},
		"stream": {"text/event-stream; charset=utf-8", events, streamBody("hello")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.Write([]byte(test.answer))
			})
			got := r.post("/v1/chat/completions", test.body)
			if got.status != http.StatusOK || got.err != nil || got.body != test.answer {
				t.Errorf("%d %q (%v), want %q", got.status, got.body, got.err, test.answer)
			}
			if got.header.Get("Content-Type") != test.kind {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
			if o := r.outcome(); o.Code != "" || o.Status != 200 || o.Attempts != 1 || o.FirstByte <= 0 || o.Duration < o.FirstByte {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestStreamsThroughTheSimulator(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	body := strings.Replace(streamBody("[[events:50]] hello"), "{", `{"stream_options":{"include_usage":true},`, 1)
	got := r.post("/v1/chat/completions", body)
	if got.err != nil || got.status != http.StatusOK || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
		t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
	}
	if n := strings.Count(got.body, `"content":"`); n != 51 { // with the empty one of the role
		t.Errorf("%d events with content", n)
	}
	o := r.outcome()
	if !o.Usage.OK || o.Usage.Completion == 0 || o.Usage.Total != o.Usage.Prompt+o.Usage.Completion {
		t.Errorf("usage %+v", o.Usage)
	}
	if o.Endpoint != upstream.EndpointChat || o.Model != "alipay-fin-1" || !o.Stream || o.Provider != "alipay" || o.Tenant != "acme" {
		t.Errorf("outcome %+v", o)
	}
	if got.header.Get("X-Alipayai-Provider") != "alipay" || got.header.Get("X-Alipayai-Attempts") != "1" {
		t.Errorf("header %v", got.header)
	}
	if n := r.sim.Stats().Connections["HTTP/1.1"]; n != 1 {
		t.Errorf("%d connections for a token and a stream, want one", n)
	}
	// The connection of a stream that is done is used again.
	r.stream("again")
	if n := r.sim.Stats().Connections["HTTP/1.1"]; n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestModelMappingEditsThatValueOnly(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*upstream.Provider)
		want string
	}{
		"model for all": {func(p *upstream.Provider) { p.Model = "alipay-fin-mini" }, "alipay-fin-mini"},
		"model map":     {func(p *upstream.Provider) { p.ModelMap = map[string]string{"alipay-fin-1": "alipay-fin-mini"} }, "alipay-fin-mini"},
		"map before model": {func(p *upstream.Provider) {
			p.Model, p.ModelMap = "no", map[string]string{"alipay-fin-1": "alipay-fin-mini"}
		}, "alipay-fin-mini"},
		"another one's map":  {func(p *upstream.Provider) { p.ModelMap = map[string]string{"other": "no"} }, "alipay-fin-1"},
		"a name with quotes": {func(p *upstream.Provider) { p.Model = `a"b\` }, `a\"b\\`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{Models: []string{"alipay-fin-1", "alipay-fin-mini", `a"b\`}}, first(test.edit))
			body := fmt.Sprintf(oddBody, false)
			got := r.post("/v1/chat/completions", body)
			if got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			want := strings.Replace(body, `"alipay-fin-1"`, `"`+test.want+`"`, 1)
			if arrived := r.arrived.at("/v1/chat/completions")[0].body; string(arrived) != want {
				t.Errorf("arrived as\n%s\nwant\n%s", arrived, want)
			}
			if o := r.outcome(); o.Model != "alipay-fin-1" {
				t.Errorf("the outcome names %q, want the client's name", o.Model)
			}
		})
	}
}

func TestEmbeddings(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	body := `{"model":"alipay-embed-1","input":["a","b"],"encoding_format":"base64","x":1}`
	got := r.post("/v1/embeddings", body)
	if got.status != http.StatusOK || strings.Count(got.body, `"embedding":"`) != 2 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if hashes := r.sim.Stats().Bodies[got.header.Get("X-Request-Id")]; !slices.Equal(hashes, []string{digest(body)}) {
		t.Errorf("arrived as %q", r.arrived.at("/v1/embeddings")[0].body)
	}
	if o := r.outcome(); o.Endpoint != upstream.EndpointEmbeddings || !o.Usage.OK || o.Usage.Prompt != 2 {
		t.Errorf("outcome %+v", o)
	}
}

// Vectors come in the encoding that was asked for, which SDKs do for their users, whether the provider knows it or not.
func TestEmbeddingsAsAskedFor(t *testing.T) {
	for encoding, want := range map[string]string{"base64": `"embedding":"AACAPwAAIMA="`, "float": `"embedding":[1, -2.5]`} {
		t.Run(encoding, func(t *testing.T) {
			u := &heardClaude{status: http.StatusOK, kind: "application/json", answer: `{"object":"list","data":[{"index":0,"embedding":[1, -2.5]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}`}
			r := startRig(t, u, plainProvider, first(anyModel))
			got := r.post("/v1/embeddings", `{"model":"m","input":"a","encoding_format":"`+encoding+`"}`)
			if got.status != http.StatusOK || !strings.Contains(got.body, want) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// Tools and images are the upstream's business, but they have to get there and back.
func TestToolsAndImages(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	tools := `"tools":[{"type":"function","function":{"name":"lookup","parameters":{"type":"object","required":["q"],"properties":{"q":{"type":"string"}}}}}],`
	for name, test := range map[string]struct{ body, want string }{
		"tool":          {strings.Replace(chatBody("use the tool"), "{", "{"+tools, 1), `"name":"lookup"`},
		"streamed tool": {strings.Replace(streamBody("use the tool"), "{", "{"+tools, 1), `"tool_calls":[{"index":0,`},
		"image": {strings.Replace(chatBody("x"), `"content":"x"`,
			`"content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`, 1), "with 1 image"},
	} {
		if got := r.post("/v1/chat/completions", test.body); got.status != http.StatusOK || got.err != nil || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: %d %s (%v)", name, got.status, got.body, got.err)
		}
	}
}

func TestDeflatedBodiesGoUpstreamInflated(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	body := chatBody(strings.Repeat("hello ", 1000))
	got := r.post("/v1/chat/completions", deflate(t, body), "Content-Encoding", "GZip")
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	arrived := r.arrived.at("/v1/chat/completions")[0]
	if string(arrived.body) != body || arrived.header.Get("Content-Encoding") != "" {
		t.Errorf("arrived as %q with %v", arrived.body, arrived.header)
	}
}

func deflate(t *testing.T, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(body))
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A site may serve the API below a prefix of its own.
func TestPathsBelowAPrefix(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	if got := r.post("/team-a/openai/v1/chat/completions", chatBody("hello")); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if n := len(r.arrived.at("/v1/chat/completions")); n != 1 {
		t.Errorf("%d requests at the upstream's own path", n)
	}
}
