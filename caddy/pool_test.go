package alipaycaddy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// pooledRig is a rig whose ${upstream} is before the simulator, and counts connections.
func pooledRig(t *testing.T) (*rig, *badupstream.Relay) {
	g := newRig(t, sandbox.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := badupstream.NewRelay(l, g.vars["api"])
	t.Cleanup(relay.Close)
	g.vars["upstream"] = l.Addr().String()
	return g, relay
}

const pooledProvider = `
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${upstream}
		pool ${pool}
	}
}`

// TestPoolOutlivesReloads counts at the upstream: connections are there before a call, from Start on and not from
// Provision; they stay where provider, address and transport do; a rejected configuration changes nothing; and they are
// closed when no configuration has the pool.
func TestPoolOutlivesReloads(t *testing.T) {
	g, relay := pooledRig(t)
	open := func(n int) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Errorf("%d connections are open, want %d", relay.Open(), n)
			}
		}()
		g.eventually("as many connections as the pool has", func() bool { return relay.Open() == n })
	}
	dials := func(want string) {
		t.Helper()
		g.eventually("as many connections to be made", func() bool {
			return g.scrape()[`caddy_alipayai_pool_dials_total{provider="alipay",result="ok"}`] == want
		})
	}
	g.vars["pool"] = "3 3" // more would be made ahead where a busy machine takes long for a call
	if err := g.provision(pooledProvider, metricsSite); err != nil {
		t.Fatal(err)
	}
	if n := relay.Open(); n != 0 {
		t.Errorf("%d connections were made by checking a configuration", n)
	}
	g.load(pooledProvider, metricsSite)
	dials("3") // a token was asked for by a connection of its own, until the reload
	for range 5 {
		if a := g.chat("hello"); a.status != 200 {
			t.Fatalf("%d: %s", a.status, a.body)
		}
	}
	open(3 + 1)
	dials("3")
	g.load(pooledProvider, metricsSite+"\n# changed\n")
	g.chat("hello")
	open(3)
	dials("3")
	g.vars["pool"] = "4 4"
	g.load(pooledProvider, metricsSite)
	open(4)
	g.vars["pool"] = "2 1"
	if err := g.provision(pooledProvider, proxySite); err == nil || !strings.Contains(err.Error(), "pool 2 1: write the fewest and the most connections") {
		t.Errorf("a minimum above the maximum: %v", err)
	}
	g.vars["pool"] = "4 4"
	g.chat("hello")
	open(4)
	dials("4")
	g.load("", "http://${gateway} {\nrespond new\n}")
	open(0)
}

// TestPoolRefused holds that what does not go with a pool is refused at load, by name.
func TestPoolRefused(t *testing.T) {
	for name, tt := range map[string]struct{ options, want string }{
		"its own maximum":  {"pool 1 2\ntransport http {\nmax_conns_per_host 10\n}", "max_conns_per_host"},
		"no keep-alive":    {"pool 1 2\ntransport http {\nkeepalive off\n}", "keepalive off"},
		"a timeout":        {"pool 1 2\ntransport http {\nresponse_header_timeout 1s\n}", "response_header_timeout"},
		"HTTP/3":           {"pool 1 2\ntransport http {\nversions 3\ntls\n}", "versions 1.1, 2 and h2c"},
		"too many":         {"pool 1 2000", "at most 1000"},
		"the wrong way":    {"pool 30 10", "such as pool 10 30"},
		"too short a time": {"pool 1 2 {\nidle 10ms\n}", "pool's idle is 10ms"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			err := g.provision("alipayai {\nprovider alipay {\nprofile sandbox\nbase_url http://${api}\n"+tt.options+"\n}\n}", proxySite)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestPoolOfEachAddress: each address has its connections, also one to which a pinned tenant's calls must not go, since none
// carries anything; and another address serves when the first fails.
func TestPoolOfEachAddress(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	places, relays := make(map[string]*place), make(map[string]*badupstream.Relay)
	for _, region := range []string{"sg", "cn"} {
		places[region] = &place{api: g.api}
		server := httptest.NewServer(places[region])
		t.Cleanup(server.Close)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		relays[region] = badupstream.NewRelay(l, server.Listener.Addr().String())
		t.Cleanup(relays[region].Close)
		g.vars[region] = l.Addr().String()
	}
	places["cn"].delay.Store(int64(50 * time.Millisecond)) // the other is the faster one
	const global = `alipayai {
	residency shop cn
	region cn
	provider alipay {
		profile sandbox
		base_url http://${sg} sg http://${cn} cn
		limit off
		pool 3 5
	}
}`
	key, hash := tenants.NewKey()
	g.vars["free"] = hash.String()
	site := strings.Replace(pinnedSite(g, "alipay {\nallow_cross_region\n}"), "key shop ${hash}", "key shop ${hash}\nkey free ${free}", 1)
	g.load(global, site)
	g.eventually("connections to each address", func() bool { return relays["sg"].Open() >= 3 && relays["cn"].Open() >= 3 })
	for range 5 {
		if a := g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+g.vars["key"]); a.status != http.StatusOK {
			t.Fatalf("%d: %s", a.status, a.body)
		}
	}
	if n := places["sg"].asked.Load(); n != 0 {
		t.Errorf("%d calls of the pinned tenant went to the other region", n)
	}
	serves := func(region string) func() bool {
		return func() bool {
			before := places[region].asked.Load()
			g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+key)
			return places[region].asked.Load() > before
		}
	}
	g.eventually("the faster to serve who is not pinned", serves("sg"))
	places["sg"].broken.Store(true)
	g.eventually("the other to serve", serves("cn"))
}

// TestPoolOfWhatIsAway: a provider whose address takes no connections is no reason to fail at start, and is logged once,
// whether they are refused or closed as soon as they are made.
func TestPoolOfWhatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
	})
	for name, metric := range map[string]string{"gone": `pool_dials_total{provider="alipay",result="failed"}`, "closing": `pool_closed_total{provider="alipay",reason="upstream"}`} {
		t.Run(name, func(t *testing.T) {
			g, _ := pooledRig(t)
			g.vars["pool"], g.vars["closing"] = "3 5", l.Addr().String()
			g.vars["upstream"] = g.vars[name]
			g.load(pooledProvider, metricsSite)
			g.eventually("two rounds of dials", func() bool {
				n, _ := strconv.Atoi(g.scrape()["caddy_alipayai_"+metric])
				return n > 3
			})
			if n := strings.Count(g.logs(), "takes no connections that are to be ready"); n != 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

// TestPoolSendsMoneyOnce counts at the upstream: what is read whole and then has its connection closed or reset under it is sent
// once, on a connection that has carried others and on one that has not.
func TestPoolSendsMoneyOnce(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { _ = c.Close() },
		"reset": func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			var breaking atomic.Bool
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != chatPath || !breaking.Load() {
					g.api.ServeHTTP(w, r)
					return
				}
				asked.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				end(conn)
			}))
			t.Cleanup(server.Close)
			g.vars["upstream"], g.vars["pool"] = server.Listener.Addr().String(), "2 2"
			g.load(pooledProvider, strings.Replace(metricsSite, "alipayai_proxy alipay", "alipayai_proxy alipay {\nclass money\n}", 1))
			for i := range int64(6) { // by both connections, and by those in their places
				if i%2 == 0 {
					breaking.Store(false)
					if a := g.chat("pay"); a.status != http.StatusOK {
						t.Fatalf("%d: %s", a.status, a.body)
					}
				}
				breaking.Store(true)
				if a := g.do("POST", chatPath, chatBody("pay", false)); a.status < 500 || asked.Load() != i+1 {
					t.Errorf("call %d: status %d, and %d have arrived: %s", i, a.status, asked.Load(), a.body)
				}
			}
		})
	}
}

// TestPoolStreams: a stream has its connection until it ends or its client leaves, and a call that waits gets it, or another.
func TestPoolStreams(t *testing.T) {
	g, relay := pooledRig(t)
	g.vars["pool"] = "1 1"
	g.load(pooledProvider, metricsSite)
	for range 3 {
		_, leave := g.openStream("x [[events:3]] [[fault:stall,after_events=2]]")
		wait := g.inBackground(1, toChat)
		g.eventually("a call to wait", func() bool { return g.gauge("pool_waiting") == "1" })
		leave()
		g.wantServed(wait())
	}
	if n := g.gauge("pool_waiting"); n != "0" {
		t.Errorf("%s calls wait", n)
	}
	g.eventually("one connection", func() bool { return relay.Open() == 2 }) // and that for the token
}

// TestPoolKeepsTheCap: calls that wait for a connection and for the rate cap keep to both.
func TestPoolKeepsTheCap(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(patientlyLimited("pool 2 3"), limitedSite)
	began := time.Now()
	g.wantServed(g.inBackground(120, toChat)())
	g.wantPaced(began)
	if n := g.chats(); n != 120 {
		t.Errorf("%d arrived", n)
	}
}

// TestManyReloadsOfPool: nothing is left of a pool's users, whether it goes on or not.
func TestManyReloadsOfPool(t *testing.T) {
	g, relay := pooledRig(t)
	g.reloadManyTimes(func(n int) {
		g.vars["pool"] = "2 4"
		if n%5 == 4 {
			g.vars["pool"] = "3 3"
		}
		g.load(pooledProvider, metricsSite)
		if n%3 == 0 {
			if a := g.chat("hello"); a.status != http.StatusOK {
				t.Errorf("reload %d: %d: %s", n, a.status, a.body)
			}
		}
		if n%7 == 6 {
			g.load("", "http://${gateway} {\nrespond none\n}")
			g.load(pooledProvider, metricsSite)
		}
	})
	g.load("", "http://${gateway} {\nrespond none\n}")
	g.eventually("no connection", func() bool { return relay.Open() == 0 })
}

// TestPoolShowsNewCertificate: a client certificate that has been replaced in its file gets new connections at the next reload, and
// those that had shown the old one are closed.
func TestPoolShowsNewCertificate(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	certificate, err := badupstream.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	server := httptest.NewUnstartedServer(g.api)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if open[c] = true; state == http.StateClosed {
			delete(open, c)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	g.vars["upstream"] = server.Listener.Addr().String()
	shown := func(want string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for c := range open {
				if certificates := c.(*tls.Conn).ConnectionState().PeerCertificates; len(certificates) == 0 || certificates[0].Subject.CommonName != want {
					return false
				}
			}
			return len(open) >= 3 // and that for a token
		}
	}
	const global = `alipayai {
	provider alipay {
		profile sandbox
		base_url https://${upstream}
		pool 3 3
		transport http {
			tls_insecure_skip_verify
			tls_client_auth ${dir}/client.pem ${dir}/client.key
		}
	}
}`
	for _, name := range []string{"one", "two"} {
		cert, key := clientCertificate(t, name)
		g.file("client.pem", cert)
		g.file("client.key", key)
		for range 2 {
			g.load(global, metricsSite)
			g.eventually("three connections that have shown the certificate "+name, shown(name))
		}
		if got := g.scrape()[`caddy_alipayai_pool_dials_total{provider="alipay",result="ok"}`]; got != "3" {
			t.Errorf("%s connections were made with certificate %s", got, name)
		}
	}
}

// clientCertificate makes one that signs itself, as PEM.
func clientCertificate(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}
