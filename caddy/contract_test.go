package alipaycaddy

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// vendor is an upstream with a contract of its own, which it checks by code of its own: it shares nothing with the product.
// Whatever does not keep to the contract is refused.
type vendor struct {
	t *testing.T
	// verify judges a request, and open gives the model call in it.
	verify func(r *http.Request, body []byte) error
	open   func(v *vendor, body []byte) (call json.RawMessage, err error)
	// token answers a request for a token that has been verified.
	token func(body map[string]any) (answer any, err error)
	// whole and event write an answer, and a part of a stream; end is what ends one.
	whole func(completion string) string
	event func(i int, chunk string) string
	end   string

	mu     sync.Mutex
	nonces map[string]bool
	served int
}

const (
	vendorKey = "a-key-of-the-vendor-0123456789"
	vendorApp = "app-2026"
)

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	refuse := func(err error) {
		v.t.Logf("the vendor refuses %s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"code":"E1","msg":"no"}`)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, v.verify(r, body)); err != nil {
		refuse(err)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/token") {
		var asked map[string]any
		if err := json.Unmarshal(body, &asked); err != nil {
			refuse(err)
			return
		}
		answer, err := v.token(asked)
		if err != nil {
			refuse(err)
			return
		}
		json.NewEncoder(w).Encode(answer)
		return
	}
	if r.Header.Get("X-Access") != "tok-of-the-vendor" {
		refuse(errors.New("no token"))
		return
	}
	inner, err := v.open(v, body)
	var call struct {
		Model    string
		Stream   bool
		Messages []struct{ Content string }
	}
	if err = errors.Join(err, json.Unmarshal(inner, &call)); err != nil || len(call.Messages) != 1 {
		refuse(fmt.Errorf("no call: %w", err))
		return
	}
	v.served++
	said, _ := json.Marshal("You said: " + call.Messages[0].Content)
	if !call.Stream {
		io.WriteString(w, v.whole(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":`+string(said)+`},"finish_reason":"stop"}]}`))
		return
	}
	for i, piece := range strings.SplitAfter("You said: "+call.Messages[0].Content, " ") {
		content, _ := json.Marshal(piece)
		io.WriteString(w, v.event(i, `{"choices":[{"index":0,"delta":{"content":`+string(content)+`},"finish_reason":null}]}`))
		w.(http.Flusher).Flush()
	}
	io.WriteString(w, v.event(-1, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`))
	io.WriteString(w, v.end)
}

// once refuses a nonce that has been used.
func (v *vendor) once(nonce string) error {
	if len(nonce) < 16 || v.nonces[nonce] {
		return fmt.Errorf("nonce %q is short, or was used", nonce)
	}
	if v.nonces == nil {
		v.nonces = make(map[string]bool)
	}
	v.nonces[nonce] = true
	return nil
}

// near refuses a time that is not now.
func near(layout, text string) error {
	at, err := time.ParseInLocation(layout, text, time.FixedZone("", 8*3600))
	if err == nil && time.Since(at).Abs() > time.Minute {
		err = fmt.Errorf("%q is not now", text)
	}
	return err
}

// fieldsOf reads an object that has these members and no other.
func fieldsOf(body []byte, names ...string) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || len(object) != len(names) {
		return nil, fmt.Errorf("%d members, want %q: %w", len(object), names, err)
	}
	for _, name := range names {
		if object[name] == nil {
			return nil, fmt.Errorf("no %s", name)
		}
	}
	return object, nil
}

// gatewayVendor wraps as Ant's gateway.do does, and signs with HMAC-SHA512 in the time of China.
func gatewayVendor(t *testing.T) *vendor {
	return &vendor{
		t: t,
		verify: func(r *http.Request, body []byte) error {
			digest := sha512.Sum512(body)
			mac := hmac.New(sha512.New, []byte(vendorKey))
			fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n%x", r.Method, r.RequestURI, vendorApp, r.Header.Get("X-Date"), digest)
			if got := r.Header.Get("X-Sign"); got != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
				return errors.New("another signature")
			}
			return near("20060102150405", r.Header.Get("X-Date"))
		},
		open: func(v *vendor, body []byte) (json.RawMessage, error) {
			f, err := fieldsOf(body, "app_id", "biz_content", "method", "nonce", "timestamp")
			if err != nil {
				return nil, err
			}
			var app, biz, method, nonce, at string
			for to, from := range map[*string]string{&app: "app_id", &biz: "biz_content", &method: "method", &nonce: "nonce", &at: "timestamp"} {
				if err := json.Unmarshal(f[from], to); err != nil {
					return nil, err
				}
			}
			if app != vendorApp || method != "ai.chat" {
				return nil, fmt.Errorf("app_id %s, method %s", app, method)
			}
			return json.RawMessage(biz), errors.Join(v.once(nonce), near(time.DateTime, at))
		},
		token: func(body map[string]any) (any, error) {
			if len(body) != 2 || body["appId"] != vendorApp || body["grantType"] != "client_credentials" {
				return nil, errors.New("another form of a token request")
			}
			return map[string]any{"code": "A0", "data": map[string]any{"token": "tok-of-the-vendor", "ttl": 600_000}}, nil
		},
		whole: func(completion string) string { return `{"code":"A0","payload":` + completion + `}` },
		event: func(i int, chunk string) string {
			payload, _ := json.Marshal(chunk)
			before := ""
			if i == 0 {
				before = "data: {\"type\":\"meta\",\"payload\":\"{}\"}\n\n"
			}
			return before + "data: {\"type\":\"chunk\",\"payload\":" + string(payload) + "}\n\n"
		},
		end: "data: {\"type\":\"end\"}\n\n",
	}
}

const gatewayContract = `
	signature {
		content "{method}\n{uri}\n{client_id}\n{time}\n{body_sha512}"
		header X-Date {time}
		header X-Sign {base64}
		hash sha512
		time digits
		zone +08:00
	}
	request {
		inside biz_content string
		field app_id {client_id}
		field method ai.chat
		field nonce {nonce}
		field timestamp {time}
		time local
		zone +08:00
	}
	answer {
		inside payload
		stream {
			name type
			events chunk
			errors failed
			end end
		}
	}
	token ${vendor}/gw/token {
		sign
		auth json
		field client_id appId
		field grant_type grantType
		header X-Access
		answer {
			access_token data.token
			expires data.ttl ms
		}
	}`

// linesVendor has the call deep in its request beside numbers, and answers with JSON lines.
func linesVendor(t *testing.T) *vendor {
	return &vendor{
		t: t,
		verify: func(r *http.Request, body []byte) error {
			at, nonce, _ := strings.Cut(r.Header.Get("X-At"), ".")
			mac := hmac.New(sha256.New, []byte(vendorKey))
			io.WriteString(mac, at+nonce+r.Method+r.URL.Path+string(body))
			if r.Header.Get("Authorization") != "V1 "+vendorApp+":"+strings.ToUpper(hex.EncodeToString(mac.Sum(nil))) {
				return errors.New("another signature")
			}
			seconds, err := strconv.ParseInt(at, 10, 64)
			if time.Since(time.Unix(seconds, 0)).Abs() > time.Minute {
				return errors.New("another time")
			}
			return err
		},
		open: func(_ *vendor, body []byte) (json.RawMessage, error) {
			f, err := fieldsOf(body, "head", "data")
			if err != nil {
				return nil, err
			}
			head, err := fieldsOf(f["head"], "ts", "on", "app")
			if err != nil {
				return nil, err
			}
			ms, err := strconv.ParseInt(string(head["ts"]), 10, 64)
			if err != nil || time.Since(time.UnixMilli(ms)).Abs() > time.Minute || string(head["on"]) != "true" || string(head["app"]) != `"id:`+vendorApp+`"` {
				return nil, fmt.Errorf("another head: %w", err)
			}
			data, err := fieldsOf(f["data"], "call")
			return data["call"], err
		},
		token: func(body map[string]any) (any, error) {
			if len(body) != 3 || body["client_id"] != vendorApp || body["scope"] != "chat" {
				return nil, errors.New("another form of a token request")
			}
			return map[string]any{"access_token": "tok-of-the-vendor", "expires_in": "600"}, nil
		},
		whole: func(completion string) string { return `{"status":0,"result_":{"out":` + completion + `}}` },
		event: func(i int, chunk string) string {
			return fmt.Sprintf("{\"status\":0,\"is_end\":%t,\"result_\":{\"out\":%s}}\n", i < 0, chunk)
		},
	}
}

const linesContract = `
	signature {
		content "{time}{nonce}{method}{path}{body}"
		header X-At {time}.{nonce}
		header Authorization "V1 {client_id}:{HEX}"
		time s
		allow_ambiguous
	}
	request {
		inside data.call
		value head.ts {time_ms}
		value head.on true
		field head.app id:{client_id}
	}
	answer {
		inside result_.out
		success status 0
		stream {
			form json
			last is_end true
		}
	}
	token ${vendor}/gw/token {
		sign
		auth json
		scope chat
		header X-Access
	}`

// A Caddyfile alone says a contract with signed token requests, something around requests and answers, and streams that are
// not OpenAI's: OpenAI's clients are served by an API that checks all of it by code of its own. Where one thing is said
// otherwise, they are not.
func TestContractAgainstAVendor(t *testing.T) {
	type change struct{ from, to string }
	for name, tc := range map[string]struct {
		vendor   func(*testing.T) *vendor
		contract string
		wrong    map[string]change
	}{
		"biz_content, signed with SHA-512": {gatewayVendor, gatewayContract, map[string]change{
			"the hash":                  {"hash sha512", "hash sha384"},
			"the zone of the signature": {"time digits\n\t\tzone +08:00", "time digits"},
			"the zone of the request":   {"time local\n\t\tzone +08:00", "time local"},
			"the form of inside":        {"biz_content string", "biz_content"},
			"a field less":              {"field nonce {nonce}", ""},
			"a field more":              {"field nonce {nonce}", "field nonce {nonce}\nfield more x"},
			"a nonce that is no nonce":  {"field nonce {nonce}", "field nonce 0123456789012345"},
			"what an answer is in":      {"inside payload", "inside data"},
			"which events are its":      {"events chunk", "events meta"},
		}},
		"JSON lines": {linesVendor, linesContract, map[string]change{
			"a value that is a string": {"value head.ts {time_ms}", "field head.ts {time_ms}"},
			"another path":             {"inside data.call", "inside data.the_call"},
			"the unit of the time":     {"time s\n", "time ms\n"},
			"server-sent events":       {"form json", "form sse"},
			"the code of a success":    {"status 0", "status 1"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			v := tc.vendor(t)
			server := httptest.NewServer(v)
			defer server.Close()
			t.Setenv("TEST_CONTRACT_KEY", vendorKey)
			g := newRig(t, sandbox.Config{})
			load := func(contract string) {
				contract = strings.ReplaceAll(contract, "${vendor}", server.URL)
				g.load(fmt.Sprintf("alipayai {\nprovider own {\nprofile alipay\nenvironment sandbox\nbase_url %s\nclient_id %s\nkey 1 {env.TEST_CONTRACT_KEY}\npath chat /gw/chat\n%s\n}\n}",
					server.URL, vendorApp, contract), "http://${gateway} {\n\talipayai_proxy own\n}")
			}
			load(tc.contract)
			const prompt = "hello, 你好 \"there\"" // which JSON in a string has to escape twice
			for i := range 2 {
				if a := g.do("POST", chatPath, chatBody(prompt, false)); a.status != http.StatusOK || !strings.Contains(a.body, `You said: hello, 你好 \"there\"`) || strings.Contains(a.body, "payload") {
					t.Fatalf("call %d: %d: %s", i, a.status, a.body)
				}
				a := g.do("POST", chatPath, chatBody(prompt, true))
				if a.status != http.StatusOK || said(t, a.body) != "You said: "+prompt || !strings.HasSuffix(a.body, "\n\ndata: [DONE]\n\n") ||
					!strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
					t.Fatalf("stream %d: %d: %q", i, a.status, a.body)
				}
			}
			if v.served != 4 {
				t.Errorf("the vendor has served %d calls", v.served)
			}
			for name, change := range tc.wrong {
				if !strings.Contains(tc.contract, change.from) {
					t.Fatalf("%s: the contract has no %q", name, change.from)
				}
				load(strings.Replace(tc.contract, change.from, change.to, 1))
				whole, streamed := g.do("POST", chatPath, chatBody(prompt, false)), g.do("POST", chatPath, chatBody(prompt, true))
				if whole.status == http.StatusOK && streamed.status == http.StatusOK && said(t, streamed.body) == "You said: "+prompt && strings.HasSuffix(streamed.body, "[DONE]\n\n") {
					t.Errorf("%s: served all the same: %q", name, streamed.body)
				}
			}
		})
	}
}

// said is the content of a stream of chunks.
func said(t *testing.T, stream string) (text string) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			return text + " and no event: " + event
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if data == "[DONE]" {
			return text
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return text + " and no chunk: " + data
		}
		for _, c := range chunk.Choices {
			text += c.Delta.Content
		}
	}
	return text
}
