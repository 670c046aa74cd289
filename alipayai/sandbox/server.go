package sandbox

import (
	"bytes"
	"errors"
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
	apps    map[string]*app
	tokens  *tokens
	faults  faultList
	stats   *stats
	answers atomic.Int64
}

type app struct {
	id      string
	keys    map[int][]byte
	secret  string
	traffic traffic
}

// New makes a simulator. Its errors wrap [ErrConfig] and name the field.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, apps: make(map[string]*app, len(cfg.Apps)), tokens: newTokens(), stats: newStats()}
	for _, a := range cfg.Apps {
		known := &app{id: a.ClientID, keys: a.Keys, secret: a.OAuthSecret}
		known.traffic.cap = newWindow(cfg.RequestsPerSecond)
		s.apps[a.ClientID] = known
		if a.RefreshToken != "" {
			s.tokens.adopt(a.RefreshToken, known, cfg.Now().Add(refreshLife))
		}
	}
	return s, nil
}

// Paths that the simulator answers, besides those of adminPrefix.
const (
	pathChat         = "/v1/chat/completions"
	pathEmbeddings   = "/v1/embeddings"
	pathModels       = "/v1/models"
	pathToken        = "/oauth2/token"
	pathGateway      = "/gateway.do"
	pathApply        = "/ams/api/v1/authorizations/applyToken"
	pathApplySandbox = "/ams/sandbox/api/v1/authorizations/applyToken"
)

type endpoint struct {
	method string
	// token marks the endpoints that hand out tokens: no signature, no cap.
	token bool
	serve func(*call)
}

func endpointOf(path string) (endpoint, bool) {
	switch path {
	case pathChat:
		return endpoint{method: http.MethodPost, serve: (*call).chat}, true
	case pathEmbeddings:
		return endpoint{method: http.MethodPost, serve: (*call).embeddings}, true
	case pathModels:
		return endpoint{method: http.MethodGet, serve: (*call).models}, true
	case pathToken:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).oauthToken}, true
	case pathGateway:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).gatewayToken}, true
	case pathApply, pathApplySandbox:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).applyToken}, true
	}
	return endpoint{}, false
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
	app  *app // nil until a known client id was seen

	token      string
	key        []byte // nil until the signature verified
	keyVersion int

	start time.Time
	wall  time.Time // the simulator's own time of day, with any skew
	marks marks
	plan  plan

	code      string
	grant     string // what a token call asked for
	lastWrite time.Time
	events    int
}

// ServeHTTP answers the API's endpoints and, for loopback peers, /_sandbox/*.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, adminPrefix) {
		s.serveAdmin(w, r)
		return
	}
	now := s.cfg.Now()
	c := &call{srv: s, w: w, r: r, start: now, lastWrite: now, code: codeBroken}
	if id, ok := single(r.Header, "Client-Id"); ok {
		c.app = s.apps[id]
	}
	ep, known := endpointOf(r.URL.Path)
	admitted, wait := true, time.Duration(0)
	if known && !ep.token && c.app != nil {
		admitted, wait = c.app.traffic.arrive(s.cfg.Now)
	}
	s.stats.arrived(c, known)
	defer s.stats.settled(c)

	c.wall = now.Add(s.faults.skew(c))
	w.Header().Set("Date", c.wall.UTC().Format(http.TimeFormat))
	if !c.readBody() {
		return
	}
	s.stats.sawBody(r, c.body)
	if s.cfg.OnRequest != nil {
		s.cfg.OnRequest(r, c.body)
	}
	switch {
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
	if code, reason := c.verifySignature(); code != "" {
		c.fail(http.StatusUnauthorized, code, reason)
		return
	}
	if !admitted {
		seconds := int64((wait + time.Second - 1) / time.Second)
		c.w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		c.fail(http.StatusTooManyRequests, codeTraffic, "too many requests in one second")
		return
	}
	if code, reason := c.verifyToken(); code != "" {
		c.fail(http.StatusUnauthorized, code, reason)
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
