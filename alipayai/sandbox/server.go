package sandbox

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Server is the simulator. Make one with [New]. It is safe for concurrent use
// and starts no goroutine.
type Server struct {
	cfg     Config
	format  format
	apps    map[string]*app
	tokens  *tokens
	faults  faultList
	stats   *stats
	calls   atomic.Int64
	answers atomic.Int64
}

type app struct {
	id       string
	keys     map[int][]byte
	secret   string
	apiKey   [sha256.Size]byte // hashed, so that the time of a comparison says nothing
	public   *rsa.PublicKey
	traffic  traffic
	contract Contract
	request  Opener
	answer   *AnswerShape
	// tokenAnswer is how the token endpoint answers.
	tokenAnswer *TokenShape
	// tokenSigned wants signed requests for tokens.
	tokenSigned bool
}

// New makes a simulator. Its errors wrap [ErrConfig] and name the field.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, format: formats[cfg.Format], apps: make(map[string]*app, len(cfg.Apps)), tokens: newTokens(), stats: newStats(),
	}
	for _, a := range cfg.Apps {
		known := &app{id: a.ClientID, keys: a.Keys, secret: a.OAuthSecret, contract: a.Contract, request: a.Request, answer: a.Answer, tokenAnswer: a.TokenAnswer, tokenSigned: a.TokenSigned, apiKey: sha256.Sum256([]byte(a.APIKey))}
		if a.PublicKey != "" {
			if known.public, err = parsePublicKey(a.PublicKey); err != nil {
				return nil, fmt.Errorf("%w: app %s: PublicKey: %w", ErrConfig, a.ClientID, err)
			}
		}
		known.traffic.cap = newWindow(cfg.RequestsPerSecond)
		s.apps[a.ClientID] = known
		if a.RefreshToken != "" {
			s.tokens.accept(a.RefreshToken, known, cfg.Now().Add(refreshLife))
		}
	}
	return s, nil
}

const (
	codeOK         = "OK"
	codeSystem     = "SYSTEM_ERROR"
	codeTraffic    = "REQUEST_TRAFFIC_EXCEED_LIMIT"
	codeParam      = "PARAM_ILLEGAL"
	codeBlocked    = "COMPLIANCE_BLOCKED"
	codeInvalidAPI = "INVALID_API"
	codeMethod     = "METHOD_NOT_SUPPORTED"
	codeMediaType  = "MEDIA_TYPE_NOT_ACCEPTABLE"
	codeModel      = "MODEL_NOT_FOUND"
	codePayment    = "PAYMENT_REQUIRED"
	// codeBroken counts answers that a fault broke without a code of its own;
	// codeCancelled those whose client left first.
	codeBroken    = "BROKEN"
	codeCancelled = "CANCELLED"
)

const maxBody = 16 << 20

// call is one request on its way through the simulator.
type call struct {
	srv  *Server
	w    http.ResponseWriter
	r    *http.Request
	body []byte
	app  *app // nil unless a known client says it calls
	ep   endpoint

	number     int64  // how many calls there were, with this one
	callID     string // the caller's own id of it, the same when it is repeated
	answerID   string
	token      string
	key        []byte // nil until the signature verified
	keyVersion int
	kept       bool // the request has kept its app's contract
	packed     bool // several answers are asked for at once

	start time.Time
	wall  time.Time // the simulator's own time of day, with any skew
	marks marks
	plan  plan

	code      string
	grant     string // what a token call asked for
	lastWrite time.Time
	events    int
	bill      *bill // nil until there is an answer
}

// ServeHTTP answers the API's endpoints and, for loopback peers, /_sandbox/*.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, adminPrefix) {
		s.serveAdmin(w, r)
		return
	}
	now := s.cfg.Now()
	c := &call{srv: s, w: w, r: r, number: s.calls.Add(1), start: now, lastWrite: now, code: codeBroken}
	c.app = s.format.caller(c)
	path, known := s.path(r.URL.Path)
	if known {
		c.ep, known = s.format.endpoint(path)
	}
	ep := c.ep
	admitted, wait := true, time.Duration(0)
	if known && !ep.token && c.app != nil {
		admitted, wait = c.app.traffic.arrive(s.cfg.Now)
	}
	s.stats.arrived(c, known)
	defer s.stats.settled(c)

	c.wall = now.Add(s.faults.skew(c))
	if s.has(VariantSkew) {
		c.wall = c.wall.Add(variantSkew)
	}
	w.Header().Set("Date", c.wall.UTC().Format(http.TimeFormat))
	if !c.readBody() {
		return
	}
	c.callID = s.format.callID(r, c.body)
	s.stats.sawBody(c.callID, c.body)
	if s.cfg.OnRequest != nil {
		s.cfg.OnRequest(r, c.body)
	}
	switch {
	case c.refuseVersion():
	case !known:
		c.fail(http.StatusNotFound, codeInvalidAPI, "no such endpoint")
	case r.Method != ep.method:
		w.Header().Set("Allow", ep.method)
		c.fail(http.StatusMethodNotAllowed, codeMethod, "want "+ep.method)
	case ep.token:
		ep.serve(c)
	default:
		c.serveAPI(ep, admitted, wait)
	}
}

// serveAPI judges a call before its endpoint sees it. The signature comes first,
// so that the answer to any call that verified, a 429 too, can be signed.
func (c *call) serveAPI(ep endpoint, admitted bool, wait time.Duration) {
	if wrong := c.srv.format.verify(c); wrong != nil {
		c.fail(wrong.status, wrong.code, wrong.reason)
		return
	}
	if open := c.opener(); open != nil && len(c.body) > 0 {
		call, err := open(c.r, c.body, c.wall)
		if err != nil {
			c.fail(http.StatusBadRequest, codeParam, err.Error())
			return
		}
		c.body = call
	}
	if !admitted {
		seconds := int64((wait + time.Second - 1) / time.Second)
		c.w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		c.fail(http.StatusTooManyRequests, codeTraffic, "too many requests in one second")
		return
	}
	ep.serve(c)
}

func (c *call) readBody() bool {
	var buf bytes.Buffer
	if n := c.r.ContentLength; n > 0 && n <= maxBody {
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	c.body = buf.Bytes()
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &tooLarge):
		c.fail(http.StatusRequestEntityTooLarge, codeParam, "the body is larger than 16 MiB")
	default:
		c.leave()
	}
	return false
}

// id names the call in its answer.
func (c *call) id() string { return fmt.Sprintf("req_%08d", c.number) }

// leave notes that the client went away before it had its answer.
func (c *call) leave() {
	c.code = codeCancelled
	c.srv.stats.cancelled(c)
}

// wait pauses for d, or without end when d is negative. It reports false, and
// notes the cancellation, when the client left meanwhile.
func (c *call) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-c.r.Context().Done():
		c.leave()
		return false
	}
}

// write sends b and reports whether the client is still there.
func (c *call) write(b []byte) bool {
	if _, err := c.w.Write(b); err != nil || c.r.Context().Err() != nil {
		c.leave()
		return false
	}
	c.lastWrite = c.srv.cfg.Now()
	return true
}
