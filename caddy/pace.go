package alipaycaddy

import (
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/filewatch"
)

// pace is how soon a gateway sees what nothing reports: what alerts are about, what other replicas know of canaries, changed
// files of keys, and, by waiting for as long, that another process has closed the ledger's file. Tests that run Caddy see it
// sooner.
var pace = struct{ watch, canaries, keys, ledger time.Duration }{watchEvery, canary.LookEvery, filewatch.Interval, ledger.LockWait}
