// Package sandbox simulates the Alipay AI API, with every fault that a caller
// must survive and statistics of what reached it.
//
// Ant publishes no byte-level contract of this API. The simulator holds callers
// to the layout of Ant's global interfaces with HMAC-SHA256 in it, and reads
// requests by its own code, so that it is an independent check of a signer:
//
//	POST /v1/chat/completions        JSON, or server-sent events with "stream": true
//	POST /v1/embeddings              encoding_format float or base64
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
// and with Response-Time in place of Request-Time, as soon as the request's own signature has verified; streams are
// never signed.
//
// # Codes
//
// A refused call gets {"code","message"}. 401: INVALID_CLIENT,
// INVALID_SIGNATURE, INVALID_KEY_VERSION, INVALID_REQUEST_TIME (more than five
// minutes off), INVALID_ACCESS_TOKEN, EXPIRED_ACCESS_TOKEN, ACCESS_DENIED (the
// token of another app). 429 with Retry-After: REQUEST_TRAFFIC_EXCEED_LIMIT. 403:
// COMPLIANCE_BLOCKED, in mode [Production] only, for prompts such as "predict
// future income" or 预测未来收入. 400 and 413: PARAM_ILLEGAL. 404: INVALID_API and
// MODEL_NOT_FOUND. 405: METHOD_NOT_SUPPORTED. 415: MEDIA_TYPE_NOT_ACCEPTABLE.
//
// The cap is exact: at most 50 calls of one app, whether or not their signature
// is good, are let in within any sliding second, by the time of their arrival.
// Calls answered 429 take no place in it, and token calls are not capped.
//
// # Tokens
//
//	POST /oauth2/token                            RFC 6749: client_credentials, refresh_token
//	POST /gateway.do                              alipay.system.oauth.token
//	POST /ams/api/v1/authorizations/applyToken    and /ams/sandbox/api/v1/…
//
// At /oauth2/token a client proves itself by HTTP Basic or by client_id and
// client_secret in the form. The other two are the forms of a person's
// authorisation; they take the code [DemoAuthCode] or a refresh token. Their RSA
// signatures are not verified, and their answers carry none: only the tokens are
// simulated there. Lives are measured by the clock without any skew.
//
// # Answers
//
// An answer repeats the prompt (the last message of the user), so that crossed
// answers show, and says how many images came. With tools, a prompt that names a
// function or says "use the tool", or a tool_choice, gets a tool call. Marks in
// the prompt shape the answer, and are no part of what is repeated:
//
//	[[events:50]]         exactly 50 content events in a stream
//	[[bytes:1200]]        exactly 1200 bytes of content
//	[[interval:20ms]]     a pause between content events
//	[[fault:KIND]]        a fault for this call
//	[[fault:KIND=ARG,field=value]]
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
// (how many calls it hits, unset: all), path (unset: all of /v1/) and client_id.
// The first four kinds add to any other; of the rest a call takes the first that
// fits it, so that a list is a sequence. Kinds that break streams wait for a
// streamed call, and malformed_json, truncated_body and
// wrong_response_signature for one that is not. Only calls that have verified meet
// faults. In a mark, ARG is the field in parentheses.
//
//	latency (delay)              nothing is sent before delay
//	slow_first_byte (delay)      the head is sent, the rest after delay
//	wrong_response_signature     a signature that does not match
//	clock_skew                   moves the clock by skew: Date, Response-Time, the time check;
//	                             no mark, since it acts before a prompt is read
//
//	system_error_200 (shape)     SYSTEM_ERROR in a 200; shape alipay, openai, global, gateway, nextbuilder
//	system_error_500 (shape)     the same in a 500
//	system_error_first (shape)   a stream whose first event is the error
//	system_error_midstream (after_events)
//	                             the error event after so many content events, 1 unless set
//	http_status (status)         status, with code and retry_after if set
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
//	done_first                   a stream of [DONE] alone
//
// System errors and http_status take code, to say something else.
//
// # Statistics
//
// [Server.Stats], or GET /_sandbox/stats, tells what arrived; DELETE starts anew.
// The fields are those of [Stats]. Among codes, "OK" counts whole answers,
// "BROKEN" those that a fault broke without a code, "CANCELLED" those whose client
// left first. Maps are bounded: 65,536 signatures and connections, 16,384
// idempotency ids with 32 hashes each, 8,192 access and refresh tokens, 256 codes;
// the oldest entries go first.
//
// /_sandbox/* answers peers on loopback addresses only. It goes by the address of
// the connection, so a reverse proxy on the same machine must not forward it.
package sandbox
