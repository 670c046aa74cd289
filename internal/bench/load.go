package main

import (
	"bufio"
	"bytes"
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

// callTimeout is how long one call may take before the run is given up.
const callTimeout = 30 * time.Second

// A workload is one kind of call and how many of them are under way at once.
type workload struct {
	name    string
	title   string
	clients int
	body    []byte
	check   func(answer []byte) error
}

// workloads are the two kinds of call that are measured.
func workloads() []workload {
	answer := answerBody()
	return []workload{
		{
			name: "json", title: "JSON", clients: 64, body: requestBody(false),
			check: func(got []byte) error {
				if !bytes.Equal(got, answer) {
					return fmt.Errorf("%d bytes of answer are not the upstream's", len(got))
				}
				return nil
			},
		},
		{
			name: "stream", title: "Stream", clients: 100, body: requestBody(true),
			check: func(got []byte) error {
				if n := bytes.Count(got, []byte("data: ")); n != streamEvents || !bytes.HasSuffix(got, streamEnd) {
					return fmt.Errorf("a stream of %d events, not of %d and whole", n, streamEvents)
				}
				return nil
			},
		},
	}
}

// done is what a round's load amounted to.
type done struct {
	elapsed   time.Duration
	latencies []time.Duration // one for each call, ascending
}

// A client is one connection that is kept alive. It reads only as much HTTP/1.1
// as the answers need, since it shares the processors with what it measures.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	number  []byte // the digits of the request that make it another one than all before
	body    []byte // of the last answer
}

// calls counts the calls of this run.
var calls atomic.Int64

// firstCall is the number of the first one: all have as many digits.
const firstCall = 100_000_000_000

// clients are all connections of a round.
type clients []*client

// dial opens a workload's connections and makes one call on each, so that no
// handshake and no first use is measured.
func dial(ctx context.Context, addr string, w workload) (clients, error) {
	var cs clients
	head := fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n"+
		"Accept: */*\r\nAuthorization: Bearer bench-client\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		addr, len(w.body))
	digits := len(strconv.Itoa(firstCall))
	var dialer net.Dialer
	for range w.clients {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			cs.close()
			return nil, err
		}
		request := slices.Concat(head, w.body)
		number := request[:len(request)-len(requestTail)]
		number = number[len(number)-digits:]
		cs = append(cs, &client{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), request: request, number: number})
	}
	if _, err := cs.load(ctx, w, 0); err != nil {
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

// load makes calls on all connections until d has passed, at least one on each,
// and stops all of them at the first call that fails.
func (cs clients) load(ctx context.Context, w workload, d time.Duration) (done, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	latencies := make([][]time.Duration, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() {
			for last := began; ; {
				err := c.call()
				if err == nil {
					err = w.check(c.body)
				}
				if err != nil {
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
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return done{elapsed: time.Since(began), latencies: all}, nil
}

// call sends the request and reads the answer's body into c.body.
func (c *client) call() error {
	if err := c.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	strconv.AppendInt(c.number[:0], firstCall+calls.Add(1), 10)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
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
