package alipaycaddy

import (
	"fmt"
	"maps"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
)

// blockFiresFor is how long an alert says that a shadow blocks what clients are answered, after it last did.
const blockFiresFor = time.Hour

// watchShadows raises alerts for what shadows do otherwise, and resolves those that are over.
func (a *App) watchShadows(wrong []alert.Firing) {
	now := make(map[shadowAlert]string)
	for name, s := range a.shadows {
		maps.Copy(now, s.alerts(name))
	}
	for _, f := range wrong {
		if _, still := now[shadowAlert{f.Kind, f.Provider}]; !still && (f.Kind == alert.ShadowDivergence || f.Kind == alert.NewComplianceBlock) {
			a.monitor.Over(f.Kind, f.Provider)
		}
	}
	for s, summary := range now {
		a.monitor.Holds(s.kind, s.about, summary)
	}
}

// shadowAlert is what one alert is about: a shadow, or an aspect of one.
type shadowAlert struct {
	kind  alert.Kind
	about string
}

// alerts are those that hold of the shadow now.
func (s *configuredShadow) alerts(name string) map[shadowAlert]string {
	now, state := make(map[shadowAlert]string), s.State()
	if time.Since(state.BlockedAt) < blockFiresFor {
		now[shadowAlert{alert.NewComplianceBlock, name}] = fmt.Sprintf("%s has blocked %d of %d copies of calls that clients were answered", s.provider, state.NewBlocks, state.Pairs)
	}
	for _, aspect := range shadow.Judged {
		if d := state.Drifts[aspect]; d.Firing {
			now[shadowAlert{alert.ShadowDivergence, name + " " + string(aspect)}] = fmt.Sprintf("more than %s of the answers of %s differ in %s: %d of %d until now", percent(s.divergence), s.provider, aspect, d.Differ, d.Trials)
		}
	}
	return now
}
