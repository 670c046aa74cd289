package doctor

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// probeTime is how far off the time of the probe is: further than any upstream
// allows, of those whose window is known (5 to 15 minutes).
const probeTime = -time.Hour

// probe is a request that has to be refused, and what the gateway has to take the
// refusal for.
type probe struct {
	name    string
	request request
	// class is what the code has to mean.
	class failure.Class
	// accepted is what it says of an upstream that takes the request.
	accepted string
}

// probes are those that make sense with p.
func probes(p *upstream.Provider) []probe {
	var all []probe
	if p.Profile.Kind().Signs() {
		all = append(all,
			probe{"the signature of another request", request{signsOther: true}, failure.Fail, "the upstream does not look at signatures"},
			probe{"a time an hour ago", request{signedAt: probeTime}, failure.Resign, "the upstream does not look at the time"},
		)
	}
	if p.Tokens != nil {
		all = append(all, probe{"a made-up access token", request{change: makeUpToken}, failure.RefreshToken, "the upstream does not look at access tokens"})
	}
	return all
}

// errors makes the step on what failures look like. It needs the models to be
// served: each probe breaks one thing of a request that is right otherwise.
func (c *check) errors(x *exchange) Step {
	s := Step{Name: stepErrors, Status: Skipped}
	ask := probes(c.provider)
	switch {
	case len(ask) == 0:
		s.Advice = "profile " + c.provider.Profile.Name + " has nothing to probe"
		return s
	case !c.options.ProbeSignature:
		s.Advice = "--probe-signature permits it: wrong signatures may count against the app"
		return s
	case x == nil || x.verdict != good:
		s.Advice = "the models have to be listed first"
		return s
	}
	s.Status = OK
	var sent, received, advice []string
	var codes []string                        // those that do not say what they have to
	meant := make(map[string][]failure.Class) // by code, in the order of the probes
	for _, probe := range ask {
		probe.request.endpoint = upstream.EndpointModels
		got := c.ask(c.provider, &probe.request)
		if again := c.reread(got, stepErrors); again != nil {
			got = again
		}
		sent = append(sent, probe.name)
		received = append(received, got.received())
		switch {
		case got.answer == nil:
			s.Status = Fail
		case got.verdict == good:
			s.Status = Warn
			advice = append(advice, probe.accepted)
		case got.code == "" && got.class != probe.class:
			s.Status = Fail
			advice = append(advice, fmt.Sprintf("no code can be read of the answer to %s, which has to mean %s", probe.name, probe.class))
		default:
			if got.class != probe.class && !slices.Contains(codes, got.code) {
				codes = append(codes, got.code)
			}
			meant[got.code] = append(meant[got.code], probe.class)
		}
	}
	for _, code := range codes {
		if classes := meant[code]; len(classes) == 1 {
			s.Options = append(s.Options, fmt.Sprintf("on %s %s", quoted(code), classes[0]))
		} else {
			s.Status = Warn
			advice = append(advice, fmt.Sprintf("the code %s is for several things: an option on for it would treat all alike, "+
				"so that requests are sent again that are refused for good, and counted against the app: leave it, and keep this machine's time right", code))
		}
	}
	if len(s.Options) > 0 {
		advice = append(advice, "the upstream has codes of its own: say what they mean")
	}
	s.Options = append(c.optionsOf(stepErrors), s.Options...)
	s.Sent, s.Received, s.Advice = strings.Join(sent, "\n"), strings.Join(received, "\n"), strings.Join(advice, "; ")
	return s
}

// quoted writes an argument of a Caddyfile.
func quoted(word string) string {
	if strings.ContainsAny(word, " \t\"`{}#") {
		return "`" + strings.ReplaceAll(word, "`", "*") + "`"
	}
	return word
}

// makeUpToken puts a token that the upstream has not given in the place of the one
// that it has.
func makeUpToken(p *upstream.Provider, req *http.Request) {
	madeUp := "check-" + rand.Text()
	token, ok := p.Tokens.Cell.Live(time.Now())
	if !ok {
		return
	}
	for name, values := range req.Header {
		for i, value := range values {
			if strings.Contains(value, token) {
				req.Header[name] = append([]string(nil), values...)
				req.Header[name][i] = strings.ReplaceAll(value, token, madeUp)
			}
		}
	}
}
