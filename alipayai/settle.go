package alipayai

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.endClaim()
	c.cacheAnswer()
	if c.spent != nil {
		recycle(c.spent)
	}
	c.outcome.Duration = c.g.Now().Sub(c.start)
	c.g.Observer.Settled(c.r.Context(), c.outcome)
}
