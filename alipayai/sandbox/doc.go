// Package sandbox simulates the Alipay AI API, and the APIs of the models that
// calls fall over to, with every fault that a caller must survive and statistics
// of what reached it.
//
// [Config.Format] says which API it is. Marks, faults and statistics are the same
// for all; each section on a format says how it is spoken. Requests are read and
// answers are written by the simulator's own code, so that it is an independent
// check of a caller.
//
// The cap is exact: at most 50 calls of one app, whether or not their signature
// is good, are let in within any sliding second, by the time of their arrival.
// Calls answered 429 take no place in it, and calls for tokens are not capped.
//
// # Format openai
//
// The Alipay AI API. Ant publishes no byte-level contract of it. The simulator
// holds callers to the layout of Ant's global interfaces with HMAC-SHA256 in it:
//
//	POST /v1/chat/completions        JSON, or server-sent events with "stream": true
//	POST /v1/embeddings              encoding_format float or base64
//	POST /v1/moderations             flags what the production environment blocks
//	GET  /v1/models
//
//	Authorization: Bearer <access token>
//	Client-Id: <client id>
//	Request-Time: <Unix milliseconds>
//	Signature: algorithm=HMAC-SHA256,keyVersion=<n>,signature=<urlencode(base64(mac))>
//
//	mac = HMAC-SHA256(key, "<METHOD> <path[?query]>\n<Client-Id>.<Request-Time>.<raw body>")
//
// JSON answers are signed in the same layout, over the path without its query
// and with Response-Time in place of Request-Time, as soon as the request's own
// signature has verified; streams are never signed.
//
// A refused call gets {"code","message"}. 401: INVALID_CLIENT,
// INVALID_SIGNATURE, INVALID_KEY_VERSION, INVALID_REQUEST_TIME (more than five
// minutes off), INVALID_ACCESS_TOKEN, EXPIRED_ACCESS_TOKEN, ACCESS_DENIED (the
// token of another app). 429 with Retry-After: REQUEST_TRAFFIC_EXCEED_LIMIT. 403:
// COMPLIANCE_BLOCKED, in mode [Production] only, for prompts such as "predict
// future income" or 预测未来收入. 400 and 413: PARAM_ILLEGAL. 404: INVALID_API and
// MODEL_NOT_FOUND. 405: METHOD_NOT_SUPPORTED. 415: MEDIA_TYPE_NOT_ACCEPTABLE.
//
// Tokens come from
//
//	POST /oauth2/token                            RFC 6749: client_credentials, refresh_token, authorization_code
//	POST /gateway.do                              alipay.system.oauth.token
//	POST /ams/api/v1/authorizations/applyToken    and /ams/sandbox/api/v1/…
//
// At /oauth2/token a client proves itself by HTTP Basic or by client_id and
// client_secret in the form. The other two are the forms of a person's
// authorisation; they take the code [DemoAuthCode] or a refresh token. Their RSA
// signatures are not verified, and their answers carry none: only the tokens are
// simulated there. Lives are measured by the clock without any skew.
//
// A person consents, as one of [Config.Users], at a page for each form:
//
//	GET /oauth2/authorize                         for /oauth2/token, with or without PKCE (RFC 7636, S256)
//	GET /oauth2/publicAppAuthorize.htm            for /gateway.do
//	GET /ams/authorize                            for applyToken
//
// Programs consent by the further parameter as=<user>, and refuse by an empty one. A code is good once, for ten
// minutes and in its own form. [Server.UserOf] says whose a token is, and [Server.Revoke] ends all of a person's.
//
// With [Config.Variants] the API departs from this in the ways that they name, as
// one without a public contract may.
//
// # Format anthropic
//
// The Messages API, after Anthropic's API reference:
//
//	POST /v1/messages                JSON, or server-sent events with "stream": true
//	POST /v1/messages/count_tokens
//	GET  /v1/models
//
//	X-Api-Key: <key>
//	Anthropic-Version: 2023-06-01
//
// Requests are held to the reference: fields, blocks and sources that it does not
// know, turns that do not begin with the user's, and results that do not follow
// their calls get a 400 that names the place. Two turns of one role are refused
// too, although the API joins them now: a caller that joins them itself is good
// for both. Of tools, only those of the caller are known. max_tokens and
// stop_sequences end an answer; thinking of type enabled puts a block of it first.
//
// A stream is message_start, content_block_start, ping, content_block_delta …,
// content_block_stop, message_delta, message_stop. Errors are {"type":"error",
// "error":{"type","message"},"request_id"}, with the Request-Id of every answer,
// and the type that the reference gives to the status: 400
// invalid_request_error, 401 authentication_error, 402 billing_error, 403
// permission_error, 404 not_found_error, 413 request_too_large, 429
// rate_limit_error, 504 timeout_error, 529 overloaded_error, other 4xx
// invalid_request_error, other 5xx api_error. A system error is an api_error;
// within a stream it is event: error, without a request_id.
//
// # Format nextbuilder
//
// The streaming agent API of the Open Platform, signed as version 3 has it:
//
//	POST /v3/stream/alipay/cloud/nextbuilder/agent/chat/generate
//
//	Authorization: ALIPAY-SHA256withRSA <auth>,sign=<base64(signature)>
//	alipay-app-auth-token: <token>   (if there is one)
//
//	auth      = app_id=<id>[,app_cert_sn=<sn>],nonce=<nonce>,timestamp=<Unix milliseconds>[,<name>=<value>...]
//	signature = RSASSA-PKCS1-v1_5-SHA256("<auth>\n<METHOD>\n<path[?query]>\n<body>\n[<token>\n]")
//
// Signature, path, fields, names of events and the data's type and payload are
// those of the platform's official SDKs. A request has agent_id, outer_user_id,
// query and request_id, and may have session_id, inputs (a string that holds a JSON
// object), multi_modal_inputs {"images":[…]}, llm_thinking, config_version,
// latitude and longitude; other fields are refused, which is the simulator's own
// strictness. Of the payloads no public contract exists; this layout is ours:
//
//	event: ping
//	data: {"type":"ping"}
//
//	id: 1
//	event: message
//	data: {"type":"thinking","payload":"{\"text\":\"…\",\"session_id\":\"…\",\"message_id\":\"…\"}"}
//
//	id: 2
//	event: message
//	data: {"type":"text","payload":{"text":"…","session_id":"…","message_id":"…"}}
//
//	event: end
//	data: {"type":"end"}
//
// The payload of odd ids is a string that holds JSON, which is the form of the
// SDKs; that of even ids is the object itself. The thought comes with llm_thinking
// only, the session is new where the request names none. What fails after the
// head is a 200 that has
//
//	event: error
//	data: {"payload":"{\"errorCode\":\"Resource-Not-Found\"}","type":"error"}
//
//	event: end
//	data: {"type":"end"}
//
// as the platform answers an unknown agent. What fails before is {"code",
// "message","links"}. 401: missing-signature, invalid-signature, invalid-app-id,
// invalid-timestamp (more than five minutes off). 429: app-call-limited. 400:
// INVALID_PARAMETER, and invalid-method for another path. A system error has the
// code SYSTEM_ERROR. Answers are not signed: the official SDK verifies neither
// streams nor errors.
//
// # Answers
//
// An answer repeats the prompt (the last message of the user), so that crossed
// answers show, and says how many images came. With tools, a prompt that names a
// function or says "use the tool", or a tool_choice, gets a tool call, in version 2 of
// [Config.APIVersion] with parameters that are named otherwise. Marks in
// the prompt shape the answer, and are no part of what is repeated:
//
//	[[events:50]]         exactly 50 content events in a stream, a thought among them
//	[[bytes:1200]]        exactly 1200 bytes of content
//	[[interval:20ms]]     a pause between content events
//	[[fault:KIND]]        a fault for this call
//	[[fault:KIND=ARG,field=value]]
//
// # Packs
//
// Where instructions say that the user's message is "one JSON object whose keys are ids",
// and it is an object of strings, the answer is an object of those ids with the answer to
// each text, as if that were alone. As models do, the simulator obeys an order that stands
// in one of them, "for all others answer no": then the others get that word.
//
// # Faults
//
// Faults are set for the calls to come, in place of those set before, by
// [Server.SetFaults] or with
//
//	PUT /_sandbox/faults
//	{"faults":[{"kind":"system_error_200","times":3},
//	           {"kind":"latency","delay":"250ms","path":"/v1/embeddings"}]}
//
// GET shows what is left of them, DELETE clears them. Every fault may have times
// (how many calls it hits, unset: all), path (unset: all but the token endpoints)
// and client_id.
// The first four kinds add to any other; of the rest a call takes the first that
// fits it, so that a list is a sequence. Kinds that break streams wait for a
// streamed call, and malformed_json, truncated_body and
// wrong_response_signature for one that is not. Only calls that have verified meet
// faults. What a format cannot meet is refused: tokens and signed answers are
// openai's alone, and nextbuilder has no answers but streams. In a mark, ARG is the
// field in parentheses.
//
//	latency (delay)              nothing is sent before delay
//	slow_first_byte (delay)      the head is sent, the rest after delay
//	wrong_response_signature     a signature that does not match
//	clock_skew                   moves the clock by skew: Date, Response-Time, the time check;
//	                             no mark, since it acts before a prompt is read
//
//	system_error_200 (shape)     the format's system error in a 200; shape, if not the format's own:
//	                             alipay, openai, global, gateway, openapi-v3, nextbuilder, anthropic,
//	                             openrouter, choice, vllm, fastapi, google, ollama, text
//	system_error_500 (shape)     the same in a 500
//	system_error_first (shape)   a stream whose first event is the error
//	system_error_midstream (after_events)
//	                             the error event after so many content events, 1 unless set
//	http_status (status)         status, with code, shape and retry_after if set
//	throttle (retry_after)       429; Retry-After in seconds if set
//	payment_required             402 with Payment-Needed; a call with Payment-Proof passes
//	expired_token                EXPIRED_ACCESS_TOKEN, and that token is dead from then on
//	token_error                  a token endpoint answers status (503 unless set) and code, or,
//	                             with garbage, what is not JSON; no mark
//	reset_before                 connection reset before any byte (over HTTP/2: stream reset)
//	reset_after (after_events)   the same after so many events, or after half a JSON body
//	stall (after_events)         silence after the head or so many events, until the client leaves
//	cut (after_events)           a stream ends cleanly but early, 1 event unless set; with
//	                             mid_event in the middle of the next
//	malformed_chunk (after_events)
//	                             an event that is half its JSON; the stream goes on
//	malformed_json               a complete body that is no JSON
//	truncated_body               half of what Content-Length promised
//	empty_stream                 a stream without events
//	done_first                   a stream of its end alone: [DONE], message_stop, event: end
//	finish_reason (code)         an answer that finishes with this word
//	no_end                       a whole stream without its [DONE]
//
//	pack_missing, pack_doubled   the answer to a pack leaves an item out, or has one twice
//	pack_swapped                 two items have each other's answers
//	pack_unknown_id, pack_extra  one id is another one, or there is one more
//	pack_foreign_id              an answer names another item's id
//	pack_types                   an answer is an object, not a string
//	pack_prose, pack_fenced      prose, or a code fence, around the JSON
//	pack_yaml                    YAML, not JSON
//	pack_translated              answers in another language
//	pack_cut                     half of it, with the finish reason length
//
// System errors and http_status take code, to say something else.
//
// # Statistics
//
// [Server.Stats], or GET /_sandbox/stats, tells what arrived; DELETE starts anew.
// The fields are those of [Stats]. Among codes, "OK" counts whole answers,
// "BROKEN" those that a fault broke without a code, "CANCELLED" those whose client
// left first. Paths counts the calls of each endpoint. Bodies and answers are
// listed by the call's own idempotency id, so that repeats, second answers and
// answers that crossed can be told. Maps are bounded: 65,536 signatures and
// connections, 16,384 idempotency ids with 32 entries each, 8,192 access and refresh tokens, 256 codes;
// the oldest entries go first.
//
// /_sandbox/* answers peers on loopback addresses only. It goes by the address of
// the connection, so a reverse proxy on the same machine must not forward it.
package sandbox
