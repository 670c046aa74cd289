package sandbox

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
)

const systemMessage = "system error, try again later"

// begin reads the marks of a prompt, takes the faults that hit this call, and
// carries out those that come instead of an answer. It reports false when the
// call needs no answer any more.
func (c *call) begin(prompt string, stream bool) bool {
	var err error
	c.marks, err = parseMarks(prompt)
	for _, f := range c.marks.faults {
		if err == nil {
			err = f.fits(c.srv.cfg.Format)
		}
		if f.hits(c, stream) {
			c.plan.add(f)
		}
	}
	if err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return false
	}
	return c.inject(stream)
}

func (c *call) inject(stream bool) bool {
	c.srv.faults.take(&c.plan, func(f Fault) bool { return f.Kind != ClockSkew && f.hits(c, stream) })
	c.srv.stats.faulted(c.plan.kinds)
	if !c.wait(c.plan.latency) {
		return false
	}
	f := c.plan.outcome
	if f.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	switch f.Kind {
	case SystemError200, SystemError500:
		status := http.StatusOK
		if f.Kind == SystemError500 {
			status = http.StatusInternalServerError
		}
		c.refuse(status, f.Shape, orElse(f.Code, c.systemCode()), systemMessage)
	case HTTPStatus:
		_, code := c.srv.format.refusal(f.Status, "")
		c.refuse(f.Status, f.Shape, orElse(f.Code, code), orElse(http.StatusText(f.Status), "status "+strconv.Itoa(f.Status)))
	case Throttle:
		c.fail(http.StatusTooManyRequests, codeTraffic, "too many requests")
	case PaymentRequired:
		c.w.Header().Set("Payment-Needed", "sandbox-invoice-1")
		c.fail(http.StatusPaymentRequired, codePayment, "repeat the call with Payment-Proof")
	case ExpiredToken:
		c.srv.tokens.expire(c.token)
		c.fail(http.StatusUnauthorized, codeExpiredToken, "the access token has expired")
	case ResetBefore:
		c.reset()
	default:
		return true
	}
	return false
}

// systemCode is the format's word for a system error.
func (c *call) systemCode() string {
	_, code := c.srv.format.refusal(http.StatusInternalServerError, codeSystem)
	return code
}

// fail answers with an error, given in the simulator's own terms.
func (c *call) fail(status int, code, message string) {
	status, code = c.srv.format.refusal(status, code)
	c.refuse(status, "", code, message)
}

// refuse answers with an error in the format's own shape, where none is given.
func (c *call) refuse(status int, shape Shape, code, message string) {
	if a := c.shape(); shape == "" && a != nil {
		c.reply(status, code, mustJSON(a.refusal(c.failure(code, message))))
		return
	}
	if shape == "" && c.srv.has(VariantErrors) {
		c.variantError(code, message)
		return
	}
	if shape == "" && c.srv.has(VariantErrorNames) {
		c.reply(status, code, c.namedError(code, message))
		return
	}
	if shape == "" {
		shape, _ = c.srv.format.shapes()
	}
	c.reply(status, code, errorBody(shape, c.failure(code, message)))
}

func (c *call) failure(code, message string) failure { return failure{code, message, c.id()} }

// succeed answers 200 with v as JSON.
func (c *call) succeed(v any) {
	c.reply(http.StatusOK, codeOK, c.enveloped(mustJSON(v)))
}

// mustJSON writes what always can be written: the simulator's own types.
func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

// reply sends one signed body. A success is broken as the call's plan says; the
// signature is always that of the whole body.
func (c *call) reply(status int, code string, body []byte) {
	if c.r.Context().Err() != nil {
		c.leave()
		return
	}
	f := c.plan.outcome
	if code != codeOK {
		f = Fault{}
	}
	if f.Kind == MalformedJSON {
		body = append(body[:len(body)/2:len(body)/2], "\x00<html>"...)
	}
	c.sign(body)
	c.signContract(body)
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	switch f.Kind {
	case TruncatedBody:
		c.write(body[:len(body)/2]) // net/http cuts the connection: Content-Length said more
		return
	case ResetAfter:
		if c.write(body[:len(body)/2]) {
			c.flush()
			c.reset()
		}
		return
	case Stall:
		c.flush()
		c.wait(forever)
		return
	}
	if c.plan.firstByte > 0 && code == codeOK {
		c.flush()
		if !c.wait(c.plan.firstByte) {
			return
		}
	}
	if c.write(body) && f.Kind != MalformedJSON {
		c.code = code
	}
}

// forever is a wait that only the client's leaving ends.
const forever = -1

func (c *call) flush() {
	// A writer that cannot flush sends when it is full or the call ends: nothing to do about it.
	_ = http.NewResponseController(c.w).Flush()
}

// reset breaks the connection: over HTTP/1 with a TCP reset and not even a TLS
// goodbye, over HTTP/2 by resetting the stream, which is what net/http makes of
// http.ErrAbortHandler.
func (c *call) reset() {
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // on failure the connection still closes, only politely
	}
	_ = conn.Close()
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// statusCode is the code that a status without one gets.
func statusCode(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return codeTraffic
	case status == http.StatusUnauthorized:
		return codeInvalidToken
	case status == http.StatusForbidden:
		return codeAccessDenied
	case status < http.StatusInternalServerError:
		return codeParam
	}
	return "UNKNOWN_EXCEPTION"
}
