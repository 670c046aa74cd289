package alipayai

import (
	"net/http"
	"strconv"
)

// Headers that tell a client how it was served.
const (
	headerRequestID = "X-Request-Id"
	headerProvider  = "X-Alipayai-Provider"
	headerAttempts  = "X-Alipayai-Attempts"
)

// commit gives the answer to the client. From here on nothing else can.
func (c *call) commit(a *answer) {
	h := c.w.Header()
	forward(h, a.header, forwardedToClient[:])
	c.describe(h)
	c.outcome.Status = a.status
	if a.stream == nil {
		h["Content-Length"] = []string{strconv.Itoa(a.body.Len())}
	}
	c.w.WriteHeader(a.status)
	c.outcome.FirstByte = c.g.Now().Sub(c.start)
	if a.stream != nil {
		c.pass(a.stream)
		return
	}
	c.outcome.Usage = a.usage
	if _, err := c.w.Write(a.body.Bytes()); err != nil {
		c.outcome.Status, c.outcome.Code, c.outcome.Aborted = clientClosedRequest, codeClientGone, true
		return // without the buffer: see recycle
	}
	recycle(a.body)
}

// refuse answers with a failure, in OpenAI's form.
func (c *call) refuse(f *failure) {
	c.outcome.Status, c.outcome.Code = f.Status, f.Code
	if f.clientGone {
		// Nobody reads it; the access log shows it.
		c.w.WriteHeader(f.Status)
		return
	}
	c.describe(c.w.Header())
	f.RequestID = c.outcome.RequestID
	f.WriteHTTP(c.w)
}

// describe sets the headers that tell how the call was served.
func (c *call) describe(h http.Header) {
	// One array for all values.
	own := [3]string{c.outcome.RequestID, c.outcome.Provider, strconv.Itoa(c.outcome.Attempts)}
	h[headerRequestID] = own[0:1:1]
	if c.outcome.Provider != "" {
		h[headerProvider] = own[1:2:2]
		h[headerAttempts] = own[2:3:3]
	}
}
