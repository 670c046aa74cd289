package alipayai_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// spokenFormats are the formats by name: how one begins an answer, and how it ends one and reports a failure.
var spokenFormats = map[string]struct {
	format      wire.Format
	begun       string
	end, failed string
}{
	"openai": {
		nil,
		"data: " + deltaEvent + "\n\n",
		"data: [DONE]\n\n",
		"data: {\"error\":{\"code\":\"SYSTEM_ERROR\"}}\n\n",
	},
	"anthropic": {
		new(anthropic.Format),
		"data: {\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n" +
			"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
			"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hel\"}}\n\n" +
			"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
		"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"why\"}}\n\n",
	},
	"nextbuilder": {
		nextbuilder.Format{AgentID: "agent"},
		"data: {\"type\":\"text\",\"payload\":\"{\\\"text\\\":\\\"hel\\\"}\"}\n\n",
		"event: end\ndata: {\"type\":\"end\"}\n\n",
		"data: {\"type\":\"error\",\"payload\":\"{\\\"errorCode\\\":\\\"SYSTEM_ERROR\\\"}\"}\n\n",
	},
}

// speaking gives a gateway before one provider of the format, whose streams are body.
func speaking(t *testing.T, format wire.Format, body string) *scripted {
	t.Helper()
	stream := says(http.StatusOK, body, "Content-Type", "text/event-stream")
	return perform(t, [][]turn{{stream}}, first(func(p *upstream.Provider) {
		if p.Format = format; format != nil {
			p.Profile.Format = format.Name()
		}
	}))
}

// A stream is complete where its own format says so. Another format's end, named or not, is none: the answer is cut.
func TestStreamEndsByItsOwnFormat(t *testing.T) {
	for name, own := range spokenFormats {
		for of, other := range spokenFormats {
			t.Run(name+" ends as "+of, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := speaking(t, own.format, own.begun+other.end)
					got := s.call(streamBody("hello"))
					spoken, o := got.listen(t), s.outcome()
					if complete := name == of; spoken.done != complete || (spoken.failed == "") != complete || (got.err == nil) != complete || o.Aborted == complete {
						t.Errorf("answered %+v, ends with %v, outcome %+v:\n%s", spoken, got.err, o, got.body)
					}
				})
			})
		}
	}
}

// A failure is one in whatever format's shape it comes, before the first content and after it.
func TestStreamFailsInEveryFormat(t *testing.T) {
	for name, own := range spokenFormats {
		for of, other := range spokenFormats {
			t.Run(name+" fails as "+of, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					want := map[bool]string{true: "api_error", false: "SYSTEM_ERROR"}[of == "anthropic"]
					s := speaking(t, own.format, own.begun+other.failed+own.end)
					got := s.call(streamBody("hello"))
					if spoken, o := got.listen(t), s.outcome(); spoken.done || spoken.failed != want || got.err == nil || !o.Aborted || o.Code != want {
						t.Errorf("after content: answered %+v, ends with %v, outcome %+v:\n%s", spoken, got.err, o, got.body)
					}
					s = speaking(t, own.format, other.failed+own.begun+own.end)
					got = s.call(streamBody("hello"))
					if o := s.outcome(); got.status == http.StatusOK || o.Code != want {
						t.Errorf("before content: %d, outcome %+v: %s", got.status, o, got.body)
					}
				})
			})
		}
	}
}

// unterminated is a stream whose last event lacks its blank line.
func unterminated(events ...string) turn {
	return says(200, strings.TrimSuffix("data: "+strings.Join(events, "\n\ndata: "), "\n"), "Content-Type", "text/event-stream")
}

// TestStreamsWithoutDone ends streams cleanly after their finish reasons.
func TestStreamsWithoutDone(t *testing.T) {
	const usage = `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	two := func(index int, finish string) string {
		return `{"choices":[{"index":` + strconv.Itoa(index) + `,"delta":{"content":"x"},"finish_reason":` + finish + `}]}`
	}
	for name, test := range map[string]struct {
		turn  turn
		whole bool
	}{
		"finished":               {streams(nil, deltaEvent, finishEvent), true},
		"with usage":             {streams(nil, deltaEvent, finishEvent, usage), true},
		"two choices":            {streams(nil, two(0, "null"), two(1, `"stop"`), two(0, `"stop"`)), true},
		"one of two":             {streams(nil, two(0, "null"), two(1, `"stop"`)), false},
		"no finish":              {streams(nil, deltaEvent, deltaEvent), false},
		"connection breaks":      {streams(breaksOff, deltaEvent, finishEvent), false},
		"no blank line at last":  {unterminated(deltaEvent, finishEvent), true},
		"an event that is cut":   {unterminated(deltaEvent, finishEvent[:20]), false},
		"cut after the finish":   {unterminated(deltaEvent, finishEvent, usage[:20]), false},
		"DONE without its blank": {unterminated(deltaEvent, finishEvent, "[DONE]"), true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, good}}, claiming)
				got := s.call(streamBody("hello"), "Idempotency-Key", "k")
				if whole := got.err == nil && strings.HasSuffix(got.body, "data: [DONE]\n\n") && strings.Count(got.body, "[DONE]") == 1; whole != test.whole {
					t.Errorf("whole: %t, %v: %s", whole, got.err, got.body)
				}
				again := s.call(streamBody("hello"), "Idempotency-Key", "k")
				if replayed := again.header.Get("Idempotent-Replayed") != ""; replayed != test.whole || replayed && again.body != got.body {
					t.Errorf("replayed: %t, %s", replayed, again.body)
				}
			})
		})
	}
}
