package alipaycaddy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A usage that the call cannot have taken is logged and replaced by an estimate; the tenant pays for that, and all
// others are served meanwhile.
func TestImplausibleUsageIsLogged(t *testing.T) {
	for name, total := range map[string]string{"2^40": "1099511627776", "2^63": "9223372036854775808", "in words": `"many"`} {
		t.Run(name, func(t *testing.T) {
			g := newFailoverRig(t)
			absurd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				tokens := "1"
				if strings.Contains(string(body), "absurd") {
					tokens = total
				}
				_, _ = fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"total_tokens":%s}}`, tokens)
			}))
			t.Cleanup(absurd.Close)
			g.vars["absurd"] = absurd.Listener.Addr().String()
			g.load(`
alipayai {
	provider odd {
		profile ollama
		base_url http://${absurd}/v1
	}
}`, strings.Replace(failoverSite("limit * {\ntokens_per_minute 100\n}"), "alipay claude", "odd", 1))
			var calls sync.WaitGroup
			calls.Go(func() {
				if got := g.do("POST", chatPath, chatBody("absurd", false), g.acme); got.status != http.StatusOK {
					t.Errorf("the call itself got %d %s", got.status, got.body)
				}
			})
			for range 5 {
				calls.Go(func() {
					if got := g.do("POST", chatPath, chatBody("hello", false), g.zeta); got.status != http.StatusOK {
						t.Errorf("another tenant got %d %s", got.status, got.body)
					}
				})
			}
			calls.Wait()
			if got := g.do("POST", chatPath, chatBody("hello", false), g.acme); got.status != http.StatusOK {
				t.Errorf("then the tenant got %d %s", got.status, got.body)
			}
			logged := func() int { return strings.Count(g.logs(), `"implausible usage"`) }
			g.eventually("the usage to be logged", func() bool { return logged() > 0 })
			if n := logged(); n != 1 {
				t.Errorf("logged %d times", n)
			}
			if !strings.Contains(g.logs(), `"estimated_tokens":`) || strings.Contains(g.logs(), total) && total != `"many"` {
				t.Error("the log has no estimate, or the absurd number")
			}
		})
	}
}
