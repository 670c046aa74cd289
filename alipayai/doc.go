// Package alipayai is the domain of the gateway: what a call is, which
// provider may serve it, and what an upstream's answer means. It speaks
// net/http and knows nothing of Caddy.
//
// A call takes one path, and the files follow it in this order:
//
//	call     call.go      a parsed request, as a door has read it (door/openai)
//	plan     plan.go      the providers that may serve this call, in order
//	claim    claims.go    its Idempotency-Key, so that it happens once
//	walk     walk.go      each provider in turn, as its breaker lets it
//	ask      ask.go       one provider, in its own format and as often as is safe
//	admit    admit.go, departure.go   a live token, then a permit of the rate cap
//	attempt  compose.go, attempt.go   sign the exact bytes, round trip, classify the answer
//	commit   answer.go, stream.go   a whole answer, or a stream to pull from, given once
//	settle   settle.go    claim, cached answer, one outcome for metrics and logs
//
// Package failure says what a failure means. cached.go, recording.go and
// replayed.go are about answers that are given again, evidence.go about failures
// that have to be shown.
package alipayai
