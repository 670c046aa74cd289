package alipayai_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Every format meets every fault that a stream can have, with and without another provider: an answer is whole and of one
// provider, or it is a failure, or it breaks off in a way that no client takes for its end.

// spoken is an answer as a client puts it together.
type spoken struct {
	content string
	ids     map[string]bool
	finish  int // how often it was finished
	done    bool
	failed  string // the code of the error event
}

// listen reads the events of a stream in OpenAI's form.
func (got reply) listen(t *testing.T) spoken {
	t.Helper()
	s := spoken{ids: make(map[string]bool)}
	for event := range strings.SplitSeq(got.body, "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			continue
		}
		if s.done || s.failed != "" {
			t.Errorf("an event after the end: %s", event)
		}
		if data == "[DONE]" {
			s.done = true
			continue
		}
		var chunk struct {
			ID      string
			Choices []struct {
				Delta struct {
					Content string `json:"content"`
				}
				Text         string // of completions
				FinishReason string `json:"finish_reason"`
			}
			Error struct{ Code string }
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		if s.failed = chunk.Error.Code; s.failed != "" {
			continue
		}
		s.ids[chunk.ID] = true
		for _, choice := range chunk.Choices {
			s.content += choice.Delta.Content + choice.Text
			if choice.FinishReason != "" {
				s.finish++
			}
		}
	}
	return s
}

// said is what the simulators answer to the prompt of these tests.
const (
	prompt = "[[events:9]] how much is it?"
	said   = "You said: how much is it?"
)

// wantWhole checks that got is one answer, whole.
func wantWhole(t *testing.T, got reply, stream bool) {
	t.Helper()
	if got.status != http.StatusOK || got.err != nil {
		t.Fatalf("%d, ends with %v: %s", got.status, got.err, got.body)
	}
	if !stream {
		var answer struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Choices) != 1 || answer.Choices[0].Message.Content != said {
			t.Errorf("answered %s (%v)", got.body, err)
		}
		return
	}
	if s := got.listen(t); s.content != said || !s.done || s.finish != 1 || len(s.ids) != 1 || s.failed != "" {
		t.Errorf("answered %+v: %s", s, got.body)
	}
}

// wantBroken checks that got is a part of one answer, and shows it.
func wantBroken(t *testing.T, got reply) {
	t.Helper()
	s := got.listen(t)
	if got.status != http.StatusOK || got.err == nil || s.done || s.failed == "" {
		t.Errorf("%d, ends with %v: %+v", got.status, got.err, s)
	}
	if !strings.HasPrefix(said, s.content) || s.content == "" || len(s.ids) != 1 || s.finish > 0 {
		t.Errorf("answered %+v", s)
	}
}

// wantFailed checks that got is an error and nothing else.
func wantFailed(t *testing.T, got reply) {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status < 400 || got.err != nil || body.Error.Message == "" {
		t.Errorf("%d, ends with %v: %s", got.status, errors.Join(err, got.err), got.body)
	}
}

// harm is what a fault does to an answer.
type harm int

const (
	none   harm = iota // the answer is whole all the same
	before             // nothing of it has come
	within             // some of it has
)

// streamFault is one that a stream's provider can have.
type streamFault struct {
	fault sandbox.Fault
	harm  harm
	// slow says that the gateway has to lose its patience.
	slow bool
}

// at gives check providers of these formats, of which the first has the fault: in a bubble where that takes its time.
func (f streamFault) at(t *testing.T, formats []sandbox.Format, check func(t *testing.T, l *ladder)) {
	t.Helper()
	t.Parallel()
	inBubbleIf(t, f.slow, func(t *testing.T) {
		l := newLadder(t, formats, first(func(p *upstream.Provider) {
			if len(formats) == 1 {
				fresh(p)
			}
			if f.slow {
				hasty(p)
			}
		}))
		if f.fault.Kind != "" {
			l.upstreams[0].set(t, f.fault)
		}
		check(t, l)
	})
}

var streamFaults = map[string]streamFault{
	"nothing wrong":          {},
	"late first byte":        {fault: sandbox.Fault{Kind: sandbox.SlowFirstByte, Delay: 50 * time.Millisecond}},
	"no first byte":          {fault: sandbox.Fault{Kind: sandbox.SlowFirstByte, Delay: forLong}, harm: before, slow: true},
	"no head":                {fault: sandbox.Fault{Kind: sandbox.Latency, Delay: forLong}, harm: before, slow: true},
	"stall before":           {fault: sandbox.Fault{Kind: sandbox.Stall}, harm: before, slow: true},
	"stall":                  {fault: sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 2}, harm: within, slow: true},
	"stall before the end":   {fault: sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 9}, harm: within, slow: true},
	"cut":                    {fault: sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 2}, harm: within},
	"cut in an event":        {fault: sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 2, MidEvent: true}, harm: within},
	"cut before the end":     {fault: sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 9}, harm: within},
	"cut in the end":         {fault: sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 9, MidEvent: true}, harm: within},
	"malformed first":        {fault: sandbox.Fault{Kind: sandbox.MalformedChunk}, harm: before},
	"malformed":              {fault: sandbox.Fault{Kind: sandbox.MalformedChunk, AfterEvents: 2}, harm: within},
	"malformed end":          {fault: sandbox.Fault{Kind: sandbox.MalformedChunk, AfterEvents: 9}, harm: within},
	"error first":            {fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst}, harm: before},
	"error":                  {fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2}, harm: within},
	"error in place of end":  {fault: sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 9}, harm: within},
	"error, another's shape": {fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeGlobal}, harm: before},
	"error in place of it":   {fault: sandbox.Fault{Kind: sandbox.SystemError200}, harm: before},
	"empty":                  {fault: sandbox.Fault{Kind: sandbox.EmptyStream}, harm: before},
	"the end at once":        {fault: sandbox.Fault{Kind: sandbox.DoneFirst}, harm: before},
	"reset before":           {fault: sandbox.Fault{Kind: sandbox.ResetBefore}, harm: before},
	"reset at once":          {fault: sandbox.Fault{Kind: sandbox.ResetAfter}, harm: before},
	"reset":                  {fault: sandbox.Fault{Kind: sandbox.ResetAfter, AfterEvents: 2}, harm: within},
}

// fresh makes a provider whose connections have not idled, so that one that breaks is not worth a repeat.
func fresh(p *upstream.Provider) { p.Transport.(*http.Transport).DisableKeepAlives = true }

func TestStreamFaultsInEveryFormat(t *testing.T) {
	for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic, sandbox.NextBuilder} {
		for name, test := range streamFaults {
			for mode, second := range map[string][]sandbox.Format{
				"alone": nil, "openai": {sandbox.OpenAI}, "anthropic": {sandbox.Anthropic}, "nextbuilder": {sandbox.NextBuilder},
			} {
				if test.slow && mode != "alone" && mode != "openai" {
					continue // these take their time, and the second is none of theirs
				}
				t.Run(string(format)+", "+mode+", "+name, func(t *testing.T) {
					test.at(t, append([]sandbox.Format{format}, second...), func(t *testing.T, l *ladder) { checkFault(t, l, test.harm, true) })
				})
			}
		}
	}
}

// The agents' platform streams to a client that wants JSON too: then nothing has come until all has.
func TestStreamFaultsBehindJSON(t *testing.T) {
	for name, test := range streamFaults {
		for mode, second := range map[string][]sandbox.Format{"alone": nil, "openai": {sandbox.OpenAI}} {
			t.Run(mode+", "+name, func(t *testing.T) {
				test.at(t, append([]sandbox.Format{sandbox.NextBuilder}, second...), func(t *testing.T, l *ladder) { checkFault(t, l, min(test.harm, before), false) })
			})
		}
	}
}

// checkFault makes a call, and checks what the client got and what each provider was asked.
func checkFault(t *testing.T, l *ladder, h harm, stream bool) {
	t.Helper()
	body := chatBody(prompt)
	if stream {
		body = streamBody(prompt)
	}
	got := l.post(chatPath, body)
	calls := make([]int, len(l.upstreams))
	calls[0] = 1
	o := l.outcome()
	switch {
	case h == none:
		wantWhole(t, got, stream)
	case h == within:
		wantBroken(t, got)
		if !o.Aborted || o.Code == "" {
			t.Errorf("outcome %+v", o)
		}
	case len(l.upstreams) > 1:
		wantWhole(t, got, stream)
		wantHeader(t, got, "X-Alipayai-Provider", "second")
		calls[1] = 1
	default:
		wantFailed(t, got)
	}
	if len(l.seen.attempted()) > 2 && strings.HasSuffix(l.seen.attempted()[0], "api_error") {
		calls[0] = alipayai.MaxAttempts // which a client of Anthropic's may ask again
	}
	l.wantCalls(calls...)
	for _, u := range l.upstreams {
		waitFor(t, "the provider to be let go", func() bool { return u.Stats().InFlight == 0 })
	}
}
