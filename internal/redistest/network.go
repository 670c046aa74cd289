package redistest

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // names scripts in Redis
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

// Network lies between clients in a synctest bubble and a real redis-server outside
// of it, whose scripts read the bubble's clock. What it carries takes time of the
// bubble alone, so that a promise of milliseconds can be judged on any machine.
type Network struct {
	// OneWay is how long a message takes, each way, of the clients that are connected
	// from then on.
	OneWay time.Duration

	scripts sync.Map // the sources of those that clients have sent, by hash

	mu    sync.Mutex
	fault Fault
	conns map[net.Conn]struct{}
	jobs  chan []string
	done  chan string
}

// Fault is what a network does to what is sent over it; the zero value is none.
type Fault struct {
	Refuses  bool   // connections
	Hangs    bool   // the making of connections
	Swallows bool   // commands
	Loses    bool   // answers, with their connections; the commands are executed
	Answers  string // all commands so, in place of the server

	// Slow is how much longer answers take.
	Slow time.Duration
}

// Faults are the ways in which a network breaks, by name.
func Faults() map[string]Fault {
	return map[string]Fault{
		"no connection":                           {Refuses: true},
		"connections are not made":                {Hangs: true},
		"black hole":                              {Swallows: true},
		"replies are lost with their connections": {Loses: true},
		"loading its data":                        {Answers: "-LOADING Redis is loading the dataset in memory\r\n"},
		"garbage":                                 {Answers: "HTTP/1.1 400 Bad Request\r\n"},
		"replies of another kind":                 {Answers: "*1\r\n:7\r\n"},
	}
}

// NewNetwork starts a server and a network to it. It is made outside of the bubble,
// whose time stands still while the server works.
func NewNetwork(tb testing.TB) *Network {
	tb.Helper()
	conn, err := net.Dial("tcp", Start(tb).Addr)
	if err != nil {
		tb.Fatal(err)
	}
	n := &Network{conns: make(map[net.Conn]struct{}), jobs: make(chan []string), done: make(chan string)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answers := bufio.NewReader(conn)
		for words := range n.jobs {
			answer, err := exchange(conn, answers, words)
			if err != nil {
				answer = fmt.Sprintf("-ERR %v\r\n", err)
			}
			n.done <- answer
		}
	}()
	tb.Cleanup(func() {
		close(n.jobs)
		<-ended
		_ = conn.Close()
	})
	return n
}

// Break makes the network do what f says. It shows at once on the connections that
// there are, or they are closed.
func (n *Network) Break(f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = f
	if f.Swallows || f.Loses || f.Answers != "" || f.Slow > 0 {
		return
	}
	for conn := range n.conns {
		_ = conn.Close()
	}
}

// Heal ends a fault, and the connections that there are.
func (n *Network) Heal() { n.Break(Fault{}) }

// Do has the server execute a command, whatever the fault, and gives its answer as
// the protocol has it. No time of the bubble passes.
func (n *Network) Do(words ...string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.jobs <- words
	return <-n.done
}

// FlushScripts has the server forget the scripts that clients have sent.
func (n *Network) FlushScripts() { n.scripts.Clear() }

// Anywhere is an address for a client that a Network connects. It is numeric, since
// names are not looked up in a bubble.
const Anywhere = "192.0.2.1:6379"

// Connect lets a client connect over this network. The client is closed before its
// bubble ends.
func (n *Network) Connect(client redis.UniversalClient) { client.AddHook(dialing{n, n.OneWay}) }

// dialing is a hook that makes the connections of a client.
type dialing struct {
	network *Network
	oneWay  time.Duration
}

func (d dialing) DialHook(redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.network.dial(ctx, d.oneWay) }
}

func (dialing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (dialing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (n *Network) does() Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

func (n *Network) dial(ctx context.Context, oneWay time.Duration) (net.Conn, error) {
	time.Sleep(2 * oneWay)
	switch f := n.does(); {
	case f.Hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case f.Refuses:
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	n.mu.Lock()
	n.conns[far] = struct{}{}
	n.mu.Unlock()
	go n.serve(far, oneWay)
	return near, nil
}

// serve answers the commands of a connection.
func (n *Network) serve(conn net.Conn, oneWay time.Duration) {
	defer func() {
		_ = conn.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, conn)
	}()
	for commands := bufio.NewReader(conn); ; {
		words, err := readCommand(commands)
		if err != nil {
			return
		}
		time.Sleep(oneWay)
		f := n.does()
		var answer string
		switch {
		case f.Swallows:
			continue
		case f.Answers != "":
			answer = f.Answers
		case f.Loses && strings.EqualFold(words[0], "hello"):
			answer = "-ERR unknown command\r\n" // a client gets beyond its greeting
		default:
			answer = n.execute(words)
			if n.does().Loses {
				return
			}
		}
		time.Sleep(oneWay + f.Slow)
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

const (
	// serverClock is how a script reads the server's clock.
	serverClock = "redis.call('TIME')"
	// bubbleClock reads the bubble's, which is the last argument.
	bubbleClock = "{math.floor(tonumber(ARGV[#ARGV]) / 1000000), tonumber(ARGV[#ARGV]) % 1000000}"
)

// execute has the server execute a command of a client, scripts in the bubble's time.
func (n *Network) execute(words []string) string {
	switch strings.ToLower(words[0]) {
	case "hello": // each connection would begin with its own
		return "-ERR unknown command\r\n"
	case "evalsha":
		source, known := n.scripts.Load(words[1])
		if !known {
			return "-NOSCRIPT No matching script\r\n"
		}
		words[1] = source.(string)
	case "eval":
		n.scripts.Store(fmt.Sprintf("%x", sha1.Sum([]byte(words[1]))), words[1]) //nolint:gosec // names scripts in Redis
	default:
		return n.Do(words...)
	}
	source := strings.ReplaceAll(words[1], serverClock, bubbleClock)
	words = append(append([]string{"EVAL", source}, words[2:]...), strconv.FormatInt(time.Now().UnixMicro(), 10))
	return n.Do(words...)
}

// exchange sends a command and reads its answer.
func exchange(conn net.Conn, answers *bufio.Reader, words []string) (string, error) {
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, command.String()); err != nil {
		return "", err
	}
	return readAnswer(answers)
}

// readAnswer reads an answer as it is.
func readAnswer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch {
	case line[0] == '$' && size >= 0:
		text := make([]byte, size+2)
		_, err = io.ReadFull(r, text)
		line += string(text)
	case line[0] == '*':
		for range size {
			var part string
			if part, err = readAnswer(r); err != nil {
				break
			}
			line += part
		}
	}
	return line, err
}

// readCommand reads an array of texts, as clients send commands.
func readCommand(r *bufio.Reader) ([]string, error) {
	count, err := readSize(r, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, count)
	for i := range words {
		size, err := readSize(r, '$')
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

func readSize(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q in place of a %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
