package signer

import (
	"bytes"
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
