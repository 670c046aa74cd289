package alipaycaddy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// place is one address of an API.
type place struct {
	api    http.Handler
	delay  atomic.Int64 // nanoseconds
	broken atomic.Bool
	chats  atomic.Int64
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, chatPath) {
		p.chats.Add(1)
	}
	select {
	case <-time.After(time.Duration(p.delay.Load())):
	case <-r.Context().Done():
	}
	if p.broken.Load() {
		panic(http.ErrAbortHandler)
	}
	p.api.ServeHTTP(w, r)
}

// The fastest address serves, another when it fails, and it comes back; a pinned tenant's calls go to none elsewhere.
func TestAddresses(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	places := make(map[string]*place)
	for _, region := range []string{"sg", "cn"} {
		places[region] = &place{api: g.api}
		server := httptest.NewServer(places[region])
		t.Cleanup(server.Close)
		g.vars[region] = server.Listener.Addr().String()
	}
	places["sg"].delay.Store(int64(300 * time.Millisecond))
	const global = `alipayai {
	region cn
	${residency}
	provider alipay {
		profile sandbox
		base_url http://${sg} sg http://${cn} cn
		limit off
	}
}`
	chats := func(region string) int64 { return places[region].chats.Load() }
	serves := func(region string) func() bool {
		return func() bool {
			before := chats(region)
			g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+g.vars["key"])
			return chats(region) > before
		}
	}
	g.vars["residency"] = ""
	site := pinnedSite(g, "alipay {\nallow_cross_region\n}")
	g.load(global, site)
	g.eventually("the faster to serve", serves("cn"))
	places["sg"].delay.Store(0)
	places["cn"].broken.Store(true)
	g.eventually("the other to serve", serves("sg"))
	places["cn"].broken.Store(false)
	places["sg"].delay.Store(int64(300 * time.Millisecond))
	g.eventually("the faster to serve again", serves("cn"))

	g.vars["residency"] = "residency shop cn"
	g.load(global, site)
	places["cn"].broken.Store(true)
	elsewhere := chats("sg")
	for range 5 {
		a := g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+g.vars["key"])
		if a.status < 500 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	if n := chats("sg") - elsewhere; n != 0 {
		t.Errorf("%d calls of the pinned tenant went to the other region", n)
	}
}

// A request that has not left goes to another address at once, signed anew, even where it may move money; one that may
// have been served is not sent twice.
func TestAddressThatIsAway(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	t.Setenv("TOKEN_SECRET", sandbox.DemoOAuthSecret)
	here := &place{api: g.api}
	server := httptest.NewServer(here)
	t.Cleanup(server.Close)
	g.vars["here"] = server.Listener.Addr().String()
	const global = `alipayai {
	provider alipay {
		profile sandbox
		base_url http://${gone}
		base_url http://${here}
		token http://${api}/oauth2/token {env.TOKEN_SECRET}
	}
}`
	g.load(global, pinnedSite(g, "alipay {\nclass money\n}"))
	for i := range 3 {
		a := g.do("POST", chatPath, chatBody("pay", false), "Authorization: Bearer "+g.vars["key"])
		if n := here.chats.Load(); a.status != http.StatusOK || n != int64(i+1) {
			t.Errorf("status %d after %d calls there: %s", a.status, n, a.body)
		}
	}
	here.broken.Store(true)
	before := here.chats.Load()
	if a := g.do("POST", chatPath, chatBody("pay", false), "Authorization: Bearer "+g.vars["key"]); a.status < 500 || here.chats.Load() != before+1 {
		t.Errorf("one that may have been served: status %d, sent %d times: %s", a.status, here.chats.Load()-before, a.body)
	}
}
