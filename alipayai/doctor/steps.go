package doctor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// signatureStep makes the step on what is signed, and how answers are.
func (c *check) signatureStep(x *exchange) Step {
	p := c.provider
	s := Step{Name: stepSignature, Status: OK, Options: c.optionsOf(stepSignature)}
	if !p.Profile.Kind().Signs() {
		return Step{Name: stepSignature, Status: Skipped, Advice: "profile " + p.Profile.Name + " signs nothing"}
	}
	if x == nil || x.canonical == "" {
		return Step{Name: stepSignature, Status: Skipped, Advice: "nothing was sent that is signed"}
	}
	s.Sent = "signed is\n" + shown(x.canonical)
	if x.keyVersion > 0 {
		s.Sent = fmt.Sprintf("signed by key %d is\n", x.keyVersion) + shown(x.canonical)
	}
	s.Received = x.received()
	switch x.verdict {
	case good, otherNames:
		s.Received = "taken; the answer is " + c.answerSigned(x, &s)
	case wrongTime:
		s.Status, s.Advice = Fail, "the upstream refuses the time that is signed: compare its unit with the contract's"
		s.Suspects = c.suspectedLayout()
	case wrongSignature, refused:
		s.Status, s.Advice = Fail, "compare this with what the contract says is signed, and the key with the upstream's: whether its text is the key, or stands for it in hex or base64 (key_encoding)"
		s.Suspects = append([]string{"key <version> <key>"}, c.suspectedLayout()...)
	case wrongClient:
		s.Status = Fail
		s.Advice, s.Suspects = c.clientSuspects()
	default:
		s.Status, s.Received, s.Advice = Skipped, "", "the upstream did not come to look at it"
	}
	times := layoutTimes
	if x.verdict == wrongTime {
		times = times[1:]
	}
	if layouts := layoutOptions(p, times); s.Status == Fail && x.verdict != wrongClient && len(layouts) > 0 && c.options.With != nil {
		tried := len(layouts) - len(c.untried(texts(layouts)))
		switch {
		case !c.options.ProbeSignature:
			s.Advice += fmt.Sprintf("; with --probe-signature %d other layouts are tried", len(layouts))
		case tried > 0:
			s.Advice += fmt.Sprintf("; %s other than the profile's: in vain", count(tried, "layout"))
		}
	}
	if len(s.Options) > 0 && x.verdict == good {
		s.Advice = strings.TrimPrefix(s.Advice+"; with this option the upstream takes the signature", "; ")
	}
	return s
}

// untried leaves out what was tried in vain.
func (c *check) untried(suspects []string) []string {
	return slices.DeleteFunc(suspects, func(text string) bool {
		for _, o := range slices.Concat(layoutOptions(c.provider, layoutTimes), tokenHeaderOptions) {
			if o.text == text && c.tried[o.patch] {
				return true
			}
		}
		return false
	})
}

// suspectedLayout names the option of another layout, where there may be one.
func (c *check) suspectedLayout() []string {
	if c.provider.Profile.Kind().Key != signer.KeySecret {
		return nil
	}
	return []string{"signature { ... }"}
}

// answerSigned says whether the answer carries the vendor's signature.
func (c *check) answerSigned(x *exchange, s *Step) string {
	field := c.provider.Scheme.AnswerField()
	if c.provider.Scheme.Traits().IgnoresAnswers && (x.answer.Header.Get("Signature") != "" || x.answer.Header.Get("X-Signature") != "") {
		s.Status, s.Advice = Warn, "answers are signed, and this signature block does not say how: add an answer block to it"
		return "signed, which is not looked at"
	}
	signed := field != "" && x.answer.Header.Get(field) != ""
	switch {
	case errors.Is(x.unverified, signer.ErrUnsigned):
		s.Status, s.Advice = Fail, "answers are required to be signed, and are not"
		s.Options = append(s.Options, "verify_response if_present")
		return "not signed"
	case x.unverified != nil:
		s.Status, s.Advice = Fail, "answers are signed in another way, or by another key"
		s.Suspects = []string{"key <version> <key>", "public_key <version> <key>", "verify_response off"}
		return "signed, but not so that it can be verified"
	case !signed:
		for name := range x.answer.Header {
			if strings.Contains(strings.ToLower(name), "sign") {
				s.Status, s.Advice, s.Suspects = Warn, "answers are signed in "+name+", which is not looked at: say how with an answer block", c.suspectedLayout()
				return "signed, which is not looked at"
			}
		}
		return "not signed"
	case c.provider.Verify == upstream.VerifyOff:
		return "signed, which is not looked at"
	}
	return "signed, and verified"
}

// shown puts a canonical string into lines that show their ends.
func shown(canonical string) string {
	lines := strings.Split(fmt.Sprintf("%q", canonical), `\n`)
	return strings.Join(lines, "\\n\n")
}

// modelsStep makes the step on the list of models.
func (c *check) modelsStep(x *exchange) Step {
	p := c.provider
	if x == nil {
		return Step{Name: stepModels, Status: Skipped, Advice: "profile " + p.Profile.Name + " has no list of models"}
	}
	s := Step{Name: stepModels, Status: OK, Sent: x.sent, Received: x.received(), Options: c.optionsOf(stepModels)}
	switch x.verdict {
	case good:
		s.Received = fmt.Sprintf("%d %s, %s: %s", x.answer.StatusCode, x.answer.Proto, count(len(x.models), "model"), some(x.models))
		missing := slices.DeleteFunc(wanted(p), func(name string) bool { return slices.Contains(x.models, name) })
		if len(x.models) == 0 {
			s.Received = fmt.Sprintf("%d %s, %s", x.answer.StatusCode, x.answer.Proto, members(x.answer, x.body))
			s.Status, s.Advice = Warn, "no model is listed in OpenAI's form: say which there are"
			s.Suspects = []string{"models <names...>"}
		} else if len(missing) > 0 {
			s.Status, s.Advice = Warn, "not listed: "+some(missing)
			s.Suspects = []string{"model [<asked>] <to>"}
		}
		return s
	case otherNames:
		s.Status, s.Advice = Fail, "the models are listed, but not where the configuration has them"
		if fields, ok := answerNames(p, x); ok {
			s.Suspects = []string{answerOption(fields).text}
		}
	case notFound, notJSON:
		s.Status, s.Advice = Fail, "there is no list of models at that path; where the API has none, name the models and permit a chat with --chat"
		s.Suspects = []string{"base_url <url>", "path chat|embeddings|models <path>", "models <names...>"}
	case page:
		s.Status, s.Advice = Fail, "what answers is a page, not an API: a proxy or a CDN in front of it refuses this machine, or base_url is another site"
		if server := x.answer.Header.Get("Server"); server != "" {
			s.Advice += "; it calls itself " + server
		}
		s.Suspects = []string{"base_url <url>"}
	case compressed:
		s.Status, s.Advice = Fail, "the answer is compressed, which the request does not permit (Accept-Encoding), and the gateway reads no more than gzip, deflate and zstd: "+
			"no option changes that, but a proxy in front of the upstream may"
	case wrongAddress:
		s.Status, s.Advice = Fail, "the upstream does not take the address of this machine: have the one that it goes out by added to the app's list at the vendor; no option changes that"
	case wrongToken:
		s.Status, s.Advice = Fail, "the upstream refuses the access token, or looks for it elsewhere"
		s.Suspects = c.untried(texts(tokenHeaderOptions))
	case refused:
		s.Status, s.Advice = Fail, "the upstream refuses the request: token, signature or client are not what it wants"
	case throttled:
		s.Status, s.Advice, s.Suspects = Fail, "the upstream is throttling: ask again later", []string{"limit <requests> <window>"}
	case broken:
		s.Status, s.Advice = Fail, "the upstream is failing: ask again later"
	case unreachable, version, redirected:
		s.Status, s.Advice = Fail, "see the step on the connection"
	default:
		s.Status, s.Advice = Fail, "see the step on the signature"
	}
	return s
}

// wanted are the models that the configuration sends, by the upstream's names.
func wanted(p *upstream.Provider) []string {
	names := make(map[string]bool)
	for _, name := range p.Models {
		names[p.UpstreamModel(name)] = true
	}
	for _, name := range p.ModelMap {
		names[name] = true
	}
	if p.Model != "" {
		names[p.Model] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// some lists names, the first of many.
func some(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// rateLimit makes the step on what answers say of a limit.
func (c *check) rateLimit(x *exchange) Step {
	s := Step{Name: stepRateLimit, Status: OK, Received: "no field on it"}
	if x == nil || x.answer == nil {
		return Step{Name: stepRateLimit, Status: Skipped, Advice: "there is no answer to read it from"}
	}
	var fields []string
	for name := range x.answer.Header {
		if strings.Contains(strings.ToLower(name), "ratelimit") || name == "Retry-After" {
			fields = append(fields, name+": "+x.answer.Header.Get(name))
		}
	}
	slices.Sort(fields)
	if len(fields) > 0 {
		s.Received = strings.Join(fields, "\n")
	}
	s.Sent = "limit off"
	if k := c.provider.Cap; k != nil {
		s.Sent = fmt.Sprintf("limit %d %v", k.Limit.Requests, k.Limit.Per)
		if len(fields) > 0 {
			s.Advice = "compare this with the option limit"
		}
	}
	return s
}
