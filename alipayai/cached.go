package alipayai

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// AnswerCache gives tenants their last good answers to the same requests again.
// Anonymous calls have none, since no tenant owns them, nor have those of
// ClassMoney.
type AnswerCache struct {
	Cache replay.Cache
	// TTL is how long an answer may be given again.
	TTL time.Duration
	// First gives it before the second provider is asked.
	First bool
	// Remote says that the cache is reached over a network.
	Remote bool
}

func (a *AnswerCache) first() bool { return a != nil && a.First }

// caches reports whether the call's answer may be given again.
func (c *call) caches() bool {
	return c.g.Answers != nil && c.Tenant != AnonymousTenant && c.class() == ClassInference
}

// answerKey covers all that shapes the call's answer.
func (c *call) answerKey() replay.Key {
	var room [512]byte // for what most keys are made of, without an allocation
	body := c.bodyHash()
	parts := replay.AppendPart(room[:0], c.Tenant)
	parts = replay.AppendPart(parts, string(c.Endpoint))
	parts = replay.AppendPart(parts, body[:])
	if t := c.trial; t != nil && t.arm == canary.Candidate {
		parts = replay.AppendPart(parts, t.provider.Shape[:])
		parts = replay.AppendPart(parts, t.provider.UpstreamModel(c.Request.Model))
	}
	for _, p := range c.g.Providers {
		parts = replay.AppendPart(parts, p.Shape[:])
		parts = replay.AppendPart(parts, p.UpstreamModel(c.Request.Model))
	}
	return replay.KeyOf(parts)
}

// bodyHash is the SHA-256 of the request's body.
func (c *call) bodyHash() [sha256.Size]byte {
	if !c.hashed {
		c.hash, c.hashed = sha256.Sum256(c.Request.Body), true
	}
	return c.hash
}

// lasting is the client's context for what is done whether it has left or not.
func (c *call) lasting() context.Context {
	if c.withoutCancel == nil {
		c.withoutCancel = context.WithoutCancel(c.ctx)
	}
	return c.withoutCancel
}

// cachedAnswer gives the tenant's last good answer to the same request; nil where
// there is none.
func (c *call) cachedAnswer() *Answer {
	if !c.caches() {
		return nil
	}
	// The store's own timeouts bound this.
	last, ok, err := c.g.Answers.Cache.Get(c.ctx, c.Tenant, c.answerKey())
	if err != nil || !ok {
		return nil
	}
	s := &replayed{Answer: last, from: StoredCache}
	return s.answer()
}

// cacheAnswer keeps a good answer for when there will be none. One that was
// filtered, or cut for its length, does not replace a better one.
func (c *call) cacheAnswer() {
	if c.recording == nil || c.outcome.Stored != "" || !c.caches() || c.recording.ending != wire.EndingWhole {
		return
	}
	if a, ok := c.recorded(); ok {
		// One that cannot be kept is missed later, and no harm now.
		_ = c.g.Answers.Cache.Put(c.lasting(), c.Tenant, c.answerKey(), a, c.g.Answers.TTL)
	}
}
