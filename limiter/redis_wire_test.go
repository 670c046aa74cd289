package limiter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// wire is the network between replicas in a synctest bubble and a real redis-server
// outside of it. The replicas use the real client over connections that it breaks.
// What it carries takes time of the bubble alone, so that promises of milliseconds
// can be judged on any machine.
type wire struct {
	*bubbleRedis

	mu    sync.Mutex
	fault fault
	conns []net.Conn
}

// fault is what a wire does to what is sent over it.
type fault struct {
	refuses  bool   // connections
	hangs    bool   // the making of connections
	swallows bool   // commands
	loses    bool   // answers, with their connections
	answers  string // every command so, in place of the server
}

func newWire(t *testing.T) *wire { return &wire{bubbleRedis: newBubbleRedis(t)} }

// become breaks the wire, or heals it; connections of before are broken in any case.
func (w *wire) become(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
	if f.swallows || f.loses || f.answers != "" {
		return // it shows on the connections that there are
	}
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

func (w *wire) does() fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

// newClient is a client of this wire, as windows use it. It belongs to the bubble
// that calls.
func (w *wire) newClient(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := newTestClient(t, RedisOptions{Addresses: []string{"bubble:6379"}})
	client.AddHook(dialing{w.dial})
	t.Cleanup(func() { w.become(fault{refuses: true}) })
	return client
}

// newWindow starts one of two replicas, past its first silence. It belongs to the
// bubble that calls.
func (w *wire) newWindow(t *testing.T) *RedisWindow {
	t.Helper()
	history := oldHistory(t)
	w.do(func() { _ = w.client.SetNX(context.Background(), redisKey("k"), history, time.Minute).Err() })
	window, err := NewRedisWindow(w.newClient(t), RedisWindowOptions{Key: "k", Replicas: 2, Limit: fleetLimit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = window.Close() })
	if _, _, err := window.exchange(opLook, fleetLimit, ""); err != nil {
		t.Fatal(err)
	}
	return window
}

// dialing is a hook that makes the connections of a client.
type dialing struct {
	dial func(ctx context.Context) (net.Conn, error)
}

func (d dialing) DialHook(redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }
}
func (dialing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (dialing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *wire) dial(ctx context.Context) (net.Conn, error) {
	time.Sleep(2 * w.oneWay)
	switch f := w.does(); {
	case f.hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case f.refuses:
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	w.mu.Lock()
	w.conns = append(w.conns, far)
	w.mu.Unlock()
	go w.serve(far)
	return near, nil
}

// serve answers the commands of a connection.
func (w *wire) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for commands := bufio.NewReader(conn); ; {
		words, err := readCommand(commands)
		if err != nil {
			return
		}
		time.Sleep(w.oneWay)
		f, reply := w.does(), ""
		switch {
		case f.swallows:
			continue
		case f.answers != "":
			reply = f.answers
		case strings.EqualFold(words[0], "evalsha"):
			reply = w.run(words)
			if w.does().loses {
				return
			}
		default: // the greeting
			reply = "-ERR unknown command\r\n"
		}
		time.Sleep(w.oneWay)
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

// run runs the script as an EVALSHA with one key says.
func (w *wire) run(words []string) string {
	args := make([]any, 0, len(words))
	for _, word := range words[4:] {
		args = append(args, word)
	}
	text, err := w.exec(words[3:4], args).Text()
	if err != nil {
		return fmt.Sprintf("-ERR %v\r\n", err)
	}
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}

// readCommand reads an array of bulk strings, as clients send commands.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readCount(r, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := readCount(r, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
	}
	return words, nil
}

func readCount(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q in place of a %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
