package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// prompt is what a chat says, and maxTokens the longest answer to it.
const (
	prompt    = "Say OK."
	maxTokens = 16
	maxEvent  = 1 << 20
)

// chat makes the step on one streamed chat.
func (c *check) chat(models *exchange) Step {
	s := Step{Name: stepChat, Status: Skipped}
	switch {
	case !c.options.Chat:
		s.Advice = "--chat permits one, which costs the smallest charge"
		return s
	case models != nil && models.verdict != good && models.verdict != notFound: // an API may have no list
		s.Advice = "the models have to be listed first"
		return s
	case c.provider.Profile.Kind().SignsParameters:
		s.Advice = "profile " + c.provider.Profile.Name + " has no chat"
		return s
	}
	name := c.model(models)
	if name == "" {
		s.Status, s.Advice = Fail, "no model is known: name one with --model"
		return s
	}
	ask, err := c.askOf(name)
	if err == nil {
		s.Sent = fmt.Sprintf("model %s, a prompt of %d characters, max_tokens %d, streamed", ask.UpstreamModel, len(prompt), maxTokens)
		var encoded wire.Encoded
		if encoded, err = c.provider.Format.EncodeRequest(ask); err == nil {
			x := c.searchChat(&request{endpoint: upstream.EndpointChat, body: encoded.Body, stream: true})
			s.Options = c.optionsOf(stepChat)
			c.judgeChat(&s, x)
			return s
		}
	}
	s.Status, s.Advice = Fail, "the chat cannot be put into the provider's form: "+err.Error()
	return s
}

// maxChats is how many chats a check asks for at most. Those that are refused cost nothing, and one that is answered is the last.
const maxChats = 8

// searchChat asks for a chat, also with what may have to be around it. How its stream reads is found in what has come of it.
func (c *check) searchChat(r *request) *exchange {
	x := c.ask(c.provider, r)
	for i, o := range requestOptions(x) {
		if x.answer == nil || x.verdict != refused || c.provider.RequestFields != nil || i+1 >= maxChats {
			break
		}
		p := c.try(o)
		if p == nil {
			continue
		}
		if after := c.ask(p, r); after.verdict == good {
			c.keep(o, p)
			x = after
		}
	}
	if x.verdict != good || x.stream.ended || x.stream.reason == "" {
		return x
	}
	fields, read, ok := streamNames(c.provider, x)
	if !ok {
		return x
	}
	o := answerOption(fields)
	o.step = stepChat
	if p := c.try(o); p != nil {
		c.keep(o, p)
		read.first = x.stream.first
		x.stream = read
	}
	return x
}

// model is the client's name of the model to ask; empty where none is known.
func (c *check) model(models *exchange) string {
	p := c.provider
	switch {
	case c.options.Model != "":
		return c.options.Model
	case len(p.Models) > 0:
		return p.Models[0]
	case p.Model != "":
		return p.Model
	case models != nil && len(models.models) > 0:
		return models.models[0]
	}
	return ""
}

// askOf makes the chat.
func (c *check) askOf(model string) (wire.Ask, error) {
	body, err := json.Marshal(map[string]any{
		"model": model, "stream": true, "max_tokens": maxTokens,
		"messages": []map[string]string{{"role": "user", "content": prompt}},
	})
	if err != nil {
		return wire.Ask{}, err
	}
	request, err := wire.ParseChatRequest(body, wire.Limits{})
	return wire.Ask{Request: request, UpstreamModel: c.provider.UpstreamModel(model), ID: "check", Tenant: tenant}, err
}

// judgeChat says what came of the chat.
func (c *check) judgeChat(s *Step, x *exchange) {
	s.Received = x.received()
	switch {
	case x.verdict == good && x.stream.ended:
		s.Status = OK
		s.Received = fmt.Sprintf("%d %s, a stream of %s, first content after %v, ended as it should",
			x.answer.StatusCode, x.answer.Proto, count(x.stream.events, "event"), x.stream.first.Round(time.Millisecond))
	case x.verdict == good && x.stream.reason == "":
		s.Status, s.Received = Warn, fmt.Sprintf("%d %s, a whole answer", x.answer.StatusCode, x.answer.Proto)
		s.Advice = "the upstream does not stream: clients get its answers as one event"
	case x.verdict == good:
		s.Status = Fail
		s.Received = fmt.Sprintf("%d %s, a stream of %s: %s", x.answer.StatusCode, x.answer.Proto, count(x.stream.events, "event"), x.stream.reason)
		s.Advice = "the stream is not in the provider's format, or was cut: check profile and stream_timeout"
	case x.missingField() != "":
		name := x.missingField()
		s.Status, s.Advice = Fail, "the upstream wants "+name+", which the request has not: say what it is"
		s.Suspects = []string{"request {\n\tfield " + name + " <text>\n}"}
	default:
		s.Status = Fail
		s.Advice = "this is about the chat itself: its path, or the model"
		s.Suspects = []string{"path chat <path>", "model <to>"}
	}
}

// streamed is what came of a stream.
type streamed struct {
	events int
	first  time.Duration // until the first content
	ended  bool
	reason string
}

// readStream reads a stream to its end, and keeps what has come of it.
func (c *check) readStream(p *upstream.Provider, sent *upstream.Exchange, x *exchange) {
	sent.AwaitContent()
	var come bytes.Buffer
	body := io.TeeReader(io.LimitReader(sent.Response.Body, maxAnswer), &come)
	x.stream = readEvents(p.AnswerForm, p.Format, body, func() { sent.Watch.Arm(p.StreamTimeout, failure.ErrNoEvent) }, func() time.Duration {
		return c.options.Now().Sub(x.sentAt)
	})
	if !x.stream.ended && x.stream.reason != "" {
		_, _ = io.Copy(io.Discard, body) // how it ends says how it reads
	}
	x.body = come.Bytes()
}

// readEvents reads a stream to its end. came is called for each event, and since says when it came.
func readEvents(form *wire.AnswerForm, format wire.Format, from io.Reader, came func(), since func() time.Duration) (s streamed) {
	events := wire.NewEventReader(from, maxEvent)
	defer events.Release()
	if form.Values() && events.Begins() == wire.BeginsJSON {
		events.ReadValues()
	}
	ask := wire.Ask{ID: "check", Tenant: tenant}
	decoder := form.Decoder(format.DecodeStream(ask), ask)
	for {
		event, err := events.Next()
		if err != nil {
			s.reason = "it ended without saying so"
			if !errors.Is(err, io.EOF) {
				s.reason = failure.ReasonOf(err).Error()
			}
			return s
		}
		came()
		_, chunk, err := decoder.Decode(nil, event)
		switch {
		case err != nil:
			s.reason = "an event is not in the format " + format.Name()
			return s
		case chunk.Failure != nil:
			s.reason = "the failure " + chunk.Failure.Code + ": " + chunk.Failure.Message
			return s
		}
		if len(event.Data) > 0 {
			s.events++
		}
		if chunk.Content && s.first == 0 {
			s.first = since()
		}
		if chunk.Done {
			s.ended = true
			return s
		}
	}
}
