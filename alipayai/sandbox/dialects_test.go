package sandbox

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// dialect is a format as a client speaks and reads it, by code of the tests' own.
type dialect struct {
	format  Format
	path    string
	streams bool // it knows no answer in one body
	request func(g *rig, prompt string, stream bool) *http.Request
	// body and stream read a whole answer, and one that may have ended anywhere.
	body   func(t *testing.T, body string) said
	event  func(t *testing.T, s *said, name, data string)
	end    string // of a stream
	system string // the code of a system error
	codes  map[int]string
}

// said is what a client makes of an answer.
type said struct {
	text      string
	arguments string
	events    int    // with content
	whole     bool   // it came to its end
	failure   string // the code of an error
	bad       int    // events whose data is no JSON
}

// read reads an answer. The last event counts only where its blank line came.
func (d dialect) read(t *testing.T, stream bool, body string) (s said) {
	t.Helper()
	if !stream {
		return d.body(t, body)
	}
	events := strings.Split(body, "\n\n")
	for _, event := range events[:len(events)-1] {
		name, data := "", ""
		for line := range strings.SplitSeq(event, "\n") {
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = v
			}
		}
		if data != "[DONE]" && !json.Valid([]byte(data)) {
			s.bad++
			continue
		}
		d.event(t, &s, name, data)
	}
	return s
}

// rig starts a simulator of the format with one app.
func (d dialect) rig(t *testing.T, http2 bool) *rig {
	t.Helper()
	return startRig(t, d.config(), http2)
}

func (d dialect) config() Config {
	cfg := Config{Format: d.format}
	if d.format == NextBuilder {
		cfg.Apps = []App{agentApp()}
	}
	return cfg
}

func dialects() []dialect {
	return []dialect{openAIDialect(), anthropicDialect(), nextBuilderDialect()}
}

func decode(t *testing.T, data string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}

func openAIDialect() dialect {
	type failed struct {
		Code  string
		Error struct{ Code string }
	}
	return dialect{
		format: OpenAI, path: pathChat, end: "data: [DONE]\n\n", system: codeSystem,
		codes: map[int]string{
			400: codeParam, 401: codeInvalidToken, 402: codePayment, 403: codeAccessDenied, 404: codeParam, 429: codeTraffic,
			503: "UNKNOWN_EXCEPTION", 529: "UNKNOWN_EXCEPTION",
		},
		request: func(g *rig, prompt string, stream bool) *http.Request {
			return g.signed("POST", pathChat, chatBody(prompt, map[bool]string{true: streaming}[stream]))
		},
		body: func(t *testing.T, body string) (s said) {
			var c completion
			var f failed
			decode(t, body, &c)
			decode(t, body, &f)
			s.failure = f.Code + f.Error.Code
			if len(c.Choices) == 1 {
				s.text, s.whole = *c.Choices[0].Message.Content, true
			}
			return s
		},
		event: func(t *testing.T, s *said, _, data string) {
			if data == "[DONE]" {
				s.whole = true
				return
			}
			var c completion
			var f failed
			decode(t, data, &c)
			decode(t, data, &f)
			s.failure += f.Code + f.Error.Code
			if len(c.Choices) == 1 && c.Choices[0].Delta.Content != "" {
				s.events++
				s.text += c.Choices[0].Delta.Content
			}
		},
	}
}

// messagesBody is a Messages request with one turn, and more fields as JSON.
func messagesBody(prompt, extra string) []byte {
	text, _ := json.Marshal(prompt)
	return []byte(`{"model":"claude-haiku-4-5","max_tokens":4096,"messages":[{"role":"user","content":` + string(text) + `}]` + extra + `}`)
}

func (g *rig) keyed(method, target string, body []byte) *http.Request {
	g.t.Helper()
	req, err := http.NewRequest(method, g.web.URL+target, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", DemoAPIKey)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	return req
}

// claudeAnswer is what a client of Anthropic knows of answers and of events.
type claudeAnswer struct {
	Type, ID, Role, Model string
	Content               []struct {
		Type, Text, Thinking, Signature, ID, Name string
		Input                                     json.RawMessage
	}
	StopReason   *string `json:"stop_reason"`
	StopSequence *string `json:"stop_sequence"`
	Usage        struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	}
	Error     struct{ Type, Message string }
	RequestID string `json:"request_id"`

	Message *claudeAnswer
	Index   int
	Block   struct{ Type, ID, Name string } `json:"content_block"`
	Delta   struct {
		Type, Text, Thinking, Signature string
		Partial                         string  `json:"partial_json"`
		StopReason                      *string `json:"stop_reason"`
	}
}

func anthropicDialect() dialect {
	return dialect{
		format: Anthropic, path: pathMessages, end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", system: "api_error",
		codes: map[int]string{
			400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
			404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large", 429: "rate_limit_error",
			500: "api_error", 503: "api_error", 504: "timeout_error", 529: "overloaded_error",
		},
		request: func(g *rig, prompt string, stream bool) *http.Request {
			return g.keyed("POST", pathMessages, messagesBody(prompt, map[bool]string{true: `,"stream":true`}[stream]))
		},
		body: func(t *testing.T, body string) (s said) {
			var a claudeAnswer
			decode(t, body, &a)
			switch a.Type {
			case "message":
				s.whole = a.StopReason != nil
				for _, b := range a.Content {
					s.text += b.Text
				}
			case "error":
				s.failure = a.Error.Type
				if a.RequestID == "" || a.Error.Message == "" {
					t.Errorf("error %s", body)
				}
			default: // an error in the shape of another
				s.failure = "?"
			}
			return s
		},
		event: func(t *testing.T, s *said, name, data string) {
			var a claudeAnswer
			decode(t, data, &a)
			if a.Type != name {
				t.Errorf("event %s has the data of %s", name, a.Type)
			}
			switch name {
			case "content_block_delta":
				if a.Delta.Type != "signature_delta" {
					s.events++
				}
				s.text += a.Delta.Thinking + a.Delta.Text
				s.arguments += a.Delta.Partial
			case "message_stop":
				s.whole = true
			case "error":
				s.failure = a.Error.Type
				if a.RequestID != "" || a.Error.Message == "" {
					t.Errorf("error %s", data)
				}
			}
		},
	}
}

const agentID = "2021000000000001"

// agentKey is the key pair of the agent app.
var agentKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		panic(err)
	}
	return key
})

func publicPEM(key any) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func agentApp() App { return App{ClientID: agentID, PublicKey: publicPEM(&agentKey().PublicKey)} }

// authorize is the layout of Open Platform v3 written out once more.
func authorize(r *http.Request, auth, token string, body []byte) {
	signed := auth + "\n" + r.Method + "\n" + r.URL.RequestURI() + "\n" + string(body) + "\n"
	if token != "" {
		signed += token + "\n"
		r.Header.Set("alipay-app-auth-token", token)
	}
	sum := sha256.Sum256([]byte(signed))
	sign, err := rsa.SignPKCS1v15(nil, agentKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "ALIPAY-SHA256withRSA "+auth+",sign="+base64.StdEncoding.EncodeToString(sign))
}

func agentBody(prompt, extra string) []byte {
	text, _ := json.Marshal(prompt)
	return []byte(`{"agent_id":"sandbox-agent","outer_user_id":"u","request_id":"r-1","query":` + string(text) + extra + `}`)
}

func (g *rig) authorized(target string, body []byte) *http.Request {
	g.t.Helper()
	req, err := http.NewRequest("POST", g.web.URL+target, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	authorize(req, fmt.Sprintf("app_id=%s,nonce=%s,timestamp=%s", agentID, rand.Text(), strconv.FormatInt(g.now().UnixMilli(), 10)), "", body)
	return req
}

// agentEvent is what a client knows of the agent API's events.
type agentEvent struct {
	Type    string
	Payload json.RawMessage
}

// open gives the payload, which may be a string that holds it.
func (e agentEvent) open(t *testing.T, v any) {
	t.Helper()
	var held string
	if json.Unmarshal(e.Payload, &held) == nil {
		decode(t, held, v)
		return
	}
	decode(t, string(e.Payload), v)
}

func nextBuilderDialect() dialect {
	return dialect{
		format: NextBuilder, path: pathGenerate, streams: true, end: "event: end\ndata: {\"type\":\"end\"}\n\n", system: codeSystem,
		codes: map[int]string{
			400: "INVALID_PARAMETER", 401: "invalid-auth-token", 402: codePayment, 403: "insufficient-isv-permissions",
			404: "INVALID_PARAMETER", 429: "app-call-limited", 503: "unknow-error", 529: "unknow-error",
		},
		request: func(g *rig, prompt string, _ bool) *http.Request {
			return g.authorized(pathGenerate, agentBody(prompt, ""))
		},
		body: func(t *testing.T, body string) (s said) {
			var f struct {
				Code, Message string
				Links         []struct{ Link string }
			}
			decode(t, body, &f)
			if f.Code == "" || f.Message == "" || len(f.Links) != 1 {
				s.failure = "?"
				return s
			}
			s.failure = f.Code
			return s
		},
		event: func(t *testing.T, s *said, name, data string) {
			var e agentEvent
			decode(t, data, &e)
			switch name {
			case "message":
				var p struct{ Text string }
				e.open(t, &p)
				s.events++
				s.text += p.Text
			case "error":
				var p struct{ ErrorCode string }
				e.open(t, &p)
				s.failure = p.ErrorCode
			case "end":
				s.whole = s.failure == ""
			case "ping":
			default:
				t.Errorf("event %q: %s", name, data)
			}
		},
	}
}
