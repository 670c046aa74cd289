package alert

import (
	"fmt"
	"strings"
	"time"
)

const (
	// DefaultSystemErrors is how many SYSTEM_ERRORs a provider may report in
	// any minute before operators are notified.
	DefaultSystemErrors = 10
	// calm is how long all must be well before a rate or a throttle is over.
	calm = time.Minute
)

// Monitor turns what calls meet into alerts. Saying that all is well costs two loads and
// a look into a small map. It is safe for concurrent use, starts no goroutine,
// and its timers run only while something is wrong.
type Monitor struct {
	alerter      *Alerter
	systemErrors int
	until        map[subject]time.Time // what this monitor's timers wait for; locked by the state
}

// NewMonitor makes a monitor that raises an alert at more than systemErrors
// SYSTEM_ERRORs a minute at one provider; zero means [DefaultSystemErrors].
func NewMonitor(a *Alerter, systemErrors int) *Monitor {
	if systemErrors == 0 {
		systemErrors = DefaultSystemErrors
	}
	return &Monitor{alerter: a, systemErrors: systemErrors, until: map[subject]time.Time{}}
}

// SystemError counts a SYSTEM_ERROR of the provider.
func (m *Monitor) SystemError(provider string) {
	state, sub := m.alerter.state, subject{SystemErrorRate, provider}
	m.alerter.change(func() (Notification, bool) {
		now := time.Now()
		recent := append(state.errors[provider], now)
		recent = recent[max(0, len(recent)-m.systemErrors-1):]
		state.errors[provider] = recent
		// It is above the rate as long as the oldest of one too many is within
		// the minute.
		above := recent[0].Add(time.Minute)
		if len(recent) <= m.systemErrors || !above.After(now) {
			return Notification{}, false
		}
		m.hold(sub, above.Add(calm))
		return state.raise(sub, fmt.Sprintf("%s reports more than %d system errors a minute", provider, m.systemErrors))
	})
}

// Throttled says that the provider refused a request for its rate.
func (m *Monitor) Throttled(provider string) {
	sub := subject{Throttled, provider}
	m.alerter.change(func() (Notification, bool) {
		m.hold(sub, time.Now().Add(calm))
		return m.alerter.state.raise(sub, provider+" throttles requests below its limit")
	})
}

// AccountExhausted says that the provider refused a request since the account there
// has no money or quota left.
func (m *Monitor) AccountExhausted(provider string) {
	m.alerter.Raise(AccountExhausted, provider, "the account at "+provider+" is exhausted")
}

// AccountServed says that the provider answered a call.
func (m *Monitor) AccountServed(provider string) {
	if m.alerter.state.get(subject{AccountExhausted, provider}) == nil {
		return // and no text is made for nearly every call
	}
	m.alerter.Resolve(AccountExhausted, provider, provider+" serves the account again")
}

// Exhausted says that all providers of the site failed for a call.
func (m *Monitor) Exhausted(site string) {
	state, sub := m.alerter.state, subject{AllProvidersFailing, site}
	m.alerter.change(func() (Notification, bool) {
		state.until[sub] = time.Now().Add(calm)
		return state.raise(sub, "all providers are failing")
	})
}

// Served reports that a provider of the site answered a call. The alert is resolved
// when no call was left without an answer for a while: if some calls fail and some
// do not, operators are notified once.
func (m *Monitor) Served(site string) {
	state, sub := m.alerter.state, subject{AllProvidersFailing, site}
	if state.get(sub) == nil {
		return
	}
	m.alerter.change(func() (Notification, bool) {
		if time.Now().Before(state.until[sub]) {
			return Notification{}, false
		}
		delete(state.until, sub)
		return state.resolve(sub, "a provider answers again")
	})
}

// PackingStopped says that a tenant's calls to the site are not packed for a while.
func (m *Monitor) PackingStopped(site string) {
	m.alerter.Raise(PackingStopped, site, "packed calls get other answers than calls alone, or none: packing is off for a tenant")
}

// PackingResumed says that all tenants' calls to the site may be packed.
func (m *Monitor) PackingResumed(site string) {
	m.alerter.Resolve(PackingStopped, site, "packing is tried again")
}

// BreakerOpened says that the breaker of a tenant at the provider was opened.
func (m *Monitor) BreakerOpened(provider string) {
	m.alerter.Raise(BreakerOpen, provider, "the breaker at "+provider+" is open")
}

// BreakersClosed says that no breaker at the provider is open.
func (m *Monitor) BreakersClosed(provider string) {
	m.alerter.Resolve(BreakerOpen, provider, "the breakers at "+provider+" are closed")
}

// TokenRefresh reports how the last refresh of the provider's token went. The alert
// does not contain the error: that is in the log.
func (m *Monitor) TokenRefresh(provider string, err error) {
	if err != nil {
		m.alerter.Raise(TokenRefreshFailing, provider, provider+" gives no new access token")
		return
	}
	m.alerter.Resolve(TokenRefreshFailing, provider, provider+" gives access tokens again")
}

// StoreLost says that what the replicas share about the provider cannot be reached: its cap,
// where capped, its breakers, holds and token, and the idempotency keys of its calls; why, if it is known, is what the store or
// the network to it has said last.
func (m *Monitor) StoreLost(provider string, capped bool, why error) {
	summary := "the store is lost: each replica goes by what it knows of " + provider
	if capped {
		summary += ", and keeps to its part of the cap"
	}
	if why != nil {
		said := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(why.Error(), "")), " "))
		summary += " (" + string(said[:min(len(said), maxWhy)]) + ")"
	}
	m.alerter.Raise(StoreLost, provider, summary)
}

// maxWhy bounds what an alert says of an error, in characters.
const maxWhy = 200

// StoreBack says that it can.
func (m *Monitor) StoreBack(provider string) {
	m.alerter.Resolve(StoreLost, provider, "the store is back")
}

// Ledger reports whether the ledger of that file can be written.
func (m *Monitor) Ledger(ok bool, file string) {
	if !ok {
		m.alerter.Raise(LedgerFailing, file, "the ledger cannot be written: lines wait in memory")
		return
	}
	m.alerter.Resolve(LedgerFailing, file, "the ledger is written again")
}

// LedgerBroken reports that the ledger of that file was broken, and that a new one is begun.
func (m *Monitor) LedgerBroken(file string) {
	m.alerter.Raise(LedgerFailing, file, "the ledger's file was broken: it was set aside with all that it had, also of budgets, and a new one is begun")
}

// Holds says that a kind of alert holds of a provider, or of what else its kind is of. Said again, it changes nothing.
func (m *Monitor) Holds(kind Kind, about, summary string) { m.alerter.Raise(kind, about, summary) }

// Over says that it holds no more.
func (m *Monitor) Over(kind Kind, about string) { m.alerter.Resolve(kind, about, "this is over") }

// Gone says that what it holds of is not configured any more.
func (m *Monitor) Gone(kind Kind, about string) {
	m.alerter.Resolve(kind, about, about+" is not configured any more")
}

// maxNames is how many prompts a summary names.
const maxNames = 20

// Suite says which prompts of a suite fail, or pass, in its last run at the provider and did not in the one before. None of
// both ends the alert.
func (m *Monitor) Suite(suite, provider string, failing, passing []string) {
	if len(failing)+len(passing) == 0 {
		m.alerter.Resolve(SuiteChanged, suite, "nothing has changed since in suite "+suite)
		return
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"now fail: ", failing}, {"now pass: ", passing}} {
		switch more := len(p.names) - maxNames; {
		case more > 0:
			parts = append(parts, fmt.Sprintf("%s%s and %d more", p.what, strings.Join(p.names[:maxNames], ", "), more))
		case len(p.names) > 0:
			parts = append(parts, p.what+strings.Join(p.names, ", "))
		}
	}
	m.alerter.Update(SuiteChanged, suite, "suite "+suite+" at "+provider+": "+strings.Join(parts, "; "))
}

// SuiteGone says that a suite is not run any more.
func (m *Monitor) SuiteGone(suite string) {
	m.alerter.Resolve(SuiteChanged, suite, "suite "+suite+" is not configured any more")
}

// hold keeps the subject firing at least until then. Each monitor waits for what was
// reported to itself; the one with the latest report, of any configuration, resolves
// the alert. The state is locked.
func (m *Monitor) hold(sub subject, until time.Time) {
	if state := m.alerter.state; until.After(state.until[sub]) {
		state.until[sub] = until
	}
	if _, waiting := m.until[sub]; !waiting {
		time.AfterFunc(time.Until(until), func() { m.expire(sub) })
	}
	m.until[sub] = until
}

// expire resolves the subject unless something happened since.
func (m *Monitor) expire(sub subject) {
	state := m.alerter.state
	m.alerter.change(func() (Notification, bool) {
		if left := time.Until(m.until[sub]); left > 0 {
			time.AfterFunc(left, func() { m.expire(sub) })
			return Notification{}, false
		}
		delete(m.until, sub)
		if state.until[sub].After(time.Now()) {
			return Notification{}, false
		}
		delete(state.until, sub)
		return state.resolve(sub, resolution(sub))
	})
}

func resolution(sub subject) string {
	if sub.kind == Throttled {
		return sub.provider + " throttles no more"
	}
	return sub.provider + " reports fewer system errors again"
}
