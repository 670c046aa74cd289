package alipayai

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.endClaim()
	c.buffered.release()
	c.checkUsage()
	c.used(c.g.Now(), int(c.outcome.Usage.Total))
	if c.spent != nil {
		recycle(c.spent)
	}
	if !c.filter.Passed(c.outcome.Model) || !c.filter.Passed(c.outcome.UpstreamModel) {
		c.mask().Texts(&c.outcome.Model, &c.outcome.UpstreamModel)
	}
	c.outcome.Duration = c.g.Now().Sub(c.Began)
	c.g.Observer.Settled(c.ctx, c.outcome)
}
