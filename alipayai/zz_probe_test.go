package alipayai

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

type probe struct {
	http.RoundTripper
	mu  sync.Mutex
	all []*times
}
type times struct{ start, got, wrote, first time.Time }

func (p *probe) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &times{start: time.Now()}
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { x.got = time.Now() },
		WroteHeaders: func() { x.wrote = time.Now() },
		GotFirstResponseByte: func() { x.first = time.Now() },
	})
	p.mu.Lock()
	p.all = append(p.all, x)
	p.mu.Unlock()
	return p.RoundTripper.RoundTrip(req.WithContext(ctx))
}

func TestZZ(t *testing.T) {
	pr := &probe{}
	r := newRig(t, sandbox.Config{RequestsPerSecond: 50}, capped(newCap(50, time.Second)), first(func(p *Provider) { pr.RoundTripper = p.Transport; p.Transport = pr }))
	r.burst(200)
	t.Log(r.sim.Stats().Codes, r.sim.Stats().PeakPerSecond)
	arr := r.arrived.at(chatPath)
	slices.SortFunc(pr.all, func(a, b *times) int { return a.wrote.Compare(b.wrote) })
	t0 := pr.all[0].start
	for i, x := range pr.all {
		if i%50 < 12 || i%50 > 46 {
			a := time.Time{}
			if i < len(arr) {
				a = arr[i].when
			}
			fmt.Println(i, "start", x.start.Sub(t0).Round(10*time.Microsecond), "got+", x.got.Sub(x.start).Round(10*time.Microsecond), "wrote+", x.wrote.Sub(x.got).Round(10*time.Microsecond), "first+", x.first.Sub(x.wrote).Round(10*time.Microsecond), "arr", a.Sub(t0).Round(10*time.Microsecond))
		}
	}
}
