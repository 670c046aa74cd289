package signer

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
)

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
