// Package anthropic is the form in which Anthropic's Messages API speaks: requests of OpenAI's chat completions become
// bodies of POST /v1/messages with anthropic-version 2023-06-01, answers and streams come back as OpenAI's.
//
// The facts are those of Anthropic's Messages API reference and its guides on streaming, tool use, vision, stop reasons,
// versions and errors, and of OpenAI's API reference for chat completions. Where the two differ and Anthropic's own page
// "OpenAI SDK compatibility" has decided, that decision is taken.
//
// # Requests
//
//	model                  the upstream's name for it
//	system, developer      system, in their order, wherever in the conversation they stood
//	user, assistant        turns; neighbours of one role are one turn. Where the assistant begins, a user's "." goes before,
//	                       which is named "messages.role", as is that system messages alone are the user's words; white
//	                       space that ends an assistant's last turn is cut
//	tool                   a tool_result, those of one round in one user turn
//	image_url              a base64 source for a data: URL, a url source for https; not http, which is not fetched
//	file                   a document: a PDF, or a text, in base64
//	cache_control          the same, of at most four blocks
//	tools, tool_calls      tools, tool_use; schemas and arguments keep their exact text where the API takes it. anyOf, oneOf
//	                       and allOf at the top of a schema move to its description. Arguments that are no object become
//	                       {"INVALID_JSON": text}; an id that repeats is replaced, in the call and its result
//	functions, function_call, and messages of role function: as tools and tool_calls, and so back in answers
//	strict                 strict, for schemas that are known to be taken
//	response_format        json_schema: output_config.format, for such schemas, unless the assistant has the last turn.
//	                       So does the schema of a json_object that has one. Others, and json_object without, are
//	                       asked for in words, as a last text of the system.
//	                       In both, bounds, patterns and other words that the API does not take move to the
//	                       description of what they limit
//	tool_choice            none, auto, required and a function: none, auto, any, tool; of allowed_tools no others are offered.
//	                       Of several tools with one name the first is
//	parallel_tool_calls    false: disable_parallel_tool_use
//	max_completion_tokens, or the older max_tokens; neither: [DefaultMaxTokens]
//	temperature            0 to 1; above 1 it is left at Anthropic's default, which is 1
//	top_p                  without a temperature: newer models refuse the two together
//	stop                   stop_sequences, but for those of white space only, which the API refuses
//	safety_identifier, or the older user: metadata.user_id, as a hash scoped to the tenant
//	thinking               with a budget from 1024 to below max_tokens, where the conversation has no tool calls, no tool must
//	                       be called and the user has the last turn; temperature and a top_p below 0.95 give way to it
//	stream, stream_options.include_usage
//
// Each earlier call has one result, as the API wants it: see toolResult. A number that is the default of both APIs is not sent, since some models refuse sampling parameters altogether. By the
// version in its name, a model gets no temperature and top_p, and adaptive thinking for a budget, from 4.7 on; a user's word
// behind a last one of the assistant's from 4.6 on; and from 5.5 on no demand for a tool.
// reasoning_effort is output_config.effort where the model takes one, and so is the effort of OpenRouter's reasoning, whose max_tokens,
// enabled and exclude are thinking. thinking cannot go on through tool calls: the API wants the
// signed thinking of the turn before, which OpenAI's form cannot hold. Blocks of white space only are left out, since the
// API refuses them. All that is left out and would have mattered is in [wire.Encoded.Unsupported].
//
// A schema is known to be taken if it has nothing in it but what Anthropic's guide on structured outputs and its SDKs
// name: objects without further properties, no bounds of numbers and lengths, no recursion, and in all schemas of a
// request together at most 24 optional properties, 16 unions and 20 strict tools. For any other the API refuses the whole
// request. So it is first brought into that form as Anthropic's SDKs do it: objects are closed, oneOf becomes anyOf, and
// what cannot be said stands in the description, where the model reads it; each word that limited something is named.
// Where that does not do, as for recursion and objects of any keys, the promise is left out and named, and the tool goes
// without it.
//
// # Answers
//
// Text blocks are the content, thinking blocks the reasoning_content, tool_use blocks the tool calls; redacted thinking
// and blocks of servers' tools, which are never asked for, have no counterpart. The stop reasons end_turn and
// stop_sequence are "stop", tool_use is "tool_calls", max_tokens and model_context_window_exceeded are "length", refusal
// is "content_filter". pause_turn is an answer that is not finished, and so "length" too; a reason that is not known is
// given as it is. prompt_tokens is the whole input: what was read, what came from the cache and what was written to it.
//
// Errors are read by [wire.ParseBody] and [wire.ParseEvent], as those with an HTTP status of 400 and above are: the type
// of Anthropic's error is [wire.Failure.Type].
package anthropic
