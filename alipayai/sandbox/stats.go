package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of what the statistics keep; beyond them the oldest entry is forgotten
// and counted in [Stats.Dropped].
const (
	maxSignatures  = 65536
	maxConnections = 65536
	maxIDs         = 16384
	maxPerID       = 32 // bodies, and answers, of one idempotency id
	maxIDLength    = 256
	maxRecent      = 64 // cancellations and header records
	maxCodes       = 256
)

// Stats tells what reached the simulator since it started or was reset.
// Requests to /_sandbox/* are not counted.
type Stats struct {
	// Requests counts all, token fetches too.
	Requests int64 `json:"requests"`
	// InFlight is how many are being answered now.
	InFlight int64 `json:"in_flight"`
	// Apps, Codes, Paths and Protocols count requests; Codes and Apps do so when
	// the request ends. "unknown" stands for no known app and for other paths.
	Apps      map[string]int64 `json:"apps"`
	Codes     map[string]int64 `json:"codes"`
	Paths     map[string]int64 `json:"paths"`
	Protocols map[string]int64 `json:"protocols"`
	// Connections counts distinct pairs of peer address and protocol, by protocol.
	// A client that reuses a port is counted once.
	Connections map[string]int64 `json:"connections"`
	// TokenFetches counts requests for tokens by grant, failed ones too.
	TokenFetches map[string]int64 `json:"token_fetches"`
	// PeakPerSecond is the most arrivals in any sliding second, by app, those
	// answered 429 included; those at token endpoints do not count.
	PeakPerSecond map[string]int `json:"peak_per_second"`
	// RepeatedSignatures counts requests whose signature came before.
	RepeatedSignatures int64 `json:"repeated_signatures"`
	// Bodies has the hexadecimal SHA-256 of each body, in order of arrival, by the
	// call's idempotency id: the value of Idempotency-Key, or the request_id of
	// format nextbuilder. More than one means that the call was repeated.
	Bodies map[string][]string `json:"bodies"`
	// Answers has the ids of the whole answers that were given, by the same id.
	// More than one means that a call was answered again; an answer that reaches a
	// client without being listed under its call's id was another's.
	Answers map[string][]string `json:"answers"`
	// Charged is what answers cost, by model, with the minimum of 5,000 characters for
	// each.
	Charged map[string]Charged `json:"charged"`
	// Faults counts the faults that hit, by kind.
	Faults map[Kind]int64 `json:"faults"`
	// Cancelled counts requests whose client left early; Cancellations has the last 64.
	Cancelled     int64          `json:"cancelled"`
	Cancellations []Cancellation `json:"cancellations"`
	// Headers has the names, never the values, of the last 64 requests' headers.
	Headers []HeaderNames `json:"headers"`
	// Dropped counts entries forgotten because their map was full.
	Dropped int64 `json:"dropped"`
}

// Cancellation is a request whose client left before it had its answer.
type Cancellation struct {
	Path string `json:"path"`
	// At is when the simulator noticed, by its own clock without any skew.
	At time.Time `json:"at"`
	// SinceLastWrite is the time in seconds from the last byte written (or from
	// the arrival, when none was) until then.
	SinceLastWrite float64 `json:"since_last_write"`
	// Events is how many content events had been sent.
	Events int `json:"events"`
}

// HeaderNames are the header names of one request, sorted.
type HeaderNames struct {
	Path  string   `json:"path"`
	Names []string `json:"names"`
}

const unknown = "unknown"

// stats gathers what [Stats] shows.
type stats struct {
	mu          sync.Mutex
	shown       Stats // without the bounded maps
	signatures  *bounded[[sha256.Size]byte, struct{}]
	connections *bounded[connection, struct{}]
	bodies      *bounded[string, []string]
	answers     *bounded[string, []string]
}

type connection struct{ peer, proto string }

func newStats() *stats {
	s := &stats{}
	s.reset()
	return s
}

// reset starts anew; only the requests in flight are remembered.
func (s *stats) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = Stats{
		InFlight:     s.shown.InFlight,
		Apps:         make(map[string]int64),
		Codes:        make(map[string]int64),
		Paths:        make(map[string]int64),
		Protocols:    make(map[string]int64),
		Connections:  make(map[string]int64),
		TokenFetches: make(map[string]int64),
		Faults:       make(map[Kind]int64),
		Charged:      make(map[string]Charged),
	}
	s.signatures = newBounded[[sha256.Size]byte, struct{}](maxSignatures)
	s.connections = newBounded[connection, struct{}](maxConnections)
	s.bodies = newBounded[string, []string](maxIDs)
	s.answers = newBounded[string, []string](maxIDs)
}

func (s *stats) arrived(c *call, knownPath bool) {
	names := HeaderNames{c.r.URL.Path, make([]string, 0, len(c.r.Header))}
	for name := range c.r.Header {
		names.Names = append(names.Names, name)
	}
	slices.Sort(names.Names)
	path := c.r.URL.Path
	if !knownPath {
		path = unknown
	}
	conn := connection{c.r.RemoteAddr, c.r.Proto}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown.Requests++
	s.shown.InFlight++
	s.shown.Paths[path]++
	s.shown.Protocols[conn.proto]++
	if _, seen := s.connections.get(conn); !seen {
		s.connections.put(conn, struct{}{})
		s.shown.Connections[conn.proto]++
	}
	s.shown.Headers = appendRecent(s.shown.Headers, names)
}

func (s *stats) sawBody(id string, body []byte) {
	if id == "" {
		return
	}
	hash := sha256.Sum256(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(s.bodies, id, hex.EncodeToString(hash[:]))
}

// note adds v to what is kept by the id of a call.
func (s *stats) note(kept *bounded[string, []string], id, v string) {
	list, _ := kept.get(id)
	if len(id) > maxIDLength || len(list) == maxPerID {
		s.shown.Dropped++
		return
	}
	kept.put(id, append(list, v))
}

// sawSignature counts a signature that came before. The layout has no nonce, so
// two equal calls within one millisecond repeat it without being an attack.
func (s *stats) sawSignature(mac [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.signatures.get(mac); seen {
		s.shown.RepeatedSignatures++
	}
	s.signatures.put(mac, struct{}{})
}

func (s *stats) faulted(kinds []Kind) {
	if len(kinds) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range kinds {
		s.shown.Faults[k]++
	}
}

func (s *stats) cancelled(c *call) {
	now := c.srv.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown.Cancelled++
	s.shown.Cancellations = appendRecent(s.shown.Cancellations, Cancellation{
		Path: c.r.URL.Path, At: now, SinceLastWrite: now.Sub(c.lastWrite).Seconds(), Events: c.events,
	})
}

func (s *stats) settled(c *call) {
	name := unknown
	if c.app != nil {
		name = c.app.id
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown.InFlight--
	s.shown.Apps[name]++
	s.charged(c)
	if _, known := s.shown.Codes[c.code]; !known && len(s.shown.Codes) >= maxCodes {
		s.shown.Dropped++
	} else {
		s.shown.Codes[c.code]++
	}
	if c.code == codeOK && c.answerID != "" && c.callID != "" {
		s.note(s.answers, c.callID, c.answerID)
	}
	if c.ep.token {
		switch c.grant {
		case grantClient, grantRefresh, grantCode:
			s.shown.TokenFetches[c.grant]++
		default:
			s.shown.TokenFetches[unknown]++
		}
	}
}

func appendRecent[T any](list []T, v T) []T {
	if len(list) == maxRecent {
		list = append(list[:0], list[1:]...)
	}
	return append(list, v)
}

// Stats returns what arrived so far. GET /_sandbox/stats shows the same as JSON.
func (s *Server) Stats() Stats {
	out := s.stats.copy()
	out.PeakPerSecond = make(map[string]int, len(s.apps))
	for id, a := range s.apps {
		if n := a.traffic.most(); n > 0 {
			out.PeakPerSecond[id] = n
		}
	}
	return out
}

func (s *stats) copy() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.shown
	out.Apps = maps.Clone(out.Apps)
	out.Codes = maps.Clone(out.Codes)
	out.Paths = maps.Clone(out.Paths)
	out.Protocols = maps.Clone(out.Protocols)
	out.Connections = maps.Clone(out.Connections)
	out.TokenFetches = maps.Clone(out.TokenFetches)
	out.Faults = maps.Clone(out.Faults)
	out.Charged = maps.Clone(out.Charged)
	out.Cancellations = append([]Cancellation{}, out.Cancellations...)
	out.Headers = append([]HeaderNames{}, out.Headers...)
	out.Bodies, out.Answers = cloneLists(s.bodies.values), cloneLists(s.answers.values)
	out.Dropped += s.signatures.dropped + s.connections.dropped + s.bodies.dropped + s.answers.dropped
	return out
}

func cloneLists(lists map[string][]string) map[string][]string {
	out := make(map[string][]string, len(lists))
	for id, list := range lists {
		out[id] = slices.Clone(list)
	}
	return out
}

// ResetStats starts the statistics anew, the peaks too. Tokens, faults and the
// rate windows stay.
func (s *Server) ResetStats() {
	s.stats.reset()
	for _, a := range s.apps {
		a.traffic.resetPeak()
	}
}
