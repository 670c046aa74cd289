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
	gatewayup "github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What packing is measured with.
const (
	// packFloor is what an upstream charges the shortest request as, in characters.
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
	offered, calls := 20*time.Second, 1_000_000
	if s.duration < time.Second {
		offered, calls = 2*time.Second, 20_000
	}
	var b strings.Builder
	b.WriteString("\nPacked calls, of one run.\n\n| | unpacked | packed |\n|---|---:|---:|\n")
	alone, err := packCost(ctx, nil)
	if err != nil {
		return "", err
	}
	together, err := packCost(ctx, new(alipayai.Packs))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "| 20 calls of %d characters at once: characters charged per call | %s | %s (%.1f times less) |\n",
		packText, whole.number(alone), whole.number(together), alone/together)
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

// packGateway is a gateway before m.
func packGateway(m *packModel, packs *alipayai.Packs, k *gatewayup.Cap) (*alipayai.Gateway, error) {
	profile, err := gatewayup.LookupProfile("ollama")
	if err != nil {
		return nil, err
	}
	p := &gatewayup.Provider{
		Name: "model", Clock: new(gatewayup.Clock), Transport: m, Profile: profile, Cap: k,
		BaseURL: &url.URL{Scheme: "http", Host: "model.invalid"},
	}
	g := &alipayai.Gateway{Providers: []*gatewayup.Provider{p}, Packs: packs}
	return g, errors.Join(p.Prepare(), g.Prepare())
}

// packCall makes a call and reports whether its answer is its own; an error says that it has
// none.
func packCall(ctx context.Context, g *alipayai.Gateway, tenant, user, text string) (own bool, err error) {
	quoted, err := json.Marshal(text)
	if err != nil {
		return false, err
	}
	request, err := wire.ParseChatRequest([]byte(`{"model":"m","temperature":0,"user":"`+user+`","messages":[{"role":"user","content":`+string(quoted)+`}]}`), wire.Limits{})
	if err != nil {
		return false, err
	}
	a, err := g.Do(ctx, &alipayai.Call{Endpoint: gatewayup.EndpointChat, Tenant: tenant, Request: request, Format: openai.Format{}})
	if err != nil {
		return false, err
	}
	defer a.Close(true)
	said, ok := pack.Text(a.Body())
	return ok && said == answerTo(text), nil
}

// packModel is an upstream that answers at once, and counts what it would charge.
type packModel struct {
	requests, charged atomic.Int64
}

// answerTo is the model's answer to a text.
func answerTo(text string) string { return "re: " + text }

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
	said := answerTo(prompt)
	if strings.Contains(asked.Messages[0].Content, pack.Instruction) {
		var items map[string]string
		if err := json.Unmarshal([]byte(prompt), &items); err != nil {
			return nil, err
		}
		for id, text := range items {
			items[id] = answerTo(text)
		}
		all, _ := json.Marshal(items) // strings always marshal
		said = string(all)
	}
	characters := utf8.RuneCountInString(said)
	for _, message := range asked.Messages {
		characters += utf8.RuneCountInString(message.Content)
	}
	m.requests.Add(1)
	m.charged.Add(int64(max(characters, packFloor)))
	quoted, _ := json.Marshal(said)
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%[2]d}}`, quoted, characters/4, 0)
	return w.Result(), nil
}

// packCost is what each of 20 calls at once is charged, in characters.
func packCost(ctx context.Context, packs *alipayai.Packs) (float64, error) {
	const calls = 20
	m := new(packModel)
	g, err := packGateway(m, packs, nil)
	if err != nil {
		return 0, err
	}
	if packs != nil {
		packs.MaxWait = time.Second // a busy machine makes them come one by one
	}
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			text := strings.Repeat("x", packText-2) + fmt.Sprintf("%02d", i)
			_, errs[i] = packCall(ctx, g, "tenant", "user", text)
		})
	}
	wg.Wait()
	return float64(m.charged.Load()) / calls, errors.Join(errs...)
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
	g, err := packGateway(new(packModel), packs, k)
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
	g, err := packGateway(m, &alipayai.Packs{Verify: -1}, nil)
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
				own, err := packCall(ctx, g, tenant, user, tenant+" "+user+" "+strconv.FormatInt(n, 10))
				if err != nil {
					failed.Store(&err)
					return
				}
				if !own {
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
