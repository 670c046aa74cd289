package alipayai

import "github.com/caddy-alipayai/gateway/alipayai/wire"

// unseenTokens is how many tokens a call may take beyond a token for each byte of
// prompt and answer: images behind a URL, reasoning that is not shown and the
// provider's own prompt are in neither. It is the context of the largest models.
const unseenTokens = 1 << 20

// bytesPerToken is what estimates take a token for: about four letters of English.
const bytesPerToken = 4

// checkUsage replaces a usage that prompt and answer cannot have taken, or that
// cannot be counted, by an estimate: a provider's mistake costs a tenant no more
// than its call, and makes no call free.
func (c *call) checkUsage() {
	prompt, answer := int64(len(c.Request.Body)), c.answered
	u := &c.outcome.Usage
	most := prompt + answer + unseenTokens
	if !u.OK && !u.Implausible || u.OK && u.Prompt >= 0 && u.Completion >= 0 && u.Total >= 0 && u.Prompt <= most && u.Completion <= most && u.Total <= most {
		return
	}
	c.outcome.UsageEstimated = true
	*u = wire.Usage{Prompt: prompt / bytesPerToken, Completion: answer / bytesPerToken, OK: true}
	u.Total = u.Prompt + u.Completion
}
