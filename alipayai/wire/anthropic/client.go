package anthropic

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ClientRequest is what a client of the Messages API has sent.
type ClientRequest struct {
	// Sent is the body as it came.
	Sent wire.Request
	// Sendable is Sent for a provider of Anthropic's form: without thinking that none of them has signed, texts of the assistant's
	// that say nothing and citations of another provider's search, and with other ids for tool calls of which they would refuse the id. A client has these
	// from an answer, mostly of another provider.
	Sendable wire.Request
	// Canonical is the request in OpenAI's form.
	Canonical wire.Request
	// Unsupported names, sorted, what Canonical's body does not carry: see [wire.Encoded.Unsupported].
	Unsupported []string
	// Thinks says that the client reads thinking.
	Thinks bool
	// Stops are the stop_sequences that Canonical has, as strings in JSON with commas between them.
	Stops []byte
	// User is metadata.user_id, which the canonical request may have in a shorter form.
	User string
}

// ParseClientRequest reads the body of POST /v1/messages, or with counting that of /v1/messages/count_tokens, which has no
// max_tokens. Every error is a [*wire.RequestError].
//
// What becomes of it in OpenAI's form:
//
//	system                 one system message; the texts of its blocks, with an empty line between them, but for the line that
//	                       Claude Code puts before them for Anthropic
//	text, image            text, image_url: a data: URL for base64
//	document               a text, or a file for a PDF in base64 or at a URL, which is its data then, as OpenRouter has it.
//	                       A word stands for what is left out and named
//	search_result          a text: title, source, contents
//	tool_use               tool_calls
//	tool_result            a message of role tool; "Error: " before that of an is_error. Its images are in the user's
//	                       message that follows, since OpenAI's tools give text
//	thinking               reasoning_content, which goes to vendors that want it back; redacted thinking goes nowhere
//	tools                  functions. Those that Anthropic runs, or defines by their type, are left out and named
//	tool_choice            auto, required, a function, none; disable_parallel_tool_use: parallel_tool_calls false
//	output_config.format, or the older output_format: response_format, strict where OpenAI's rules for that are kept
//	output_config.effort   reasoning_effort, but for high, which is the default
//	stop_sequences         stop, the first four
//	metadata.user_id       user, as a hash where it has more than 64 characters
//	thinking               [wire.Request.Thinking], for vendors that can be asked so; adaptive only permits it, and says nothing
//
// cache_control says nothing of the answer, and is left out without a word. So is what asks for the default.
func ParseClientRequest(body []byte, counting bool) (ClientRequest, error) {
	room := translate.Scratch()
	c := client{chat: wire.Chat{Messages: *room}}
	defer func() { translate.Release(room, c.chat.Messages) }()
	sent, err := translate.Request(body, c.field)
	if err != nil {
		return ClientRequest{}, err
	}
	c.r.Sent, c.r.Sendable = sent, sent
	switch {
	case sent.Model == "":
		return ClientRequest{}, translate.Missing("model", "a non-empty string")
	case c.chat.MaxTokens == nil && !counting:
		return ClientRequest{}, translate.Missing("max_tokens", "a whole number")
	case len(c.chat.Messages)+len(c.pairs.held.Messages) == 0:
		return ClientRequest{}, translate.Missing("messages", "a non-empty array of messages")
	}
	if c.r.Canonical, err = c.request(); err != nil {
		return ClientRequest{}, err
	}
	c.r.Canonical.HostedTools, c.r.Canonical.Thinking = c.hosted, c.thinkingOf
	if c.foreign {
		if c.r.Sendable, err = wire.ParseRequest(sendable(body), wire.Limits{}); err != nil {
			return ClientRequest{}, err
		}
	}
	c.r.Stops, c.r.Unsupported = c.stop, c.left.Names()
	return c.r, nil
}

// client is a request of a client's on its way to OpenAI's form.
type client struct {
	r    ClientRequest
	left translate.Omissions

	chat   wire.Chat
	system []byte // the characters of a JSON string
	tools  []byte // with commas between them
	choice []byte // the member that says which of them is to be called
	chosen string // the one that is
	serial bool   // one at a time
	// unoffered are the names of tools that are left out.
	unoffered []string
	// marks says that marks for the provider's cache are carried.
	marks bool

	stops int
	stop  []byte
	// hosted says that a tool is offered that the provider runs, and that may act.
	hosted bool
	// foreign says that there is what Anthropic's API refuses of an earlier answer: see Sendable.
	foreign bool
	calls   map[string]bool // the ids of tool calls, as written
	pairs   pairs
	// thinkingOf is how the model is to think.
	thinkingOf wire.Thinking
	// prefilled says that the last message is the assistant's.
	prefilled bool
}

var clientFields = [...]string{"model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "thinking"}

// field reads one member of the request.
func (c *client) field(name string, v jsontext.Value) (err error) {
	if v.Kind() == 'n' && name != "messages" {
		return nil
	}
	switch name {
	case "model":
		return translate.IsString(name, v)
	case "messages":
		return translate.Objects(name, v, c.message)
	case "system":
		c.system, err = c.systemText("system", "system", v)
	case "max_tokens":
		var most int64
		if most, err = translate.Count(name, v, 0); most == 0 {
			// Only Anthropic fills its cache without an answer (https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pre-warming-the-cache);
			// others are to give as little of one as they can.
			c.left.LeaveOut(name)
			most = 1
		}
		c.chat.MaxTokens = strconv.AppendInt(nil, most, 10)
	case "stream":
		c.chat.Stream, err = translate.Boolean(name, v)
	case "temperature", "top_p":
		_, err = translate.Number(name, v, 0, 1)
		c.chat.Member(name, v)
	case "stop_sequences":
		return translate.Array(name, v, c.stopSequence)
	case "metadata":
		return translate.Object(name, v, c.metadata)
	case "tools":
		return translate.Array(name, v, c.tool)
	case "tool_choice":
		return c.toolChoice(v)
	case "thinking":
		return c.thinking(v)
	case "output_config":
		return translate.Object(name, v, c.outputConfig)
	case "output_format":
		return c.outputFormat(name, v)
	case "mcp_servers":
		c.hosted = c.hosted || isFilled(v)
		if isFilled(v) {
			c.left.LeaveOut(name)
		}
	case "cache_control":
	default:
		for _, known := range clientFields {
			if strings.EqualFold(name, known) { // another reader may take it for that one
				return &wire.RequestError{Param: known, Code: wire.CodeUnknownParameter,
					Message: "a key differs from '" + known + "' only in case: write it in lower case, once"}
			}
		}
		c.left.Leave("", name, v)
	}
	return err
}

func isFilled(v jsontext.Value) bool {
	return v.Kind() == '[' && len(strings.TrimSpace(string(v[1:len(v)-1]))) > 0
}

// paragraph is an empty line, in a JSON string.
const paragraph = `\n\n`

// systemText gives the characters of the instructions that stand at path, of which place is the name in reports.
func (c *client) systemText(path, place string, v jsontext.Value) (text []byte, err error) {
	if v.Kind() == '"' {
		return unattributed(v), nil
	}
	err = translate.Objects(path, v, func(path string, dec *translate.Decoder) error {
		b, err := c.block(path, dec)
		switch {
		case err != nil:
			return err
		case b.kind != "text":
			c.leaveBlock(place, b.kind)
			return nil
		}
		text = appendText(text, unattributed(b.text), paragraph)
		return nil
	})
	return text, err
}

// attribution is what the line begins with that Claude Code puts before its instructions, for Anthropic to count by. It says nothing to
// a model and is another with each request, so that no cache of another vendor's finds the prompt again that stands behind it:
// https://github.com/musistudio/claude-code-router/issues/1372, https://github.com/MadAppGang/claudish/pull/167,
// https://github.com/sgl-project/sglang/pull/21064.
const attribution = "x-anthropic-billing-header:"

// unattributed gives the characters of instructions without that line.
func unattributed(text jsontext.Value) []byte {
	characters := translate.Characters(text)
	if !bytes.HasPrefix(characters, []byte(attribution)) {
		return characters
	}
	_, rest, _ := strings.Cut(translate.Unquote(text), "\n")
	return translate.Characters(translate.Quote(nil, strings.TrimLeft(rest, "\n")))
}

// appendText appends more to text, with something between where both are not empty.
func appendText(text, more []byte, between string) []byte {
	if len(text) > 0 && len(more) > 0 {
		text = append(text, between...)
	}
	return append(text, more...)
}

// maxStops is how many stop sequences OpenAI's form may have.
const maxStops = 4

func (c *client) stopSequence(path string, v jsontext.Value) error {
	if err := translate.IsString(path, v); err != nil {
		return err
	}
	if c.stops++; c.stops > maxStops {
		c.left.LeaveOut("stop_sequences")
		return nil
	}
	c.stop = translate.Join(c.stop, v)
	return nil
}

// maxUser is how many characters the name of a user may have in OpenAI's form.
const maxUser = 64

func (c *client) metadata(name string, v jsontext.Value) error {
	if name != "user_id" || v.Kind() == 'n' {
		c.left.Leave("metadata", name, v)
		return nil
	}
	user, err := translate.String("metadata.user_id", v)
	c.r.User = user
	if len(user) > maxUser {
		sum := sha256.Sum256([]byte(user))
		user = hex.EncodeToString(sum[:])
	}
	if user != "" {
		c.chat.Member("user", translate.Quote(nil, user))
	}
	return err
}

func (c *client) thinking(v jsontext.Value) error {
	return translate.Object("thinking", v, func(name string, v jsontext.Value) error {
		if name == "budget_tokens" {
			c.thinkingOf.Budget, _ = wire.TokenCount(v) // Anthropic's own models are to refuse what is none
			return nil
		}
		if name != "type" {
			return nil // how it is shown
		}
		kind, err := translate.String("thinking.type", v)
		switch {
		case err != nil:
			return err
		case kind == "adaptive":
			c.r.Thinks = true
		case kind == "disabled":
			c.thinkingOf.Type = kind
		default:
			c.r.Thinks = true
			c.thinkingOf.Type = "enabled"
			c.left.LeaveOut("thinking")
		}
		return nil
	})
}

func (c *client) outputConfig(name string, v jsontext.Value) error {
	switch name {
	case "format":
		return c.outputFormat("output_config.format", v)
	case "effort":
		switch translate.Unquote(v) {
		case "high": // the default, which says nothing of what another vendor's is
			return nil
		case "low", "medium", "xhigh", "max": // https://github.com/icebear0828/codex-proxy/pull/739, https://github.com/farion1231/cc-switch/pull/5267
			c.chat.Member("reasoning_effort", v)
			return nil
		}
	}
	c.left.Leave("output_config", name, v)
	return nil
}

// outputFormat reads the schema that the answer has to keep to.
func (c *client) outputFormat(path string, v jsontext.Value) error {
	if v.Kind() == 'n' {
		return nil
	}
	var kind string
	var schema jsontext.Value
	err := translate.Object(path, v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "schema":
			schema = v
		default:
			c.left.Leave(path, name, v)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case kind != "json_schema":
		return translate.Invalid(path+".type", "json_schema")
	case schema.Kind() != '{':
		return translate.Missing(path+".schema", "an object")
	}
	format := append([]byte(`{"type":"json_schema","json_schema":{"name":"output","schema":`), schema...)
	if isStrict(schema) {
		format = append(format, `,"strict":true`...)
	}
	c.chat.Member("response_format", append(format, "}}"...))
	return nil
}

// request writes the request in OpenAI's form.
func (c *client) request() (wire.Request, error) {
	c.endTurn()
	if c.prefilled {
		c.left.LeaveOut("messages.prefill")
	}
	c.chat.Model = c.r.Sent.Model
	if len(c.system) > 0 {
		c.chat.Lead("system", c.system)
	}
	choices := c.choices()
	return c.chat.Request(len(c.stop)+len(c.tools)+len(choices), func(dst []byte) []byte {
		if len(c.stop) > 0 {
			dst = append(append(append(dst, `,"stop":[`...), c.stop...), ']')
		}
		if len(c.tools) > 0 {
			dst = append(append(append(append(dst, `,"tools":[`...), c.tools...), ']'), choices...)
		}
		return dst
	})
}
