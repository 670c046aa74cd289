package alipayai

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Headers that tell a client how it was served.
const (
	headerRequestID   = "X-Request-Id"
	headerProvider    = "X-Alipayai-Provider"
	headerAttempts    = "X-Alipayai-Attempts"
	headerModel       = "X-Alipayai-Model"
	headerReason      = "X-Alipayai-Reason"
	headerUnsupported = "X-Alipayai-Unsupported"
)

// commit gives the answer to the client. After this no other provider can be
// asked.
func (c *call) commit(a *answer) {
	if a.model != "" {
		c.outcome.UpstreamModel = a.model
	}
	h := c.w.Header()
	forward(h, a.header, forwardedToClient[:])
	c.hide(h)
	if a.replayed != nil {
		c.describeReplay(h, a.replayed)
	}
	c.describe(h)
	c.outcome.Status = a.status
	c.startRecording(a)
	if a.stream == nil {
		h["Content-Length"] = []string{strconv.Itoa(a.body.Len())}
		c.recording.end(a.finish)
		c.endClaim()
	}
	c.w.WriteHeader(a.status)
	c.outcome.FirstByte = c.g.Now().Sub(c.start)
	if a.stream != nil {
		c.pass(a.stream)
		return
	}
	c.outcome.Usage, c.answered = a.usage, int64(a.body.Len())
	if err := c.write(a.body.Bytes()); err != nil {
		c.outcome.Status, c.outcome.Code, c.outcome.Aborted = clientClosedRequest, codeClientGone, true
		return // without the buffer: see recycle
	}
	if a.replayed == nil {
		c.spent = a.body
	}
}

// writtenAtOnce is how many bytes of a large answer a client has to read within
// clientTimeout: at 17 KiB a second it is slower than any that works.
const writtenAtOnce = 1 << 20

// write gives a whole answer's body to the client. One that does not read must not
// hold a large one for ever.
func (c *call) write(body []byte) error {
	if len(body) <= maxKept {
		_, err := c.w.Write(body)
		return err
	}
	client := http.NewResponseController(c.w)
	for part := range slices.Chunk(body, writtenAtOnce) {
		_ = client.SetWriteDeadline(c.g.Now().Add(clientTimeout)) // where the server knows deadlines
		if _, err := c.w.Write(part); err != nil {
			return err
		}
	}
	if err := client.Flush(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_ = client.SetWriteDeadline(time.Time{}) // the connection goes on
	return nil
}

// refuse answers with a failure, in OpenAI's form.
func (c *call) refuse(f *failure) {
	c.outcome.Status, c.outcome.Code = f.Status, f.Code
	f.NoRetry = f.NoRetry || c.doubtful
	c.endClaim()
	if f.clientGone {
		// Nobody reads it; the access log shows it.
		c.w.WriteHeader(f.Status)
		return
	}
	c.describe(c.w.Header())
	f.RequestID = c.outcome.RequestID
	c.mask().Texts(&f.Code, &f.Message, &f.Param)
	f.WriteHTTP(c.w)
}

// hide takes credentials out of what goes to the client in headers: of what the
// upstream has sent, the model's name, and what the client's own request names.
// What was seen before costs a look into a map.
func (c *call) hide(h http.Header) {
	model, unsupported := c.outcome.UpstreamModel, c.unsupported
	passed := c.filter.Passed(model) && c.filter.Passed(unsupported)
	for _, name := range forwardedToClient {
		for _, value := range h[name] {
			passed = passed && c.filter.Passed(value)
		}
	}
	if passed {
		return
	}
	texts := []*string{&model, &unsupported}
	for _, name := range forwardedToClient {
		for i := range h[name] {
			texts = append(texts, &h[name][i])
		}
	}
	c.mask().Texts(texts...)
	c.outcome.UpstreamModel, c.unsupported = model, unsupported
}

// describe sets the headers that tell how the call was served.
func (c *call) describe(h http.Header) {
	// One array for all values.
	own := [4]string{c.outcome.RequestID, c.outcome.Provider, strconv.Itoa(c.outcome.Attempts), c.outcome.UpstreamModel}
	h[headerRequestID] = own[0:1:1]
	if c.outcome.Provider != "" {
		h[headerProvider] = own[1:2:2]
		h[headerAttempts] = own[2:3:3]
	}
	// It is the upstream's word, or without a mapping the client's: it may be anything.
	if c.outcome.UpstreamModel != "" && isVisible(c.outcome.UpstreamModel) {
		h[headerModel] = own[3:4:4]
	}
	if len(c.rungs) > 0 {
		c.outcome.Reasons = c.reasons()
		h[headerReason] = []string{c.outcome.Reasons}
	}
	if c.unsupported != "" {
		h[headerUnsupported] = []string{c.unsupported}
	}
}
