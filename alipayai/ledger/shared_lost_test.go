package ledger

import (
	"fmt"
	"testing"

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
