package alipayai

import (
	"bytes"

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
func (s *replayed) answer() *Answer {
	return &Answer{Status: s.Status, header: s.Header, body: bytes.NewBuffer(s.Body), replayed: s}
}
