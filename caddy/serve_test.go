package alipaycaddy

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

func TestServe(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	a := g.chat("hello there")
	t.Log(a.header, a.body, g.outcome(a))
}
