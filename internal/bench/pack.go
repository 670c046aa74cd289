package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	gatewayup "github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What packing is measured with.
const (
	// packFloor is what an upstream charges the shortest prompt as, in characters.
	packFloor = 5000
	// packText is the length of a call's text, in characters.
	packText = 200
	// packRate is how many calls a second are offered under a cap of 50, of so many end users.
	packRate, packUsers = 400, 10
	packTenants         = 50
)

// benchPack measures what packing saves, what it carries under a rate cap, and that no call
// gets another's answer. Its upstream is in memory and repeats each text.
func benchPack(ctx context.Context, s settings) (string, error) {
	offered, calls, batches := 20*time.Second, 1_000_000, packBatches
	if s.onlyRuns() {
		offered, calls, batches = 300*time.Millisecond, 5_000, packBatchesQuick
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nPacked calls, of one run; costs are the mean of %d times.\n\n| | unpacked | packed |\n|---|---:|---:|\n", batches)
	rows, err := packCostRows(ctx, batches)
	if err != nil {
		return "", err
	}
	b.WriteString(rows)
	for _, users := range []int{1, packUsers} {
		plain, err := packCarried(ctx, nil, users, offered)
		if err != nil {
			return "", err
		}
		packed, err := packCarried(ctx, new(alipayai.Packs), users, offered)
		if err != nil {
			return "", err
		}
		title := fmt.Sprintf("%d calls a second of %d end user(s) under a cap of 50, for %v", packRate, users, offered)
		fmt.Fprintf(&b, "| %s: served a second | %s | %s |\n", title, whole.number(plain.served), whole.number(packed.served))
		fmt.Fprintf(&b, "| %s: refused | %s | %s |\n", title, whole.number(plain.refused), whole.number(packed.refused))
		fmt.Fprintf(&b, "| %s: latency p99 | %s ms | %s ms |\n", title, millis.number(plain.p99), millis.number(packed.p99))
	}
	crossed, requests, took, err := packIsolated(ctx, calls)
	fmt.Fprintf(&b, "| %s calls of %d tenants interleaved, in %s requests and %v: answers crossed | | %s |\n",
		whole.number(float64(calls)), packTenants, whole.number(float64(requests)), took.Round(time.Second), whole.number(float64(crossed)))
	if err == nil && crossed > 0 {
		err = fmt.Errorf("%d answers went to another call", crossed)
	}
	return b.String(), err
}

// packGateway is a gateway before m, whose lines of cost l takes; nil for none.
func packGateway(m *packModel, packs *alipayai.Packs, k *gatewayup.Cap, l *packLines) (*alipayai.Gateway, error) {
	profile, err := gatewayup.LookupProfile("ollama")
	if err != nil {
		return nil, err
	}
	p := &gatewayup.Provider{
		Name: "model", Clock: new(gatewayup.Clock), Transport: m, Profile: profile, Cap: k,
		BaseURL: &url.URL{Scheme: "http", Host: "model.invalid"},
	}
	g := &alipayai.Gateway{Providers: []*gatewayup.Provider{p}, Packs: packs}
	if l != nil {
		priced := &alipayai.Priced{Book: price.Book{Any: packPrice()}, Estimate: new(price.Estimate)}
		g.Spending = &alipayai.Spending{Providers: map[string]*alipayai.Priced{p.Name: priced}, Ledger: l}
	}
	return g, errors.Join(p.Prepare(), g.Prepare())
}

// packCall makes a call and gives what it was answered; an error says that it has no answer.
func packCall(ctx context.Context, g *alipayai.Gateway, tenant, user, text string) (said string, err error) {
	quoted, err := json.Marshal(text)
	if err != nil {
		return "", err
	}
	request, err := wire.ParseChatRequest([]byte(`{"model":"m","temperature":0,"user":"`+user+`","messages":[{"role":"user","content":`+string(quoted)+`}]}`), wire.Limits{})
	if err != nil {
		return "", err
	}
	a, err := g.Do(ctx, &alipayai.Call{Endpoint: gatewayup.EndpointChat, Tenant: tenant, Request: request, Format: openai.Format{}})
	if err != nil {
		return "", err
	}
	defer a.Close(true)
	said, ok := pack.Text(a.Body())
	if !ok {
		return "", errors.New("an answer has no text")
	}
	return said, nil
}

// packModel is an upstream that answers at once, and keeps a bill by packPrice, for which four
// characters are a token.
type packModel struct {
	// answer is the length of an answer, in characters: its text's last ones. All of it when 0.
	answer           int
	requests, billed atomic.Int64
}

// answerTo is the model's answer to a text.
func (m *packModel) answerTo(text string) string {
	if m.answer == 0 {
		return text
	}
	return text[max(len(text)-m.answer, 0):]
}

// RoundTrip implements http.RoundTripper.
func (m *packModel) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var asked struct {
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	prompt := asked.Messages[len(asked.Messages)-1].Content
	said := m.answerTo(prompt)
	if strings.Contains(asked.Messages[0].Content, pack.Instruction) {
		var items map[string]string
		if err := json.Unmarshal([]byte(prompt), &items); err != nil {
			return nil, err
		}
		for id, text := range items {
			items[id] = m.answerTo(text)
		}
		all, _ := json.Marshal(items) // strings always marshal
		said = string(all)
	}
	characters := 0
	for _, message := range asked.Messages {
		characters += utf8.RuneCountInString(message.Content)
	}
	in, out := (characters+3)/4, (utf8.RuneCountInString(said)+3)/4
	m.requests.Add(1)
	m.billed.Add(int64(max(in, packFloor/4)*24_000 + out*72_000)) // billionths of a CNY
	quoted, _ := json.Marshal(said)
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, quoted, in, out, in+out)
	return w.Result(), nil
}

// carried is what came of calls that were offered.
type carried struct{ served, refused, p99 float64 }

// packCarried offers calls at a fixed rate for d under a cap of 50 a second. A call's latency
// begins when it is due.
func packCarried(ctx context.Context, packs *alipayai.Packs, users int, d time.Duration) (carried, error) {
	w := limiter.NewMemoryWindow(time.Now)
	k := &gatewayup.Cap{
		Limit: alipayCap, Window: w, Queue: limiter.NewQueue(w, time.Now),
		MaxWait: gatewayup.DefaultMaxWait, MaxCount: gatewayup.DefaultQueueCount, MaxBytes: gatewayup.DefaultQueueBytes,
	}
	g, err := packGateway(new(packModel), packs, k, nil)
	if err != nil {
		return carried{}, err
	}
	plan := schedule{began: time.Now(), interval: time.Second / packRate, calls: int(d / (time.Second / packRate))}
	latencies := make([]time.Duration, plan.calls)
	var refused atomic.Int64
	var last atomic.Int64
	var wg sync.WaitGroup
	for i := range plan.calls {
		sleepUntil(plan.due(i))
		wg.Go(func() {
			text := strings.Repeat("x", packText-8) + fmt.Sprintf("%08d", i)
			if _, err := packCall(ctx, g, "tenant", "user"+strconv.Itoa(i%users), text); err != nil {
				refused.Add(1)
				return
			}
			latencies[i] = time.Since(plan.due(i))
			for now := int64(time.Since(plan.began)); ; {
				before := last.Load()
				if before >= now || last.CompareAndSwap(before, now) {
					return
				}
			}
		})
	}
	wg.Wait()
	served := slices.DeleteFunc(latencies, func(l time.Duration) bool { return l == 0 })
	slices.Sort(served)
	if len(served) == 0 {
		return carried{}, errors.New("no call was served")
	}
	took := max(time.Duration(last.Load()), d)
	return carried{float64(len(served)) / took.Seconds(), float64(refused.Load()), percentile(served, 0.99).Seconds()}, ctx.Err()
}

// packIsolated makes calls of many tenants, two end users each, all at once, and counts the
// answers that are not the call's own.
func packIsolated(ctx context.Context, calls int) (crossed, requests int64, took time.Duration, err error) {
	const workers = 40 * packTenants
	m := new(packModel)
	g, err := packGateway(m, &alipayai.Packs{Verify: -1}, nil, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	g.Deadline = time.Hour // what is asked is whose answer it is, not how fast a busy machine gives it
	var wrong, next atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			tenant, user := "tenant"+strconv.Itoa(w%packTenants), "user"+strconv.Itoa(w/packTenants%2)
			for n := next.Add(1); n <= int64(calls) && ctx.Err() == nil; n = next.Add(1) {
				text := tenant + " " + user + " " + strconv.FormatInt(n, 10)
				said, err := packCall(ctx, g, tenant, user, text)
				if err != nil {
					failed.Store(&err)
					return
				}
				if said != text {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		err = *e
	}
	return wrong.Load(), m.requests.Load(), time.Since(began), errors.Join(err, ctx.Err())
}
