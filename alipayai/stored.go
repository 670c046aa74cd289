package alipayai

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

// DefaultMaxStored is the largest answer that is kept to be given again, in bytes.
const DefaultMaxStored = 1 << 20

// Stored says where an answer was kept that had been given before.
type Stored string

// The places.
const (
	// StoredCache keeps tenants' last good answers, for when no provider answers.
	StoredCache Stored = "cache"
	// StoredClaim keeps the answers of calls with an Idempotency-Key.
	StoredClaim Stored = "idempotency"
)

// Answers gives tenants their last good answers to the same requests again.
// Anonymous calls have none, since they are nobody's own, nor have those of
// ClassMoney.
type Answers struct {
	Cache replay.Cache
	// TTL is how long an answer may be given again.
	TTL time.Duration
	// First gives it before the second provider is asked.
	First bool
	// Remote says that the cache is reached over a network.
	Remote bool
}

func (a *Answers) first() bool { return a != nil && a.First }

// stored is an answer that was given before.
type stored struct {
	replay.Answer
	from Stored
}

// answer makes what commit gives to the client.
func (s *stored) answer() *answer {
	return &answer{status: s.Status, header: s.Header, body: bytes.NewBuffer(s.Body), stored: s}
}

// caches reports whether the call's answer may be given again. What an agent
// answers depends on its session as well, so it is not.
func (c *call) caches() bool {
	return c.g.Answers != nil && c.outcome.Tenant != AnonymousTenant && c.class() == ClassInference &&
		!slices.ContainsFunc(c.g.Providers, func(p *Provider) bool { return p.Profile.Format == FormatNextBuilder })
}

// answerKey covers all that shapes the call's answer.
func (c *call) answerKey() replay.Key {
	var room [16]string
	body := sha256.Sum256(c.request.Body)
	parts := append(room[:0], c.outcome.Tenant, string(c.outcome.Endpoint), string(body[:]))
	for _, p := range c.g.Providers {
		parts = append(parts, string(p.shape[:]), p.upstreamModel(c.request.Model))
	}
	return replay.NewKey(parts...)
}

// recall gives the tenant's last good answer to the same request; nil where
// there is none.
func (c *call) recall() *answer {
	if !c.caches() {
		return nil
	}
	// The store's own timeouts bound this.
	last, ok, err := c.g.Answers.Cache.Get(c.r.Context(), c.answerKey())
	if err != nil || !ok {
		return nil
	}
	s := &stored{Answer: last, from: StoredCache}
	return s.answer()
}

// taking keeps an answer while it goes to the client.
type taking struct {
	// since is when the answer was given first.
	since time.Time
	// body is the answer's own buffer, or the pooled one that a stream's events are
	// copied to; nil where it is more than may be kept.
	body *bytes.Buffer
	// finish is the answer's finish reason.
	finish string
	// whole says that it is all there.
	whole bool
}

// add takes note of more of a stream; nil takes none.
func (t *taking) add(b []byte) {
	switch {
	case t == nil || t.body == nil || t.whole:
	case t.body.Len()+len(b) > DefaultMaxStored:
		t.body = nil
	default:
		t.body.Write(b)
	}
}

// end says that the answer is whole, and how it finished; nil takes no note.
func (t *taking) end(finish string) {
	if t != nil {
		t.whole, t.finish = true, finish
	}
}

// takes decides whether the answer is needed once more: one that was cached is
// not cached anew, but it is what a claimed call was answered.
func (c *call) takes(a *answer) {
	since := c.g.Now()
	switch {
	case a.status < 200 || a.status > 299:
		return
	case a.stored != nil && c.claim != nil:
		since = a.stored.Answer.Stored
	case a.stored != nil || c.claim == nil && !c.caches():
		return
	}
	c.taking = &taking{since: since, body: a.body}
	switch {
	case a.stream != nil:
		c.spent = answers.Get().(*bytes.Buffer)
		c.taking.body = c.spent
	case a.body.Len() > DefaultMaxStored:
		c.taking.body = nil
	}
}

// jsonAnswer is what most stored answers have for a header.
var jsonAnswer = http.Header{"Content-Type": jsonType}

// taken is the answer that has gone to the client, whole; false where it
// cannot be given again.
func (c *call) taken() (replay.Answer, bool) {
	if c.taking == nil || c.taking.body == nil || !c.taking.whole || c.outcome.Code != "" {
		return replay.Answer{}, false
	}
	h := jsonAnswer
	if c.request.Stream || c.unsupported != "" {
		h = http.Header{"Content-Type": slices.Clone(c.w.Header()["Content-Type"])}
	}
	if c.unsupported != "" {
		h[headerUnsupported] = []string{c.unsupported}
	}
	return replay.Answer{
		Status: c.outcome.Status, Header: h, Body: c.taking.body.Bytes(), Stored: c.taking.since,
		Provider: c.outcome.Provider, Model: c.outcome.UpstreamModel,
	}, true
}

// remember keeps a good answer for when there will be none. One that was
// filtered, or cut for its length, does not replace a better one.
func (c *call) remember() {
	if c.taking == nil || c.outcome.Stored != "" || !c.caches() ||
		c.taking.finish == "content_filter" || c.taking.finish == "length" {
		return
	}
	if a, ok := c.taken(); ok {
		if c.g.Answers.Remote {
			_ = http.NewResponseController(c.w).Flush() // the client does not wait for this
		}
		// One that cannot be kept is missed later, and no harm now.
		_ = c.g.Answers.Cache.Put(context.WithoutCancel(c.r.Context()), c.answerKey(), a, c.g.Answers.TTL)
	}
}

// describeStored tells the client that the answer is not new, as RFC 9211 and
// RFC 9111, section 5.1, have it.
func (c *call) describeStored(h http.Header, s *stored) {
	c.outcome.Stored, c.outcome.Provider, c.outcome.UpstreamModel = s.from, s.Provider, s.Model
	c.unsupported = s.Header.Get(headerUnsupported)
	age := max(int64(c.g.Now().Sub(s.Answer.Stored)/time.Second), 0)
	h["Age"] = []string{strconv.FormatInt(age, 10)}
	if s.from == StoredClaim {
		h["Idempotent-Replayed"] = []string{"true"}
		return
	}
	h["Cache-Status"] = []string{"alipayai; hit"}
}
