package alipayai

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.endClaim()
	c.used(c.g.Now(), int(c.outcome.Usage.Total))
	if c.spent != nil {
		recycle(c.spent)
	}
	c.outcome.Duration = c.g.Now().Sub(c.Began)
	c.g.Observer.Settled(c.ctx, c.outcome)
}
