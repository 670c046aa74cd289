package calendar

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// counted is an upstream that answers at once, and notes when it was asked for what.
type counted struct {
	mu     sync.Mutex
	calls  []time.Time
	checks []time.Time
}

// RoundTrip implements http.RoundTripper.
func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.Method == http.MethodGet {
		c.checks = append(c.checks, time.Now())
	} else {
		c.calls = append(c.calls, time.Now())
	}
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(`{"object":"list","data":[]}`)), Request: req}, nil
}

// openAIAt is a provider of OpenAI's profile at an address.
func openAIAt(t *testing.T, address string, transport http.RoundTripper, edit func(*upstream.Provider)) *upstream.Provider {
	t.Helper()
	profile, err := upstream.LookupProfile("openai")
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(address + "/v1")
	if err != nil {
		t.Fatal(err)
	}
	p := &upstream.Provider{
		Profile: profile, BaseURL: base, Timeout: 15 * time.Second,
		Clock: new(upstream.Clock), Hold: new(upstream.Hold), Transport: transport,
	}
	edit(p)
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	return p
}

// A check lets every client go first. Clients that never pause do not keep it away: it has one permit in ten after the
// longest wait, and is answered within that and a few windows.
func TestCheckIsBehindAllClients(t *testing.T) {
	const maxWait = 10 * time.Second
	for name, test := range map[string]struct {
		busy time.Duration // how long clients wait for every permit, from the beginning
		from time.Duration // when the check is there at the soonest
		to   time.Duration // and at the latest

		timeout time.Duration // of the provider
	}{
		"no client":                        {0, 0, 0, 15 * time.Second},
		"clients that pause":               {4 * time.Second, 4 * time.Second, 6 * time.Second, 15 * time.Second},
		"clients that pause too late":      {time.Minute, 0, maxWait + 4*time.Second, 15 * time.Second},
		"a timeout below the longest wait": {time.Minute, 0, 8 * time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				window, c := limiter.NewMemoryWindow(time.Now), new(counted)
				p := openAIAt(t, "http://upstream.test", c, func(p *upstream.Provider) {
					p.Timeout = test.timeout
					p.Cap = &upstream.Cap{
						Limit: limiter.Limit{Requests: 10, Per: time.Second}, Window: window, Queue: limiter.NewQueue(window, time.Now),
						MaxWait: maxWait, MaxCount: 100, MaxBytes: 1 << 20,
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				var clients sync.WaitGroup
				began := time.Now()
				if test.busy > 0 {
					for range 20 { // each with a call at any time
						clients.Go(func() {
							for ctx.Err() == nil && time.Since(began) < test.busy {
								x, f := p.Send(ctx, &upstream.Request{
									Endpoint: upstream.EndpointChat, ID: "call", Body: []byte("{}"), Tenant: "acme", Caller: new(caller), Deadline: time.Now().Add(time.Minute),
								})
								if f != nil {
									continue
								}
								_ = x.Response.Body.Close()
								x.End()
							}
						})
					}
					synctest.Wait()
				}
				check := Ask(t.Context(), p, nil, time.Now)
				took := time.Since(began)
				cancel()
				clients.Wait()
				time.Sleep(maxWait) // by which the queue has nothing left to do
				if !check.Taken || check.Code != "" || len(c.checks) != 1 {
					t.Fatalf("%+v, asked %d times", check, len(c.checks))
				}
				if took < test.from || took > test.to {
					t.Errorf("the check was there after %v", took)
				}
				if full := int(took/time.Second) * 10; test.busy > took && len(c.calls) < full-2 {
					t.Errorf("%d calls in %v", len(c.calls), took)
				}
			})
		})
	}
}

// A check that was sent, or that a provider holds off, is not sent again.
func TestCheckIsSentOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		c := new(counted)
		p := openAIAt(t, "http://upstream.test", failing{c}, func(p *upstream.Provider) { p.Timeout = time.Second })
		if check := Ask(t.Context(), p, nil, time.Now); check.Taken || failure.IsRejection(check.Code) || len(c.checks) != 1 {
			t.Errorf("%+v, sent %d times", check, len(c.checks))
		}
	})
}

// failing answers 429 to what it counts.
type failing struct{ *counted }

// RoundTrip implements http.RoundTripper.
func (f failing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f.counted.RoundTrip(req)
	resp.StatusCode = http.StatusTooManyRequests
	return resp, err
}

// A check notes what an operator is to know of the connection, and the record that is kept has it.
func TestCheckNotesTheConnection(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(protocol, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			p := openAIAt(t, server.URL, server.Client().Transport, func(*upstream.Provider) {})
			began := time.Now()
			c := Ask(t.Context(), p, nil, time.Now)
			if !c.Taken || c.Protocol != protocol || !c.CertificateEnds.Equal(server.Certificate().NotAfter) || c.Latency <= 0 || c.Latency > time.Since(began) || c.At.Before(began) {
				t.Errorf("%+v", c)
			}
			kept := Record{Keys: map[string]Entry{"id": {}}}.checked("id", c)
			read, err := ParseRecord(kept.Marshal())
			if last := read.Keys["id"].Last; err != nil || last.Protocol != c.Protocol || last.Latency != c.Latency || !last.CertificateEnds.Equal(c.CertificateEnds) || !last.At.Equal(c.At) {
				t.Errorf("kept is %+v, %v", last, err)
			}
		})
	}
}

// broken is an answer whose body breaks off.
type broken struct{ *counted }

// RoundTrip implements http.RoundTripper.
func (b broken) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.counted.RoundTrip(req)
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"object":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	return resp, err
}

// unreadable is an answer that is no JSON.
type unreadable struct{ *counted }

// RoundTrip implements http.RoundTripper.
func (u unreadable) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.counted.RoundTrip(req)
	resp.Body = io.NopCloser(strings.NewReader("<html>"))
	return resp, err
}

// zipping is an upstream behind a proxy that compresses without being asked to.
type zipping struct{ *counted }

// RoundTrip implements http.RoundTripper.
func (z zipping) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := z.counted.RoundTrip(req)
	var packed bytes.Buffer
	to := gzip.NewWriter(&packed)
	_, _ = io.Copy(to, resp.Body)
	_ = to.Close()
	resp.Body = io.NopCloser(&packed)
	resp.Header.Set("Content-Encoding", "gzip")
	return resp, err
}

// What a proxy has compressed says of a key what it said before.
func TestCheckReadsWhatIsCompressed(t *testing.T) {
	p := openAIAt(t, "http://upstream.test", zipping{new(counted)}, func(*upstream.Provider) {})
	if check := Ask(t.Context(), p, nil, time.Now); !check.Taken {
		t.Errorf("%+v", check)
	}
}

// requiring makes a provider that takes signed answers alone.
func requiring(t *testing.T) func(*upstream.Provider) {
	t.Helper()
	keys, err := signer.NewRing(map[int]*signer.HMACKey{1: signer.NewHMACKey([]byte("example-hmac-key-1"))})
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := signer.NewHMAC(signer.HMACConfig{ClientID: "app-1", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return func(p *upstream.Provider) {
		p.ClientID, p.Scheme, p.Profile.Scheme, p.Verify = "app-1", scheme, signer.NameHMAC, upstream.VerifyRequire
	}
}

// A check that has not taken a key says why.
func TestCheckSaysWhy(t *testing.T) {
	c := new(counted)
	for name, test := range map[string]struct {
		transport http.RoundTripper
		edit      func(*upstream.Provider)
		code      string
	}{
		"throttled":   {failing{c}, func(*upstream.Provider) {}, "throttled"},
		"broken off":  {broken{c}, func(*upstream.Provider) {}, failure.CodeTruncated},
		"no JSON":     {unreadable{c}, func(*upstream.Provider) {}, failure.CodeMalformed},
		"a signature": {c, requiring(t), failure.CodeBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			p := openAIAt(t, "http://upstream.test", test.transport, test.edit)
			if check := Ask(t.Context(), p, nil, time.Now); check.Taken || check.Code != test.code {
				t.Errorf("%+v, want %s", check, test.code)
			}
		})
	}
}
