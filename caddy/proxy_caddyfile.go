package alipaycaddy

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func parseProxy(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Proxy)
	return p, p.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_proxy [<matcher>] <providers...> {
//		lb_policy  least_wait|weighted|fastest|cheapest [<weights...>]
//		lb_sticky  conversation [<header>] | tenant
//		allow_cross_region
//		residency  <tenant>|* <regions...>
//		max_body   <size>
//		max_answer <size>
//		max_buffered <size>
//		deadline   <duration>
//		class      inference|money
//		breaker    <failures> <within> [<open_for>] | off
//		cached_answer [first] <ttl> { ... }
//		idempotency <ttl> | off
//		pack { ... }
//		canary <stable> <candidate> { ... }
//		shadow <provider> <percent> { ... }
//		remember_blocked <ttl> | off
//		store_responses <ttl> | off
//		limit      <tenant>|* { ... }
//		weight     <tenant>|* <number>
//		priority   <tenant>|* high|normal|low
//		budget     <tenant>|* <amount> <currency> day|month|<duration> [<zone>]
//		cors       <origins...>
//	}
//
// Equal providers are joined by |, as alipay_a|alipay_b.
//
// residency, limit, weight and priority may be repeated, once for each tenant, and budget once for
// each tenant and window. What stands in the blocks is in README.md, and in the forms beside what reads it.
func (h *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := list(&h.Providers)(d); err != nil {
		return written(d, "alipayai_proxy [<matcher>] <providers...>", err)
	}
	err := block(d, "alipayai_proxy",
		option{form: "lb_policy <policy> [<weights...>], as lb_policy least_wait", read: h.unmarshalPolicy},
		option{form: "lb_sticky conversation [<header>], or lb_sticky tenant", read: h.unmarshalBalanceSticky},
		option{form: "allow_cross_region", read: enable(&h.AllowCrossRegion)},
		option{form: "residency <tenant>|* <regions...>, as residency shop cn", read: unmarshalResidency(&h.Residency), repeats: true},
		option{form: "max_body <size>", read: size(&h.MaxBody)},
		option{form: "max_answer <size>", read: size(&h.MaxAnswer)},
		option{form: "max_buffered <size>", read: size(&h.MaxBuffered)},
		option{form: "deadline <duration>", read: duration(&h.Deadline)},
		option{form: "class inference|money", read: text(&h.Class)},
		option{form: "breaker <failures> <within> [<open_for>], as breaker 3 5m 60s, or breaker off", read: h.unmarshalBreaker},
		option{form: "cached_answer [first] <ttl>, as cached_answer 24h", read: h.unmarshalCachedAnswer},
		option{form: "idempotency <ttl>, or idempotency off", read: h.unmarshalIdempotency},
		option{form: "pack { ... }", read: h.unmarshalPack},
		option{form: "canary <stable> <candidate> { ... }", read: h.unmarshalCanary},
		option{form: "shadow <provider> <percent> { ... }, as shadow alipay_prod 5%", read: h.unmarshalShadow},
		option{form: "remember_blocked <ttl>, or remember_blocked off", read: h.unmarshalRememberBlocked},
		option{form: "store_responses <ttl>, as store_responses 24h, or store_responses off", read: h.unmarshalStoreResponses},
		option{form: "limit <tenant>|* { ... }", read: h.unmarshalLimit, repeats: true},
		option{form: "weight <tenant>|* <number>", read: h.unmarshalWeight, repeats: true},
		option{form: "priority <tenant>|* high|normal|low", read: named(&h.Priorities, word), repeats: true},
		option{form: "budget <tenant>|* <amount> <currency> day|month|<duration> [<zone>], as budget * 50 CNY day Asia/Shanghai", read: h.unmarshalBudget, repeats: true},
		option{form: "cors <origins...>, as cors https://app.example.com", read: h.unmarshalCORS},
	)
	if err != nil {
		return err
	}
	if err := h.checkBalance(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

func (h *Proxy) unmarshalLimit(d *caddyfile.Dispenser) error {
	var tenant string
	if err := args(d, &tenant); err != nil {
		return err
	}
	if _, ok := h.Limits[tenant]; ok {
		return d.Errf("limit of tenant %s is given twice", tenant)
	}
	var l TenantLimit
	err := block(d, "limit",
		option{form: "requests_per_second <number>", read: single(&l.RequestsPerSecond, func(d *caddyfile.Dispenser, name, value string, to *float64) error {
			rate, err := strconv.ParseFloat(value, 64)
			if err != nil || !(rate > 0) {
				return d.Errf("%s %q is not a positive number", name, value)
			}
			*to = rate
			return nil
		})},
		option{form: "burst <number>", read: number(&l.Burst)},
		option{form: "tokens_per_minute <number>", read: number(&l.TokensPerMinute)},
		option{form: "concurrent <number>", read: number(&l.Concurrent)},
	)
	if err != nil {
		return err
	}
	if err := l.check(tenant); err != nil {
		return d.WrapErr(err)
	}
	if h.Limits == nil {
		h.Limits = make(map[string]TenantLimit)
	}
	h.Limits[tenant] = l
	return nil
}

func (h *Proxy) unmarshalWeight(d *caddyfile.Dispenser) error {
	var tenant, value string
	if err := args(d, &tenant, &value); err != nil {
		return err
	}
	if _, ok := h.Weights[tenant]; ok {
		return d.Errf("weight of tenant %s is given twice", tenant)
	}
	var weight int
	if err := parseNumber(d, "weight", value, &weight); err != nil {
		return err
	}
	if h.Weights == nil {
		h.Weights = make(map[string]int)
	}
	h.Weights[tenant] = weight
	return nil
}

// unmarshalBreaker reads `breaker <failures> <within> [<open_for>]` or `breaker off`.
func (h *Proxy) unmarshalBreaker(d *caddyfile.Dispenser) error {
	b := new(Breaker)
	h.Breaker = b
	given := d.RemainingArgs()
	if len(given) == 1 && given[0] == "off" {
		b.Off = true
		return nil
	}
	if len(given) != 2 && len(given) != 3 {
		return errArguments
	}
	var err error
	if b.Failures, err = strconv.Atoi(given[0]); err != nil || b.Failures < 1 {
		return d.Errf("breaker: %q is not a number of failures from 1; write breaker <failures> <within> [<open_for>], as breaker 3 5m 60s", given[0])
	}
	if err := parseDuration(d, "breaker: within", given[1], &b.Within); err != nil {
		return err
	}
	if len(given) == 3 {
		return parseDuration(d, "breaker: open_for", given[2], &b.OpenFor)
	}
	return nil
}

// unmarshalCachedAnswer reads `cached_answer [first] <ttl>` and its block.
func (h *Proxy) unmarshalCachedAnswer(d *caddyfile.Dispenser) error {
	a := new(CachedAnswer)
	h.CachedAnswer = a
	given := d.RemainingArgs()
	if len(given) == 2 && given[0] == "first" {
		a.First, given = true, given[1:]
	}
	if len(given) != 1 {
		return errArguments
	}
	if err := parseDuration(d, "cached_answer", given[0], &a.TTL); err != nil {
		return err
	}
	return block(d, "cached_answer", option{form: "max_bytes <size>", read: size(&a.MaxBytes)})
}

// unmarshalIdempotency reads `idempotency <ttl>` or `idempotency off`.
func (h *Proxy) unmarshalIdempotency(d *caddyfile.Dispenser) error {
	h.Idempotency = new(Idempotency)
	return durationOrOff(&h.Idempotency.TTL, &h.Idempotency.Off)(d)
}

// unmarshalRememberBlocked reads `remember_blocked <ttl>` or `remember_blocked off`.
func (h *Proxy) unmarshalRememberBlocked(d *caddyfile.Dispenser) error {
	h.RememberBlocked = new(RememberBlocked)
	return durationOrOff(&h.RememberBlocked.TTL, &h.RememberBlocked.Off)(d)
}

// unmarshalStoreResponses reads `store_responses <ttl>` or `store_responses off`.
func (h *Proxy) unmarshalStoreResponses(d *caddyfile.Dispenser) error {
	return durationOrOff(&h.StoreResponses, new(bool))(d) // none are kept without it
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Proxy)(nil)
