package limiter

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestServersThatTakeNoConnection says why: what such a server says before it closes the connection is the error of whoever asks,
// and what a server says that does not know the client's first command is none.
func TestServersThatTakeNoConnection(t *testing.T) {
	for name, test := range map[string]struct {
		says   string
		closes bool
		want   string // in the error; empty for none
	}{
		"in protected mode":          {"-DENIED Redis is running in protected mode because protected mode is enabled", true, "DENIED Redis is running in protected mode"},
		"with too many clients":      {"-ERR max number of clients reached", true, "ERR max number of clients reached"},
		"with those of a cluster":    {"-ERR max number of clients + cluster connections reached", true, "ERR max number of clients + cluster"},
		"that knows no HELLO":        {"-ERR unknown command `hello`, with args beginning with: `3`, ", false, ""},
		"that knows another version": {"-NOPROTO unsupported protocol version", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var lc net.ListenConfig
			listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go answerConnection(conn, test.says, test.closes)
				}
			}()
			client, err := NewRedisClient(RedisOptions{Addresses: []string{listener.Addr().String()}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			switch err := client.Ping(ctx).Err(); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// answerConnection is a server that says one thing to a new connection, and closes it or serves it from then on.
func answerConnection(conn net.Conn, says string, closes bool) {
	defer conn.Close()
	if closes { // before anything is asked
		_, _ = conn.Write([]byte(says + "\r\n"))
		return
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		switch strings.ToLower(lines.Text()) {
		case "hello":
			_, _ = conn.Write([]byte(says + "\r\n"))
		case "ping":
			_, _ = conn.Write([]byte("+PONG\r\n"))
		}
	}
}
