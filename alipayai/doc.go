// Package alipayai is the domain of the gateway: a call, and what becomes of it.
// It knows neither Caddy nor a client's connection: a door makes a [Call] of what
// it reads, [Gateway.Do] serves it, and the door writes the [Answer].
//
// A call takes one path, and the files follow it in this order:
//
//	call      call.go      what a door hands over, and its path in short
//	limits    tenant_limits.go   the tenant's own
//	plan      plan.go      the providers that may serve this call, in order
//	claim     claims.go    its Idempotency-Key, so that it happens once
//	walk      walk.go      each provider in turn, as its breaker permits
//	ask       ask.go       one provider, in its own format and as often as is safe
//	admit     admit.go     a live token, then a permit within the rate cap
//	attempt   attempt.go   round trip, then what the answer means
//	answer    answer.go    the whole body, or a stream to pull from: stream.go
//	settle    settle.go    claim, cached answer, one outcome for metrics and logs
//
// cached.go and recording.go are about answers that are given again, evidence.go
// about failures that have to be shown, and mask.go about what must not be. How a
// request is signed and sent is in package upstream, what a failure means in package
// failure.
package alipayai
