package alipayai

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A body whose length is announced is read in one go, its end included, up to what is believed.
func TestAnnouncedBodyHasRoomAtOnce(t *testing.T) {
	for announced, want := range map[int64]int{
		40_000: 40_000,
		// Allocations of this size are exact: there is no room but what was asked for.
		40_960: 40_960 + bytes.MinRead, maxKept: maxKept, 10 * maxKept: maxKept,
	} {
		body := &widest{Reader: bytes.NewReader(make([]byte, min(announced, 1000)))}
		for buffers.Get().(*bytes.Buffer).Cap() > 0 { // others have left some that had room
		}
		x := &upstream.Exchange{Response: &http.Response{ContentLength: announced, Body: body}}
		if _, err := new(intake).readAll(&Gateway{MaxAnswer: 1 << 30}, x, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if body.most < want || body.most > want+4*bytes.MinRead+want/4 {
			t.Errorf("%d bytes announced: the first read had room for %d", announced, body.most)
		}
	}
}

// widest notes the most that was read into at once.
type widest struct {
	io.Reader
	most int
}

func (w *widest) Read(b []byte) (int, error) {
	w.most = max(w.most, len(b))
	return w.Reader.Read(b)
}

func (*widest) Close() error { return nil }

// What a call has cost are the sums of its attempts in each currency; "at most" where that of one of them is not known.
func TestCostOfSeveralAttempts(t *testing.T) {
	of := func(amount price.Amount, currency price.Currency, outcome ledger.Outcome) Cost {
		return Cost{Line: ledger.Line{Amount: amount * price.Unit, Currency: currency, Outcome: outcome}}
	}
	for name, tt := range map[string]struct {
		costs []Cost
		want  string
	}{
		"none":                   {nil, ""},
		"one":                    {[]Cost{of(1, "CNY", ledger.Known)}, "1 CNY"},
		"one that is not known":  {[]Cost{of(1, "CNY", ledger.Unknown)}, "1 CNY;at_most"},
		"two":                    {[]Cost{of(1, "CNY", ledger.Known), of(2, "CNY", ledger.Estimated)}, "3 CNY"},
		"the first is not known": {[]Cost{of(1, "CNY", ledger.Unknown), of(2, "CNY", ledger.Known)}, "3 CNY;at_most"},
		"the last is not known":  {[]Cost{of(1, "CNY", ledger.Known), of(2, "CNY", ledger.Unknown)}, "3 CNY;at_most"},
		"two currencies":         {[]Cost{of(1, "CNY", ledger.Known), of(2, "USD", ledger.Unknown), of(3, "CNY", ledger.Known)}, "4 CNY, 2 USD;at_most"},
		"one without a price":    {[]Cost{of(0, "", ledger.Unknown), of(2, "USD", ledger.Known)}, "2 USD"},
	} {
		a := &account{spending: new(Spending), out: &Outcome{Costs: tt.costs}}
		if got := a.cost(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
