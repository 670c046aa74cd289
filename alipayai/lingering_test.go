package alipayai_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// lingering streams events, and then one again and again that only keeps the connection alive.
func lingering(alive string, events ...string) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := streams(silent, events...)(req)
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(resp.Body, int64(len("data: \n\n")*len(events)+len(strings.Join(events, "")))), &keepingAlive{req.Context(), alive}), resp.Body}
		return resp, err
	}
}

type keepingAlive struct {
	ctx   context.Context
	event string
}

func (k *keepingAlive) Read(b []byte) (int, error) {
	select {
	case <-time.After(5 * time.Second):
		return copy(b, k.event), nil
	case <-k.ctx.Done():
		return 0, k.ctx.Err()
	}
}

// TestAnswersWhoseEndIsForgotten has streams that are whole but for their end, and go on without it: in silence, or with what keeps the
// connection alive. A client has its answer by the time that a stream may be silent, and has no error behind it. What has no finish
// reason is cut.
func TestAnswersWhoseEndIsForgotten(t *testing.T) {
	const (
		ping  = "event: ping\ndata: {\"type\":\"ping\"}\n\n"
		usage = `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}`
		live  = `{"stream":true,"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello"}]}`
	)
	message := []string{
		`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":6,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}`,
		`{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}`,
	}
	two := `{"choices":[{"index":1,"delta":{"content":"x"}}]}`
	stops := strings.Replace(deltaEvent, "}]", `,"finish_reason":"stop"}]`, 1) // with each piece
	for name, test := range map[string]struct {
		path   string
		claude bool
		events []string
		alive  string // silent where it is empty
		ends   string // of what the client gets; cut where it is empty
		known  bool   // what it costs
	}{
		"https://github.com/tombii/better-ccflare/pull/307": {"/v1/messages", true, message, ping, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true},
		"for chat completions":                              {chatPath, true, message, ping, "data: [DONE]\n\n", true},
		"in silence":                                        {"/v1/messages", true, message, "", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true},
		"no reason to stop":                                 {"/v1/messages", true, message[:4], "", "", false},
		"a chat, with comments":                             {chatPath, false, []string{deltaEvent, finishEvent}, ": PROCESSING\n\n", "data: [DONE]\n\n", false},
		"a chat, with usage":                                {chatPath, false, []string{deltaEvent, finishEvent, usage}, ": PROCESSING\n\n", "data: [DONE]\n\n", true},
		"a chat, with empty data":                           {chatPath, false, []string{deltaEvent, finishEvent}, "data: \n\n", "data: [DONE]\n\n", false},
		"a chat, in silence":                                {chatPath, false, []string{deltaEvent, finishEvent}, "", "data: [DONE]\n\n", false},
		"a chat that says nothing":                          {chatPath, false, []string{deltaEvent}, "", "", false},
		"one of two choices":                                {chatPath, false, []string{two, deltaEvent, finishEvent}, "", "", false},
		"https://github.com/MartialBE/one-hub/issues/402":   {chatPath, false, []string{stops, stops, stops}, "", "", false},
		"https://github.com/0xPlaygrounds/rig/pull/2328":    {chatPath, false, []string{finishEvent, deltaEvent}, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				answer := streams(silent, test.events...)
				if test.alive != "" {
					answer = lingering(test.alive, test.events...)
				}
				l := new(lines)
				s := perform(t, [][]turn{{answer}}, func(g *alipayai.Gateway) {
					if test.claude {
						g.Providers[0] = claudeProviderOver(t, g.Providers[0])
					}
				}, first(anyModel), filePrices(t, l, `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"max_output_tokens":1000`))
				begun := time.Now()
				got := s.callAt(t.Context(), test.path, live)
				if whole := got.err == nil && strings.HasSuffix(got.body, test.ends) && !strings.Contains(got.body, `"error"`); whole != (test.ends != "") {
					t.Errorf("%v: %s", got.err, got.body)
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("it took %s", took)
				}
				if all := l.taken(); len(all) != 1 || (all[0].Outcome == ledger.Known) != test.known {
					t.Errorf("%+v", all)
				}
			})
		})
	}
}

// inPieces gives one piece with each reading.
type inPieces []string

func (p *inPieces) Read(b []byte) (n int, err error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n, *p = copy(b, (*p)[0]), (*p)[1:]
	return n, nil
}

// A client that takes its time to read what keeps the connection alive gets what comes behind it.
func TestSlowClientsEndNothing(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const usage = `"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}`
		s := perform(t, [][]turn{{func(req *http.Request) (*http.Response, error) {
			resp, err := wholeStream(req)
			resp.Body = io.NopCloser(&inPieces{
				"data: " + deltaEvent + "\n\n", "data: " + finishEvent + "\n\n", ": PROCESSING\n\n", ": PROCESSING\n\n", "data: {" + usage + "\n\n", "data: [DONE]\n\n",
			})
			return resp, err
		}}})
		s.slowly(alipayai.ClientTimeout - 2*time.Second)
		if got := s.call(with(streamBody("hello"), `"stream_options":{"include_usage":true}`)); !strings.HasSuffix(got.body, usage+"\n\ndata: [DONE]\n\n") {
			t.Errorf("%s", got.body)
		}
	})
}
