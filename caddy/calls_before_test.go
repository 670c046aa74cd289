package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// A call that waits for its moderator while its configuration ends is served by it, and is in the ledger.
func TestCallBeforeTheProxyCrossesReload(t *testing.T) {
	g := newJudge(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	g.answers(func(string) string {
		asked <- struct{}{}
		<-answer
		return "safe"
	})
	global := moderators(fmt.Sprintf(byModel, "guard form llama_guard\n\t\ton_block route") + "\n\tledger ${dir}/ledger.db")
	site := moderatedSite("alipayai_moderate law\nalipayai_proxy alipay")
	g.load(global, site)
	wait := g.keyedInBackground("tea", g.acme)
	<-asked
	g.load("", "http://${gateway} {\nrespond new\n}")
	close(answer)
	if a := wait(); a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	g.eventually("the ledger to be given back", func() bool { return len(references()) == 0 })
	g.load(global, site)
	var lines []ledger.Line
	if err := json.Unmarshal([]byte(g.usage("by=lines").body), &lines); err != nil {
		t.Fatal(err)
	}
	providers := make(map[string]int)
	for _, l := range lines {
		providers[l.Provider]++
	}
	if providers["alipay"] != 1 || providers["guard"] != 1 || len(lines) != 2 {
		t.Errorf("the ledger has lines of %v", providers)
	}
}
