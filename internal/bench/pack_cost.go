package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
)

const (
	// packBatch is how many calls are made at once. So many batches are measured, one after the
	// other, that the part of packed calls that is asked alone too, to compare the answers, is
	// near to what it is in the long run: of one batch, mostly none or one is.
	packBatch, packBatches = 20, 500
	packBatchesQuick       = 25
	// packShort and packLong are lengths of answers, in characters: a word or two, and as much as was asked.
	packShort, packLong = 12, packText
)

// packPrice is that of the example's Alipay: CNY for a million tokens in and out, and what a shorter prompt is charged as.
func packPrice() *price.Price {
	const perMillion = 1e9 // PerToken
	return &price.Price{
		Currency: "CNY", Rates: price.Rates{Input: 24 * perMillion, Output: 72 * perMillion},
		MinCharacters: packFloor, MaxTokens: packMaxTokens,
	}
}

const packMaxTokens = 4096

// packLines is a ledger that sums lines by tenant.
type packLines struct {
	mu   sync.Mutex
	sums map[string]price.Amount
}

// Begin implements alipayai.Ledger.
func (*packLines) Begin(ledger.Line) uint64 { return 0 }

// Forget implements alipayai.Ledger.
func (*packLines) Forget(uint64) {}

// End implements alipayai.Ledger.
func (l *packLines) End(_ uint64, line ledger.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums[line.Tenant] += line.Amount
}

// packCosts are what a call costs on average, in units of the currency, by the ledger.
type packCosts struct{ tenant, operator float64 }

// packCost is what batches of calls at once cost that are answered by so many characters. The
// ledger's lines must sum to the upstream's own bill.
func packCost(ctx context.Context, packs *alipayai.Packs, answer, batches int) (packCosts, error) {
	m, l := &packModel{answer: answer}, &packLines{sums: make(map[string]price.Amount)}
	var comparing sync.WaitGroup
	if packs != nil {
		packs.MaxCalls, packs.MaxWait = packBatch, time.Second // a busy machine makes them come one by one
		packs.Running = func() func() {
			comparing.Add(1)
			return comparing.Done
		}
	}
	g, err := packGateway(m, packs, nil, l)
	if err != nil {
		return packCosts{}, err
	}
	for batch := range batches {
		errs := make([]error, packBatch)
		var wg sync.WaitGroup
		for i := range packBatch {
			wg.Go(func() {
				text := strings.Repeat("x", packText-8) + fmt.Sprintf("%08d", batch*packBatch+i)
				said, err := packCall(ctx, g, "tenant", "user", text)
				if err == nil && said != m.answerTo(text) {
					err = fmt.Errorf("%q was answered %q", text, said)
				}
				errs[i] = err
			})
		}
		wg.Wait()
		comparing.Wait()
		if err := errors.Join(errs...); err != nil {
			return packCosts{}, err
		}
	}
	if sum, bill := l.sums["tenant"]+l.sums[alipayai.ComparisonTenant], price.Amount(m.billed.Load()); sum != bill || len(l.sums) > 2 {
		return packCosts{}, fmt.Errorf("the ledger has %v, and the upstream charges %s", l.sums, bill)
	}
	each := func(tenant string) float64 {
		return float64(l.sums[tenant]) / float64(price.Unit) / float64(batches*packBatch)
	}
	return packCosts{each("tenant"), each(alipayai.ComparisonTenant)}, nil
}

// packCostRows are the report's rows of what calls cost unpacked and packed.
func packCostRows(ctx context.Context, batches int) (string, error) {
	var b strings.Builder
	for _, answer := range []int{packShort, packLong} {
		alone, err := packCost(ctx, nil, answer, batches)
		if err != nil {
			return "", err
		}
		together, err := packCost(ctx, new(alipayai.Packs), answer, batches)
		if err != nil {
			return "", err
		}
		row := func(of string, before, after float64) {
			fmt.Fprintf(&b, "| %d calls of %d characters at once, answered by %d: %s, per call | %.4f CNY | %.4f CNY (%.1f times less) |\n",
				packBatch, packText, answer, of, before, after, before/after)
		}
		row("charged to the tenant", alone.tenant, together.tenant)
		row("with the operator's comparisons", alone.tenant, together.tenant+together.operator)
	}
	return b.String(), nil
}
