package alipaycaddy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// broken is another plugin's handler, in front of the gateway, that panics where a header of the request says so.
type broken struct{}

func init() { caddy.RegisterModule(broken{}) }

// CaddyModule returns the Caddy module information.
func (broken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_broken", New: func() caddy.Module { return new(broken) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (broken) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	at, what, _ := strings.Cut(r.Header.Get("X-Breaks"), " ")
	if at == "" {
		return next.ServeHTTP(w, r)
	}
	b := &breaking{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, at: at, abort: what == "abort"}
	b.reach("before")
	err := next.ServeHTTP(b, r)
	b.reach("after")
	return err
}

// breaking is a response writer that panics at one of its methods; later is its second write.
type breaking struct {
	*caddyhttp.ResponseWriterWrapper
	at     string
	abort  bool
	writes int
}

func (b *breaking) reach(place string) {
	if place == b.at {
		if b.abort {
			panic(http.ErrAbortHandler)
		}
		panic("a broken plugin")
	}
}

func (b *breaking) WriteHeader(status int) {
	b.reach("head")
	b.ResponseWriterWrapper.WriteHeader(status)
}

func (b *breaking) Write(p []byte) (int, error) {
	b.writes++
	b.reach("write")
	if b.writes == 2 {
		b.reach("later")
	}
	return b.ResponseWriterWrapper.Write(p)
}

// FlushError is what an http.ResponseController calls.
func (b *breaking) FlushError() error {
	b.reach("flush")
	return http.NewResponseController(b.ResponseWriter).Flush()
}

// A handler in front that panics takes its own call with it, and nothing else: what the call held is given back, its upstream's
// call ends, and it counts as what it was.
func TestPanicsOfOtherHandlers(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	site := strings.Replace(string(g.config(oneProvider, strings.Replace(proxySite, "alipayai_proxy alipay", "alipayai_proxy alipay {\nlimit * {\nconcurrent 1\n}\n}", 1))),
		`{"handler":"alipayai_proxy"`, `{"handler":"test_broken"},{"handler":"alipayai_proxy"`, 1)
	if !strings.Contains(site, "test_broken") {
		t.Fatalf("the handler is nowhere: %s", site)
	}
	if err := g.loadJSON([]byte(site)); err != nil {
		t.Fatal(err)
	}
	_, leave := g.openStream("x [[events:50]] [[interval:20ms]]")
	if a := g.do("POST", chatPath, chatBody("two at once", false)); a.status != http.StatusTooManyRequests {
		t.Errorf("a second call at once: %d %s", a.status, a.body)
	}
	leave()
	g.eventually("its place to be free", func() bool { return g.api.Stats().InFlight == 0 })
	for at, streams := range map[string][]bool{
		"before": {false, true}, "head": {false, true}, "write": {false, true}, "later": {true}, "flush": {true}, "after": {false, true},
	} {
		for _, how := range []string{"", " abort"} {
			for _, stream := range streams {
				name := at + how + map[bool]string{true: ", a stream"}[stream]
				t.Run(name, func(t *testing.T) {
					resp, err := g.send("gateway", "POST", chatPath, chatBody("x [[events:30]] [[interval:5ms]]", stream), "X-Breaks: "+at+how)
					if err == nil {
						body, err := io.ReadAll(resp.Body)
						_ = resp.Body.Close()
						if err == nil && at != "after" {
							t.Errorf("it ends as if it were whole: %d %s", resp.StatusCode, body)
						}
					}
					g.eventually("the upstream's call to end", func() bool { return g.api.Stats().InFlight == 0 })
					g.eventually("its place to be free", func() bool {
						return g.do("POST", chatPath, chatBody("next", false)).status == http.StatusOK
					})
				})
			}
		}
	}
	g.load("", "http://${gateway} {\nrespond new\n}")
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
}
