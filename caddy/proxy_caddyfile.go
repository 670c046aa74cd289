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
//		allow_cross_region
//		max_body   <size>
//		max_answer <size>
//		max_buffered <size>
//		deadline   <duration>
//		class      inference|money
//		breaker    <failures> <within> [<open_for>] | off
//		cached_answer [first] <ttl> {
//			max_bytes <size>
//		}
//		idempotency <ttl> | off
//		limit      <tenant>|* {
//			requests_per_second <number>
//			burst               <number>
//			tokens_per_minute   <number>
//			concurrent          <number>
//		}
//		weight     <tenant>|* <number>
//		priority   <tenant>|* high|normal|low
//	}
//
// limit, weight and priority may be repeated, once for each tenant.
func (h *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := list(d, &h.Providers); err != nil {
		return err
	}
	return block(d, []string{"limit", "weight", "priority"}, func(option string) error {
		switch option {
		case "limit":
			return h.unmarshalLimit(d)
		case "weight":
			return h.unmarshalWeight(d)
		case "priority":
			return named(d, &h.Priorities)
		case "allow_cross_region":
			return enable(d, &h.AllowCrossRegion)
		case "max_body":
			return size(d, &h.MaxBody)
		case "max_answer":
			return size(d, &h.MaxAnswer)
		case "max_buffered":
			return size(d, &h.MaxBuffered)
		case "deadline":
			return duration(d, &h.Deadline)
		case "class":
			return text(d, &h.Class)
		case "breaker":
			h.Breaker = new(Breaker)
			return h.Breaker.unmarshal(d)
		case "cached_answer":
			h.CachedAnswer = new(CachedAnswer)
			return h.CachedAnswer.unmarshal(d)
		case "idempotency":
			h.Idempotency = new(Idempotency)
			return h.Idempotency.unmarshal(d)
		}
		return unrecognized(d, "alipayai_proxy", option,
			"allow_cross_region", "max_body", "max_answer", "max_buffered", "deadline", "class", "breaker",
			"cached_answer", "idempotency", "limit", "weight", "priority")
	})
}

func (h *Proxy) unmarshalLimit(d *caddyfile.Dispenser) error {
	var tenant string
	if err := text(d, &tenant); err != nil {
		return err
	}
	if _, ok := h.Limits[tenant]; ok {
		return d.Errf("limit of tenant %s is given twice", tenant)
	}
	var l TenantLimit
	err := block(d, nil, func(option string) error {
		switch option {
		case "requests_per_second":
			var value string
			if err := text(d, &value); err != nil {
				return err
			}
			rate, err := strconv.ParseFloat(value, 64)
			if err != nil || !(rate > 0) || rate > 1e6 {
				return d.Errf("requests_per_second %q is not a positive number", value)
			}
			l.RequestsPerSecond = rate
			return nil
		case "burst":
			return number(d, &l.Burst)
		case "tokens_per_minute":
			return number(d, &l.TokensPerMinute)
		case "concurrent":
			return number(d, &l.Concurrent)
		}
		return unrecognized(d, "limit", option, "requests_per_second", "burst", "tokens_per_minute", "concurrent")
	})
	if err != nil {
		return err
	}
	if l == (TenantLimit{}) {
		return d.Errf("limit of tenant %s is empty", tenant)
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

// unmarshal reads `breaker <failures> <within> [<open_for>]` or `breaker off`.
func (b *Breaker) unmarshal(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) == 1 && given[0] == "off" {
		b.Off = true
		return nil
	}
	if len(given) != 2 && len(given) != 3 {
		return d.Err("write breaker <failures> <within> [<open_for>], as breaker 3 5m 60s, or breaker off")
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

// unmarshal reads `cached_answer [first] <ttl>` and its block.
func (a *CachedAnswer) unmarshal(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) == 2 && given[0] == "first" {
		a.First, given = true, given[1:]
	}
	if len(given) != 1 {
		return d.Err("write cached_answer [first] <ttl>, as cached_answer 24h")
	}
	if err := parseDuration(d, "cached_answer", given[0], &a.TTL); err != nil {
		return err
	}
	return block(d, nil, func(option string) error {
		if option == "max_bytes" {
			return size(d, &a.MaxBytes)
		}
		return unrecognized(d, "cached_answer", option, "max_bytes")
	})
}

// unmarshal reads `idempotency <ttl>` or `idempotency off`.
func (i *Idempotency) unmarshal(d *caddyfile.Dispenser) error {
	var value string
	if err := text(d, &value); err != nil {
		return err
	}
	if value == "off" {
		i.Off = true
		return nil
	}
	return parseDuration(d, "idempotency", value, &i.TTL)
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Proxy)(nil)
