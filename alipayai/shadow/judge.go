package shadow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Aspect is in what two answers may differ.
type Aspect string

// The aspects.
const (
	// Blocked: a compliance decision has blocked one of them, or filtered its answer.
	Blocked Aspect = "blocked"
	// Failure: one has failed, or both in different classes.
	Failure Aspect = "failure"
	// Finish: the answers have different finish reasons.
	Finish Aspect = "finish"
	// ToolCalls: a client could not carry out the tool calls of one.
	ToolCalls Aspect = "tool_calls"
	// Length: one is more than twice as long.
	Length Aspect = "length"
	// Latency: one took more than twice as long to the first content.
	Latency Aspect = "latency"
)

// Judged are the aspects that answers of equal providers hardly differ in.
var Judged = [...]Aspect{Blocked, Failure, Finish, ToolCalls}

// Side is a provider of a pair.
type Side string

// The sides.
const (
	Neither  Side = "neither"
	Real     Side = "real"
	OfShadow Side = "shadow"
)

// Difference is one between two answers. Worse is the side that a client would not have liked to see.
type Difference struct {
	Aspect Aspect
	Worse  Side
}

// Below these differences neither length nor latency is compared.
const (
	minLength  = 200 // bytes
	minLatency = 250 * time.Millisecond
)

// answer is what one provider has done.
type answer struct {
	blocked bool
	failed  failure.Class
	// read says that what follows is known.
	read   bool
	finish string
	// called says that there are tool calls, and fault what is wrong with one.
	called  bool
	fault   toolcheck.Fault
	length  int // of what was said, in bytes
	latency time.Duration
}

// kind is whether it has answered.
func (a *answer) kind() string {
	switch {
	case a.blocked:
		return "blocked"
	case a.failed != "":
		return "failed"
	}
	return "answered"
}

// judge makes sense of what was seen of a call, whose request has that body.
func judge(seen *alipayai.Seen, request []byte, tools *toolcheck.Checker) (a answer) {
	a.latency = seen.FirstContent
	switch {
	case seen.Failed == failure.Blocked:
		a.blocked = true
		return a
	case seen.Failed != "":
		a.failed = seen.Failed
		return a
	case seen.Answer == nil:
		return a
	}
	var said said
	var calls []toolcheck.Call
	if seen.Streamed {
		var collected toolcheck.Collector
		collected.Add(seen.Answer)
		calls = collected.Calls()
		a.read = said.events(seen.Answer)
	} else {
		calls = toolcheck.CallsOf(seen.Answer)
		a.read = said.add(seen.Answer)
	}
	switch class, broken := failure.FinishClass(said.finish); {
	case class == failure.Blocked || strings.EqualFold(said.finish, "content_filter"):
		a.blocked = true
	case broken:
		a.failed = class
	}
	a.finish, a.length = strings.ToLower(said.finish), said.length
	if a.called = len(calls) > 0; a.called {
		a.fault = tools.Judge(request, calls)
	}
	return a
}

// said is what an answer in OpenAI's form says.
type said struct {
	finish string
	length int
}

// add reads a whole answer, or the data of an event, and reports whether it could.
func (s *said) add(data []byte) bool {
	type text struct{ Content, Refusal json.RawMessage }
	var part struct {
		Choices []struct {
			FinishReason   string `json:"finish_reason"`
			Message, Delta text
			Text           json.RawMessage
		}
	}
	if json.Unmarshal(data, &part) != nil {
		return false
	}
	for _, c := range part.Choices {
		s.finish = cmp.Or(c.FinishReason, s.finish)
		for _, text := range []json.RawMessage{c.Message.Content, c.Message.Refusal, c.Delta.Content, c.Delta.Refusal, c.Text} {
			if len(text) > 2 && string(text) != "null" {
				s.length += len(text) - 2 // its quotes
			}
		}
	}
	return true
}

// events reads a stream.
func (s *said) events(stream []byte) bool {
	events := wire.EventsIn(stream)
	defer events.Release()
	for {
		event, err := events.Next()
		if err != nil {
			return true // those of the end
		}
		if len(event.Data) > 0 && !bytes.HasPrefix(event.Data, []byte("[DONE]")) && !s.add(event.Data) {
			return false
		}
	}
}

// compare says in what two providers differ, and which of the aspects could be compared.
func compare(theReal, theShadow *answer) (compared []Aspect, differences []Difference) {
	add := func(aspect Aspect, differs bool, worse Side) {
		compared = append(compared, aspect)
		if differs {
			differences = append(differences, Difference{aspect, worse})
		}
	}
	worse := func(a, b bool) Side {
		switch {
		case a == b:
			return Neither
		case a:
			return Real
		}
		return OfShadow
	}
	switch one, other := theReal.kind(), theShadow.kind(); {
	case one == "failed" || other == "failed":
		add(Failure, theReal.failed != theShadow.failed, worse(one == "failed" && other == "answered", other == "failed" && one == "answered"))
		return compared, differences
	case one == "blocked" || other == "blocked":
		add(Failure, false, Neither)
		add(Blocked, one != other, worse(one == "blocked", other == "blocked"))
		return compared, differences
	}
	add(Failure, false, Neither)
	add(Blocked, false, Neither)
	if theReal.read && theShadow.read {
		add(Finish, theReal.finish != theShadow.finish, Neither)
		if theReal.called || theShadow.called {
			bad, worseCalls := theReal.fault != toolcheck.None, theShadow.fault != toolcheck.None
			add(ToolCalls, bad != worseCalls, worse(bad, worseCalls))
		}
		a, b := theReal.length, theShadow.length
		add(Length, max(a, b) > 2*min(a, b) && max(a, b)-min(a, b) > minLength, Neither)
	}
	if a, b := theReal.latency, theShadow.latency; a > 0 && b > 0 {
		add(Latency, max(a, b) > 2*min(a, b) && max(a, b)-min(a, b) > minLatency, worse(a > b, b > a))
	}
	return compared, differences
}
