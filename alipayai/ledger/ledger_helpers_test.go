package ledger

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// patience bounds every wait of a test for something that has to happen.
const patience = 10 * time.Second

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func lineAt(at time.Time, tenant string, amount price.Amount) Line {
	return Line{
		Time: at, RequestID: "req_1", Tenant: tenant, Provider: "alipay", Model: "alipay-fin-1",
		Prompt: 10, Cached: 4, Completion: 5, Characters: 5000, Currency: "CNY", Amount: amount, Floor: amount / 2, Outcome: Known,
	}
}

// opened is a ledger that runs, and what it has told.
type opened struct {
	*Ledger
	mu   sync.Mutex
	told []string
}

func openAt(t *testing.T, path string, edit ...func(*Options)) *opened {
	t.Helper()
	o := &opened{}
	options := Options{Path: path, Changed: func(err error, aside string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = append(o.told, fmt.Sprintf("%v %t", err != nil, aside != ""))
	}}
	for _, e := range edit {
		e(&options)
	}
	o.Ledger = New(options)
	o.Open()
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func (o *opened) has(t *testing.T, lines int) {
	t.Helper()
	testwait.For(t, patience, fmt.Sprintf("%d lines", lines), func() bool {
		all, err := o.Lines(t.Context(), Query{Limit: lines + 1})
		return err == nil && len(all) == lines
	})
}
