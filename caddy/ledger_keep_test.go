package alipaycaddy

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A ledger keeps lines for as long as the configuration that runs says: one that is rejected deletes none.
func TestRejectedConfigurationDeletesNoLines(t *testing.T) {
	const long, short = 30 * 24 * time.Hour, time.Minute
	for name, tt := range map[string]struct {
		runs, comes time.Duration
		rejected    bool
		kept        int
	}{
		"rejected":                    {long, short, true, 1},
		"rejected, for ever before":   {0, short, true, 1},
		"replaced":                    {long, short, false, 0},
		"replaced, for ever before":   {0, short, false, 0},
		"rejected, for ever":          {short, 0, true, 0},
		"replaced, and for ever then": {short, 0, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := &ledgerFile{Ledger: ledger.New(ledger.Options{Path: filepath.Join(t.TempDir(), "ledger.db")})}
				leave := s.use(tt.runs)
				s.Open()
				defer func() { _ = s.Close() }()
				leaveNext := s.use(tt.comes)
				s.Record(ledger.Line{Time: time.Now(), RequestID: "1", Tenant: "acme", Provider: "alipay", Model: "m"})
				const sweeps = 3 * time.Hour
				testwait.Pass(sweeps)
				if lines, err := s.Lines(t.Context(), ledger.Query{}); err != nil || len(lines) != 1 {
					t.Errorf("%d lines are there while one replaces the other, %v", len(lines), err)
				}
				if leave, before := leaveNext, leave; tt.rejected {
					leave()
				} else {
					before()
				}
				testwait.Pass(sweeps)
				if lines, err := s.Lines(t.Context(), ledger.Query{}); err != nil || len(lines) != tt.kept {
					t.Errorf("%d lines are kept, want %d, %v", len(lines), tt.kept, err)
				}
			})
		})
	}
}
