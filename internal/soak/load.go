package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const chat = `{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello"}]}`

// saturate has every tenant's callers call every gateway, each again as soon as
// it is answered, until the duration has passed since the first answer. It gives
// the answers by tenant, and fails with the first that is not a success.
func saturate(ctx context.Context, s settings, gateways []string, tenants [2]tenant) (served [2]int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * s.callers}
	defer transport.CloseIdleConnections()
	var counts [2]atomic.Int64
	var over atomic.Bool
	begin := sync.OnceFunc(func() { time.AfterFunc(s.duration, func() { over.Store(true) }) })

	var callers sync.WaitGroup
	for _, gateway := range gateways {
		for i, tenant := range tenants {
			for range s.callers {
				callers.Go(func() {
					for !over.Load() && ctx.Err() == nil {
						if err := call(ctx, transport, gateway, tenant); err != nil {
							cancel(err)
							return
						}
						begin()
						counts[i].Add(1)
					}
				})
			}
		}
	}
	callers.Wait()
	for i := range served {
		served[i] = counts[i].Load()
	}
	return served, context.Cause(ctx)
}

// call makes one call and reads its answer.
func call(ctx context.Context, transport http.RoundTripper, gateway string, t tenant) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+gateway+"/v1/chat/completions", strings.NewReader(chat))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+t.key)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is answered %d: %s", t.name, resp.StatusCode, body)
	}
	return nil
}
