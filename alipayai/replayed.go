package alipayai

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
)

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
func (s *replayed) answer() *answer {
	return &answer{status: s.Status, header: s.Header, body: bytes.NewBuffer(s.Body), replayed: s}
}

// describeReplay tells the client that the answer is not new, as RFC 9211 and
// RFC 9111, section 5.1, have it.
func (c *call) describeReplay(h http.Header, s *replayed) {
	c.outcome.Stored, c.outcome.Provider, c.outcome.UpstreamModel = s.from, s.Provider, s.Model
	c.unsupported = s.Header.Get(headerUnsupported)
	age := max(int64(c.g.Now().Sub(s.Answer.StoredAt)/time.Second), 0)
	h["Age"] = []string{strconv.FormatInt(age, 10)}
	if s.from == StoredClaim {
		h["Idempotent-Replayed"] = []string{"true"}
		return
	}
	h["Cache-Status"] = []string{"alipayai; hit"}
}
