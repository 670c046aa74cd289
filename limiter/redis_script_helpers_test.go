package limiter

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// quietLogger drops what the client says of servers that tests have broken.
type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}

// newTestClient is a client as windows use it.
func newTestClient(t testing.TB, o RedisOptions) redis.UniversalClient {
	t.Helper()
	client, err := NewRedisClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newPatientClient is a client for what is no matter of time.
func newPatientClient(t testing.TB, server *redistest.Server) redis.UniversalClient {
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: patience, WriteTimeout: patience, DialTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// scriptUnderTest runs the script with times of its own choice, in microseconds.
type scriptUnderTest struct {
	t             *testing.T
	client        redis.UniversalClient
	script        *redis.Script
	quiet, settle int64
	seen          int64
	late          int64
}

const scriptKey = "{test}:window"

func newScriptUnderTest(t *testing.T) *scriptUnderTest {
	client := newPatientClient(t, redistest.Start(t))
	return &scriptUnderTest{t: t, client: client, script: redis.NewScript(redisWindowScript), quiet: 1_000_000}
}

func (s *scriptUnderTest) run(op string, requests int, span int64, arg any) redisAnswer {
	s.t.Helper()
	ctx := s.t.Context()
	packed, err := s.script.Run(ctx, s.client, []string{scriptKey},
		op, arg, redisstore.Doubles(int64(requests), span, s.quiet, s.settle, s.seen, s.late)).Text()
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := parseAnswer(packed)
	if err != nil {
		s.t.Fatal(err)
	}
	s.seen = answer.now
	return answer
}

// do sends another command.
func (s *scriptUnderTest) do(args ...any) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// header are the numbers that the script keeps.
type header struct{ Alive, Opened, Closed, Left, Forgotten, Heard float64 }

// edit changes what the script keeps, and leaves its permits if keep is set.
func (s *scriptUnderTest) edit(keep bool, change func(*header)) {
	s.t.Helper()
	stored, err := s.client.Get(s.t.Context(), scriptKey).Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	var h header
	n, err := binary.Decode(stored, binary.BigEndian, &h)
	if err != nil {
		s.t.Fatal(err)
	}
	change(&h)
	edited, err := binary.Append(nil, binary.BigEndian, h)
	if err != nil {
		s.t.Fatal(err)
	}
	if keep {
		edited = append(edited, stored[n:]...)
	}
	s.do("SET", scriptKey, edited)
}

// id names a slot.
func id(n int) string { return fmt.Sprintf("id%06d", n) }
