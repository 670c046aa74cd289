package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// callTimeout is how long one call may take before the run is given up; a slow
// stream takes streamEvents times slowEvery.
const callTimeout = time.Minute

// statusOK begins every answer that is counted.
var statusOK = []byte("HTTP/1.1 200 ")

// A workload is one kind of call and how calls are made.
type workload struct {
	title   string
	clients int    // connections, each with at most one call in flight
	rate    int    // calls per second in an open loop; 0 for a closed one
	slow    bool   // calls are streams that are held open
	keyed   bool   // calls carry an Idempotency-Key
	fills   int    // calls that fill what a proxy keeps of them
	path    string // of a request; that of chat completions when empty
	body    []byte
	check   func(answer []byte) error
}

// productionCalls are what a production site is measured with. It keeps some 30,000 of
// these answers, in the 64 MiB of its cache. Until it does its heap grows, and nearly each
// call besides takes a page fault, which is 0.3 to 25 µs as the machine has it.
func productionCalls() workload {
	w := jsonCalls(64)
	w.title, w.keyed, w.fills = "JSON, a production site", true, 40_000
	return w
}

// spendCalls are those of which a gateway with what saves money makes more work; what names that.
func spendCalls(what string) workload {
	w := jsonCalls(64)
	w.title = "JSON, " + what
	return w
}

// openBreakerCalls come one at a time, so that their latency is the call's own.
func openBreakerCalls() workload {
	w := jsonCalls(1)
	w.title = "JSON, the first provider's breaker open"
	return w
}

// at makes a workload an open loop of so many calls per second.
func (w workload) at(rate int) workload {
	w.rate = rate
	return w
}

// String is the workload's name in the report.
func (w workload) String() string {
	if w.rate > 0 {
		return w.title + ", " + whole.number(float64(w.rate)) + " a second"
	}
	return w.title + ", " + whole.number(float64(w.clients)) + " at once"
}

// jsonCalls are answered with one body.
func jsonCalls(clients int) workload {
	answer := answerBody()
	return workload{
		title: "JSON", clients: clients, body: requestBody(modelName, false),
		check: func(got []byte) error {
			if !bytes.Equal(got, answer) {
				return fmt.Errorf("%d bytes of answer are not the upstream's", len(got))
			}
			return nil
		},
	}
}

// streamCalls are answered with events, one right after the other.
func streamCalls(clients int) workload {
	return workload{
		title: "Stream", clients: clients, body: requestBody(modelName, true),
		check: func(got []byte) error {
			if n := bytes.Count(got, []byte("data: ")); n != streamEvents || !bytes.HasSuffix(got, streamEnd) {
				return fmt.Errorf("a stream of %d events, not of %d and whole", n, streamEvents)
			}
			return nil
		},
	}
}

// slowStreams bring an event every slowEvery.
func slowStreams(clients int) workload {
	return workload{title: "Slow streams", clients: clients, slow: true, body: requestBody(slowModel, true)}
}

// done is what a round's load brought.
type done struct {
	elapsed   time.Duration
	latencies []time.Duration // one for each call, ascending
	lateness  []time.Duration // in an open loop, how long after it was due each call was sent, ascending
}

// A client is one connection that is kept alive. It reads only as much HTTP/1.1
// as the answers need, since it shares the processors with what it measures.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	prompt  []byte // the part of request that is the call's number in its prompt,
	key     []byte // and the one in its Idempotency-Key, if it has one
	body    []byte // of the last answer
}

// calls counts the calls of this run.
var calls atomic.Int64

// firstCall is the number of the first one: all have as many digits.
const firstCall = 100_000_000_000

// clients are all connections of a round.
type clients []*client

// connect opens a workload's connections. Every call of this run differs from all
// before in its prompt, and in its Idempotency-Key if it has one, so that no answer
// is one that was given before.
func connect(ctx context.Context, addr string, w workload) (clients, error) {
	number := strconv.Itoa(firstCall)
	header := ""
	if w.keyed {
		header = "Idempotency-Key: " + number + "\r\n"
	}
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n"+
		"Accept: */*\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		cmp.Or(w.path, "/v1/chat/completions"), addr, clientKey, len(w.body), header, w.body)
	var cs clients
	var dialer net.Dialer
	for range w.clients {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			cs.close()
			return nil, err
		}
		c := &client{conn: conn, r: bufio.NewReaderSize(conn, 4<<10), request: bytes.Clone(request)}
		if w.keyed {
			c.key = c.request[bytes.Index(c.request, []byte(number)):][:len(number)]
		}
		c.prompt = c.request[len(c.request)-len(requestTail)-len(number):][:len(number)]
		cs = append(cs, c)
	}
	return cs, nil
}

// dial connects and makes one call on each connection, so that no handshake and no
// first use is measured.
func dial(ctx context.Context, addr string, w workload) (clients, error) {
	cs, err := connect(ctx, addr, w)
	if err != nil {
		return nil, err
	}
	if _, err := cs.closedLoop(ctx, w, 0); err != nil {
		cs.close()
		return nil, err
	}
	return cs, nil
}

func (cs clients) close() {
	for _, c := range cs {
		c.conn.Close()
	}
}

// closedLoop makes calls on all connections until d has passed, at least one on
// each, and stops all of them at the first call that fails.
func (cs clients) closedLoop(ctx context.Context, w workload, d time.Duration) (done, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	latencies := make([][]time.Duration, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() {
			for last := began; ; {
				if err := c.checked(w); err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(last))
				if last = now; now.Sub(began) >= d || ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return done{}, err
	}
	return newDone(time.Since(began), latencies, nil), nil
}

// fillUp makes the calls after which a proxy keeps as much of them as it ever does, and
// counts them after each step.
func fillUp(ctx context.Context, proxy *child, w workload, step time.Duration) error {
	cs, err := connect(ctx, proxy.Addr, w)
	if err != nil {
		return err
	}
	defer cs.close()
	for made := 0; made < w.fills; {
		d, err := cs.closedLoop(ctx, w, step)
		if err != nil {
			return err
		}
		made += len(d.latencies)
	}
	return nil
}

// checked makes a call and checks its answer: a benchmark that counted failures as
// calls would praise a proxy that fails fast.
func (c *client) checked(w workload) error {
	if err := c.call(); err != nil {
		return err
	}
	return w.check(c.body)
}

// send sends the request, with a number of its own.
func (c *client) send() error {
	if err := c.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	strconv.AppendInt(c.prompt[:0], firstCall+calls.Add(1), 10)
	copy(c.key, c.prompt)
	_, err := c.conn.Write(c.request)
	return err
}

// call sends the request and reads the answer's body into c.body.
func (c *client) call() error {
	if err := c.send(); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("answered %q", line)
	}
	length, chunked := 0, false
	for {
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
		chunked = chunked || bytes.Equal(line, []byte("Transfer-Encoding: chunked"))
	}
	c.body = c.body[:0]
	if !chunked {
		return c.read(length)
	}
	for {
		if line, err = c.line(); err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return err
		}
		if err := c.read(int(size)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return errors.New("a chunk does not end where it says")
		}
		if size == 0 {
			return nil
		}
	}
}

// line reads one line, without its end.
func (c *client) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimSuffix(line, []byte("\r\n")), err
}

// read appends n bytes to the body.
func (c *client) read(n int) error {
	from := len(c.body)
	c.body = slices.Grow(c.body, n)[:from+n]
	_, err := io.ReadFull(c.r, c.body[from:])
	return err
}
