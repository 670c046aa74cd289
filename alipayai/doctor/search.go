package doctor

import (
	"net/http"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// candidates are the options that may be what the upstream wants.
func (c *check) candidates(x *exchange, v verdict) []option {
	switch v {
	case version:
		return versionOptions(x)
	case notFound, notJSON:
		return pathOptions(c.provider)
	case wrongTime:
		return layoutOptions(c.provider, layoutTimes[1:])
	case wrongSignature:
		return slices.Concat(namesAsWritten(x), layoutOptions(c.provider, layoutTimes))
	case wrongToken:
		if c.provider.Tokens == nil {
			return nil
		}
		return tokenHeaderOptions
	case wrongClient:
		if _, signed := c.clientTaken(); signed { // by the same signature: the token may be looked for elsewhere
			return tokenHeaderOptions
		}
	case refused:
		return slices.Concat(c.candidates(x, wrongToken), c.candidates(x, wrongSignature))
	}
	return nil
}

// search tries options until the upstream takes the request, and gives the last
// exchange with those that it has wanted. Several may be: each that gets further
// stays.
func (c *check) search(x *exchange) *exchange {
	for {
		next := c.reread(x, stepModels)
		if next == nil && x.verdict != good {
			next = c.improve(x)
		}
		if next == nil {
			return x
		}
		x = next
	}
}

// reread reads an answer by other names, where it has what is looked for under those; nil
// where it says no more then. A success is asked for once more. step is the one that shows
// the option.
func (c *check) reread(x *exchange, step string) *exchange {
	fields, ok := answerNames(c.provider, x)
	if !ok {
		return nil
	}
	o := answerOption(fields)
	o.step = step
	p := c.try(o)
	if p == nil {
		return nil
	}
	if x.answer.StatusCode < http.StatusBadRequest && (fields.Inside != "" || fields.Success != "") {
		after := c.askModels(p)
		if after.verdict != good || len(after.models) == 0 {
			return nil
		}
		c.keep(o, p)
		return after
	}
	if after := x.readBy(p); after.code != "" {
		c.keep(o, p)
		return after
	}
	return nil
}

// improve finds one option with which the upstream gets further than x; nil if
// there is none, or none may be tried.
func (c *check) improve(x *exchange) *exchange {
	// A clock that was wrong is right since that answer: the gateway signs anew too.
	if x.verdict == wrongTime && !c.tried["clock"] {
		c.tried["clock"] = true
		if again := c.askModels(c.provider); again.verdict == wrongSignature || better(x.verdict, again.verdict) {
			return again
		}
	}
	for _, o := range c.candidates(x, x.verdict) {
		p := c.try(o)
		if p == nil {
			continue
		}
		if after := c.askModels(p); better(x.verdict, after.verdict) {
			c.keep(o, p)
			return after
		}
	}
	return nil
}

// try builds the provider with one more option; nil where it may not be tried, or
// says nothing new.
func (c *check) try(o option) *upstream.Provider {
	if c.options.With == nil || c.tried[o.patch] || o.signs && !c.options.ProbeSignature || !c.left() {
		return nil
	}
	c.tried[o.patch] = true
	p, err := c.options.With(append(slices.Clone(c.patches), o.patch))
	if err != nil || p.Shape == c.provider.Shape && o.step == stepModels {
		return nil // it has that option already
	}
	return p
}

// keep takes an option for found.
func (c *check) keep(o option, p *upstream.Provider) {
	c.found = slices.DeleteFunc(c.found, func(before option) bool {
		replaced := before.answers && o.answers
		if replaced {
			o.step = before.step
		}
		return replaced
	})
	c.found, c.patches, c.provider = append(c.found, o), append(c.patches, o.patch), p
}

func (c *check) askModels(p *upstream.Provider) *exchange {
	return c.ask(p, &request{endpoint: upstream.EndpointModels})
}
