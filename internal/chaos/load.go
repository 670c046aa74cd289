package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// clients is how many each tenant has.
	clients = 10
	// afterwards is how many of a client's requests wait to be repeated when
	// everything is over, and how many replies it takes to see them come.
	afterwards = 10
)

// load is what the clients do.
type load struct {
	settings  settings
	rig       *rig
	transport *http.Transport

	mu      sync.Mutex
	replies []reply
	// late are requests to repeat when everything is over.
	late []request
	// counts number each tenant's requests. Tenants use the same numbers, and so
	// the same keys.
	counts []int
}

func newLoad(s settings, r *rig) *load {
	return &load{
		settings: s, rig: r, counts: make([]int, s.tenants),
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
	}
}

// run has all clients call for the duration, and returns when each of them has
// what became of its last call.
func (l *load) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.settings.duration)
	defer cancel()
	var all sync.WaitGroup
	for i := range l.settings.tenants * clients {
		draws := l.settings.draws(drawClients + i)
		all.Go(func() {
			c := &client{load: l, tenant: i % l.settings.tenants, draws: draws}
			for ctx.Err() == nil {
				c.act()
				select {
				case <-time.After(time.Duration(c.draws.Int64N(int64(200 * time.Millisecond)))):
				case <-ctx.Done():
				}
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.late = append(l.late, c.due[max(len(c.due)-afterwards, 0):]...)
		})
	}
	all.Wait()
}

// client is one of a tenant's.
type client struct {
	*load
	tenant int
	draws  *rand.Rand
	// due are requests to repeat later.
	due []request
}

// act makes a call, or what belongs together.
func (c *client) act() {
	if n := len(c.due); n > 0 && c.draws.IntN(5) == 0 {
		i := c.draws.IntN(n)
		q := c.due[i]
		if c.draws.IntN(2) == 0 {
			c.due = append(c.due[:i], c.due[i+1:]...)
		}
		c.call(q)
		return
	}
	q := c.request()
	switch c.draws.IntN(10) {
	case 0, 1, 2: // just so
		c.call(q)
	case 3: // asked once more without a key, which a cached answer may serve
		c.call(q)
		c.due = append(c.due, q)
	case 4, 5: // once
		q.key = c.key(q)
		c.call(q)
	case 6, 7: // again, at once and later
		q.key = c.key(q)
		var twice sync.WaitGroup
		other := c.replica()
		twice.Go(func() { c.callAt(other, q) })
		c.call(q)
		twice.Wait()
		c.due = append(c.due, q)
	default: // the client leaves, and may come back
		q.leave = time.Millisecond + time.Duration(c.draws.Int64N(int64(300*time.Millisecond)))
		if c.draws.IntN(2) == 0 {
			q.key = c.key(q)
		}
		c.call(q)
		q.leave = 0
		if q.key != "" {
			c.due = append(c.due, q)
		}
	}
}

// request makes a new one.
func (c *client) request() request {
	c.mu.Lock()
	c.counts[c.tenant]++
	number := c.counts[c.tenant]
	c.mu.Unlock()
	marks := "[[events:" + strconv.Itoa(1+c.draws.IntN(9)) + "]] "
	if c.draws.IntN(3) == 0 {
		marks += "[[interval:" + strconv.Itoa(1+c.draws.IntN(40)) + "ms]] "
	}
	return newRequest(c.tenant, number, c.draws.IntN(2) == 0, marks)
}

// key is the same as another tenant's of that number.
func (*client) key(q request) string { return "order-" + q.prompt[len(q.tenant+" asks "):] }

func (c *client) replica() int { return c.draws.IntN(len(c.rig.replicas)) }

func (c *client) call(q request) { c.callAt(c.replica(), q) }

func (l *load) callAt(replica int, q request) reply {
	got := send(l.transport, l.rig.replicas[replica].site.url, q)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replies = append(l.replies, got)
	return got
}

// repeatLate repeats what was to be repeated, now that all is well.
func (l *load) repeatLate() {
	var all sync.WaitGroup
	slots := make(chan struct{}, clients)
	for i, q := range l.late {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			l.callAt(i%len(l.rig.replicas), q)
		})
	}
	all.Wait()
}

// unserved counts the tenants and replicas with which the first provider does not
// come to serve, although all is well.
func (l *load) unserved() (n int) {
	for tenant := range l.settings.tenants {
		for replica := range l.rig.replicas {
			c := &client{load: l, tenant: tenant, draws: l.settings.draws(drawClients)}
			n += settled(0, func() int {
				got := l.callAt(replica, c.request())
				if got.judge() == whole && got.header.Get("X-Alipayai-Provider") == first {
					return 0
				}
				return 1
			})
		}
	}
	return n
}
