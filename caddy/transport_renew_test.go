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
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// slowHandshake is a listener whose first connection reads nothing until open is closed.
type slowHandshake struct {
	net.Listener
	first    sync.Once
	accepted chan struct{}
	open     chan struct{}
}

func (l *slowHandshake) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.first.Do(func() {
			conn = &slowConn{conn, l.open}
			close(l.accepted)
		})
	}
	return conn, err
}

type slowConn struct {
	net.Conn
	open <-chan struct{}
}

func (c *slowConn) Read(b []byte) (int, error) {
	<-c.open
	return c.Conn.Read(b)
}

// TestTransportRejectsAtTheConnection has a call wait in its handshake until its slot is stale, and a throttle begin
// meanwhile: it has not left, and is rejected as one that waits in the queue.
func TestTransportRejectsAtTheConnection(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close") // which else the first would have in place of its own
		w.Header().Set("Retry-After", "50")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	slow := &slowHandshake{Listener: server.Listener, accepted: make(chan struct{}), open: make(chan struct{})}
	release := sync.OnceFunc(func() { close(slow.open) })
	server.Listener = slow
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(release) // before the server waits for its connections
	g.vars["upstream"], g.vars["tls"] = server.URL, "tls_insecure_skip_verify"
	t.Setenv("TEST_SECRET", sandbox.DemoOAuthSecret)
	g.load("alipayai {\nprovider alipay {\nprofile sandbox\nbase_url ${upstream}\ntoken http://${api}/oauth2/token {env.TEST_SECRET}\nlimit 10 1s\n}\n}", `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v1/*
			allow_anonymous
			http {
				${tls}
			}
		}
	}
}`)
	var resp *http.Response
	var err error
	var first sync.WaitGroup
	first.Go(func() { resp, err = g.send("gateway", "POST", chatPath, chatBody("first", false)) })
	<-slow.accepted
	if a := g.do("POST", chatPath, chatBody("second", false)); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "50" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	stale := time.NewTimer(2 * upstream.DefaultGuard)
	defer stale.Stop()
	<-stale.C
	release()
	first.Wait()
	a := g.read(resp, err)
	if a.status != http.StatusTooManyRequests || a.code() != "queue_deadline" || a.header.Get("Retry-After") == "" || a.header.Get("X-Should-Retry") == "false" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
}
