package sandbox

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// begin reads the marks of a prompt, takes the faults that hit this call, and
// carries out those that come instead of an answer. It reports false when the
// call needs no answer any more.
func (c *call) begin(prompt string, stream bool) bool {
	var err error
	if c.marks, err = parseMarks(prompt); err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return false
	}
	for _, f := range c.marks.faults {
		if f.hits(c, stream) {
			c.plan.add(f)
		}
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
		code := orElse(f.Code, codeSystem)
		c.reply(status, code, errorBody(f.Shape, code, "system error, try again later"))
	case HTTPStatus:
		code := orElse(f.Code, statusCode(f.Status))
		c.reply(f.Status, code, errorBody(ShapeAlipay, code, http.StatusText(f.Status)))
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

// fail answers with the API's own error form.
func (c *call) fail(status int, code, message string) {
	c.reply(status, code, errorBody(ShapeAlipay, code, message))
}

// succeed answers 200 with v as JSON.
func (c *call) succeed(v any) {
	body, err := json.Marshal(v)
	if err != nil { // the simulator's own types always marshal
		panic(err)
	}
	c.reply(http.StatusOK, codeOK, body)
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

// errorBody writes an error in one of the shapes that Ant's interfaces and
// OpenAI's use.
func errorBody(shape Shape, code, message string) []byte {
	var v any
	switch shape {
	case ShapeOpenAI:
		v = map[string]any{"error": map[string]string{"code": code, "message": message, "type": "server_error"}}
	case ShapeGlobal:
		v = map[string]any{"result": globalResult{code, "U", message}}
	case ShapeGateway:
		sub := code
		if code == codeSystem {
			sub = "aop.ACQ." + code
		}
		v = map[string]any{
			"alipay_ai_chat_completions_response": gatewayError{"20000", "Service Currently Unavailable", sub, message},
			"sign":                                "",
		}
	case ShapeNextBuilder:
		payload, _ := json.Marshal(map[string]string{"errorCode": code}) // strings always marshal
		v = map[string]string{"type": "error", "payload": string(payload)}
	default:
		v = apiError{code, message}
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type globalResult struct {
	Code    string `json:"resultCode"`
	Status  string `json:"resultStatus"`
	Message string `json:"resultMessage"`
}

type gatewayError struct {
	Code    string `json:"code"`
	Msg     string `json:"msg"`
	SubCode string `json:"sub_code"`
	SubMsg  string `json:"sub_msg"`
}

// errorEvent writes an error as it comes within a stream.
func errorEvent(shape Shape, code, message string) []byte {
	if shape == "" {
		shape = ShapeOpenAI
	}
	var b strings.Builder
	if shape == ShapeNextBuilder {
		b.WriteString("event: error\n")
	}
	b.WriteString("data: ")
	b.Write(errorBody(shape, code, message))
	b.WriteString("\n\n")
	if shape == ShapeNextBuilder {
		b.WriteString("event: end\ndata: {\"type\":\"end\"}\n\n")
	}
	return []byte(b.String())
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
