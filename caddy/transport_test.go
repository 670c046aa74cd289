package alipaycaddy

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// flaky stands before the simulated API. It takes requests for real, and then
// breaks the first ones off without an answer, or answers them with a status.
type flaky struct {
	api http.Handler
	// fail says how the nth request from 0 to an API path fails: 0 not at all,
	// -1 without an answer, or a status.
	fail func(n int) int

	mu       sync.Mutex
	requests []recorded
}

// recorded is what the upstream got.
type recorded struct {
	method, host, target, proto, body string
	header                            http.Header
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.URL.Path == "/oauth2/token" {
		f.api.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	n := len(f.requests)
	f.requests = append(f.requests, recorded{r.Method, r.Host, r.RequestURI, r.Proto, string(body), r.Header.Clone()})
	f.mu.Unlock()
	switch status := f.fail(n); status {
	case 0:
		f.api.ServeHTTP(w, r)
	case -1:
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
	}
}

func (f *flaky) recorded() []recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// signingRig is a rig whose site signs for a flaky upstream: ${upstream} is its
// address with the scheme, ${tls} what a connection to it needs.
func signingRig(t *testing.T, protocol string, fail func(n int) int) (*rig, *flaky) {
	t.Helper()
	g := newRig(t, sandbox.Config{})
	f := &flaky{api: g.api, fail: fail}
	server := httptest.NewUnstartedServer(f)
	g.vars["tls"] = ""
	if protocol == "HTTP/1.1" {
		server.Start()
	} else {
		server.EnableHTTP2 = protocol == "HTTP/2.0"
		server.StartTLS()
		ca := g.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
		g.vars["tls"] = "tls_trust_pool file " + ca
	}
	t.Cleanup(server.Close)
	g.vars["upstream"] = server.URL
	return g, f
}

const signingProvider = `
alipayai {
	provider alipay {
		profile sandbox
		base_url ${upstream}
		header X-Fixed from-the-gateway
		transport http {
			${tls}
		}
	}
}`

// signingSite retries what no answer came for, which is a 502, and what got a 503. Two tries in
// one millisecond would have the same time, and with it the same signature.
const signingSite = `
http://${gateway} {
	log
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
			http {
				${tls}
			}
		}
		lb_try_duration 10s
		lb_try_interval 5ms
		lb_retries 3
		lb_retry_match {
			expression "{rp.status_code} in [502, 503]"
		}
	}
}`

// TestTransportSignsEachTry has an upstream that fails twice in each way before
// the simulator checks the signature, over each protocol.
func TestTransportSignsEachTry(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTPS/1.1", "HTTP/2.0"} {
		for name, failure := range map[string]int{"no answer": -1, "status 503": 503} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				g, upstream := signingRig(t, protocol, func(n int) int {
					if n < 2 {
						return failure
					}
					return 0
				})
				g.load(signingProvider, signingSite)
				body := chatBody("exactly  these\u00a0bytes \u4f60\u597d", false)
				a := g.do("POST", chatPath+"?a=%2F&b", body)
				if a.status != http.StatusOK {
					t.Fatalf("status %d: %s", a.status, a.body)
				}
				tries := upstream.recorded()
				if len(tries) != 3 {
					t.Fatalf("%d tries, want 3", len(tries))
				}
				signatures := make(map[string]bool)
				for _, try := range tries {
					signatures[try.header.Get("Signature")] = true
					if try.body != body || try.target != chatPath+"?a=%2F&b" {
						t.Errorf("the upstream got %s with %q", try.target, try.body)
					}
					if try.host != strings.TrimPrefix(strings.TrimPrefix(g.vars["upstream"], "http://"), "https://") {
						t.Errorf("Host %q", try.host)
					}
					if want := "HTTP/" + strings.TrimPrefix(strings.TrimPrefix(protocol, "HTTPS/"), "HTTP/"); try.proto != want {
						t.Errorf("protocol %s, want %s", try.proto, want)
					}
				}
				if len(signatures) != 3 || g.api.Stats().RepeatedSignatures != 0 {
					t.Errorf("%d signatures for 3 tries", len(signatures))
				}
			})
		}
	}
}

// TestTransportTrustsWhatItIsTold has a certificate that no authority has signed.
func TestTransportTrustsWhatItIsTold(t *testing.T) {
	g, upstream := signingRig(t, "HTTP/2.0", func(int) int { return 0 })
	g.vars["tls"] = "tls_insecure_skip_verify"
	g.load(signingProvider, signingSite)
	if a := g.do("POST", chatPath, chatBody("x", false)); a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	g.load(signingProvider, strings.Replace(signingSite, "${tls}", "tls", 1))
	before := len(upstream.recorded())
	if a := g.do("POST", chatPath, chatBody("x", false)); a.status != http.StatusBadGateway {
		t.Errorf("status %d where the certificate is not trusted: %s", a.status, a.body)
	}
	if n := len(upstream.recorded()) - before; n != 0 {
		t.Errorf("%d requests reached a server that is not trusted", n)
	}
}

// TestTransportNeverRepeats breaks off each kind of request on a connection
// that was used before, which is when net/http repeats some by itself.
func TestTransportNeverRepeats(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"} {
		for _, body := range []string{"", "{}"} {
			if body != "" && method == "HEAD" {
				continue
			}
			name := method
			if body != "" {
				name += " with a body"
			}
			t.Run(name, func(t *testing.T) {
				g, upstream := signingRig(t, "HTTP/1.1", func(n int) int {
					if n == 0 {
						return 0
					}
					return -1
				})
				g.load(signingProvider, `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
		}
	}
}`)
				g.do("POST", chatPath, chatBody("warm", false))
				a := g.do(method, chatPath, body, "Idempotency-Key: a")
				if a.status != http.StatusBadGateway {
					t.Errorf("status %d: %s", a.status, a.body)
				}
				if n := len(upstream.recorded()) - 1; n != 1 {
					t.Errorf("the upstream got it %d times", n)
				}
			})
		}
	}
}

// TestTransportSendsAnAllowList looks at what goes up of a client's header.
func TestTransportSendsAnAllowList(t *testing.T) {
	g, upstream := signingRig(t, "HTTP/1.1", func(int) int { return 0 })
	g.load(signingProvider, strings.Replace(signingSite, "lb_try_duration", "header_up Host evil.example\nheader_up X-Up operator\nlb_try_duration", 1))
	a := g.do("POST", chatPath, chatBody("x", false),
		"Authorization: Bearer client", "Cookie: a=b", "Via: 1.1 x", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: evil.example",
		"Forwarded: for=192.0.2.1", "X-Real-Ip: 192.0.2.1", "X-Fixed: from-the-client", "Signature: forged",
		"Request-Time: 1", "Idempotency-Key: a", "Connection: X-Any", "X-Any: a", "Te: trailers", "Proxy-Authorization: Basic eDp5",
		"User-Agent: client", "Accept: text/plain", "Accept-Language: zh", "Traceparent: 00-1-1-01", "Payment-Proof: paid")
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	got := upstream.recorded()[0]
	want := map[string]string{
		"Accept": "text/plain", "Accept-Language": "zh", "Content-Type": "application/json", "Payment-Proof": "paid",
		"Traceparent": "00-1-1-01", "User-Agent": "caddy-alipayai", "X-Fixed": "from-the-gateway", "Client-Id": sandbox.DemoClientID,
		// Of these it matters that there is one, and that it is ours.
		"Accept-Encoding": got.header.Get("Accept-Encoding"), "Content-Length": got.header.Get("Content-Length"),
		"Authorization": got.header.Get("Authorization"), "Request-Time": got.header.Get("Request-Time"), "Signature": got.header.Get("Signature"),
	}
	for name, values := range got.header {
		if value, allowed := want[name]; !allowed || len(values) != 1 || values[0] != value {
			t.Errorf("the upstream got %s: %q", name, values)
		}
	}
	for name := range want {
		if len(got.header[name]) != 1 || strings.Contains(got.header.Get(name), "forged") {
			t.Errorf("the upstream got %s: %q", name, got.header[name])
		}
	}
	if "http://"+got.host != g.vars["upstream"] {
		t.Errorf("Host %q", got.host)
	}
}
