package anthropic

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// DefaultMaxTokens is how many tokens an answer may have, thinking aside, when the request does not say: Anthropic's API
// must be told, OpenAI's need not. No model that Anthropic still serves has a lower limit; an answer that reaches it ends
// with the finish reason "length".
const DefaultMaxTokens = 8192

// EncodeRequest implements [wire.Format].
func (f *Format) EncodeRequest(ask wire.Ask) (wire.Encoded, error) {
	ask, functions, err := translate.Tools(ask)
	if err != nil {
		return wire.Encoded{}, err
	}
	r := request{ask: ask, ids: wire.CallIDs{Form: toolUseID}}
	if err := translate.Members(ask.Body, r.field); err != nil {
		return wire.Encoded{}, translate.RequestError(err)
	}
	if r.turns.role == "" && len(r.system) > 0 {
		// OpenAI's API takes instructions alone, and this one wants a user's turn: https://github.com/grafana/grafana-llm-app/issues/625,
		// https://github.com/BerriAI/litellm/pull/3019. There are no other words.
		r.turns.add("user", r.system)
		r.system = nil
		r.left.LeaveOut("messages.role")
	}
	if r.turns.role == "" {
		return wire.Encoded{}, translate.Invalid("messages", "a message of role user or assistant that has content")
	}
	r.settle()
	return wire.Encoded{Body: r.body(), Unsupported: r.left.Names(), ToolNames: r.names, Functions: functions}, nil
}

// request is an OpenAI request on its way to Anthropic's form.
type request struct {
	ask  wire.Ask
	left translate.Omissions

	system []byte // the text blocks, with commas between them
	turns  turns
	// offered are the tools as they are read, and tools those that are sent, with commas between them.
	offered []offered
	named   map[string]bool // the names of offered
	tools   []byte
	choice  choice
	format  jsontext.Value // the schema of the answer
	asked   jsontext.Value // the schema that the model is asked to keep to, which the API does not hold it to
	// grammar is what the schemas use that the API is to hold the model to.
	grammar grammar

	maxTokens, maxCompletionTokens int64
	most                           int64          // that the model gives; 0 where that is not known
	effort                         string         // how much the model is to do; empty: not said
	temperature, topP              jsontext.Value // as written; nil: the default
	stop                           []byte         // the sequences, with commas between them
	user, safetyIdentifier         string
	thinking                       thinking
	reasoning                      reasoning
	toolCalls                      bool // the conversation has some
	ids                            wire.CallIDs
	called                         []string // the ids of a message's calls, as they are sent
	names                          wire.ToolNames
	// cached is how many blocks are marked for the cache.
	cached int
	// dropped are the ids of tool calls that were left out: so must be their results.
	dropped map[string]bool
}

// field reads one member of the request.
func (r *request) field(name string, v jsontext.Value) (err error) {
	if v.Kind() == 'n' {
		return nil
	}
	switch name {
	case "model", "stream": // in r.ask
	case "messages":
		return translate.Array(name, v, r.message)
	case "tools":
		return translate.Array(name, v, r.tool)
	case "tool_choice":
		return r.toolChoice(v)
	case "parallel_tool_calls":
		parallel, err := translate.Boolean(name, v)
		r.choice.oneAtATime = !parallel
		return err
	case "response_format":
		return r.responseFormat(v)
	case "max_tokens":
		r.maxTokens, err = translate.Count(name, v, 1)
	case "max_completion_tokens":
		r.maxCompletionTokens, err = translate.Count(name, v, 1)
	case "temperature":
		return r.readTemperature(v)
	case "top_p":
		p, err := translate.Number(name, v, 0, 1)
		if p < 1 {
			r.topP = v
		}
		return err
	case "stop":
		return r.stopSequences(v)
	case "user":
		r.user, err = translate.String(name, v)
	case "safety_identifier":
		r.safetyIdentifier, err = translate.String(name, v)
	case "stream_options":
		return translate.Object(name, v, func(option string, v jsontext.Value) error {
			if option != "include_usage" { // in r.ask
				r.left.Leave(name, option, v)
			}
			return nil
		})
	case "thinking":
		return r.readThinking(v)
	case "reasoning":
		return r.readReasoning(v)
	case "reasoning_effort":
		if r.effort = translate.Unquote(v); r.effort == "" {
			r.left.Leave("", name, v)
		}
	default:
		r.left.Leave("", name, v)
	}
	return err
}

// readTemperature caps a temperature at 1, as Anthropic's own OpenAI compatibility does.
func (r *request) readTemperature(v jsontext.Value) error {
	t, err := translate.Number("temperature", v, 0, 2)
	switch {
	case t > 1:
		r.left.LeaveOut("temperature")
	case t < 1:
		r.temperature = v
	}
	return err
}

func (r *request) stopSequences(v jsontext.Value) error {
	if v.Kind() == '"' {
		return r.stopSequence("stop", v)
	}
	if v.Kind() != '[' {
		return translate.WrongType("stop", "a string or an array of strings")
	}
	return translate.Array("stop", v, r.stopSequence)
}

func (r *request) stopSequence(path string, v jsontext.Value) error {
	sequence, err := translate.String(path, v)
	switch {
	case err != nil || sequence == "":
	case strings.TrimSpace(sequence) == "":
		r.left.LeaveOut("stop")
	default:
		r.stop = translate.Join(r.stop, v)
	}
	return err
}

// settle decides what cannot be decided field by field.
func (r *request) settle() {
	r.settleTools()
	r.settleReasoning()
	r.settleModel()
	r.settleThinking()
	if r.temperature != nil && r.topP != nil {
		r.topP = nil
		r.left.LeaveOut("top_p")
	}
	if r.safetyIdentifier != "" && r.user != "" && r.user != r.safetyIdentifier {
		r.left.LeaveOut("user")
	}
	if r.format != nil && r.turns.role == "assistant" {
		// The answer would go on from the model's own words, which the API does not do to a schema.
		r.asked, r.format = r.format, nil
		r.left.LeaveOut("response_format")
	}
	if r.asked != nil {
		r.system = translate.Join(r.system, askForJSON(r.asked))
	}
	if len(r.tools) == 0 && r.choice.demands() {
		r.left.LeaveOut("tool_choice")
	}
}

// body writes the request in Anthropic's form.
func (r *request) body() []byte {
	b := make([]byte, 0, len(r.ask.Body)+len(r.ask.UpstreamModel)+256)
	b = append(b, `{"model":`...)
	b = translate.Quote(b, r.ask.UpstreamModel)
	b = append(b, `,"max_tokens":`...)
	b = strconv.AppendInt(b, r.limit(), 10)
	if len(r.system) > 0 {
		b = append(append(append(b, `,"system":[`...), r.system...), ']')
	}
	b = append(append(append(b, `,"messages":[`...), r.turns.close()...), ']')
	if len(r.tools) > 0 {
		b = append(append(append(b, `,"tools":[`...), r.tools...), ']')
		b = r.choice.append(b)
	}
	b = r.outputConfig(b)
	if r.temperature != nil {
		b = append(append(b, `,"temperature":`...), r.temperature...)
	}
	if r.topP != nil {
		b = append(append(b, `,"top_p":`...), r.topP...)
	}
	if len(r.stop) > 0 {
		b = append(append(append(b, `,"stop_sequences":[`...), r.stop...), ']')
	}
	if id := r.userID(); id != "" {
		b = append(append(append(b, `,"metadata":{"user_id":"`...), id...), `"}`...)
	}
	b = r.thinking.append(b)
	if r.ask.Stream {
		b = append(b, `,"stream":true`...)
	}
	return append(b, '}')
}

// outputConfig writes what the answer has to keep to, and how much the model is to do for it.
func (r *request) outputConfig(b []byte) []byte {
	var w memberWriter
	if r.format != nil {
		w.member("format", slices.Concat([]byte(`{"type":"json_schema","schema":`), r.format, []byte("}")))
	}
	if r.effort != "" {
		w.member("effort", translate.Quote(nil, r.effort))
	}
	if len(w.text) == 0 {
		return b
	}
	return append(append(b, `,"output_config":`...), w.close()...)
}

// limit is how many tokens the answer may have. The budget for thinking is a part of it at Anthropic.
func (r *request) limit() int64 {
	limit := int64(DefaultMaxTokens)
	switch {
	case r.maxCompletionTokens > 0:
		return r.maxCompletionTokens
	case r.maxTokens > 0:
		return r.maxTokens
	case r.thinking.typ == "enabled" && r.thinking.budget < 1<<32:
		limit += r.thinking.budget
	}
	if r.most > 0 {
		return min(limit, r.most)
	}
	return limit
}

// userID tells users apart without saying who they are, as Anthropic asks for: the same id of two tenants is two users.
func (r *request) userID() string {
	user := r.safetyIdentifier
	if user == "" {
		user = r.user
	}
	if user == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{"anthropic metadata.user_id", r.ask.Tenant, user} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}
