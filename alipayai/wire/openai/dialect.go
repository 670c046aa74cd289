package openai

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Dialect is what a vendor of OpenAI's form takes or wants otherwise than OpenAI's chat completions API. It is data: the
// editor knows no vendor.
type Dialect struct {
	// Name is what configurations call it.
	Name string
	// Rules say by path what becomes of a request's members. A path is as in [wire.Encoded.Unsupported]: names joined by
	// dots, with an array's elements under the array's own path.
	Rules map[string]Rule
	// Fields are the members that a request may have; nil: any. Others are left out.
	Fields []string
	// Members are those that a message may have, by its role; nil: any. Others are left out.
	Members map[string][]string
	// Closed are the members that other objects of a request may have, by their path; others are left out. Below
	// messages.content, a part's type follows a colon: "messages.content:text".
	Closed map[string][]string
	// NoNulls says that a member that is null is refused. At the top of a request it is left out.
	NoNulls bool
	// Functions says that tools are functions only, each with parameters. Other tools, and the choice of one, are left out.
	Functions bool
	// NoFunctions says that the form before tools is not known: its functions and function_call become tools and tool_calls.
	NoFunctions bool
	// Schema is the form of the parameters of functions; nil: any.
	Schema SchemaForm
	// Pattern reports whether schemas may have a regular expression; nil: any. Others move to the description of what they limit.
	Pattern func(pattern string) bool
	// Parts are the types of content that a message may have; nil: any. Of others, a word says that they were left out.
	Parts []string
	// Files is how parts of type file are taken; nil: none is, but for the texts in them.
	Files Files
	// ToolTexts says that a tool's result may have texts only: what else it has is shown by the user, behind the results.
	ToolTexts bool
	// CallID gives the id of a tool call in the form that is taken; nil: any is.
	CallID func(id string) string
	// Arguments says that the arguments of a call in the history must be a JSON object. Models that max_tokens cut leave
	// others.
	Arguments bool
	// SystemFirst says that system messages must come before all others. Later ones become the user's.
	SystemFirst bool
	// NoEmpty says that an assistant's message must have content or calls. One without, which a model leaves that
	// max_tokens cut while it thought, is left out, and so are parts that are texts of nothing.
	NoEmpty bool
	// Partial says that one with partial: true is to be gone on with, and no earlier answer, whatever it says so far.
	Partial bool
	// Answered says that a tool's result may not be followed by the user. An assistant's word comes between.
	Answered bool
	// ToolName is what is taken as a tool's name; nil: any. Tools get other names, which answers have as well: see
	// [wire.Encoded].
	ToolName *wire.ToolName
	// ToolChoices are the words that tool_choice may be, with "function" for the choice of one by its name; nil: any. Others
	// are left out, and where "none" is one of them the tools with it.
	ToolChoices []string
	// FreeThinker says that a model that thinks cannot be made to call a tool.
	FreeThinker bool
	// JSONWord says that a json_object is refused where no message speaks of JSON. A system message does then.
	JSONWord bool
	// Prefix says that a last message of the assistant's must have prefix: true.
	Prefix bool
	// ObjectsOnly says that response_format knows no schema. It becomes json_object, and the schema a system message.
	ObjectsOnly bool
	// Reasoning says that reasoning_content must be handed back where the model thinks and has tools, and be left out
	// elsewhere.
	Reasoning bool
	// Thinking gives the member, as written, by which the vendor is asked to think, or not to; nil where it has none.
	Thinking func(wire.Thinking) string
	// CacheKey says that prompt_cache_key is taken.
	CacheKey bool
	// StreamedThinking says that enable_thinking goes with streams only.
	StreamedThinking bool
	// Signature is the JSON of a member that the first tool call of an answer must have, where it has none of that name:
	// the vendor's word for a call that it did not sign itself.
	Signature *Signature
	// Models are what some of the vendor's models take otherwise than its others.
	Models []ModelRules
	// Foreign are the members of an earlier answer's message that mean nothing here or are refused, by their paths below
	// messages. They are left out also where the client chose the provider: see [Dialect.ofAnswers].
	Foreign []string

	// plain says that it takes what is [wire.Request.Plain] as it is.
	plain bool
	// answers is what of it holds for earlier answers wherever they go; nil for nothing.
	answers *Dialect
}

// SchemaForm is how a vendor takes schemas: [translate.ObjectSchema] or [translate.TypedSchema].
type SchemaForm interface {
	// Fit gives the schema that stands at path as the vendor takes it, and the names of what was left out of it.
	Fit(path string, schema jsontext.Value) (fitted jsontext.Value, left []string, err error)
}

// Signature is a member of a tool call.
type Signature struct{ Name, Value string }

// ofAnswers is what of the dialect holds for the answers in a request's history, and the ids of their calls, also where the
// client chose the provider: what the vendor is known to refuse. The client did not choose who gave them, since another
// provider may have when this one had failed. nil for nothing.
func (d *Dialect) ofAnswers() *Dialect {
	members := d.Members["assistant"]
	if d.CallID == nil && !d.Arguments && !d.NoEmpty && !d.Reasoning && members == nil && d.Foreign == nil && d.Signature == nil {
		return nil
	}
	a := &Dialect{
		Name: d.Name, CallID: d.CallID, Arguments: d.Arguments, NoEmpty: d.NoEmpty, Partial: d.Partial, Reasoning: d.Reasoning, Parts: d.Parts,
		Signature: d.Signature,
	}
	if members != nil {
		a.Closed = d.Closed
		a.Members = map[string][]string{"assistant": members}
	}
	a.Rules = make(map[string]Rule)
	for _, path := range d.Foreign {
		a.Rules["messages."+path] = leave
	}
	return a
}

// takesPlain reports whether a request that is [wire.Request.Plain] needs no edit. What the dialect says of tools, parts, and
// the order and emptiness of messages concerns none of them.
func (d *Dialect) takesPlain() bool {
	has := func(only []string, names ...string) bool {
		return only == nil || !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(only, name) })
	}
	if d.NoNulls || !has(d.Fields, wire.PlainMembers...) {
		return false
	}
	for _, by := range []string{"system", "user", "assistant"} {
		if _, other := d.Rules["messages.role"].Words[by]; other || !has(d.Members[by], "role", "content") {
			return false
		}
	}
	for path := range d.Rules {
		name, below, _ := strings.Cut(path, ".")
		switch {
		case name == "messages" && below != "" && below != "content": // a role, as above, or of what they have not
		case slices.Contains(wire.PlainMembers, name):
			return false
		}
	}
	return d.Closed[""] == nil && d.Closed["stream_options"] == nil
}

// Rule is what becomes of one member. The zero rule leaves it as it is.
type Rule struct {
	// Leave leaves it out, and names it unless its value says nothing.
	Leave bool
	// Met says that what is left out is done all the same, and needs no naming.
	Met bool
	// WithTools says that it is left out only where tools are offered.
	WithTools bool
	// Kept are strings that are not left out.
	Kept []string
	// Efforts are the values of reasoning_effort beside which it is not left out; "" is for none.
	Efforts []string
	// With is the member beside which it is not left out, where that is true.
	With string
	// Elements is how many an array may have at most; 0: any number. Those behind them are left out.
	Elements int
	// Object is the member of an object that a string becomes.
	Object string
	// Rename is another name. Where that is there too, the member is left out.
	Rename string
	// Words are other words for strings.
	Words map[string]string
	// Most caps a number; 0: no cap.
	Most float64
	// Limit lowers a number without a word: there is no more to be had. 0: no limit.
	Limit float64
	// Least raises a number; 0: no least.
	Least float64
	// ToolName says that it is the name of a tool: see [Dialect].
	ToolName bool
	// NotNegative says that a number below 0 is left out.
	NotNegative bool
	// Inside is the member whose string an object becomes.
	Inside string
}

// The rules that several have.
var (
	leave     = Rule{Leave: true}
	asSystem  = Rule{Words: map[string]string{"developer": "system"}}
	maxTokens = Rule{Rename: "max_tokens"}

	// parts are the types of content that OpenAI's form has.
	parts = []string{"text", "image_url", "input_audio", "file", "refusal"}

	// foreign are what other vendors than OpenAI added to its form, which comes along with a conversation that began at
	// one of them.
	foreign = func() map[string]Rule {
		rules := map[string]Rule{
			"tool_choice": {Words: map[string]string{"any": "required"}}, // Mistral's
			"random_seed": {Rename: "seed"},                              // Mistral's
			// Mistral's as well: "expected an object, but got a string instead" in https://github.com/xenodium/chatgpt-shell/issues/327.
			"messages.content.image_url": {Object: "url"},
		}
		for _, path := range []string{
			"enable_search", "enable_thinking", "incremental_output", "search_options", "thinking_budget", // Qwen's
			"thinking", "messages.reasoning_content", // DeepSeek's and GLM's
			"safe_prompt", "prompt_mode", "guardrails", "messages.prefix", // Mistral's
			"models", "provider", "plugins", "transforms", "route", "reasoning", "include_reasoning", "top_a", // OpenRouter's
			"messages.reasoning", "messages.reasoning_details",
			"messages.tool_calls.extra_content",                                      // Gemini's
			"session_id", "trace", "image_config", "debug", "stop_server_tools_when", // OpenRouter's: ChatRequest of its TypeScript SDK
			"min_p", "repetition_penalty", "top_k", "chat_template_kwargs", "guided_json", "guided_regex", "guided_choice", // vLLM's
			"do_sample", "sensitive_word_check", "request_id", "tool_stream", // GLM's
			// Anthropic's marks for its cache, which OpenRouter and LiteLLM take in OpenAI's form, and of which others refuse the
			// whole request: https://github.com/NousResearch/hermes-agent/issues/100819.
			"cache_control", "messages.cache_control", "messages.content.cache_control", "tools.cache_control", "tools.function.cache_control",
		} {
			rules[path] = leave
		}
		return rules
	}()
)

// without is foreign but for what is of the dialect's own, with rules of its own.
func without(own []string, rules map[string]Rule) map[string]Rule {
	all := maps.Clone(foreign)
	for _, path := range own {
		delete(all, path)
	}
	maps.Copy(all, rules)
	return all
}

// NoDialect is the name for a provider that takes requests as they come, as gateways do that translate them themselves:
// OpenRouter, LiteLLM, Portkey.
const NoDialect = "none"

// dialects holds every dialect by name. Tests hold that the field Dialect in caddy/provider.go and the option dialect in caddy/README.md
// name a new one, that the table of alipayai/README.md has its row, and that dialect_test.go says whether it takes plain requests.
var dialects = func() map[string]*Dialect {
	all := map[string]*Dialect{NoDialect: nil}
	for _, d := range []*Dialect{
		// Its form is OpenAI's; what else it takes is not published.
		{Name: "alipay", Parts: parts, Files: pdfFiles, Rules: foreign},
		openAI(),
		mistral(),
		moonshot(),
		// https://api-docs.deepseek.com/api/create-chat-completion and .../guides/thinking_mode; "unknown variant `developer`" in
		// https://github.com/earendil-works/pi/issues/1048, "must be passed back" in https://github.com/decolua/9router/issues/773,
		// "Thinking mode does not support this tool_choice" in https://github.com/BerriAI/litellm/pull/37470.
		{
			Name: "deepseek", NoFunctions: true, Thinking: thinkingType, NoEmpty: true, ObjectsOnly: true, Schema: &translate.ObjectSchema{}, Reasoning: true, Parts: []string{"text"}, ToolName: &plainName, FreeThinker: true, JSONWord: true,
			// "logprobs, top_logprobs: will trigger an error": https://api-docs.deepseek.com/guides/reasoning_model
			// "the valid range of max_tokens is [1, 8192]" in https://github.com/mnfst/llm-gateway/issues/1177,
			// https://github.com/router-for-me/CLIProxyAPI/issues/599, and 65536 in https://github.com/Aider-AI/aider/pull/4125.
			Models: []ModelRules{
				{Names: []string{"deepseek-chat"}, Rules: limited("max_tokens", 8192)},
				{Names: []string{"deepseek-reasoner"}, Rules: with(limited("max_tokens", 65536), map[string]Rule{"logprobs": leave, "top_logprobs": leave})},
			},
			Rules: without([]string{"thinking", "messages.reasoning_content"}, map[string]Rule{
				"messages.role": asSystem, "max_completion_tokens": maxTokens, "n": leave, "top_p": {Least: .01}, "stop": {Elements: 16},
			}),
		},
		// https://help.aliyun.com/zh/model-studio/qwen-api-reference, and what it refuses in its list of errors, error-code; "Tool
		// names are not allowed to be [search]" in https://github.com/QwenLM/qwen-code/issues/384, and forced tools while it
		// thinks in https://github.com/cloudwego/eino/issues/994. "Invalid value: file. Supported values are: 'text','image_url',
		// 'video_url' and 'video'": https://github.com/QwenLM/qwen-code/pull/1838. Partial: https://help.aliyun.com/zh/model-studio/partial-mode.
		{
			Name: "qwen", NoFunctions: true, Thinking: enableThinking, Parts: append(slices.Clip(parts), "video", "video_url"), Arguments: true, NoEmpty: true, Partial: true, StreamedThinking: true,
			ToolName: &wire.ToolName{Most: 64, Reserved: []string{"search"}}, ToolChoices: []string{"auto", "none", "function"}, FreeThinker: true, JSONWord: true,
			Rules: without([]string{"enable_search", "enable_thinking", "search_options", "thinking_budget", "repetition_penalty", "top_k"}, map[string]Rule{
				"messages.role": asSystem, "max_completion_tokens": maxTokens, "n": {Leave: true, WithTools: true},
				"temperature": {Most: 1.99}, "top_p": {Least: .01},
			}),
		},
		// https://docs.z.ai/api-reference/llm/chat-completion: four roles, max_tokens, and thinking of its own. Its SDK keeps
		// temperature and top_p between 0.01 and 0.99 (https://github.com/zai-org/z-ai-sdk-python), since neither end of
		// their ranges is taken: https://github.com/songquanpeng/one-api/issues/1141. Of tool_choice it "only supports auto"
		// (https://docs.z.ai/guides/capabilities/function-calling): older models took no notice of others, since GLM-5.3 they are
		// refused (https://github.com/vectorize-io/hindsight/issues/4246, https://github.com/onyx-dot-app/onyx/pull/14192).
		// "messages[2].content[1].text: cannot be empty" in https://github.com/zed-industries/zed/issues/37751, and content and
		// tool_calls not both in https://github.com/songquanpeng/one-api/issues/1153.
		{
			Name: "glm", NoFunctions: true, NoEmpty: true, Thinking: thinkingType, Parts: append(slices.Clip(parts), "video_url", "file_url"), Files: fileURLs, ToolName: &plainName, ToolChoices: []string{"auto"},
			Rules: without([]string{"do_sample", "sensitive_word_check", "thinking", "messages.reasoning_content"}, map[string]Rule{
				"messages.role": asSystem, "max_completion_tokens": maxTokens,
				"temperature": {Least: .01, Most: .99}, "top_p": {Least: .01, Most: .99}, "stop": {Elements: 1},
			}),
		},
		// https://ai.google.dev/gemini-api/docs/openai: a member that it does not know is refused, such as top_k and
		// frequency_penalty (https://github.com/MinLL/SkyrimNet-GamePlugin/issues/77: "Cannot find field"). A tool call wants
		// Gemini's signature (https://discuss.ai.google.dev/t/109823), and for one of another model's the word of
		// https://ai.google.dev/gemini-api/docs/thought-signatures; names of tools as in https://github.com/cline/cline/issues/7339.
		// "it must include at least one parts field" of a message of nothing: https://github.com/epam/ai-dial-adapter-vertexai/pull/164,
		// https://github.com/CherryHQ/cherry-studio/pull/16196, and of such a part https://github.com/router-for-me/CLIProxyAPI/issues/1292.
		{
			Name: "google", NoFunctions: true, NoEmpty: true, Parts: parts, Files: pdfFiles, Fields: googleFields, ToolName: &wire.ToolName{Most: 64, Dots: true, Letter: true},
			Signature: &Signature{Name: "extra_content", Value: `{"google":{"thought_signature":"skip_thought_signature_validator"}}`},
			Rules: without([]string{"messages.tool_calls.extra_content"}, map[string]Rule{
				"messages.role": asSystem, "stop": {Elements: 5}, "reasoning_effort": {Words: map[string]string{"xhigh": "high", "max": "high"}},
			}),
		},
		// The form as servers have it that follow OpenAI's at a distance: Ollama, and vLLM and SGLang, whose chat templates
		// take a system message first and parse the arguments of calls (https://github.com/vllm-project/vllm/issues/43995,
		// https://github.com/sgl-project/sglang/pull/28035). They know three efforts, and none (openai/openai.go of ollama/ollama,
		// entrypoints/openai/chat_completion/protocol.py of vllm-project/vllm). Of files
		// vLLM is to read those that OpenAI takes (https://github.com/vllm-project/vllm/pull/57774), and till then says that it does not.
		{
			Name: "legacy", NoFunctions: true, Parts: append(slices.Clip(parts), "video_url", "audio_url"), Files: pdfFiles, Arguments: true, SystemFirst: true, Functions: true,
			Rules: without([]string{"chat_template_kwargs", "guided_json", "guided_regex", "guided_choice", "min_p", "repetition_penalty", "top_k"}, map[string]Rule{
				"messages.role": asSystem, "max_completion_tokens": maxTokens, "tools.function.strict": leave,
				"reasoning_effort": {Words: map[string]string{"minimal": "low", "xhigh": "high", "max": "high"}},
			}),
		},
	} {
		if d.ToolName != nil {
			for _, path := range []string{
				"tools.function.name", "tools.custom.name", "functions.name",
				"tool_choice.function.name", "tool_choice.custom.name", "tool_choice.allowed_tools.tools.function.name", "function_call.name",
				"messages.tool_calls.function.name", "messages.tool_calls.custom.name", "messages.function_call.name",
			} {
				d.Rules[path] = Rule{ToolName: true}
			}
		}
		d.answers, d.plain = d.ofAnswers(), d.takesPlain()
		all[d.Name] = d
	}
	return all
}()

// DialectNames lists the dialects in order.
func DialectNames() []string { return slices.Sorted(maps.Keys(dialects)) }

// LookupDialect gives the dialect of that name, nil for [NoDialect], or an error that lists the names there are.
func LookupDialect(name string) (*Dialect, error) {
	d, ok := dialects[name]
	if !ok {
		return nil, fmt.Errorf("dialect %q is unknown; use one of %s", name, strings.Join(DialectNames(), ", "))
	}
	return d, nil
}

// thinkingType asks to think in DeepSeek's way, and GLM's: {"thinking": {"type": "enabled/disabled"}} in
// https://api-docs.deepseek.com/guides/thinking_mode and https://docs.z.ai/guides/capabilities/thinking. They know no budget.
func thinkingType(t wire.Thinking) string { return `"thinking":{"type":"` + t.Type + `"}` }

// enableThinking asks to think in Qwen's way: enable_thinking, and thinking_budget in tokens, in
// https://www.alibabacloud.com/help/en/model-studio/deep-thinking.
func enableThinking(t wire.Thinking) string {
	member := `"enable_thinking":` + strconv.FormatBool(t.Type == "enabled")
	if t.Type == "enabled" && t.Budget > 0 {
		member += `,"thinking_budget":` + strconv.FormatInt(t.Budget, 10)
	}
	return member
}

// nineCharacters keeps an id of 9 letters and digits, and gives one for any other.
func nineCharacters(id string) string {
	const fine = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if len(id) == 9 && strings.Trim(id, fine) == "" {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:])[:9]
}

// atMost40 keeps an id of up to 40 characters.
func atMost40(id string) string {
	if id != "" && len(id) <= 40 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:12])
}
