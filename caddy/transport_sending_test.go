package alipaycaddy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// silent is the address of a listener that accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	var held sync.WaitGroup
	held.Go(func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		held.Wait()
	})
	return listener.Addr().String()
}

const sendingSite = `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
			deadline 600ms
			http {
				${tls}
			}
		}
	}
}`

// TestTransportDeadline has what a request waits for before it leaves not come: the call ends at its deadline, and may be
// repeated. How long an answer takes is not the deadline's business.
func TestTransportDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		upstream func(g *rig) // sets what it needs
		provider string
		warm     bool // a call that is served comes before
		status   int
		code     string
	}{
		"token endpoint is silent": {
			func(g *rig) { g.vars["token"] = silent(t) }, "token http://${token}/oauth2/token {env.TEST_SECRET}", false,
			http.StatusServiceUnavailable, "token_unavailable",
		},
		"rate cap is used up": {nil, "limit 1 4s", true, http.StatusGatewayTimeout, "upstream_timeout"},
		"upstream is silent in its handshake": {
			func(g *rig) { g.vars["upstream"], g.vars["tls"] = "https://"+silent(t), "tls_insecure_skip_verify" }, "token http://${api}/oauth2/token {env.TEST_SECRET}", false,
			http.StatusGatewayTimeout, "upstream_timeout",
		},
		"answer comes late": {func(g *rig) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				timer := time.NewTimer(900 * time.Millisecond)
				defer timer.Stop()
				<-timer.C
				io.WriteString(w, "{}")
			}))
			t.Cleanup(server.Close)
			g.vars["upstream"] = server.URL
		}, "token http://${api}/oauth2/token {env.TEST_SECRET}", false, http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_SECRET", sandbox.DemoOAuthSecret)
			g, _ := signingRig(t, "HTTP/1.1", func(int) int { return 0 })
			if tt.upstream != nil {
				tt.upstream(g)
			}
			g.load("alipayai {\nprovider alipay {\nprofile sandbox\nbase_url ${upstream}\n"+tt.provider+"\n}\n}", sendingSite)
			if tt.warm {
				if a := g.do("POST", chatPath, chatBody("first", false)); a.status != http.StatusOK {
					t.Fatalf("%d %s", a.status, a.body)
				}
			}
			began := time.Now()
			a := g.do("POST", chatPath, chatBody("hello", false))
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("took %v", took)
			}
			if a.status != tt.status || tt.code != "" && a.code() != tt.code || a.header.Get("X-Should-Retry") != "" {
				t.Errorf("%d %s %v, want %d %s", a.status, a.body, a.header, tt.status, tt.code)
			}
		})
	}
}

// TestTransportSaysWhatIsUnsafe breaks calls before and after they may have left.
func TestTransportSaysWhatIsUnsafe(t *testing.T) {
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		upstream http.HandlerFunc // nil: nothing listens
		provider string
		http     string // options of the connection
		retry    string // of reverse_proxy
		status   int
		unsafe   bool
		arrived  int
	}{
		"nothing listens":      {nil, "", "", "", http.StatusBadGateway, false, 0},
		"nothing listens, lb":  {nil, "", "", "lb_retries 2", http.StatusBadGateway, false, 0},
		"hangs up":             {hangUp, "", "", "", http.StatusBadGateway, true, 1},
		"hangs up, GET retry":  {hangUp, "", "", "lb_retries 2", http.StatusBadGateway, true, 1},
		"hangs up, fails over": {hangUp, "", "", "fail_duration 1m", http.StatusBadGateway, true, 1},
		"hangs up in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		}, "", "", "", http.StatusBadGateway, true, 1},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "",
			"response_header_timeout 2s", "", http.StatusGatewayTimeout, true, 1},
		"invalid head": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(conn, "no HTTP\r\n\r\n")
			conn.Close()
		}, "", "", "", http.StatusBadGateway, true, 1},
		"refused when tried again": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"limit 1 10s\nqueue {\nmax_wait 1ms\n}", "", "lb_retries 1\nlb_retry_match {\nexpression {rp.status_code} == 503\n}",
			http.StatusTooManyRequests, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			var mu sync.Mutex
			arrived := 0
			g.vars["upstream"] = "http://" + g.vars["gone"]
			if tt.upstream != nil {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					arrived++
					mu.Unlock()
					_, _ = io.Copy(io.Discard, r.Body)
					tt.upstream(w, r)
				}))
				t.Cleanup(server.Close)
				g.vars["upstream"] = server.URL
			}
			t.Setenv("TEST_SECRET", sandbox.DemoOAuthSecret)
			g.load("alipayai {\nprovider alipay {\nprofile sandbox\nbase_url ${upstream}\ntoken http://${api}/oauth2/token {env.TEST_SECRET}\n"+tt.provider+"\n}\n}", `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
			http {
				`+tt.http+`
			}
		}
		`+tt.retry+`
	}
}`)
			method := "POST"
			if tt.retry == "lb_retries 2" {
				method = "GET" // which reverse_proxy would repeat by itself
			}
			a := g.do(method, chatPath, "")
			unsafe := a.header.Get("X-Should-Retry") == "false"
			if a.status != tt.status || unsafe != tt.unsafe {
				t.Errorf("%d, unsafe %t, want %d, %t: %v %s", a.status, unsafe, tt.status, tt.unsafe, a.header, a.body)
			}
			mu.Lock()
			defer mu.Unlock()
			if arrived != tt.arrived {
				t.Errorf("%d arrived, want %d", arrived, tt.arrived)
			}
		})
	}
}
