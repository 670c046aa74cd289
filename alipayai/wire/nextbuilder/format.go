package nextbuilder

import (
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Path is where the agent API is, on the hosts of Alipay Open Platform v3.
const Path = "/v3/stream/alipay/cloud/nextbuilder/agent/chat/generate"

// Format is the form of the agent API. Its answers are server-sent events, whatever the client asked for.
type Format struct {
	// AgentID names the agent that answers.
	AgentID string
	// ConfigVersion pins a published configuration of the agent; empty: the latest.
	ConfigVersion string
	// Thinking asks for the agent's chain of thought, which clients get as reasoning_content.
	Thinking bool
	// Now is the time that answers carry; time.Now when nil.
	Now func() time.Time
}

// Name implements [wire.Format].
func (f Format) Name() string { return wire.NextBuilder }

// DecodeStream gives the reader of one streamed answer.
func (f Format) DecodeStream(ask wire.Ask) wire.StreamDecoder {
	return &decoder{head: f.head(ask), includeUsage: ask.IncludeUsage}
}

func (f Format) head(ask wire.Ask) head {
	now := f.Now
	if now == nil {
		now = time.Now
	}
	model := ask.UpstreamModel
	if model == "" {
		model = ask.Model
	}
	return head{id: "chatcmpl-" + ask.ID, model: model, created: now().Unix()}
}

// Interface guards
var (
	_ wire.Format        = Format{}
	_ wire.StreamDecoder = (*decoder)(nil)
)
