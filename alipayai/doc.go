// Package alipayai is the domain of the gateway: a call, and what becomes of it.
// It knows neither Caddy nor a client's connection: a door makes a [Call] of what
// it reads, [Gateway.Do] serves it, and the door writes the [Answer].
//
// A call takes one path, and the files follow it in this order:
//
//	call      call.go        what a door hands over, and its path in short
//	moderate  moderation.go  what a moderator says of it, and of the answer
//	limits    tenants.go     what the tenant may use
//	user      tenants.go     whose of the tenant's users it is, where a provider serves them by themselves
//	plan      plan.go        the providers that may serve this call, in order; which of them are equal
//	claim     claims.go      its Idempotency-Key, so that it happens once
//	walk      walk.go        each provider in turn, as its breaker permits
//	pack      packing.go     short calls of one end user, together: packing_group.go, packing_answers.go, packing_cost.go
//	ask       ask.go         one provider, in its own format and as often as is safe
//	charge    spending.go    what an attempt may cost, reserved before; what it has cost is in charged.go
//	attempt   attempt.go     one request, then what its answer means
//	leaving   caller.go      on the way, within the attempt: the last word before the first byte, which marks the claim
//	open      events.go      of a stream: its events, at first those up to the first content
//	retry     retry.go       what follows a failure: another attempt, or the next provider
//	answer    answer.go      the whole body, or a stream to pull from
//	pull      stream.go      the rest of a stream, as the client takes it
//	settle    settle.go      claim and usage; one outcome for metrics and logs
//	copy      settle.go      what a shadow is asked as well, once the client has its answer
//
// Do in call.go begins and ends it: serve, in the same file, takes the steps from limits to
// walk, and moderated, in moderation.go, goes around them, since the verdict is waited for
// as late as may be.
//
// The request of an attempt leaves by [upstream.Provider.Send], as everything does
// that goes to a provider: the documentation of package upstream follows it there. It
// comes back once, to Leaving in caller.go.
//
// An event of a stream is read by readEvent in events.go: under the watchdog, decoded by
// the provider's format, and kept. openStream in the same file reads until there is
// content to commit to, and a failure before that goes the way of an answer's. After
// that [Answer.Next] leads to next in stream.go, which gives out what is kept and reads on.
//
// An answer that refuses the access token is read by readAnswer in attempt.go, and becomes a
// failure in [upstream.Exchange.Failed], with the class that package failure gives its code.
// The loop of ask in ask.go has planRetry, in retry.go, say what follows: it drops that token
// and, once for each provider, permits another attempt, whose Send waits for the new token
// where it is admitted.
//
// gateway.go is what calls are served with. cached.go is about answers that are given
// again, models.go about lists of models and counts of tokens, buffers.go about the room
// that answers take, tenants.go about tenants' keys as well, and mask in caller.go
// about what must not be shown. What a failure means is in package failure.
package alipayai
