package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// asks is the request of the tests.
func asks(stream bool) request { return newRequest(1, 7, stream, "[[events:3]] ") }

// events are those of a stream: words go into chunks of one answer.
func events(id, model string, words ...string) string {
	var b strings.Builder
	for _, word := range words {
		switch {
		case strings.HasPrefix(word, "{"), word == "[DONE]":
			b.WriteString("data: " + word + "\n\n")
		case word == "stop":
			b.WriteString(`data: {"id":"` + id + `","model":"` + model + `","choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n")
		default:
			b.WriteString(`data: {"id":"` + id + `","model":"` + model + `","choices":[{"delta":{"content":"` + word + `"},"finish_reason":null}]}` + "\n\n")
		}
	}
	return b.String()
}

const errorEvent = `{"error":{"message":"it broke","type":"server_error","code":"upstream_truncated_response"}}`

func TestJudgesStreams(t *testing.T) {
	said := asks(true).said()
	one := func(words ...string) string { return events("c-1", "m", words...) }
	for name, test := range map[string]struct {
		body string
		err  error
		left bool
		want verdict
	}{
		"whole":                     {body: one(said[:5], said[5:], "stop", "[DONE]"), want: whole},
		"broken":                    {body: one(said[:5], errorEvent), err: io.ErrUnexpectedEOF, want: broken},
		"broken within an event":    {body: one(said[:5]) + `data: {"id"`, err: io.ErrUnexpectedEOF, want: broken},
		"a clean end too early":     {body: one(said[:5]), want: cut},
		"a clean end with an error": {body: one(said[:5], errorEvent), want: cut},
		"a clean end without DONE":  {body: one(said, "stop"), want: cut},
		"DONE too early":            {body: one(said[:5], "stop", "[DONE]"), want: cut},
		"DONE without a finish":     {body: one(said, "[DONE]"), want: cut},
		"DONE and no end":           {body: one(said, "stop", "[DONE]"), err: io.ErrUnexpectedEOF, want: cut},
		"nothing":                   {want: cut},
		"a clean end in an event":   {body: one(said, "stop") + "data: [DO", want: spliced},
		"finished twice":            {body: one(said, "stop", "stop", "[DONE]"), want: cut},
		"more after DONE":           {body: one(said, "stop", "[DONE]", "stop"), want: spliced},
		"more after an error":       {body: one(said[:5], errorEvent, said[5:]), err: io.ErrUnexpectedEOF, want: spliced},
		"an error of no form":       {body: one(said[:5], `{"error":{}}`), err: io.ErrUnexpectedEOF, want: spliced},
		"no JSON":                   {body: one(said[:5], "{"), err: io.ErrUnexpectedEOF, want: spliced},
		"said twice":                {body: one(said[:5], said[:5], said[5:], "stop", "[DONE]"), want: spliced},
		"a gap":                     {body: one(said[:5], said[8:], "stop", "[DONE]"), want: spliced},
		"a second answer":           {body: one(said[:5]) + events("c-2", "m", said[5:], "stop", "[DONE]"), want: spliced},
		"a second model":            {body: one(said[:5]) + events("c-1", "n", said[5:], "stop", "[DONE]"), want: spliced},
		"another's":                 {body: one(newRequest(2, 7, true, "").said(), "stop", "[DONE]"), want: crossed},
		"another's of one's own":    {body: one(newRequest(1, 8, true, "").said(), "stop", "[DONE]"), want: crossed},
		"the client left":           {body: one(said[:5]) + "data: {", left: true, want: left},
		"left, and another's":       {body: one(newRequest(2, 7, true, "").said()), left: true, want: crossed},
	} {
		t.Run(name, func(t *testing.T) {
			r := reply{request: asks(true), status: http.StatusOK, body: test.body, err: test.err, left: test.left}
			if got := r.judge(); got != test.want {
				t.Errorf("%s, want %s: %+v", got, test.want, r.listen())
			}
		})
	}
}

func TestJudgesOtherAnswers(t *testing.T) {
	answer := func(content, finish string) string {
		return `{"id":"c-1","model":"m","choices":[{"message":{"content":"` + content + `"},"finish_reason":"` + finish + `"}]}`
	}
	const goodError = `{"error":{"message":"no provider answered","type":"server_error","code":"all_providers_failed"}}`
	said := asks(false).said()
	for name, test := range map[string]struct {
		status int
		body   string
		err    error
		key    string
		left   bool
		want   verdict
	}{
		"whole":                    {status: 200, body: answer(said, "stop"), want: whole},
		"cut":                      {status: 200, body: answer(said[:9], "stop"), want: cut},
		"without an end":           {status: 200, body: answer(said, ""), want: cut},
		"another's":                {status: 200, body: answer(newRequest(2, 7, false, "").said(), "stop"), want: crossed},
		"half of a body":           {status: 200, body: answer(said, "stop")[:40], err: io.ErrUnexpectedEOF, want: spliced},
		"broken after all":         {status: 200, body: answer(said, "stop"), err: io.ErrUnexpectedEOF, want: lost},
		"an error as a success":    {status: 200, body: goodError, want: lost},
		"refused":                  {status: 503, body: goodError, want: refused},
		"refused for its rate":     {status: 429, body: goodError, want: refused},
		"a duplicate":              {status: 409, body: goodError, key: "order-7", want: refused},
		"a duplicate of nothing":   {status: 409, body: goodError, want: blamed},
		"another request's key":    {status: 422, body: goodError, key: "order-7", want: blamed},
		"refused as a bad one":     {status: 400, body: goodError, want: blamed},
		"an error of no form":      {status: 502, body: "Bad Gateway", want: lost},
		"an error without a word":  {status: 502, body: `{"error":{}}`, want: lost},
		"an error that breaks off": {status: 502, body: goodError, err: io.ErrUnexpectedEOF, want: lost},
		"nothing":                  {err: io.EOF, want: lost},
		"the client left":          {left: true, want: left},
	} {
		t.Run(name, func(t *testing.T) {
			q := asks(false)
			q.key = test.key
			r := reply{request: q, status: test.status, body: test.body, err: test.err, left: test.left}
			if got := r.judge(); got != test.want {
				t.Errorf("%s, want %s: %+v", got, test.want, r.listen())
			}
		})
	}
}
