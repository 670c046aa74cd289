package doctor

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Without permission nothing is sent that costs, or that is wrong: one request for a token, and one for the models.
func TestCheckSendsWhatIsFree(t *testing.T) {
	for name, tc := range map[string]struct {
		options  Options
		requests int
		paths    map[string]int64
	}{
		"nothing permitted": {Options{}, 2, map[string]int64{"/oauth2/token": 1, "/v1/models": 1}},
		"chat":              {Options{Chat: true}, 3, map[string]int64{"/oauth2/token": 1, "/v1/models": 1, "/v1/chat/completions": 1}},
		"probes":            {Options{ProbeSignature: true}, 5, map[string]int64{"/oauth2/token": 1, "/v1/models": 4}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t, sandbox.Config{Mode: sandbox.Production})
			report := Check(t.Context(), newProvider(t, sim.url, nil), tc.options)
			if !report.OK() || report.Requests != tc.requests {
				t.Errorf("ok: %t, %d requests, want %d: %+v", report.OK(), report.Requests, tc.requests, report.Steps)
			}
			for path, n := range sim.Stats().Paths {
				if tc.paths[path] != n {
					t.Errorf("%s was asked %d times, want %d", path, n, tc.paths[path])
				}
			}
			if got := stepOf(t, report, stepSignature).Sent; !strings.Contains(got, `"GET /v1/models\n`) || !strings.Contains(got, sandbox.DemoClientID+".") {
				t.Errorf("what is signed is shown as %q", got)
			}
		})
	}
}

// However long an upstream refuses, and whatever could be tried, a check has an end.
func TestCheckIsBounded(t *testing.T) {
	for name, answer := range map[string]string{
		"not found": "404", "unauthorized": "401", "unknown code": `200 {"code":"E1","msg":"no"}`, "token code": `200 {"code":"BAD_TOKEN"}`,
		"signature code": `403 {"code":"BAD_SIGN"}`, "time code": `403 {"code":"INVALID_REQUEST_TIME"}`, "version": "505",
		"failing": "500", "throttled": "429", "redirected": "302", "a page": "200 <html>",
	} {
		t.Run(name, func(t *testing.T) {
			var arrived int
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrived++
				if r.URL.Path == "/oauth2/token" {
					fmt.Fprint(w, `{"access_token":"at-of-this-test","expires_in":600}`)
					return
				}
				status, body, _ := strings.Cut(answer, " ")
				var code int
				fmt.Sscan(status, &code)
				w.WriteHeader(code)
				fmt.Fprint(w, body)
			}))
			defer server.Close()
			p := newProvider(t, server.URL, nil)
			report := Check(t.Context(), p, Options{ProbeSignature: true, Chat: true, With: func([]string) (*upstream.Provider, error) {
				return newProvider(t, server.URL, func(p *upstream.Provider) { p.Name = "other" }), nil
			}})
			if report.OK() || arrived > MaxRequests || report.Requests != arrived || len(report.Options()) > 0 {
				t.Errorf("ok: %t, %d requests, %d arrived, options %q", report.OK(), report.Requests, arrived, report.Options())
			}
		})
	}
}

// quotingUpstream answers with all that it has been sent, in a code and a message, in header fields and as a token.
func quotingUpstream(t *testing.T) *httptest.Server {
	var mu sync.Mutex
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for name, values := range r.Header {
			if name != "Client-Id" {
				all = append(all, values...)
			}
		}
		if user, password, ok := r.BasicAuth(); ok {
			all = append(all, user+":"+password)
		}
		said, _ := json.Marshal(strings.Join(all, " "))
		w.Header().Set("X-RateLimit-Note", strings.Join(all, " "))
		if r.URL.Path == "/oauth2/token" {
			fmt.Fprintf(w, `{"access_token":"at-of-this-test-0123456789","expires_in":600,"note":%s}`, said)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"code":%s,"message":%s}`, said, said)
	}))
	t.Cleanup(server.Close)
	return server
}

// No report holds a credential, whatever the upstream says, in any of the spellings that a reader could undo.
func TestReportsHoldNoCredential(t *testing.T) {
	var mu sync.Mutex
	secrets := []string{sandbox.DemoOAuthSecret, string(sandbox.DemoKeys()[1]), "at-of-this-test-0123456789"}
	note := func(_ *http.Request, header http.Header) {
		mu.Lock()
		defer mu.Unlock()
		_, signature, _ := strings.Cut(header.Get("Signature"), "signature=")
		plain, _ := url.QueryUnescape(signature)
		for _, s := range []string{signature, plain, strings.TrimPrefix(header.Get("Authorization"), "Bearer ")} {
			if s != "" && !strings.HasPrefix(s, "Basic ") {
				secrets = append(secrets, s)
			}
		}
	}
	for name, server := range map[string]*httptest.Server{
		"a quoting upstream": quotingUpstream(t),
		"the simulator": func() *httptest.Server {
			api, err := sandbox.New(sandbox.Config{OnRequest: func(r *http.Request, _ []byte) { note(r, r.Header) }})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			return server
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, server.URL, nil)
			p.Credentials.Add(sandbox.DemoOAuthSecret, string(sandbox.DemoKeys()[1]))
			report := Check(t.Context(), p, Options{Chat: true, ProbeSignature: true})
			var text strings.Builder
			if err := report.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			object, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			joined := strings.Join(strings.Fields(text.String()), "")
			mu.Lock()
			defer mu.Unlock()
			for _, secret := range secrets {
				for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
					if strings.Contains(joined, form) || strings.Contains(string(object), form) {
						t.Errorf("%q is in the report:\n%s", form, text.String())
					}
				}
			}
		})
	}
}

// The text fits a terminal, and says of each step how it ended.
func TestReportText(t *testing.T) {
	sim := newSimulator(t, sandbox.Config{Variants: []sandbox.Variant{sandbox.VariantHex}})
	report := Check(t.Context(), newProvider(t, sim.url, nil), Options{})
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(text.String(), "\n") {
		if utf8.RuneCountInString(line) > 100 || strings.HasSuffix(line, " ") {
			t.Errorf("line of %d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	for _, want := range []string{"\nconnection   ok ", "\nsignature    FAIL ", "\nchat         skipped ", "suspected", "what to do"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, text.String())
		}
	}
	// An option has its own lines, however long they are: it is copied from there.
	option := layoutOption(newProvider(t, sim.url, nil), layout{content: layoutContents[1], at: layoutTimes[0], signature: layoutSignatures[0]}).text
	text.Reset()
	if err := (&Report{Steps: []Step{{Name: stepSignature, Options: []string{option}}}}).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(option, "\n") {
		if !strings.Contains(text.String(), " "+line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, text.String())
		}
	}
	if err := report.WriteText(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// What keeps a connection from being made is named, with what to do about it.
func TestCheckOfAConnection(t *testing.T) {
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, tc := range map[string]struct{ base, why, want string }{
		"unknown authority": {tls.URL, "authority", "tls_trust_pool"},
		"refused":           {"http://" + heldport.Addr(t), "connection refused", "network"},
		"no TLS":            {strings.Replace(plain.URL, "http:", "https:", 1), "TLS", "base_url http://"},
	} {
		t.Run(name, func(t *testing.T) {
			report := Check(t.Context(), newProvider(t, tc.base, func(p *upstream.Provider) { p.Tokens = nil }), Options{Chat: true})
			s := stepOf(t, report, stepConnection)
			if s.Status != Fail || !strings.Contains(s.Received, tc.why) || !strings.Contains(s.Advice, tc.want) || report.OK() {
				t.Errorf("step %+v", s)
			}
			// The same of the token endpoint, which is asked first.
			report = Check(t.Context(), newProvider(t, tc.base, nil), Options{})
			if s := stepOf(t, report, stepConnection); !strings.Contains(s.Received, tc.why) || !strings.Contains(s.Advice, tc.want) {
				t.Errorf("of the token endpoint: step %+v", s)
			}
		})
	}
}

// A check takes its place in the provider's rate cap, behind all clients.
func TestCheckKeepsToTheCap(t *testing.T) {
	sim := newSimulator(t, sandbox.Config{})
	window := limiter.NewMemoryWindow(time.Now)
	queue := limiter.NewQueue(window, time.Now)
	p := newProvider(t, sim.url, func(p *upstream.Provider) {
		p.Cap = &upstream.Cap{
			Limit: limiter.Limit{Requests: 2, Per: 200 * time.Millisecond, Guard: time.Millisecond}, Window: window, Queue: queue,
			MaxWait: 10 * time.Second, MaxCount: 10, MaxBytes: 1 << 20,
		}
	})
	began := time.Now()
	if report := Check(t.Context(), p, Options{ProbeSignature: true}); !report.OK() {
		t.Errorf("report %+v", report)
	}
	// Four requests for the models, two in each window.
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("four requests within %v", took)
	}
}
