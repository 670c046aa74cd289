package alipaycaddy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// refusedBy asks with prompts, each another, and counts those that are refused for want of a verdict.
func (g *judge) refusedBy(calls int) (refused int) {
	g.t.Helper()
	for i := range calls {
		if a := g.do("POST", chatPath, chatBody(fmt.Sprint("prompt ", i), false), g.acme); a.status == http.StatusServiceUnavailable && a.code() == "moderation_unavailable" {
			refused++
		}
	}
	return refused
}

const byModel = `moderator law {
		model %s
		on_error closed
		timeout 5s
		cache off
	}`

// A moderator's model is asked within its provider's own rate cap, counted where it arrives.
func TestModerateKeepsToItsProvidersCap(t *testing.T) {
	g := newJudge(t)
	capped := strings.Replace(moderators(fmt.Sprintf(byModel, "guard form llama_guard")), "model llama-guard\n", "model llama-guard\nlimit 2 1h\n", 1)
	g.load(capped, moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	refused := g.refusedBy(4)
	if n := g.asked.Load(); n != 2 || refused != 2 || g.chats() != 2 {
		t.Errorf("the model was asked %d times, %d calls were refused and %d served, want two each", n, refused, g.chats())
	}
}

// The breaker opens at the fourth system error in a row; then the model is not asked any more.
func TestModerateKeepsToItsProvidersBreaker(t *testing.T) {
	g := newJudge(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
			g.api.ServeHTTP(w, r)
			return
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":{"code":"SYSTEM_ERROR","message":"try later"}}`)
	}))
	t.Cleanup(server.Close)
	g.vars["failing"] = server.Listener.Addr().String()
	g.load(moderators(`provider failing {
		profile sandbox
		base_url http://${failing}
	}
	`+fmt.Sprintf(byModel, "failing alipay-fin-1")), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	if refused := g.refusedBy(10); refused != 10 {
		t.Errorf("%d of 10 calls were refused", refused)
	}
	if n := asked.Load(); n != 4 || g.chats() != 0 {
		t.Errorf("the model was asked %d times, and %d calls were served", n, g.chats())
	}
}
