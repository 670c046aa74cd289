package alipayai

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/moderate"
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

// standsIn reports whether a kept answer is looked for: after the first group of equal providers, or after the last provider.
func (a *AnswerCache) standsIn(afterFirst, afterLast bool) bool {
	if a == nil {
		return false
	}
	if a.First {
		return afterFirst
	}
	return afterLast
}

// caches reports whether the call's answer may be given again.
func (c *call) caches() bool {
	return c.g.Answers != nil && c.Tenant != AnonymousTenant && c.class() == ClassInference && c.mayKeep()
}

// mayKeep reports whether the call's answer may be kept where answers are.
func (c *call) mayKeep() bool { return c.tenancy.regions.Permit(c.g.StoreRegion) }

// answerKey covers all that shapes the call's answer.
func (c *call) answerKey() replay.Key {
	var room [512]byte // for what most keys are made of, without an allocation
	body := c.once.bodyHash(&c.Call)
	parts := replay.AppendPart(room[:0], c.Tenant)
	parts = replay.AppendPart(parts, string(c.Endpoint))
	parts = replay.AppendPart(parts, body[:])
	if c.tenancy.user != "" {
		parts = replay.AppendPart(parts, "user")
		parts = replay.AppendPart(parts, c.tenancy.user)
	}
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
	if !c.recording.on || c.outcome.Stored != "" || !c.caches() || c.recording.ending != wire.EndingWhole {
		return
	}
	if a, ok := c.recorded(); ok {
		// One that cannot be kept is missed later, and no harm now.
		_ = c.g.Answers.Cache.Put(c.lasting(), c.Tenant, c.answerKey(), a, c.g.Answers.TTL)
	}
}

// maxRecorded is the size of the largest answer that is given again, in bytes.
const maxRecorded = 1 << 20

// recording keeps an answer while it goes to the client, where it is to be given again.
type recording struct {
	// on says that it is.
	on bool
	// since is when the answer was given first.
	since time.Time
	// body is the answer's own buffer, or the pooled one that a stream's events are
	// copied to; nil where it is more than may be kept.
	body *bytes.Buffer
	// contentType is the answer's.
	contentType []string
	// ending is how much of an answer it is.
	ending wire.Ending
	// whole says that it is all there.
	whole bool
	// native says that it is in the form of the call's Native.
	native bool
}

// add records more of a stream.
func (r *recording) add(b []byte) {
	switch {
	case r.body == nil:
	case r.body.Len()+len(b) > maxRecorded:
		r.body = nil
	default:
		r.body.Write(b)
	}
}

// end marks that all of the answer has come, and how it finished.
func (r *recording) end(ending wire.Ending) {
	r.whole, r.ending = true, ending
}

// startRecording records an answer that the cache or a claim needs. One from the
// cache is not cached again.
func (c *call) startRecording(a *Answer, since time.Time) {
	switch {
	case a.Status < 200 || a.Status > 299:
		return
	case a.replayed != nil && c.once.claim.held():
		since = a.replayed.Answer.StoredAt
	case a.replayed != nil || !c.once.claim.held() && !c.caches():
		return
	}
	c.recording = recording{on: true, since: since, body: a.body, contentType: a.header["Content-Type"], native: a.native}
	switch {
	case !c.mayKeep(): // that there was one is for a claim to know
		c.recording.body = nil
	case a.stream != nil:
		c.intake.spent = buffers.Get().(*bytes.Buffer)
		c.recording.body = c.intake.spent
	case a.body.Len() > maxRecorded:
		c.recording.body = nil
	}
}

// headerNative marks a stored answer that is in its client's own form. It goes to no client.
const headerNative = "Native"

// jsonAnswer is what most stored answers have for a header.
var jsonAnswer = http.Header{"Content-Type": jsonType}

// recorded is the whole answer that went to the client; false if it cannot be given
// again: one that ended in a way that is not known to be good is not.
func (c *call) recorded() (replay.Answer, bool) {
	if c.recording.body == nil || !c.recording.whole || c.outcome.Code != "" ||
		c.recording.ending == wire.EndingUnknown {
		return replay.Answer{}, false
	}
	h := jsonAnswer
	if c.Request.Stream || c.carried.unsupported != "" || c.recording.native {
		h = http.Header{"Content-Type": slices.Clone(c.recording.contentType)} // it belongs to the exchange
	}
	if c.recording.native {
		h[headerNative] = []string{c.Native.Form}
	}
	if c.carried.unsupported != "" {
		h[headerUnsupported] = []string{c.carried.unsupported}
	}
	return replay.Answer{
		Status: c.outcome.Status, Header: h, Body: c.recording.body.Bytes(), StoredAt: c.recording.since,
		Provider: c.outcome.Provider, Model: c.outcome.UpstreamModel,
	}, true
}

// Stored says where an answer was kept that had been given before.
type Stored string

// The places.
const (
	// StoredCache keeps tenants' last good answers, for when no provider answers.
	StoredCache Stored = "cache"
	// StoredClaim keeps the answers of calls with an Idempotency-Key.
	StoredClaim Stored = "idempotency"
)

// replayed is an answer that was given before.
type replayed struct {
	replay.Answer
	from Stored
}

// answer makes what commit gives to the client.
func (s *replayed) answer() *Answer {
	return &Answer{Status: s.Status, header: s.Header, body: bytes.NewBuffer(s.Body), ending: wire.EndingWhole, replayed: s, native: s.Header[headerNative] != nil}
}

// BlockedCalls remembers, for TTL, the requests that providers have blocked, so that they are not sent there again.
type BlockedCalls struct {
	Calls *moderate.Blocked
	TTL   time.Duration
}

// blockedKey is that of the call at p: by tenant, account, model, exact body and user.
func (q at) blockedKey(body []byte) [sha256.Size]byte {
	return q.g.Blocked.Calls.Key(q.Tenant, q.p.Account(), string(q.Endpoint), q.p.UpstreamModel(q.Request.Model), string(body), q.tokenUser())
}

// wasBlocked gives the failure of a call that p has blocked already.
func (q at) wasBlocked(body []byte) *failure.Failure {
	if q.g.Blocked == nil || q.Tenant == AnonymousTenant || body == nil || q.g.Blocked.Calls.Empty() {
		return nil
	}
	was, ok := q.g.Blocked.Calls.Get(q.blockedKey(body), q.g.Now())
	if !ok {
		return nil
	}
	f := &failure.Failure{Class: failure.Blocked}
	f.Status, f.Code, f.Message, f.Param = was.Status, was.Code, was.Message, was.Param
	q.g.Observer.Rejected(q.p.Name, failure.CodeBlockedBefore)
	return f
}

// rememberBlocked notes that p has blocked the call.
func (q at) rememberBlocked(body []byte, f *failure.Failure) {
	if q.g.Blocked == nil || q.Tenant == AnonymousTenant || body == nil || f.Class != failure.Blocked || !f.FromUpstream {
		return
	}
	kept := f.Error
	q.secrets.mask().Texts(&kept.Code, &kept.Message, &kept.Param)
	q.g.Blocked.Calls.Put(q.blockedKey(body), kept, q.g.Now().Add(q.g.Blocked.TTL))
}
