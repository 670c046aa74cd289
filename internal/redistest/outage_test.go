package redistest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Outages are what they say: of reads, writes and deletes, and of what is executed.
func TestOutages(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			server := redistest.Start(t).At(o.Addr)
			good := func(words ...string) bool {
				answer, err := server.Do(words...)
				return err == nil && !strings.HasPrefix(answer, "-") && !strings.HasPrefix(answer, "*") && !strings.HasPrefix(answer, "HTTP")
			}
			if !good("SET", "a", "1") || !good("SET", "b", "1") {
				t.Fatal("it is broken from the start")
			}
			o.Break()
			if !o.Executes { // on a connection of its own, whose first reply is passed on
				for command, want := range map[string]bool{"SET c 1": false, "GET a": o.Reads, "DEL b": o.Deletes} {
					if got := good(strings.Fields(command)...); got != want {
						t.Errorf("%s is answered: %t, want %t", command, got, want)
					}
				}
			}
			o.Heal()
			testwait.For(t, 10*time.Second, "it serves again", func() bool { return good("SET", "a", "1") })
		})
	}
}

func TestRelayLosesReplies(t *testing.T) {
	s := redistest.Start(t)
	r := redistest.StartRelay(t, s.Addr)
	client := newClient(t, r.Addr)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.LoseReplies()
	if n, err := client.Incr(t.Context(), "n").Result(); err == nil {
		t.Errorf("a lost reply says %d", n)
	}
	if got, err := s.Do("GET", "n"); err != nil || got != "1" {
		t.Errorf("the server has counted %q, %v, want once", got, err)
	}
	r.Pass()
	if n, err := client.Incr(t.Context(), "n").Result(); err != nil || n != 2 {
		t.Errorf("counted %d, %v", n, err)
	}
}

func TestRelayAnswersEveryCommand(t *testing.T) {
	r := redistest.StartRelay(t, redistest.Start(t).Addr)
	client := newClient(t, r.Addr)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.Answer(":7\r\n")
	pipe := client.Pipeline()
	first, second := pipe.Incr(t.Context(), "n"), pipe.Incr(t.Context(), "n")
	if _, err := pipe.Exec(t.Context()); err != nil || first.Val() != 7 || second.Val() != 7 {
		t.Errorf("%d and %d, %v", first.Val(), second.Val(), err)
	}
}
