package alipayai

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.endClaim()
	c.cacheAnswer()
	if c.spent != nil {
		recycle(c.spent)
	}
	if !c.filter.Passed(c.outcome.Model) || !c.filter.Passed(c.outcome.UpstreamModel) {
		c.mask().Texts(&c.outcome.Model, &c.outcome.UpstreamModel)
	}
	c.outcome.Duration = c.g.Now().Sub(c.start)
	c.g.Observer.Settled(c.r.Context(), c.outcome)
}
