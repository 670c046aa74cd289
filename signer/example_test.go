package signer_test

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/signer"
)

func Example() {
	keys, err := signer.ParseKeys(map[int]string{1: "example-hmac-key-1"}, signer.ParseHMACKey)
	if err != nil {
		panic(err)
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		panic(err)
	}
	scheme, err := signer.NewHMAC(signer.HMACConfig{ClientID: "2026APP01", Keys: ring})
	if err != nil {
		panic(err)
	}

	body := []byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello"}]}`)
	req, err := http.NewRequest("POST", "https://api.example-alipay.test/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	signed, err := scheme.Sign(signer.Message{
		Method: req.Method,
		Target: req.URL.RequestURI(),
		Body:   body,
		Time:   time.UnixMilli(1767322800000), // time.Now(), with the clock's skew towards the server taken off
	})
	if err != nil {
		panic(err)
	}
	for _, field := range signed.Fields {
		req.Header[field.Name] = []string{field.Value}
		fmt.Printf("%s: %s\n", field.Name, field.Value)
	}
	// Output:
	// Client-Id: 2026APP01
	// Request-Time: 1767322800000
	// Signature: algorithm=HMAC-SHA256,keyVersion=1,signature=AB4KJfV9Kv4FHSqDLWKa%2BWAoy1NSqDIapbUKxOvmh7o%3D
}

func ExampleSandboxTarget() {
	fmt.Println(signer.SandboxTarget("SANDBOX_5X01", "/ams/api/v1/payments/pay"))
	// Output: /ams/sandbox/api/v1/payments/pay
}
