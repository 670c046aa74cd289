package alipaycaddy

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// Canary tries a provider beside one of the directive's: a part of the conversations goes to
// it, and grows by steps as long as its calls do as well. Only chats take part, and none that
// offer tools which the provider runs.
type Canary struct {
	// The provider of the directive that is compared with. Required.
	Stable string `json:"stable,omitempty"`

	// The provider to try, which is none of the directive's. Required.
	Candidate string `json:"candidate,omitempty"`

	// The parts of the conversations that go to the candidate, one after the other. Required.
	Steps []CanaryStep `json:"steps,omitempty"`

	// What the two are compared by: `errors`, `tool_calls`, `blocked` and `latency_p95`. One
	// that fails takes all conversations back at once, and a step goes on until all have
	// passed. Default: all four
	Guards []string `json:"guards,omitempty"`

	// What follows the last step: `promote` sends all conversations to the candidate, and
	// `hold` leaves that to an operator. Default: `hold`
	OnPass string `json:"on_pass,omitempty"`

	// What stays with one provider: each `conversation`, or each `tenant`.
	// Default: `conversation`
	Sticky string `json:"sticky,omitempty"`

	// A header field that names the conversation. Where a call has none, its `user` does, and
	// else its system prompt together with the first message of the user. Default: none.
	ConversationHeader string `json:"conversation_header,omitempty"`
}

// CanaryStep is a part of the conversations, and for how long they have it at least.
type CanaryStep struct {
	// The part, from above 0 to below 1; more than that of the step before. Required.
	Share float64 `json:"share,omitempty"`

	// How long the step takes at least, from a minute on. Required.
	For caddy.Duration `json:"for,omitempty"`
}

// plan checks the options and makes what is followed of them.
func (c *Canary) plan() (canary.Plan, error) {
	var p canary.Plan
	for _, s := range c.Steps {
		p.Steps = append(p.Steps, canary.Step{Share: s.Share, For: time.Duration(s.For)})
	}
	names := c.Guards
	if len(names) == 0 {
		names = []string{"errors", "tool_calls", "blocked", "latency_p95"}
	}
	for _, name := range names {
		g, err := canary.ParseGuard(name)
		if err != nil {
			return p, err
		}
		p.Guards = append(p.Guards, g)
	}
	slices.Sort(p.Guards)
	switch c.OnPass {
	case "", "hold":
		p.Hold = true
	case "promote":
	default:
		return p, fmt.Errorf("on_pass %q is unknown; use promote or hold", c.OnPass)
	}
	if err := checkSticky("sticky", c.Sticky, c.ConversationHeader); err != nil {
		return p, err
	}
	return p, p.Check()
}

// name is by what operators know the canary.
func (c *Canary) name() string { return c.Stable + ":" + c.Candidate }

// identity tells the canary from others: one that is tried in another way, or that tries
// something else, begins anew.
func (c *Canary) identity(p canary.Plan, stable, candidate *upstream.Provider) []string {
	parts := []string{c.name(), string(stable.Shape[:]), string(candidate.Shape[:]), c.Sticky, c.ConversationHeader}
	for _, s := range p.Steps {
		parts = append(parts, strconv.FormatFloat(s.Share, 'g', -1, 64), s.For.String())
	}
	for _, g := range p.Guards {
		parts = append(parts, g.String())
	}
	return parts
}

// canaryState is the pooled part of this process in a canary.
type canaryState struct {
	once sync.Once
	*canary.Canary
	// tools keeps compiled schemas.
	tools toolcheck.Checker
	// release gives back what the state is kept in.
	release func()
}

// Destruct gives that back when no configuration uses it.
func (s *canaryState) Destruct() error {
	if s.release != nil {
		s.release()
	}
	return nil
}

// configuredCanary is a canary of the configuration.
type configuredCanary struct {
	*canaryState
	identity                  [32]byte
	stable, candidate, onPass string
}

// canaryFile is where states are kept that no store shares.
func canaryFile() string { return filepath.Join(caddy.AppDataDir(), "alipayai", "canary.db") }

// provisionCanary has a part of the conversations go to the candidate; nil for none.
func (h *Proxy) provisionCanary(app *App) (*alipayai.Canary, error) {
	c := h.Canary
	if c == nil {
		return nil, nil
	}
	plan, err := c.plan()
	if err != nil {
		return nil, fmt.Errorf("canary: %w", err)
	}
	k := &alipayai.Canary{ByTenant: c.Sticky == "tenant", Header: http.CanonicalHeaderKey(c.ConversationHeader)}
	if k.Stable, err = app.provider(c.Stable); err != nil {
		return nil, fmt.Errorf("canary: %w", err)
	}
	if k.Candidate, err = app.provider(c.Candidate); err != nil {
		return nil, fmt.Errorf("canary: %w", err)
	}
	state, err := app.openCanary(&h.acquired, c, plan, c.identity(plan, k.Stable, k.Candidate))
	if err != nil {
		return nil, err
	}
	k.Trial = state.Canary
	if slices.Contains(plan.Guards, canary.ToolCalls) {
		k.Tools = &state.tools
	}
	return k, nil
}

// openCanary gives the part of this process in a canary, for calls of by, which outlive the configuration. While that lasts it
// is followed, once for all handlers that have it.
func (a *App) openCanary(by *acquired, c *Canary, plan canary.Plan, identity []string) (*canaryState, error) {
	name, hash := c.name(), hashAll(identity)
	other := a.canaries[name]
	if other != nil && (other.identity != hash || other.onPass != c.OnPass) {
		return nil, fmt.Errorf("canary %s %s: another directive has it with other options; write the same in both", c.Stable, c.Candidate)
	}
	acquireState := func(by *acquired) *canaryState {
		state := acquireFor[canaryState](by, "canary", append(identity, a.store.identity, canaryFile(), strconv.FormatBool(plan.Hold))...)
		state.once.Do(func() {
			state.release = a.store.hold()
			state.Canary = canary.New(a.store.states(canaryFile()), fmt.Sprintf("%x", hash), plan)
		})
		return state
	}
	state := acquireState(by)
	if other == nil {
		acquireState(&a.acquired) // for the job
		a.canaries[name] = &configuredCanary{canaryState: state, identity: hash, stable: c.Stable, candidate: c.Candidate, onPass: c.OnPass}
		a.opens = append(a.opens, func() {
			if !state.Status().Known {
				_ = state.Exchange(a.ctx) // or all conversations stay where they are until it is known
			}
		})
		a.jobs.add("canary "+name, func(ctx context.Context) { state.Run(ctx, pace.canaries) })
	}
	return state, nil
}

// unmarshalCanary reads `canary <stable> <candidate>` and its block.
func (h *Proxy) unmarshalCanary(d *caddyfile.Dispenser) error {
	c := new(Canary)
	h.Canary = c
	if err := args(d, &c.Stable, &c.Candidate); err != nil {
		return err
	}
	err := block(d, "canary",
		option{form: "share <percent> <duration>, as share 1% 2h", read: c.unmarshalShare, repeats: true},
		option{form: "guard <names...>, as guard errors tool_calls blocked latency_p95", read: list(&c.Guards)},
		option{form: "on_pass promote|hold", read: text(&c.OnPass)},
		option{form: "sticky conversation [<header>], or sticky tenant", read: unmarshalSticky(&c.Sticky, &c.ConversationHeader)},
	)
	if err != nil {
		return err
	}
	if _, err := c.plan(); err != nil {
		return d.Errf("canary: %v", err)
	}
	return nil
}

func (c *Canary) unmarshalShare(d *caddyfile.Dispenser) error {
	var share, span string
	if err := args(d, &share, &span); err != nil {
		return err
	}
	var s CanaryStep
	if err := parsePercent(d, "share", share, &s.Share); err != nil {
		return err
	}
	if err := parseDuration(d, "share: time", span, &s.For); err != nil {
		return err
	}
	c.Steps = append(c.Steps, s)
	return nil
}
