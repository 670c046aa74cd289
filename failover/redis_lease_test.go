package failover

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// A replica that took another's lease for over, and is refused, keeps what Redis
// says in place of its own guess, although that is of no later version.
func TestRefusedProbeLearnsWhoHoldsTheLease(t *testing.T) {
	const mine, other = 11, 12
	key, rule := Key{"t", "p"}, Rule{OpenFor: time.Nanosecond}.withDefaults()
	b := NewSharedBreakers(newTestClient(t, redistest.Start(t).Addr), t.Name())
	defer func() { _ = b.Close() }()
	b.shared.scripts.reports.Timeout = patience
	common, _, err := b.shared.scripts.run(report{opened, key, rule, 0, time.Now(), nil}, 0)
	if err != nil || !common.isOpen() {
		t.Fatalf("opened: %+v, %v", common, err)
	}
	common, granted, err := b.shared.scripts.run(report{probing, key, rule, other, common.opened, nil}, common.version)
	if err != nil || !granted {
		t.Fatalf("the other's lease is granted: %t, %v", granted, err)
	}
	guess := common
	guess.probe = lease{mine, time.Now().Add(rule.ProbeFor)}
	b.mu.Lock()
	b.write(key, guess, time.Now())
	b.mu.Unlock()
	got, granted, ok := b.askToProbe(key, rule, guess)
	if !ok || granted {
		t.Fatalf("answered: %t, granted: %t; want an answer, and no lease", ok, granted)
	}
	if known := b.read(key); got.probe.holder != other || known.probe.holder != other || known.version != common.version {
		t.Errorf("the lease is %d's, in memory %d's, of version %d; want %d's of %d",
			got.probe.holder, known.probe.holder, known.version, other, common.version)
	}
}
