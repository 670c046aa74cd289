package ledger

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// What Redis has not had when it is closed is told, also what was more than it keeps; and nothing where it has had all.
func TestWhatIsNotSharedIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		away bool
		days int
		want int64
	}{"away": {true, 2, 2 * (maxShared + 5)}, "there": {false, 2, 10}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := notStarted(t, server.Addr)
			var attempts int64
			var totals map[price.Currency]Totals
			s.Lost = func(n int64, of map[price.Currency]Totals) { attempts, totals = n, of }
			for day := range tt.days {
				for i := range maxShared + 5 {
					s.Record(lineAt(noon.AddDate(0, 0, day), fmt.Sprint("tenant", i), 3))
				}
			}
			if tt.away {
				server.Kill()
			}
			s.Start()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if attempts != tt.want || totals["CNY"].Attempts != tt.want || int64(totals["CNY"].Amount) != 3*tt.want {
				t.Errorf("%d attempts, %+v, want %d", attempts, totals, tt.want)
			}
		})
	}
}

// measured notes how many arguments the longest command had.
type measured struct{ longest int }

func (*measured) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*measured) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *measured) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		m.longest = max(m.longest, len(command.Args()))
		return next(ctx, command)
	}
}

// However much has come, no exchange takes long, and all of it arrives once.
func TestMuchIsSharedInParts(t *testing.T) {
	s := notStarted(t, redistest.Start(t).Addr)
	sent := new(measured)
	s.client.AddHook(sent)
	const groups = 4*maxBatch + 1
	for i := range groups {
		s.Record(lineAt(noon, fmt.Sprint("tenant", i), 3))
	}
	s.Start()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	perGroup := 2 + len(new(Totals).numbers())
	if most := 20 + maxBatch*perGroup; sent.longest > most || sent.longest < maxBatch*perGroup {
		t.Errorf("a command has %d arguments, want %d at most", sent.longest, most)
	}
	found, err := s.Totals(t.Context(), Query{})
	var attempts int64
	for _, group := range found {
		attempts += group.Attempts
	}
	if err != nil || attempts != groups {
		t.Errorf("%d attempts are shared, %v, want %d", attempts, err, groups)
	}
}
