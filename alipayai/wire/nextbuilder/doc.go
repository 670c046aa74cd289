// Package nextbuilder translates OpenAI's chat completions to and from the streaming agent API of Alipay Open Platform
// v3, POST [Path].
//
// The names of the request's fields, the events message, error, ping and end, and the type and payload of their data
// are those of the official Node and Java SDKs, as is an error inside a stream that began with status 200. What the SDKs
// leave open is marked as ours.
//
// # The request
//
//	agent_id         Format.AgentID
//	config_version   Format.ConfigVersion, if set
//	llm_thinking     Format.Thinking, if set
//	query            the text of the last user message; its parts are joined by line breaks
//	request_id       Ask.ID
//	outer_user_id    a hash of Ask.Tenant and user, or else safety_identifier
//	session_id       a hash of the same and metadata.session_id, or else of Ask.ID
//
// No public contract exists for who names a session in the stream API: the official Node SDK's calls send UUIDs of
// their own, or none. Here a client names it in its metadata, and the hash keeps each tenant, and each of its users,
// inside their own sessions. It has the form of a UUID. The callers without a name, who are one tenant, have none to
// share.
//
// # What is left out
//
// One question goes to the agent. What else a request holds is named in Encoded.Unsupported:
//
//	messages.history             turns before the last user message, unless a session holds them; turns after it always
//	messages.system              and messages.developer, messages.tool, messages.function
//	messages.content.image_url   and .input_audio, .file: the platform takes files by their id in its own store only
//	metadata                     keys other than session_id
//	metadata.session_id          of callers without a name
//	safety_identifier            beside a user that differs
//	tools, temperature, seed, …  every other field that is neither null nor what OpenAI takes for granted
//
// # The answer
//
// It is a stream of server-sent events, also for clients that did not ask for one; for these it becomes one
// chat.completion.
//
//	{"type":"text","payload":..}       delta.content
//	{"type":"thinking","payload":..}   delta.reasoning_content
//	{"type":"error","payload":..}      the failure, with the errorCode of the payload
//	{"type":"end"}                     finish_reason "stop", the usage if known and asked for, data: [DONE]
//	ping, and any other type           nothing
//
// No public contract exists for the types text and thinking and for the text in their payloads; these are ours: an
// object with a text, content or answer, as itself or as JSON in a string, or a string that is the text. None exists for
// token counts either: a usage beside the type is read in OpenAI's form.
package nextbuilder
