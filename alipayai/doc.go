// Package alipayai is the domain of the gateway: a call, and what becomes of it.
// It knows neither Caddy nor a client's connection: a door makes a [Call] of what
// it reads, [Gateway.Do] serves it, and the door writes the [Answer].
//
// A call takes one path, and the files follow it in this order:
//
//	call      call.go      what a door hands over, and its path in short
//	limits    tenants.go   the tenant's own
//	plan      walk.go      the providers that may serve this call, in order
//	claim     claims.go    its Idempotency-Key, so that it happens once
//	walk      walk.go      each provider in turn, as its breaker permits
//	pack      packing.go   short calls of one end user, together: packing_group.go
//	ask       ask.go       one provider, in its own format and as often as is safe
//	attempt   attempt.go   one request, then what its answer means
//	answer    answer.go    the whole body, or a stream to pull from: stream.go
//	settle    call.go      claim, cached answer, one outcome for metrics and logs
//
// The request of an attempt leaves by [upstream.Provider.Send], as everything does
// that goes to a provider: the documentation of package upstream follows it there. It
// comes back once, to Leaving in attempt.go: the claim is marked before the first byte.
//
// An event of a stream comes by [Answer.Next]: next and readEvent in stream.go wait
// for it under the watchdog, decode it by the provider's format, and keep it until
// there is content to commit to. A failure in it goes the way of an answer's.
//
// An answer that refuses the access token becomes a failure in upstream's
// Exchange.Failed, by the class that package failure gives its code. planRetry in
// ask.go then drops that token and, once for each provider, repeats the attempt: its
// Send waits for the new token.
//
// cached.go and recording.go are about answers that are given again, and mask.go
// about what must not be shown. What a failure means is in package failure.
package alipayai
