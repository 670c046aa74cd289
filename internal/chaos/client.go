package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// request is one that a client makes, once or more often.
type request struct {
	tenant string
	prompt string // without what shapes the answer
	body   string
	stream bool
	key    string // its Idempotency-Key, empty for none
	// leave is when the client leaves; zero for never.
	leave time.Duration
}

// newRequest makes a tenant's request of that number, which no other has.
func newRequest(tenant, number int, stream bool, marks string) request {
	q := request{tenant: fmt.Sprintf("tenant-%d", tenant), stream: stream}
	q.prompt = fmt.Sprintf("%s asks %d", q.tenant, number)
	q.body = fmt.Sprintf(`{"model":"alipay-fin-1","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, marks+q.prompt)
	return q
}

// said is what the simulators answer.
func (q request) said() string { return "You said: " + q.prompt }

// reply is what a client got; status is 0 where there was no answer at all.
type reply struct {
	request
	status int
	header http.Header
	body   string
	// err is what reading the body ended with, nil for its end.
	err error
	// left says that the client did not wait for the end.
	left bool
}

// again says that the answer was given before.
func (r reply) again() bool { return r.header.Get("Age") != "" }

// errNoAnswer is the cause of a call that got no answer.
var errNoAnswer = errors.New("no answer, and no error, in time")

// send makes a request to a replica, and reads all of the answer.
func send(transport http.RoundTripper, replica string, q request) reply {
	ctx, cancel := context.WithTimeoutCause(context.Background(), maxWait, errNoAnswer)
	defer cancel()
	got := reply{request: q}
	if q.leave > 0 {
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, q.leave)
		defer leave()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, replica+"/v1/chat/completions", strings.NewReader(q.body))
	if err != nil {
		got.err = err
		return got
	}
	req.GetBody = nil // or net/http would repeat what has an Idempotency-Key
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(tenantHeader, q.tenant)
	if q.key != "" {
		req.Header.Set("Idempotency-Key", q.key)
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		defer resp.Body.Close()
		var body []byte
		body, err = io.ReadAll(resp.Body)
		got.status, got.header, got.body = resp.StatusCode, resp.Header, string(body)
	}
	if err != nil && q.leave > 0 && ctx.Err() != nil {
		got.left = true
		return got
	}
	got.err = err
	return got
}
