package signer

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSignedRequestVerifies(t *testing.T) {
	for name, s := range schemes(t) {
		t.Run(name, func(t *testing.T) {
			body := bytes.Clone(s.m.Body)
			received, h := send(t, s, s.m)
			if err := s.VerifyRequest(received, h); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.m.Body, body) {
				t.Error("Sign wrote to the body")
			}
			for field := range h {
				if field != http.CanonicalHeaderKey(field) {
					t.Errorf("field %s is not canonical", field)
				}
			}
		})
	}
}

// Every single byte of what is signed counts.
func TestEveryChangedByteFails(t *testing.T) {
	for name, s := range schemes(t) {
		if _, err := s.Canonical(s.m); errors.Is(err, ErrNoCanonical) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			received, h := send(t, s, s.m)
			refused := func(what string, i int, m Message, h http.Header) {
				t.Helper()
				if s.VerifyRequest(m, h) == nil {
					t.Errorf("byte %d of %s changed: still verifies", i, what)
				}
			}
			isV2 := len(h) == 0
			for i := range received.Method {
				m := received
				m.Method = changed(m.Method, i)
				if !isV2 { // which does not sign the method
					refused("method", i, m, h)
				}
			}
			for i := range received.Target {
				m := received
				m.Target = changed(m.Target, i)
				if !isV2 || i > len("/gateway.do") { // nor the path
					refused("target", i, m, h)
				}
			}
			for i := range received.Body {
				m := received
				m.Body = []byte(changed(string(m.Body), i))
				refused("body", i, m, h)
			}
			for field, value := range h {
				if field == "Alipay-Root-Cert-Sn" { // sent along, unsigned
					continue
				}
				for i := range value[0] {
					h := h.Clone()
					h[field] = []string{changed(value[0], i)}
					refused("field "+field, i, received, h)
				}
			}
		})
	}
}

// changed returns s with one byte replaced by another one of the same kind.
func changed(s string, i int) string {
	b := []byte(s)
	switch c := b[i]; {
	case c == '9' || c == 'z' || c == 'Z':
		b[i]--
	case '0' <= c && c < '9' || 'a' <= c && c < 'z' || 'A' <= c && c < 'Z':
		b[i]++
	default:
		b[i] ^= 1
	}
	return string(b)
}

func TestMissingPartsFail(t *testing.T) {
	for name, s := range schemes(t) {
		t.Run(name, func(t *testing.T) {
			received, h := send(t, s, s.m)
			if len(h) == 0 {
				if err := s.VerifyRequest(s.m, h); !errors.Is(err, ErrUnsigned) {
					t.Errorf("without sign: got %v", err)
				}
				return
			}
			for field, value := range h {
				if slices.Contains([]string{"Alipay-Root-Cert-Sn", "Anthropic-Version"}, field) {
					continue
				}
				missing, twice := h.Clone(), h.Clone()
				delete(missing, field)
				twice[field] = []string{value[0], value[0]}
				if err := s.VerifyRequest(received, missing); err == nil {
					t.Errorf("without %s: verifies", field)
				}
				if err := s.VerifyRequest(received, twice); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s twice: got %v", field, err)
				}
			}
			if err := s.VerifyRequest(received, http.Header{}); !errors.Is(err, ErrUnsigned) {
				t.Errorf("no fields: got %v", err)
			}
		})
	}
}

func TestRotation(t *testing.T) {
	old, next := NewHMACKey([]byte("example-hmac-key-1")), NewHMACKey([]byte("example-hmac-key-2"))
	keys := ring(t, map[int]*HMACKey{1: old})
	s := must(NewHMAC(HMACConfig{ClientID: "A", Keys: keys}))(t)
	m := Message{Method: "GET", Target: "/v1/models", Time: testTime}
	first, firstHeader := send(t, s, m)

	if err := keys.Replace(map[int]*HMACKey{1: old, 2: next}); err != nil {
		t.Fatal(err)
	}
	second, secondHeader := send(t, s, m)
	if got := must(ParseSignature(secondHeader.Get("Signature")))(t).KeyVersion; got != 2 {
		t.Errorf("signed with version %d, want 2", got)
	}
	if err := s.VerifyRequest(first, firstHeader); err != nil {
		t.Errorf("old version: %v", err)
	}
	if err := keys.Replace(map[int]*HMACKey{2: next}); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyRequest(first, firstHeader); !errors.Is(err, ErrUnknownKeyVersion) {
		t.Errorf("removed version: got %v", err)
	}
	if err := s.VerifyRequest(second, secondHeader); err != nil {
		t.Error(err)
	}
}

func TestHMACResponse(t *testing.T) {
	s := newHMAC(t, "2026APP01")
	answer := Message{Method: "POST", Target: "/v1/chat/completions?a=1", Body: []byte(`{"ok":true}`), Time: testTime}
	signed := header(must(s.SignResponse(answer))(t).Fields)
	if signed.Get("Response-Time") != "1767322800000" || signed.Get("Request-Time") != "" {
		t.Errorf("got %v", signed)
	}
	for name, c := range map[string]struct {
		change func(*Message, http.Header)
		want   error
	}{
		"as sent":              {func(*Message, http.Header) {}, nil},
		"without client id":    {func(_ *Message, h http.Header) { h.Del("Client-Id") }, nil},
		"other query":          {func(m *Message, _ http.Header) { m.Target = "/v1/chat/completions" }, nil},
		"other client id":      {func(_ *Message, h http.Header) { h.Set("Client-Id", "B") }, ErrWrongIdentity},
		"other path":           {func(m *Message, _ http.Header) { m.Target = "/v1/models" }, ErrBadSignature},
		"other body":           {func(m *Message, _ http.Header) { m.Body = nil }, ErrBadSignature},
		"other time":           {func(_ *Message, h http.Header) { h.Set("Response-Time", "1767322800001") }, ErrBadSignature},
		"no time":              {func(_ *Message, h http.Header) { h.Del("Response-Time") }, ErrMalformed},
		"no signature":         {func(_ *Message, h http.Header) { h.Del("Signature") }, ErrUnsigned},
		"empty signature":      {func(_ *Message, h http.Header) { h.Set("Signature", "") }, ErrUnsigned},
		"unknown key":          {func(_ *Message, h http.Header) { replaceVersion(h, 7) }, ErrUnknownKeyVersion},
		"another version":      {func(_ *Message, h http.Header) { replaceVersion(h, 1) }, ErrBadSignature},
		"a request's own time": {func(_ *Message, h http.Header) { h["Request-Time"] = h["Response-Time"]; h.Del("Response-Time") }, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m, h := answer, signed.Clone()
			c.change(&m, h)
			if err := s.VerifyResponse(m, h); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func replaceVersion(h http.Header, version int) {
	s, err := ParseSignature(h.Get("Signature"))
	if err != nil {
		panic(err)
	}
	s.KeyVersion = version
	h.Set("Signature", string(s.Append(nil)))
}

func TestGlobalResponse(t *testing.T) {
	vendor := RSAKeys{Keys: rsaKeys(t).Keys}
	s := must(NewGlobal(GlobalConfig{ClientID: "5X01", RSAKeys: rsaKeys(t)}))(t)
	answer := Message{Method: "POST", Target: "/ams/api/v1/payments/pay", Body: []byte(`{"result":{}}`)}
	sign := func(at string, version int) http.Header {
		head := s.layout.appendHead(nil, answer.Method, answer.Target, []byte(at))
		signing := RSAKeys{Keys: ring(t, map[int]*rsa.PrivateKey{version: vendorKey()})}
		_, raw, err := signing.sign(head, answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{
			"Client-Id":     {"5X01"},
			"Response-Time": {at},
			"Signature":     {string(Signature{AlgorithmRSA, version, raw}.Append(nil))},
		}
	}
	for _, at := range []string{"1767322800000", "2019-05-28T12:12:12+08:00", "2019-05-28T12:12:12.123Z"} {
		if err := s.VerifyResponse(answer, sign(at, 1)); err != nil {
			t.Errorf("time %s: %v", at, err)
		}
	}
	if err := s.VerifyResponse(answer, sign("1767322800000", 2)); !errors.Is(err, ErrUnknownKeyVersion) {
		t.Errorf("unknown version: got %v", err)
	}
	if err := s.VerifyResponse(answer, sign("2019-05-28", 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a time: got %v", err)
	}
	// The Go SDK checks over the path, Java, Python and PHP over path and query.
	path := answer.Target
	signedPath := sign("1767322800000", 1)
	answer.Target += "?id=1%2F2&x"
	signedTarget := sign("1767322800000", 1)
	for name, c := range map[string]struct {
		target string
		signed http.Header
		want   error
	}{
		"the path alone":                {answer.Target, signedPath, nil},
		"path and query":                {answer.Target, signedTarget, nil},
		"no query, signed with one":     {path, signedTarget, ErrBadSignature},
		"another query":                 {path + "?id=1%2F3&x", signedTarget, ErrBadSignature},
		"the query in another spelling": {path + "?id=1/2&x", signedTarget, ErrBadSignature},
		"another path":                  {"/ams/api/v1/payments/refund?id=1%2F2&x", signedPath, ErrBadSignature},
	} {
		m := answer
		m.Target = c.target
		if err := s.VerifyResponse(m, c.signed); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	answer.Target = path
	without := must(NewGlobal(GlobalConfig{ClientID: "5X01", RSAKeys: vendor}))(t)
	if err := without.VerifyResponse(answer, sign("1767322800000", 1)); !errors.Is(err, ErrNoKeys) {
		t.Errorf("without response keys: got %v", err)
	}
	if err := without.VerifyResponse(answer, http.Header{}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: got %v", err)
	}
}

func TestOpenAPIV3Response(t *testing.T) {
	s := must(NewOpenAPIV3(openAPIConfig(t)))(t)
	vendor := RSAKeys{Keys: ring(t, map[int]*rsa.PrivateKey{1: vendorKey()})}
	answer := Message{Method: "POST", Target: "/v3/x", Body: []byte(`{"ok":true}`)}
	_, raw, err := vendor.sign([]byte("1767322800000\nn1\n"), answer.Body, []byte("\n"))
	if err != nil {
		t.Fatal(err)
	}
	signed := http.Header{
		"Alipay-Timestamp": {"1767322800000"},
		"Alipay-Nonce":     {"n1"},
		"Alipay-Signature": {base64.StdEncoding.EncodeToString(raw)},
	}
	for name, c := range map[string]struct {
		change func(http.Header)
		want   error
	}{
		"as sent":             {func(http.Header) {}, nil},
		"unsigned":            {func(h http.Header) { h.Del("Alipay-Signature") }, ErrUnsigned},
		"no nonce":            {func(h http.Header) { h.Del("Alipay-Nonce") }, ErrMalformed},
		"no timestamp":        {func(h http.Header) { h.Del("Alipay-Timestamp") }, ErrMalformed},
		"two nonces":          {func(h http.Header) { h.Add("Alipay-Nonce", "n1") }, ErrMalformed},
		"nonce with newline":  {func(h http.Header) { h["Alipay-Nonce"] = []string{"n1\n"} }, ErrMalformed},
		"other nonce":         {func(h http.Header) { h.Set("Alipay-Nonce", "n2") }, ErrBadSignature},
		"other timestamp":     {func(h http.Header) { h.Set("Alipay-Timestamp", "1767322800001") }, ErrBadSignature},
		"signature no base64": {func(h http.Header) { h.Set("Alipay-Signature", "a") }, ErrMalformed},
		"signature cut":       {func(h http.Header) { h.Set("Alipay-Signature", "AAAA") }, ErrBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			h := signed.Clone()
			c.change(h)
			if err := s.VerifyResponse(answer, h); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestCredential(t *testing.T) {
	all := schemes(t)
	for name, c := range map[string]struct {
		scheme string
		h      http.Header
		want   error
	}{
		"bearer newest":   {"bearer", http.Header{"Authorization": {"Bearer sk-new"}}, nil},
		"bearer old":      {"bearer", http.Header{"Authorization": {"Bearer sk-old"}}, nil},
		"bearer unknown":  {"bearer", http.Header{"Authorization": {"Bearer sk-ne"}}, ErrBadSignature},
		"bearer basic":    {"bearer", http.Header{"Authorization": {"Basic c2s="}}, ErrMalformed},
		"bearer none":     {"bearer", http.Header{}, ErrUnsigned},
		"header newest":   {"header", http.Header{"X-Api-Key": {"sk-new"}}, nil},
		"header unknown":  {"header", http.Header{"X-Api-Key": {"sk-newer"}}, ErrBadSignature},
		"header repeated": {"header", http.Header{"X-Api-Key": {"sk-new", "sk-new"}}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := all[c.scheme]
			if err := s.VerifyRequest(s.m, c.h); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := s.VerifyResponse(s.m, c.h); !errors.Is(err, ErrUnsigned) {
				t.Errorf("response: got %v", err)
			}
		})
	}
	want := []Field{{"X-Api-Key", "sk-new"}, {"Anthropic-Version", "2023-06-01"}}
	if got := must(all["header"].Sign(Message{}))(t).Fields; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSandboxTarget(t *testing.T) {
	for name, c := range map[string]struct{ id, target, want string }{
		"production":         {"5X01", "/ams/api/v1/payments/pay", "/ams/api/v1/payments/pay"},
		"sandbox":            {"SANDBOX_5X01", "/ams/api/v1/payments/pay", "/ams/sandbox/api/v1/payments/pay"},
		"the first only":     {"SANDBOX_5X01", "/ams/api/x/ams/api", "/ams/sandbox/api/x/ams/api"},
		"not in the query":   {"SANDBOX_5X01", "/v1?to=/ams/api", "/v1?to=/ams/api"},
		"the query stays":    {"SANDBOX_5X01", "/ams/api/v1?to=/ams/api?", "/ams/sandbox/api/v1?to=/ams/api?"},
		"rewritten already":  {"SANDBOX_5X01", "/ams/sandbox/api/v1", "/ams/sandbox/api/v1"},
		"sandbox inside ids": {"5X_SANDBOX_", "/ams/api/v1", "/ams/api/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SandboxTarget(c.id, c.target); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// One scheme serves many calls at once, while its keys are replaced.
func TestConcurrentUse(t *testing.T) {
	a, b := NewHMACKey([]byte("example-hmac-key-1")), NewHMACKey([]byte("example-hmac-key-2"))
	keys := ring(t, map[int]*HMACKey{1: a})
	s := must(NewHMAC(HMACConfig{ClientID: "A", Keys: keys}))(t)
	const workers = 8
	failures := make(chan error, workers)
	for w := range workers {
		go func() {
			for i := range 300 {
				m := Message{
					Method: "POST",
					Target: "/" + strconv.Itoa(w),
					Body:   bytes.Repeat([]byte{byte(w)}, i),
					Time:   testTime.Add(time.Duration(i) * time.Millisecond),
				}
				signed, err := s.Sign(m)
				if err == nil {
					err = s.VerifyRequest(m, header(signed.Fields))
				}
				if err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for i := range 100 {
		if err := keys.Replace(map[int]*HMACKey{1: a, 2 + i%2: b}); err != nil {
			t.Error(err)
		}
	}
	for range workers {
		// A version may be gone between signing and verifying; nothing else may fail.
		if err := <-failures; err != nil && !errors.Is(err, ErrUnknownKeyVersion) {
			t.Error(err)
		}
	}
}

// TestOpenAPIV3ExtraParts: what an SDK is configured to add to its auth string (Node: additionalAuthInfo) is signed as it
// stands.
func TestOpenAPIV3ExtraParts(t *testing.T) {
	s := must(NewOpenAPIV3(openAPIConfig(t)))(t)
	m := Message{Method: "POST", Target: "/v3/x", Body: []byte("{}")}
	const auth = "app_id=2021000000000001,nonce=n,timestamp=1767322800000,expired_seconds=120,x=y"
	_, raw, err := s.config.sign([]byte(auth + "\nPOST\n/v3/x\n{}\n"))
	if err != nil {
		t.Fatal(err)
	}
	sign := ",sign=" + base64.StdEncoding.EncodeToString(raw)
	for value, want := range map[string]error{
		auth:                                   nil,
		strings.Replace(auth, "120", "121", 1): ErrBadSignature,
		strings.Replace(auth, ",expired_seconds=120", "", 1): ErrBadSignature,
		strings.Replace(auth, "=120,x=y", "=120", 1):         ErrBadSignature,
	} {
		h := http.Header{"Authorization": {"ALIPAY-SHA256withRSA " + value + sign}}
		if err := s.VerifyRequest(m, h); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", value, err, want)
		}
	}
}
