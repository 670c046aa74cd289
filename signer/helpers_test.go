package signer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testTime is the time that test messages carry.
var testTime = time.UnixMilli(1767322800000)

// Two RSA keys are enough for the whole package: making one takes a good part of a second.
var (
	appKey    = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })
	vendorKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })
)

func newRSAKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func ring[K any](t testing.TB, keys map[int]K) *Ring[K] {
	t.Helper()
	return must(NewRing(keys))(t)
}

// must turns a result that may not fail in a test into its value: must(f())(t).
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func rsaKeys(t testing.TB) RSAKeys {
	return RSAKeys{
		Keys:         ring(t, map[int]*rsa.PrivateKey{1: vendorKey(), 2: appKey()}),
		ResponseKeys: ring(t, map[int]*rsa.PublicKey{1: &vendorKey().PublicKey}),
	}
}

func openAPIConfig(t testing.TB) OpenAPIConfig {
	return OpenAPIConfig{AppID: "2021000000000001", RSAKeys: rsaKeys(t)}
}

func newHMAC(t testing.TB, clientID string) *HMAC {
	keys := map[int]*HMACKey{1: NewHMACKey([]byte("example-hmac-key-1")), 2: NewHMACKey([]byte("example-hmac-key-2"))}
	return must(NewHMAC(HMACConfig{ClientID: clientID, Keys: ring(t, keys)}))(t)
}

// schemes returns one scheme of each kind and the message it signs in tests.
func schemes(t testing.TB) map[string]struct {
	Scheme
	m Message
} {
	type entry = struct {
		Scheme
		m Message
	}
	chat := Message{
		Method: "POST",
		Target: "/v1/chat/completions?q=%E4%BD%A0",
		Body:   []byte(`{"a":"你好 & +%"}`),
		Time:   testTime,
		Nonce:  "c7ef77a5-f66d-429b-80be-428c563a4267",
	}
	withToken := chat
	withToken.AppAuthToken = "aat-1"
	form := chat
	form.Target = "/gateway.do?method=alipay.user.info.share&charset=utf-8"
	form.Body = []byte("biz_content=%7B%22a%22%3A%22%E4%BD%A0+%26%22%7D")

	certified := openAPIConfig(t)
	certified.AppCertSN, certified.RootCertSN = "cb01a52047b3486a07daa65487ce9272", "aa_bb"
	verifier := openAPIConfig(t)
	tokens := ring(t, map[int]string{1: "sk-old", 2: "sk-new"})
	return map[string]entry{
		"hmac-sha256":            {newHMAC(t, "2026APP01"), chat},
		"openapi-v3":             {must(NewOpenAPIV3(verifier))(t), chat},
		"openapi-v3 token":       {must(NewOpenAPIV3(verifier))(t), withToken},
		"openapi-v3 certificate": {must(NewOpenAPIV3(certified))(t), withToken},
		"openapi-v2":             {must(NewOpenAPIV2(verifier))(t), form},
		"openapi-v2 certificate": {must(NewOpenAPIV2(certified))(t), form},
		"global":                 {must(NewGlobal(GlobalConfig{ClientID: "5X01", RSAKeys: rsaKeys(t)}))(t), chat},
		"global iso8601":         {must(NewGlobal(GlobalConfig{ClientID: "5X01", RSAKeys: rsaKeys(t), ISO8601: true}))(t), chat},
		"bearer":                 {must(NewBearer(tokens))(t), chat},
		"header": {must(NewHeader(HeaderConfig{
			Name: "x-api-key", Keys: tokens, Extra: []Field{{"anthropic-version", "2023-06-01"}},
		}))(t), chat},
	}
}

// send signs m and returns what a server receives.
func send(t testing.TB, s Scheme, m Message) (Message, http.Header) {
	t.Helper()
	signed := must(s.Sign(m))(t)
	return Message{Method: m.Method, Target: signed.Target, Body: signed.Body}, header(signed.Fields)
}

func header(fields []Field) http.Header {
	h := make(http.Header)
	for _, f := range fields {
		h[f.Name] = []string{f.Value}
	}
	return h
}

// vectors reads one file of testdata/vectors.
func vectors[V any](t *testing.T, name string) []V {
	t.Helper()
	var file struct{ Vectors []V }
	text := must(os.ReadFile(filepath.Join("testdata", "vectors", name)))(t)
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatalf("%s holds no vectors", name)
	}
	return file.Vectors
}

// vectorKeys reads one of the public keys of the vectors.
func vectorKeys(t *testing.T, name string) *Ring[*rsa.PublicKey] {
	t.Helper()
	text := must(os.ReadFile(filepath.Join("testdata", "vectors", name)))(t)
	return ring(t, map[int]*rsa.PublicKey{1: must(ParseRSAPublicKey(text))(t)})
}
