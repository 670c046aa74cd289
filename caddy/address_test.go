package alipaycaddy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// place is one address of an API.
type place struct {
	api    http.Handler
	delay  atomic.Int64 // nanoseconds
	broken atomic.Bool
	asked  atomic.Int64
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name := path.Base(r.URL.Path); name == "completions" || name == "embeddings" || name == "moderations" {
		p.asked.Add(1)
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
	chats := func(region string) int64 { return places[region].asked.Load() }
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

// An address that refuses everything at once is not the fastest.
func TestAddressThatRefuses(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	served := &place{api: g.api}
	served.delay.Store(int64(20 * time.Millisecond))
	refused := &place{api: http.NotFoundHandler()}
	for name, at := range map[string]*place{"served": served, "refused": refused} {
		server := httptest.NewServer(at)
		t.Cleanup(server.Close)
		g.vars[name] = server.Listener.Addr().String()
	}
	g.load(`alipayai {
	provider alipay {
		profile sandbox
		base_url http://${served} http://${refused}
		limit off
	}
}`, pinnedSite(g, "alipay"))
	for range 10 {
		g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+g.vars["key"])
	}
	if n, of := served.asked.Load(), refused.asked.Load(); n < 9 || of > 1 { // which measures it
		t.Errorf("%d calls were served, and %d refused", n, of)
	}
}

// A request that has not left goes to another address at once, signed anew, even where it may move money; one that may
// have executed is not sent twice.
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
		if n := here.asked.Load(); a.status != http.StatusOK || n != int64(i+1) {
			t.Errorf("status %d after %d calls there: %s", a.status, n, a.body)
		}
	}
	here.broken.Store(true)
	before := here.asked.Load()
	if a := g.do("POST", chatPath, chatBody("pay", false), "Authorization: Bearer "+g.vars["key"]); a.status < 500 || here.asked.Load() != before+1 {
		t.Errorf("one that may have executed: status %d, sent %d times: %s", a.status, here.asked.Load()-before, a.body)
	}
}

// What is asked for a pinned tenant's call, a verdict or an embedding, goes to no address in another region; what is asked
// for another tenant's does, and so does what was not pinned before a reload.
func TestAddressesOfWhatACallAsks(t *testing.T) {
	for name, c := range map[string]struct{ global, before string }{
		"a moderator's model": {"moderator law {\nmodel asked omni-moderation-latest form moderations\non_error closed\ncache off\n}", "alipayai_moderate law"},
		"embeddings":          {"intents ${dir}/intents {\nembeddings asked alipay-embed-1 {\ntimeout 20s\n}\n}", "@fruit alipayai intent fruit\nalipayai_proxy @fruit alipay {\nallow_cross_region\n${residency}\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_DATA_HOME", t.TempDir())
			g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
			g.file("intents/fruit.txt", "apples and pears\na ripe banana\nripe cherries\n")
			g.file("intents/metal.txt", "iron and steel\na copper wire\nsteel wires\n")
			places := make(map[string]*place)
			for _, region := range []string{"us", "cn"} {
				places[region] = &place{api: g.api}
				server := httptest.NewServer(places[region])
				t.Cleanup(server.Close)
				g.vars[region] = server.Listener.Addr().String()
			}
			key, hash := tenants.NewKey()
			g.vars["free"] = hash.String()
			site := strings.NewReplacer("key shop ${hash}", "key shop ${hash}\nkey free ${free}", "alipayai_proxy", c.before+"\nalipayai_proxy").
				Replace(pinnedSite(g, "alipay {\nallow_cross_region\n${residency}\n}"))
			asked := 0
			ask := func(key string) int {
				asked++
				return g.do("POST", chatPath, chatBody(fmt.Sprint("ripe bananas ", asked), false), "Authorization: Bearer "+key).status
			}
			goesElsewhere := func(whose, key string) {
				places["cn"].broken.Store(true) // how fast either is depends on the machine
				g.eventually(fmt.Sprintf("what %s tenant's call asks to go elsewhere, %q", whose, g.vars["residency"]), func() bool {
					before := places["us"].asked.Load()
					return ask(key) == http.StatusOK && places["us"].asked.Load() > before
				})
				places["cn"].broken.Store(false)
			}
			for _, pinned := range []string{"", "residency shop cn"} {
				g.vars["residency"] = pinned
				g.load(`alipayai {
	region cn
	provider alipay {
		profile sandbox
		base_url http://${api}
		region cn
		limit off
	}
	provider asked {
		profile sandbox
		base_url http://${us} us http://${cn} cn
		limit off
	}
	`+c.global+`
}`, site)
				if name == "embeddings" {
					g.eventually("the examples to be embedded", func() bool {
						return must(caddy.ActiveContext().App("alipayai")).(*App).intents.embedded.centroids.Ready()
					})
				}
				goesElsewhere("another", key)
				if pinned == "" {
					goesElsewhere("the", g.vars["key"])
					continue
				}
				here, elsewhere := places["cn"].asked.Load(), places["us"].asked.Load() // which has just been the better one
				for range 5 {
					if status := ask(g.vars["key"]); status != http.StatusOK {
						t.Errorf("status %d", status)
					}
				}
				if n := places["us"].asked.Load() - elsewhere; n != 0 || places["cn"].asked.Load() == here {
					t.Errorf("%d requests for the pinned tenant's calls went elsewhere, %d did not", n, places["cn"].asked.Load()-here)
				}
			}
		})
	}
}
