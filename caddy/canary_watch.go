package alipaycaddy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// canaryKinds are the alerts of canaries.
var canaryKinds = []alert.Kind{
	alert.CanaryStep, alert.CanaryInconclusive, alert.CanaryPassed, alert.CanaryPromoted, alert.CanaryRolledBack, alert.CanaryUnkept,
}

// canaryAlert is what one alert is about: a canary, or a step of one.
type canaryAlert struct {
	kind  alert.Kind
	about string
}

// watchCanaries raises alerts for where the canaries are, and resolves those that are over.
func (a *App) watchCanaries(wrong []alert.Firing) {
	now := make(map[canaryAlert]string)
	for name, c := range a.canaries {
		maps.Copy(now, c.alerts(name))
	}
	for _, f := range wrong {
		if _, still := now[canaryAlert{f.Kind, f.Provider}]; !still && slices.Contains(canaryKinds, f.Kind) {
			a.monitor.Over(f.Kind, f.Provider)
		}
	}
	for c, summary := range now {
		a.monitor.Holds(c.kind, c.about, summary)
	}
}

// alerts are those that hold of the canary now.
func (c *configuredCanary) alerts(name string) map[canaryAlert]string {
	s := c.Status()
	now := make(map[canaryAlert]string)
	if s.Away {
		now[canaryAlert{alert.CanaryUnkept, name}] = "the canary's state cannot be kept: its share stays as it is"
	}
	switch s.Phase {
	case canary.Running, canary.Paused:
		at := canaryAlert{alert.CanaryStep, fmt.Sprintf("%s step %d", name, s.Step)}
		now[at] = fmt.Sprintf("step %d of %d: %s of the conversations of %s go to %s", s.Step, s.Steps, percent(s.Share), c.stable, c.candidate)
	case canary.Passed:
		now[canaryAlert{alert.CanaryPassed, name}] = c.candidate + " has passed every step: promote it, or roll it back"
	case canary.Promoted:
		now[canaryAlert{alert.CanaryPromoted, name}] = fmt.Sprintf("all conversations of %s go to %s: name it in its place in the configuration", c.stable, c.candidate) + behind("; ", s.Warning)
	case canary.RolledBack:
		now[canaryAlert{alert.CanaryRolledBack, name}] = c.candidate + " was rolled back by " + because(s)
	}
	if s.Holding {
		now[canaryAlert{alert.CanaryInconclusive, name}] = fmt.Sprintf("the step's time is over, and not every guard has passed %s: the share is held", c.candidate)
	}
	return now
}

// because says why a candidate was rolled back.
func because(s canary.Status) string {
	for _, g := range s.Guards {
		if g.Guard == s.Reason {
			return g.String()
		}
	}
	return "an " + canary.ByOperator
}

// behind puts a text behind what comes before it, if there is one.
func behind(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

func percent(share float64) string { return fmt.Sprintf("%g%%", 100*share) }

// canaryCollector reads the canaries.
type canaryCollector struct{ canaries map[string]*configuredCanary }

var (
	canaryShare = prometheus.NewDesc("caddy_alipayai_canary_share",
		"The part of the conversations that goes to a canary's candidate, from 0 to 1.", []string{"canary"}, nil)
	canaryCalls = prometheus.NewDesc("caddy_alipayai_canary_calls_total",
		"Calls of this replica that a canary's guard has judged, by the arm (stable or candidate) and the result (good or bad).",
		[]string{"canary", "guard", "arm", "result"}, nil)
)

// Describe implements prometheus.Collector.
func (canaryCollector) Describe(to chan<- *prometheus.Desc) {
	to <- canaryShare
	to <- canaryCalls
}

// Collect implements prometheus.Collector.
func (c canaryCollector) Collect(to chan<- prometheus.Metric) {
	for name, k := range c.canaries {
		to <- prometheus.MustNewConstMetric(canaryShare, prometheus.GaugeValue, k.Status().Share, name)
		for guard, arms := range k.Totals() {
			for arm, t := range arms {
				for result, n := range map[string]int64{"good": t.Trials - t.Bad, "bad": t.Bad} {
					to <- prometheus.MustNewConstMetric(canaryCalls, prometheus.CounterValue, float64(n), name, guard.String(), canary.Arm(arm).String(), result)
				}
			}
		}
	}
}
