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

// bodyHash is the SHA-256 of the request's body, as the client has sent it, and of what else it is sent with.
func (c *call) bodyHash() [sha256.Size]byte {
	switch {
	case c.hashed:
	case c.Native == nil:
		c.hash = sha256.Sum256(c.Request.Body)
	default:
		parts := replay.AppendPart(nil, c.Native.Form)
		for _, name := range c.Native.Fields {
			for _, value := range c.Header[name] {
				parts = replay.AppendPart(parts, name+": "+value)
			}
		}
		c.hash = replay.KeyOf(replay.AppendPart(parts, c.Native.Request.Body))
	}
	c.hashed = true
	return c.hash
}

// lasting is the client's context for what is done whether it has left or not.
func (c *call) lasting() context.Context {
	c.unending.Context = c.ctx
	return &c.unending
}

// unending is what [context.WithoutCancel] makes, in one piece with the call.
type unending struct{ context.Context }

// Deadline implements [context.Context].
func (*unending) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements [context.Context].
func (*unending) Done() <-chan struct{} { return nil }

// Err implements [context.Context].
func (*unending) Err() error { return nil }

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
